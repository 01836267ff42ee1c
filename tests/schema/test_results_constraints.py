"""``lightsweep.constraints``: the grammar, and every mistake with its remedy."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lightsweep.errors import ConfigError
from lightsweep.schema import SweepConfig, explain
from lightsweep.schema.results import Constraint


def config(constraints: Any, **keys: Any) -> SweepConfig:
    parameters = {"width": {"values": [16, 32]}}
    block = {"constraints": constraints, **keys.pop("lightsweep", {})}
    raw = {"method": "bayes", "run_cap": 3, "metric": {"name": "loss"}, "parameters": parameters, "lightsweep": block}
    return SweepConfig.load({**raw, **keys})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("latency_ms <= 20", ("latency_ms", "<=", 20.0)),
        ("val/top5 acc>=.9", ("val/top5 acc", ">=", 0.9)),
        ("size-mb < 5e1", ("size-mb", "<", 50.0)),
        ("  drift > -1.5 ", ("drift", ">", -1.5)),
    ],
)
def test_a_constraint_is_a_name_a_sign_and_a_number(text: str, expected: tuple[str, str, float]) -> None:
    found = config([text])
    assert found.options.constraints == (Constraint(*expected),)
    assert config(text).options.constraints == found.options.constraints
    assert f"must keep {Constraint(*expected)}" in " ".join(explain(found).split())
    assert SweepConfig.load(found.raw) == found


@pytest.mark.parametrize(
    ("constraints", "message"),
    [
        (["latency_ms == 20"], "a constraint is the name of a logged number, <=, <, >= or >, and a number"),
        (["latency_ms <= budget"], "for example latency_ms <= 20; got 'latency_ms <= budget'"),
        (["20 >= latency_ms"], "write latency_ms <= 20"),
        (["layers * width <= 4096"], "a constraint is the name of a logged number"),
        (["width <= 16"], "'width' is a parameter, and a constraint is about a number that runs log"),
        ({"latency_ms": 20}, "constraints must be a list such as [latency_ms <= 20]"),
        (["latency_ms <= 20", "latency_ms > 20"], "no number keeps both latency_ms <= 20 and latency_ms > 20"),
    ],
)
def test_anything_else_is_refused(constraints: Any, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(constraints)
    (fault,) = caught.value.faults
    assert message in fault.message
    assert fault.where.startswith("lightsweep.constraints")


@pytest.mark.parametrize("other", ["latency_ms >= 20", "latency_ms < 5", "size > 30"])
def test_bounds_that_leave_room_go_together(other: str) -> None:
    assert len(config(["latency_ms <= 20", other]).options.constraints) == 2


def test_constraints_need_a_metric_and_a_sampler_that_knows_them() -> None:
    with pytest.raises(ConfigError, match="constraints need a metric"):
        config(["size < 1"], method="random", metric=None)
    with pytest.raises(ConfigError, match="the sampler cmaes does not know of constraints"):
        config(["size < 1"], lightsweep={"sampler": "cmaes"})


@pytest.mark.parametrize(
    ("sign", "value", "breach"),
    [
        ("<=", 20.0, ""),
        ("<", 20.0, "ms < 20: 20"),
        (">=", 20.0, ""),
        (">", 20.0, "ms > 20: 20"),
        ("<=", 31.25, "ms <= 20: 31.25"),
        ("<=", math.nan, "ms <= 20: nan"),
        ("<=", None, "ms <= 20: not logged"),
    ],
)
def test_a_breach_names_the_value(sign: str, value: float | None, breach: str) -> None:
    found = Constraint("ms", sign, 20.0)
    assert found.breach(value).lower() == breach
    if value is not None:
        assert (found.excess(value) > 0) == bool(breach)
