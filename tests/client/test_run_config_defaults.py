"""The defaults of a script, in every form that W&B accepts."""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lightsweep.client.run_config import as_json, as_mapping, merged
from lightsweep.errors import UsageError
from scripted import overlay


@dataclass
class Model:
    hidden: int = 8


@dataclass
class Settings:
    lr: float = 0.1
    model: Model = field(default_factory=Model)


@pytest.mark.parametrize(
    "config",
    [
        {"lr": 0.1, "model": {"hidden": 8}},
        {"lr": 0.1, "model": Model()},
        Settings(),
        argparse.Namespace(lr=0.1, model=Model()),
        SimpleNamespace(lr=0.1, model={"hidden": 8}),
    ],
)
def test_dicts_dataclasses_and_namespaces_mean_the_same(config):
    assert as_mapping(config) == {"lr": 0.1, "model": {"hidden": 8}}


LOOP: dict[str, object] = {}
LOOP["self"] = LOOP


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ([1], r"config must be a dict, .* got \[1\]"),
        (Settings, r"config must be a dict, .* got "),
        ("defaults.yaml", r"got 'defaults\.yaml' \(str\); read the file"),
        (LOOP, "contains itself"),
    ],
)
def test_anything_else_is_refused_with_what_it_was(config, words):
    with pytest.raises(UsageError, match=words):
        as_mapping(config)


def test_what_json_cannot_hold_travels_as_the_nearest_thing_and_comes_back_as_it_was():
    numpy = pytest.importorskip("numpy")
    defaults = {
        "path": Path("/data"),
        "betas": (0.9, 0.99),
        "kind": Model,
        "count": numpy.int64(3),
        "classes": {0: "cat", 1: "dog"},
        "rows": numpy.arange(3),
    }
    sent = json.loads(json.dumps(as_json(defaults)))
    assert sent["path"] == "/data"
    assert sent["betas"] == [0.9, 0.99]
    assert sent["count"] == 3
    assert sent["classes"] == {"0": "cat", "1": "dog"}
    back = merged(defaults, overlay(sent, {"betas": [0.8, 0.9], "lr": 0.1}))
    assert back["path"] is defaults["path"]
    assert back["kind"] is Model
    assert back["count"] is defaults["count"]
    assert back["rows"] is defaults["rows"]
    assert back["classes"] == {0: "cat", 1: "dog"}
    assert back["betas"] == [0.8, 0.9]
    assert back["lr"] == 0.1


@pytest.mark.parametrize(("default", "swept"), [(1, True), ("1", 1), ({"a": 1}, 3), (3, {"a": 1})])
def test_the_sweeps_value_wins_with_its_own_type(default, swept):
    assert repr(merged({"x": default}, {"x": swept})) == repr({"x": swept})


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
trees = st.recursive(
    scalars, lambda below: st.dictionaries(st.text(max_size=5), below, max_size=3) | st.lists(below, max_size=3)
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.text(max_size=5), trees), st.dictionaries(st.text(max_size=5), trees))
def test_json_defaults_under_any_sweep_give_the_agents_answer(defaults, values):
    answer = json.loads(json.dumps(overlay(as_json(defaults), values)))
    assert json.dumps(merged(defaults, answer), sort_keys=True) == json.dumps(answer, sort_keys=True)
