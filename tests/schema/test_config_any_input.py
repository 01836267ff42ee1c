"""Any input gives a ``SweepConfig`` or a ``ConfigError``."""

from __future__ import annotations

import copy
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lightsweep.errors import ConfigError
from lightsweep.schema import SweepConfig, explain, json_schema

WORDS = re.findall(
    r"\S+",
    "method parameters metric metrics name goal target early_terminate type min_iter max_iter s eta strict run_cap "
    "command program scheduler engine source search_space lightsweep sampler seed lease value values probabilities min "
    "max q mu sigma a b distribution grid random bayes custom hyperband uniform log_uniform int_uniform q_normal "
    "q_log_uniform_values categorical constant beta optuna minimize x y ${args} ${x}",
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-3, 10)
    | st.integers()
    | st.floats()
    | st.sampled_from(WORDS)
    | st.text(max_size=5)
    | st.sampled_from([10**400, 1e308, 5e-324, 0.1, 1e-5, "1e-5", b"bytes", object, {1, 2}, (1, 2)])
)
KEYS = st.sampled_from(WORDS) | st.text(max_size=4) | st.integers(0, 3) | st.none()
ANYTHING = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)
VALID: dict[str, Any] = {
    "method": "bayes",
    "program": "train.py",
    "command": ["${env}", "${program}", "--x=${x}", 3],
    "metric": {"name": "loss", "goal": "minimize", "target": 0.1},
    "early_terminate": {"type": "hyperband", "min_iter": 3, "eta": 3},
    "run_cap": 5,
    "lightsweep": {"sampler": "tpe", "seed": 1},
    "parameters": {
        "x": {"min": 0.0, "max": 1.0},
        "n": {"min": 1, "max": 8},
        "c": {"values": [1, "a", None, [1]]},
        "w": {"values": [1, 2], "probabilities": [0.5, 0.5]},
        "q": {"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 8},
        "z": {"distribution": "q_normal", "mu": 3, "sigma": 1, "q": 0.5},
        "k": {"value": {"deep": [1, 2]}},
        "g": {"parameters": {"e": {"distribution": "log_uniform", "min": -9, "max": -2}}},
    },
}
SCHEMA = Draft202012Validator(json_schema())


def check(source: Any) -> SweepConfig | None:
    """The config, with everything that must hold for it; ``None`` for a refusal that has a place and a message."""
    try:
        config = SweepConfig.load(source)
    except ConfigError as error:
        faults = error.faults
    else:
        return accepted(config)
    assert faults
    assert all(fault.message for fault in faults)
    return None


def accepted(config: SweepConfig) -> SweepConfig:
    """``config`` again, if it can be kept, explained and sampled."""
    assert SweepConfig.load(json.loads(json.dumps(config.raw))) == config
    assert max(map(len, explain(config).split("\n"))) <= 80
    assert len(config.space.at([0.5] * len(config.space.searched))) == len(config.space.parameters)
    return config


@given(ANYTHING)
@settings(max_examples=150, deadline=None)
def test_any_value(value: Any) -> None:
    check(value if isinstance(value, dict) else {"method": "random", "parameters": value})


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path inside ``value``."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [place for key, item in inner for place in places(item, (*path, key))]


@given(
    st.lists(st.tuples(st.sampled_from(places(VALID)), st.sampled_from(["replace", "drop", "rename"]), ANYTHING, KEYS))
)
@settings(max_examples=200, deadline=None)
def test_a_valid_config_with_changes(changes: list[tuple[tuple[Any, ...], str, Any, Any]]) -> None:
    config = copy.deepcopy(VALID)
    for (*above, last), how, value, key in changes:
        block: Any = config
        for part in above:
            block = block[part] if isinstance(block, dict) and part in block else None
        if isinstance(block, dict) and last in block:
            old = block.pop(last)
            if how != "drop":
                block[last if how == "replace" else key] = value if how == "replace" else old
    loaded = check(config)
    if not changes:
        assert loaded is not None
        assert SCHEMA.is_valid(loaded.raw)


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file to write to."""
    return tmp_path_factory.mktemp("any") / "sweep.yaml"


@given(st.data())
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
def test_a_valid_file_with_bytes_changed(sweep_file: Path, data: st.DataObject) -> None:
    text = bytearray(yaml.safe_dump(VALID).encode())
    signs = rb"&a |*a|<<: |!!python/name:os |{|[|? |- |'|1e5|=|!!binary ".split(b"|")
    snippets = st.binary(min_size=1, max_size=3) | st.sampled_from([b"\t", b"---\n", b"\xff", *signs])
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        text[start : start + data.draw(st.integers(0, 6))] = data.draw(snippets)
    sweep_file.write_bytes(bytes(text))
    check(sweep_file)
