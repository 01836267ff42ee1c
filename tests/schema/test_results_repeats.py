"""The key ``repeats``: its two forms, what it needs, and its place in the explanation and the JSON Schema."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_config_rules import load, refused

from lightsweep.schema import SweepConfig, explain
from lightsweep.schema.results import Repeats

HEAD = "method: random\nmetric: {name: loss}\nparameters: {x: {values: [1, 2]}, y: {value: 3}}\n"


def block(text: str, head: str = HEAD) -> str:
    return f"{head}lightsweep:\n  repeats: {text}\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("3", Repeats(count=3)),
        ("{count: 3, seed: init_seed}", Repeats(count=3, seed="init_seed")),
        ("1", None),
        ("null", None),
    ],
)
def test_both_forms(tmp_path: Path, text: str, found: Repeats | None) -> None:
    config = load(tmp_path, block(text))
    assert config.options.repeats == found
    assert config.repeats == (found.count if found else 1)
    assert SweepConfig.load(json.loads(json.dumps(config.raw))) == config
    assert (config.labels == {"group": []}) is (found is not None)


def test_a_cap_below_the_repeats_is_warned_of(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, f"run_cap: 2\n{block('3')}").warnings
    assert warning.message == "run_cap 2 ends the sweep before any values have all 3 repeats"
    assert warning.where == "lightsweep.repeats"
    assert load(tmp_path, f"run_cap: 3\n{block('3')}").warnings == ()


def test_the_explanation(tmp_path: Path) -> None:
    config = load(tmp_path, block("3"))
    assert "repeats   3 runs with the same values and different seeds" in explain(config)
    assert config.ends == "space of 2, 3 runs of each"
    assert load(tmp_path, "run_cap: 5\n" + block("3")).ends == "run_cap 5"
    assert config.most_runs == 6
    # The seed may be used in a command.
    load(tmp_path, 'command: [python, t.py, "--seed=${seed}"]\n' + block("3"))


@pytest.mark.parametrize(
    ("text", "key", "words"),
    [
        ("0", "", "repeats must be a whole number between 1 and 1,000, got 0; or write a mapping such as {count: 3,"),
        ("[3]", "", "{count: 3, seed: seed}"),
        ("{count: 3, seeds: s}", ".seeds", "did you mean 'seed'?"),
        ("{seed: s}", "", "needs the key 'count'"),
    ],
)
def test_wrong_values(tmp_path: Path, text: str, key: str, words: str) -> None:
    refused(tmp_path, block(text), f"lightsweep.repeats{key}", 5, words)


@pytest.mark.parametrize("name", ["seed", "seed.init"])
def test_a_parameter_with_the_name_of_the_seed(tmp_path: Path, name: str) -> None:
    head = HEAD.replace("y:", f"{name}:")
    with pytest.raises(Exception, match="repeats give each run its own 'seed'"):
        load(tmp_path, block("3", head))
    load(tmp_path, block("{count: 3, seed: other}", head))


def test_what_repeats_need(tmp_path: Path) -> None:
    refused(tmp_path, block("3", HEAD.replace("metric: {name: loss}", "# none")), "lightsweep.repeats", 5, "'metric'")
    several = HEAD.replace("metric: {name: loss}", "metrics: [{name: a}, {name: b}]")
    refused(tmp_path, block("3", several), "lightsweep.repeats", 5, "one metric")
    custom = HEAD + "scheduler: {engine: wandb}\n"
    refused(tmp_path, block("3", custom), "lightsweep.repeats", 6, "cannot be combined with `scheduler`")
    staged = block("3") + "  stages: [{parameters: [x]}]\n"
    refused(tmp_path, staged, "lightsweep.stages", 6, "cannot be combined with `repeats`")
