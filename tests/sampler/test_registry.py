"""Samplers that need an optional package, and the one warning without it."""

from __future__ import annotations

import importlib
import importlib.util
import logging
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, TPESampler
from sampler_helpers import MIXED, QUADRATIC, play, quadratic, sweep

from lightsweep.errors import InputError
from lightsweep.sampler import BayesSearcher, make_searcher
from lightsweep.sampler.model_sampler import ModelSampler
from lightsweep.sampler.registry import GP_PARAMETERS, has_torch
from lightsweep.sampler.unit_cube import GP_RUNS, frozen_trial


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    real = importlib.import_module

    def without(name: str, package: str | None = None) -> Any:
        if name == "torch":
            raise ImportError("No module named 'torch'")
        return real(name, package)

    has_torch.cache_clear()
    monkeypatch.setattr(importlib, "import_module", without)
    yield
    has_torch.cache_clear()


@pytest.mark.usefixtures("no_torch")
def test_without_torch_tpe_takes_over_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="lightsweep"):
        proposals = [
            make_searcher(sweep(QUADRATIC, sampler=sampler, metrics=TWO), 1).suggest(14, two_metrics())
            for sampler in ("auto", "gp")
        ]
    tpe = make_searcher(sweep(QUADRATIC, sampler="tpe", metrics=TWO), 1).suggest(14, two_metrics())
    assert proposals == [tpe, tpe]
    assert [record.name for record in caplog.records] == ["lightsweep"]
    assert "torch" in caplog.text
    assert "TPE" in caplog.text


TWO = [{"name": "loss"}, {"name": "size"}]


def two_metrics() -> list[Any]:
    runs = play(make_searcher(sweep(QUADRATIC, sampler="random"), 1), 14, quadratic)
    return [replace(run, objectives=(*(run.objectives or ()), float(place))) for place, run in enumerate(runs)]


@pytest.mark.usefixtures("no_torch")
def test_one_metric_needs_no_torch(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="lightsweep"):
        runs = play(make_searcher(sweep(QUADRATIC), 1), 20, quadratic)
    assert min(quadratic(run.values) for run in runs) < 0.01
    assert not caplog.records


def test_cma_es_needs_its_package_and_one_metric(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="one metric"):
        make_searcher(sweep(QUADRATIC, sampler="cmaes", metrics=TWO), 1)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(InputError, match="pip install cmaes"):
        make_searcher(sweep(QUADRATIC, sampler="cmaes"), 1)


def chosen(sampler: str, completed: int, parameters: int, **options: Any) -> BaseSampler:
    """Return the Optuna sampler for a search of so many parameters after so many runs."""
    config = sweep({f"x{number}": {"min": 0.0, "max": 1.0} for number in range(parameters)}, sampler=sampler, **options)
    searcher = make_searcher(config, 1)
    assert isinstance(searcher, BayesSearcher)
    assert searcher.choose is not None
    trial = frozen_trial(1, {"x0": 0.5}, {"x0": FloatDistribution(0, 1)}, [0.5])
    return searcher.choose(1, [trial] * completed)


def test_auto_leaves_the_gaussian_process_where_it_gets_slow() -> None:
    assert isinstance(chosen("auto", GP_RUNS, GP_PARAMETERS), ModelSampler)
    assert isinstance(chosen("auto", GP_RUNS + 1, 2), TPESampler)
    assert isinstance(chosen("auto", 20, GP_PARAMETERS + 1), TPESampler)
    assert isinstance(chosen("gp", 10 * GP_RUNS, 2), ModelSampler)
    assert isinstance(chosen("auto", GP_RUNS // 2 + 1, 2, metrics=TWO), TPESampler)
    assert isinstance(chosen("tpe", 20, 2), TPESampler)


def test_several_metrics_have_the_gaussian_process_of_optuna() -> None:
    pytest.importorskip("torch", reason="which Optuna's needs")
    assert isinstance(chosen("gp", 20, 2, metrics=TWO), GPSampler)
    assert isinstance(chosen("auto", GP_RUNS // 2, 2, metrics=TWO), GPSampler)
    assert isinstance(chosen("cmaes", 20, 2), CmaEsSampler)


def test_optuna_says_nothing_and_is_left_as_it_was(capfd: pytest.CaptureFixture[str]) -> None:
    before = optuna.logging.get_verbosity()
    play(make_searcher(sweep(MIXED, sampler="tpe"), 1), 12, lambda values: values["dropout"])
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")


def test_torch_is_not_imported_before_a_gaussian_process_is_asked() -> None:
    code = (
        "import sys\n"
        "from lightsweep.sampler import make_searcher\n"
        "from lightsweep.schema import SweepConfig\n"
        "config = {'method': 'bayes', 'metric': {'name': 'loss'}, 'parameters': {'x': {'min': 0.0, 'max': 1.0}}}\n"
        "print(make_searcher(SweepConfig.load(config), 1).suggest(0, []), 'torch' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("{'x': ")
    assert done.stdout.endswith("} False\n")
    assert done.stderr == ""
