"""The scheduler block: the user's file provides the sampler or the space."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from sampler_helpers import FINITE, QUADRATIC, best, play, quadratic, run, sweep

from lightsweep.errors import InputError, NotFoundError
from lightsweep.sampler import Searcher, make_searcher
from lightsweep.schema import SweepConfig

SOURCE = """
import optuna


def study():
    return optuna.create_study(sampler=optuna.samplers.TPESampler(seed=1))


def cmaes():
    return optuna.samplers.CmaEsSampler(seed=1)


def qmc():
    return optuna.samplers.QMCSampler(seed=1)


def space(trial):
    if trial.suggest_categorical("kind", ["deep", "wide"]) == "deep":
        trial.suggest_int("model.layers", 2, 8)
    trial.suggest_float("x", 0.0, 1.0)
    trial.suggest_float("y", 0.0, 1.0)


def nothing():
    return 3


def divided(number):
    return number / 0


def broken():
    return divided(1)


class Quarter(optuna.samplers.RandomSampler):
    def sample_independent(self, study, trial, name, distribution):
        return 0.25


def line(trial):
    trial.suggest_float("x", 0.0, 1.0)
"""

Propose = Callable[..., Searcher]


@pytest.fixture
def searcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Propose:
    """Makes the proposer for a scheduler block whose source is a file in the working directory."""
    monkeypatch.chdir(tmp_path)

    def make(parameters: Mapping[str, Any], text: str = SOURCE, method: str = "custom", **scheduler: Any) -> Searcher:
        (tmp_path / "space.py").write_text(textwrap.dedent(text))
        block = {"engine": "optuna", "source": "space.py", **scheduler}
        return make_searcher(sweep(parameters, method, scheduler=block), 1)

    return make


@pytest.mark.parametrize("optimizer", ["study", "cmaes", "qmc"])
def test_an_optimizer_searches_the_parameters_of_the_config(searcher: Propose, optimizer: str) -> None:
    parameters = {**QUADRATIC, "kind": {"values": ["a", "b"]}, "epochs": {"value": 3}}
    runs = play(searcher(parameters, optimizer=optimizer), 25, quadratic)
    assert all(set(one.values) == set(parameters) and one.values["epochs"] == 3 for one in runs)
    assert best(runs) < 0.1


def test_an_optimizer_does_not_repeat_points_of_a_finite_space(searcher: Propose) -> None:
    made = searcher(FINITE, optimizer="study", method="bayes")
    runs = play(made, 12, lambda values: float(values["b"]))
    assert len({repr(one.values) for one in runs}) == 12
    assert made.suggest(12, runs) is None


def test_agents_with_the_same_seed_in_the_file_differ(searcher: Propose) -> None:
    known = play(searcher(QUADRATIC, optimizer="study"), 12, quadratic)
    proposals = [searcher(QUADRATIC, optimizer="study").suggest(12, known) for _ in range(3)]
    assert len({repr(proposal) for proposal in proposals}) == 3


@pytest.mark.parametrize("optimizer", [{}, {"optimizer": "study"}])
def test_a_space_by_run_has_the_parameters_of_each_run(searcher: Propose, optimizer: dict[str, str]) -> None:
    made = searcher({"epochs": {"value": 3}}, search_space="space", **optimizer)
    runs = play(made, 40, quadratic)
    for one in runs:
        layers = {"model.layers"} if one.values["kind"] == "deep" else set()
        assert set(one.values) == {"epochs", "kind", "x", "y"} | layers
    assert {one.values["kind"] for one in runs} == {"deep", "wide"}
    late, early = runs[20:], runs[:10]
    assert sum(quadratic(one.values) for one in late) / 20 < sum(quadratic(one.values) for one in early) / 10


def test_a_space_by_run_asks_the_optimizer_after_the_first_tickets(searcher: Propose) -> None:
    runs = play(searcher({}, search_space="line", optimizer="Quarter"), 13, lambda values: float(values["x"]))
    assert [one.values["x"] == 0.25 for one in runs] == [False] * 10 + [True] * 3


def test_a_space_by_run_passes_over_runs_that_do_not_fit(searcher: Propose) -> None:
    made = searcher({}, search_space="space")
    known = [run(ticket, {"x": 0.5}, 0.0) for ticket in range(12)]
    assert made.suggest(12, known) == searcher({}, search_space="space").suggest(12, [])


def test_the_first_tickets_of_a_space_by_run_are_the_same_for_every_agent(searcher: Propose) -> None:
    one, two = (searcher({}, search_space="space", optimizer="study") for _ in range(2))
    assert [one.suggest(ticket, []) for ticket in range(5)] == [two.suggest(ticket, []) for ticket in range(5)]


@pytest.mark.parametrize("block", [{"engine": "wandb"}, {}])
def test_without_functions_the_method_decides(searcher: Propose, block: dict[str, str]) -> None:
    points = [searcher(FINITE, method="grid", **block).suggest(ticket, []) for ticket in range(3)]
    assert points == [make_searcher(sweep(FINITE, "grid"), 1).suggest(ticket, []) for ticket in range(3)]


def test_the_file_is_looked_for_beside_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sweeps").mkdir()
    (tmp_path / "sweeps" / "space.py").write_text(SOURCE)
    config = tmp_path / "sweeps" / "sweep.yaml"
    config.write_text(
        "method: custom\nmetric: {name: loss}\nprogram: train.py\n"
        "scheduler: {engine: optuna, source: space.py, search_space: space}\n"
    )
    monkeypatch.chdir(tmp_path)
    assert make_searcher(SweepConfig.load(config), 1).suggest(0, []) is not None


@pytest.mark.parametrize(
    ("text", "scheduler", "kind", "message"),
    [
        (SOURCE, {"source": "gone.py", "optimizer": "study"}, NotFoundError, r"no file .*gone\.py"),
        (SOURCE, {"optimizer": "stduy"}, NotFoundError, r"no function 'stduy'; did you mean 'study'\?"),
        (SOURCE, {"search_space": "spce"}, NotFoundError, r"scheduler\.search_space.* did you mean 'space'\?"),
        ("X = 1", {"optimizer": "study"}, NotFoundError, "no functions"),
        (SOURCE, {"optimizer": "nothing"}, InputError, r"nothing\(\) must return an Optuna study or sampler, not int"),
        (SOURCE, {"optimizer": "broken"}, InputError, r"broken\(\) failed at .*space\.py:29: ZeroDivisionError"),
        ("x = (\n", {"optimizer": "study"}, InputError, r"space\.py:1: SyntaxError"),
    ],
)
def test_mistakes_are_named_with_their_place(
    searcher: Propose, text: str, scheduler: dict[str, str], kind: type[InputError], message: str
) -> None:
    with pytest.raises(kind, match=message):
        searcher(QUADRATIC, text, **scheduler)


def test_a_source_that_is_no_python_file_and_a_space_that_raises(searcher: Propose, tmp_path: Path) -> None:
    (tmp_path / "space.txt").write_text("x = 1")
    with pytest.raises(InputError, match=r"must end in \.py"):
        searcher(QUADRATIC, source="space.txt", optimizer="study")
    made = searcher({}, "def space(trial):\n    trial.suggest_int('x', 5, 1)\n", search_space="space")
    with pytest.raises(InputError, match=r"space\(\) failed at .*space\.py:2: ValueError"):
        made.suggest(0, [])
