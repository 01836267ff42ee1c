"""A distribution is one class and one entry: a triangular one from outside of the package goes through every room."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lightsweep.analysis.importances import axes
from lightsweep.analysis.refinement import narrow
from lightsweep.errors import ConfigError
from lightsweep.report.axis import make_axis
from lightsweep.sampler import make_searcher
from lightsweep.sampler.base import Observation
from lightsweep.sampler.optuna_params import from_optuna, params_to_optuna
from lightsweep.schema import SweepConfig, explain, json_schema
from lightsweep.schema.distributions import DISTRIBUTIONS, Form
from lightsweep.schema.fields import Key, number
from lightsweep.space.base import Traits
from lightsweep.space.continuous import Continuous

TEXT = """\
method: {method}
metric: {{name: loss}}
lightsweep: {{sampler: tpe, seed: 1}}
parameters:
  x: {{distribution: triangular, min: 1, max: 100, mode: 10}}
  kind: {{values: [a, b]}}
"""


@dataclass(frozen=True)
class Triangular(Continuous):
    """A density that rises to ``mode`` and falls from there, on the logarithm of the values."""

    low: float
    high: float
    mode: float

    name = "triangular"

    def __post_init__(self) -> None:
        if not self.low <= self.mode <= self.high:
            raise ValueError(f"mode must be from min to max, not {self.mode}")

    @property
    def traits(self) -> Traits:
        return Traits("triangular", "log", bounded="log_uniform_values", curve=f"1 to 100, mode {self.mode:g}")

    @property
    def support(self) -> tuple[float, float]:
        return self.low, self.high

    def _ends(self) -> tuple[float, float, float]:
        return math.log(self.low), math.log(self.high), math.log(self.mode)

    def _value(self, u: float) -> float:
        low, high, mode = self._ends()
        if u < (mode - low) / (high - low):
            return math.exp(low + math.sqrt(u * (high - low) * (mode - low)))
        return math.exp(high - math.sqrt((1 - u) * (high - low) * (high - mode)))

    def _share(self, value: float) -> float:
        low, high, mode = self._ends()
        place = math.log(value)
        if place < mode:
            return (place - low) ** 2 / ((high - low) * (mode - low))
        return 1 - (high - place) ** 2 / ((high - low) * (high - mode))


@pytest.fixture(autouse=True)
def triangular(monkeypatch: pytest.MonkeyPatch) -> None:
    """The entry, for the time of one test."""
    keys = {name: Key(number(above=0), f"The {name} value.") for name in ("min", "max", "mode")}
    monkeypatch.setitem(DISTRIBUTIONS, "triangular", Form("A triangle on the log axis.", keys, Triangular))


def load(tmp_path: Path, method: str, **other: str) -> SweepConfig:
    path = tmp_path / "sweep.yaml"
    text = TEXT.format(method=method)
    for old, new in other.items():
        text = text.replace(old, new)
    path.write_text(text)
    return SweepConfig.load(path)


def test_the_file_is_read_checked_and_explained(tmp_path: Path) -> None:
    config = load(tmp_path, "random")
    assert config.space.parameters[1].distribution == Triangular(1, 100, 10)
    assert "x          triangular    1 to 100, mode 10  unlimited" in explain(config)
    faults = []
    for changes in (
        {"mode: 10": "mode: 0"},
        {"mode: 10": "mod: 10"},
        {"mode: 10": "mode: 200"},
        {"min: 1,": "min: 200,"},
    ):
        with pytest.raises(ConfigError) as caught:
            load(tmp_path, "random", **changes)
        faults += [fault.message for fault in caught.value.faults]
        assert all(fault.line == 5 for fault in caught.value.faults)
    assert faults[0] == "mode must be a number greater than 0, got 0"
    assert "'mod' is not a key of a parameter; did you mean 'mode'?" in faults[1]
    assert faults[-2] == "mode must be from min to max, not 200"
    assert faults[-1] == "min must be below max, got min 200 and max 100"
    with pytest.raises(ConfigError, match="method grid cannot list the values of 'x', which has the distribution tri"):
        load(tmp_path, "grid")


def test_its_json_schema_has_the_entry() -> None:
    valid = Draft202012Validator(json_schema())
    base: dict[str, Any] = {"method": "random"}
    keys = {"distribution": "triangular", "min": 1, "max": 100, "mode": 10}
    assert valid.is_valid({**base, "parameters": {"x": keys}})
    assert not valid.is_valid({**base, "parameters": {"x": {**keys, "mode": 0}}})


@pytest.mark.parametrize("method", ["random", "bayes"])
def test_runs_are_drawn_stored_and_shown(tmp_path: Path, method: str) -> None:
    config = load(tmp_path, method)
    searcher = make_searcher(config, 1)
    history: list[Observation] = []
    for ticket in range(15):
        values = searcher.suggest(ticket, history)
        assert values is not None
        assert 1 <= values["x"] <= 100
        stored = params_to_optuna(config.space, values)
        assert stored["x"][0].log  # type: ignore[attr-defined]
        assert {
            one.name: from_optuna(one.distribution, stored[one.name][1]) for one in config.space.parameters
        } == values
        history.append(Observation(str(ticket), ticket, values, "finished", (abs(values["x"] - 10),), version=1))
    points = [run.values for run in history]
    assert [axis.scale for axis in axes(points, config)] == ["category", "log"]
    shown = make_axis("x", [point["x"] for point in points], config.space.parameters[1].distribution)
    assert shown.kind == "log"


def test_the_next_sweep_has_bounds_around_the_best_runs() -> None:
    block = narrow(Triangular(1, 100, 10), [10.0, 9.0, 12.0])
    assert block.keys["distribution"] == "log_uniform_values"
    assert 1 < block.keys["min"] < 9
    assert 12 < block.keys["max"] < 100
