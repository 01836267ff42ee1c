"""The JSON Schema accepts what loads, and refuses typical mistakes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from lightsweep.errors import ConfigError
from lightsweep.schema import SweepConfig, json_schema
from lightsweep.schema.distributions import DISTRIBUTIONS

SCHEMA = json_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
VALID: dict[str, Any] = {
    "method": "bayes",
    "program": "train.py",
    "command": ["${env}", 1, True],
    "metric": {"name": "loss", "goal": "maximize", "target": 0.1},
    "early_terminate": {"type": "hyperband", "max_iter": 27, "s": 2},
    "run_cap": 5,
    "entity": None,
    "lightsweep": {
        "sampler": "tpe",
        "seed": None,
        "stop_when": {"hours": 3},
        "stages": [
            {"parameters": ["x"], "name": "first", "method": "random", "run_cap": 3, "early_terminate": None},
            {"parameters": ["x"], "early_terminate": {"type": "hyperband", "min_iter": 1}, "defaults": {}},
        ],
    },
    "something": "else",
    "parameters": {"x": {"min": 0.0, "max": 1.0}, "g": {"parameters": {"e": {"value": None}}}},
}


def test_it_is_a_json_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


def test_a_valid_config_is_valid() -> None:
    SweepConfig.load(VALID)
    assert list(VALIDATOR.iter_errors(VALID)) == []


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_every_distribution_is_known_with_its_keys_described(name: str) -> None:
    (form,) = [
        form
        for form in SCHEMA["$defs"]["parameter"]["anyOf"]
        if form["title"] == name and "distribution" in form["required"]
    ]
    assert all(about["description"] for about in form["properties"].values())
    assert set(form["properties"]) == {"distribution", *DISTRIBUTIONS[name].keys}


def test_every_key_has_a_description() -> None:
    names = ("metric", "early_terminate", "scheduler", "lightsweep", "stage", "repeats", "stop_when")
    for block in (SCHEMA, *(SCHEMA["$defs"][name] for name in names)):
        assert block["properties"]
        assert all(about.get("description") for about in block["properties"].values())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("method",), "bayesian"),
        (("run_cap",), 0),
        (("metric", "goal"), "minimise"),
        (("metric", "gaol"), "minimize"),
        (("early_terminate", "type"), "envelope"),
        (("early_terminate", "s"), None),
        (("lightsweep", "sampler"), "best"),
        (("lightsweep", "stages"), []),
        (("lightsweep", "stages"), [{"name": "first"}]),
        (("lightsweep", "stages"), [{"parameters": "x"}]),
        (("lightsweep", "stages"), [{"parameters": ["x"], "runcap": 3}]),
        (("lightsweep", "stages"), [{"parameters": ["x"], "early_terminate": {"type": "envelope"}}]),
        (("scheduler",), {"engine": "ax"}),
        (("command",), "python train.py"),
        (("parameters",), {}),
        (("parameters", "x"), {"distributon": "uniform", "min": 0, "max": 1}),
        (("parameters", "x"), {"valuse": [1]}),
        (("parameters", "x"), {"values": []}),
        (("parameters", "x"), {"min": 0}),
        (("parameters", "x"), {"distribution": "normal", "min": 0, "max": 1}),
        (("parameters", "x"), {"distribution": "normal", "sigma": -1}),
        (("parameters", "x"), {"hidden": {"value": 1}}),
        (("parameters", "g", "parameters", "e"), {"vale": 1}),
    ],
)
def test_typical_mistakes_are_invalid(path: tuple[str, ...], value: Any) -> None:
    config = copy.deepcopy(VALID)
    block = config
    for part in path[:-1]:
        block = block[part]
    block[path[-1]] = value
    assert not VALIDATOR.is_valid(config)
    with pytest.raises(ConfigError):
        SweepConfig.load(config)


@pytest.mark.parametrize("key", ["method", "parameters", "metric"])
def test_what_is_needed(key: str) -> None:
    config = {name: value for name, value in VALID.items() if name != key}
    assert not VALIDATOR.is_valid(config)


def test_custom_needs_a_scheduler_which_may_define_the_space() -> None:
    assert not VALIDATOR.is_valid({**VALID, "method": "custom"})
    config = {"method": "custom", "scheduler": {"source": "space.py", "search_space": "define"}}
    assert VALIDATOR.is_valid(config)
    SweepConfig.load(config)
