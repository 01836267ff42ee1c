"""The keys of ``stop_when``: accepted, explained, and refused with the line and the remedy."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_config_rules import load, refused

from lightsweep.schema import SweepConfig, explain
from lightsweep.schema.results import StopWhen

HEAD = "method: bayes\nmetric: {name: loss}\nparameters: {x: {min: 0.0, max: 1.0}}\n"


def block(text: str, head: str = HEAD) -> str:
    return f"{head}lightsweep:\n  stop_when: {text}\n"


def test_all_conditions(tmp_path: Path) -> None:
    found = load(tmp_path, block("{no_better_in: 30, expected_gain: 0.001, hours: 12, epochs: 12}"))
    assert found.options.stop_when == StopWhen(no_better_in=30, expected_gain=0.001, hours=12, epochs=12)
    assert SweepConfig.load(json.loads(json.dumps(found.raw))) == found
    assert found.ends == (
        "30 runs without a new best or an expected gain below 0.001 or 12 hours or 12 iterations of all runs"
    )
    assert "never ends by itself" not in explain(found)
    assert load(tmp_path, HEAD).options.stop_when is None


def test_a_cap_that_is_reached_earlier_is_warned_of(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, f"run_cap: 9\n{block('{no_better_in: 9}')}").warnings
    assert warning.message == "run_cap 9 ends the sweep before 9 runs without a new best"
    assert warning.where == "lightsweep.stop_when.no_better_in"
    assert load(tmp_path, f"run_cap: 10\n{block('{no_better_in: 9}')}").warnings == ()


def test_several_metrics_have_a_front(tmp_path: Path) -> None:
    head = HEAD.replace("metric: {name: loss}", "metrics: [{name: loss}, {name: ms}]")
    found = load(tmp_path, f"run_cap: 9\n{block('{no_better_in: 9}', head)}")
    (warning,) = found.warnings
    assert warning.message == "run_cap 9 ends the sweep before 9 runs without a new one on the Pareto front"
    assert found.ends == "run_cap 9 or 9 runs without a new one on the Pareto front"


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("{}", "", ["no condition; give one of no_better_in, expected_gain, hours, epochs"]),
        ("{no_beter_in: 5}", ".no_beter_in", ["did you mean 'no_better_in'?"]),
        ("{no_better_in: 0}", ".no_better_in", ["at least 1"]),
        ("{hours: -1}", ".hours", ["greater than 0", "-1"]),
        ("{hours: 12h}", ".hours", ["must be a number"]),
    ],
)
def test_wrong_values(tmp_path: Path, text: str, place: str, words: list[str]) -> None:
    refused(tmp_path, block(text), f"lightsweep.stop_when{place}", 5, *words)


def test_what_a_condition_needs(tmp_path: Path) -> None:
    place = "lightsweep.stop_when"
    head = HEAD.replace("bayes", "random")
    refused(tmp_path, block("{expected_gain: 1}", head), f"{place}.expected_gain", 5, "Gaussian", "no_better_in")
    head = head.replace("metric: {name: loss}", "# none")
    refused(tmp_path, block("{no_better_in: 1}", head), f"{place}.no_better_in", 5, "'metric'")
    text = block("{expected_gain: 1}") + "  sampler: tpe\n"
    refused(tmp_path, text, "lightsweep.stop_when.expected_gain", 5, "sampler auto or gp")
    wide = {f"x{number}": {"min": 0.0, "max": 1.0} for number in range(21)}
    many = HEAD.partition("parameters")[0] + f"parameters: {json.dumps(wide)}\n"
    refused(tmp_path, block("{expected_gain: 1}", many), "lightsweep.stop_when.expected_gain", 5, "write sampler: gp")
    load(tmp_path, block("{expected_gain: 1}", many) + "  sampler: gp\n")


def test_stages_have_caps_of_their_own(tmp_path: Path) -> None:
    text = block("{no_better_in: 3}") + "  stages: [{parameters: [x]}]\n"
    refused(tmp_path, text, "lightsweep.stop_when.no_better_in", 5, "give each stage a run_cap")
    load(tmp_path, block("{hours: 3}") + "  stages: [{parameters: [x]}]\n")
