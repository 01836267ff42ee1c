"""``lightsweep: {stopping: ...}``: the rules, their keys, and what does not go together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lightsweep.errors import ConfigError
from lightsweep.hyperband import Hyperband, Rule
from lightsweep.schema import SweepConfig, explain, json_schema
from lightsweep.schema.stopping import STOPPING
from lightsweep.stopping import Expected, Halving, Median

RAW: dict[str, Any] = {
    "program": "train.py",
    "method": "random",
    "metric": {"name": "loss"},
    "parameters": {"lr": {"min": 0.0, "max": 1.0}, "layers": {"values": [1, 2]}},
}
VALIDATOR = Draft202012Validator(json_schema())


def config(stopping: Any, **keys: Any) -> SweepConfig:
    return SweepConfig.load({**RAW, "lightsweep": {"stopping": stopping}, **keys})


@pytest.mark.parametrize(
    ("written", "rule"),
    [
        ("expected", Expected()),
        ({"type": "expected", "miss": 0.01, "min_iter": 3}, Expected(min_iter=3, miss=0.01)),
        ({"type": "expected", "miss": None}, Expected()),
        ({"type": "halving", "eta": 4, "min_iter": 2}, Halving(min_iter=2, eta=4)),
        ({"type": "median", "min_runs": 8}, Median(min_runs=8)),
        (None, None),
    ],
)
def test_a_rule_is_a_name_or_a_mapping(written: Any, rule: Rule | None) -> None:
    found = config(written)
    assert found.rule == rule
    assert found.stops_early == (rule is not None)
    assert found.warnings == ()
    assert SweepConfig.load(found.raw) == found
    assert VALIDATOR.is_valid(found.raw)


@pytest.mark.parametrize(
    ("text", "line", "where", "words"),
    [
        ("{typ: median}", 6, "lightsweep.stopping", "got {'typ': 'median'}; did you mean 'type'?"),
        ("expeted", 6, "lightsweep.stopping", "expected, halving, median; got 'expeted'; did you mean 'expected'?"),
        ("hyperband", 6, "lightsweep.stopping", "write it as W&B does, under early_terminate at the top"),
        ("{miss: 0.1}", 6, "lightsweep.stopping", "or a mapping with type; got {'miss': 0.1}"),
        ("{type: expected, mis: 0.1}", 6, "lightsweep.stopping.mis", "did you mean 'miss'?"),
        ("{type: expected, miss: 0.6}", 6, "lightsweep.stopping.miss", "greater than 0 and at most 0.5, got 0.6"),
        ("{type: expected, min_iter: 0}", 6, "lightsweep.stopping.min_iter", "a whole number between 1 and"),
        ("{type: median, eta: 3}", 6, "lightsweep.stopping.eta", "'eta' is not a key of stopping by median"),
    ],
)
def test_mistakes_have_their_place_and_the_remedy(tmp_path: Path, text: str, line: int, where: str, words: str) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "program: train.py\nmethod: random\nmetric: {name: loss}\n"
        f"parameters: {{lr: {{min: 0.0, max: 1.0}}}}\nlightsweep:\n  stopping: {text}\n"
    )
    with pytest.raises(ConfigError) as raised:
        SweepConfig.load(path)
    (fault,) = raised.value.faults
    assert (fault.line, fault.where) == (line, where)
    assert words in fault.message


def test_early_terminate_beside_it_is_an_error_that_names_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "sweep.yaml"
    path.write_text(
        "program: train.py\nmethod: random\nmetric: {name: loss}\nparameters: {lr: {min: 0.0, max: 1.0}}\n"
        "early_terminate: {type: hyperband, min_iter: 3}\nlightsweep:\n  seed: 1\n  stopping: median\n"
    )
    with pytest.raises(ConfigError) as raised:
        SweepConfig.load(path)
    (fault,) = raised.value.faults
    assert fault.line == 8
    assert fault.message == "stopping and early_terminate (line 5) both stop runs early; remove one of them"
    with pytest.raises(ConfigError, match="stopping and early_terminate both stop runs early"):
        config("median", early_terminate={"type": "hyperband", "min_iter": 3})
    assert isinstance(config(None, early_terminate={"type": "hyperband", "min_iter": 3}).rule, Hyperband)


def test_it_needs_the_metric() -> None:
    raw = {key: value for key, value in RAW.items() if key != "metric"} | {"lightsweep": {"stopping": "median"}}
    with pytest.raises(ConfigError, match=r"lightsweep.stopping needs the key 'metric'"):
        SweepConfig.load(raw)
    assert not VALIDATOR.is_valid(raw)
    assert VALIDATOR.is_valid({**raw, "lightsweep": {"stopping": None}})
    several = {**raw, "metrics": [{"name": "loss"}, {"name": "time"}]}
    (warning,) = SweepConfig.load(several).warnings
    assert (warning.where, warning.message) == (
        "lightsweep.stopping",
        "runs are stopped early by the first metric only, which is 'loss'",
    )


def test_a_stage_has_the_rule_of_the_sweep_or_its_own() -> None:
    def stages(*own: dict[str, Any], **keys: Any) -> list[Rule | None]:
        names = (["lr"], ["layers"])
        blocks = [{"parameters": name, "run_cap": 2, **block} for name, block in zip(names, own, strict=True)]
        blocks[0]["defaults"] = {"layers": 1}
        raw = {**RAW, **keys, "lightsweep": {"stages": blocks, **keys.get("lightsweep", {})}}
        assert VALIDATOR.is_valid(raw)
        return [stage.rule for stage in SweepConfig.load(raw).stages]

    block = {"type": "hyperband", "min_iter": 3}
    assert stages({}, {}, lightsweep={"stopping": "median"}) == [Median(), Median()]
    assert stages({"stopping": None}, {"stopping": "halving"}, lightsweep={"stopping": "median"}) == [None, Halving()]
    assert stages({"stopping": "expected"}, {}, early_terminate=block) == [Expected(), Hyperband(min_iter=3)]
    assert stages({"early_terminate": block}, {}, lightsweep={"stopping": "median"}) == [
        Hyperband(min_iter=3),
        Median(),
    ]
    with pytest.raises(ConfigError, match="stopping and early_terminate both stop runs early"):
        stages({"stopping": "expected", "early_terminate": block}, {})


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"type": "expected", "miss": 0.005}, "expected after 1, 2, 3, 4, 5, ... reports of the metric. A run stops"),
        ({"type": "expected", "miss": 0.005}, "below 0.5 %"),
        ({"type": "halving", "min_iter": 2}, "halving after 2, 6, 18, 54, 162, ... reports of the metric. The best 1"),
        ({"type": "median", "min_iter": 30}, "median after 30, 37, 46, 57, 71, ... reports of the metric."),
    ],
)
def test_check_explains_the_rule(written: Any, words: str) -> None:
    found = explain(config(written))
    assert words in " ".join(found.split())
    entry = found.partition("stopping  ")[2].partition("ends  ")[0]
    assert len(entry.splitlines()) <= 4


@pytest.mark.parametrize("name", STOPPING)
def test_every_rule_describes_its_keys(name: str) -> None:
    forms = json_schema()["$defs"]["stopping"]["anyOf"]
    (form,) = [form for form in forms if form.get("title") == name]
    assert form["properties"]["type"]["enum"] == [name]
    assert all(about["description"] for about in form["properties"].values())
    assert name in forms[0]["enum"]
