"""The next sweep file: valid, commented, always the same."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from made_runs import EVIL, config, made, sampled

from lightsweep import LightsweepError, SweepConfig, UsageError
from lightsweep.analysis import Refinement, refine
from lightsweep.controller import SweepRun
from lightsweep.controller.changes import PriorRun, check_prior_runs
from lightsweep.controller.ranking import pareto_front
from lightsweep.controller.runs import Repeat

SPACE: dict[str, Any] = {
    "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 1.0},
    "model": {"parameters": {"width": {"values": [8, 16, 32, 64]}, EVIL: {"min": 0.0, "max": 1.0}}},
    "opt": {"values": ["sgd", "adam"]},
    "epochs": {"value": 27},
}
EVIL_NAME = f"two\nlines # {EVIL}"


def loss(values: Mapping[str, Any], chance: random.Random) -> float:
    return (math.log10(values["lr"]) + 2) ** 2 + (values["opt"] == "sgd") + chance.gauss(0, 0.02)


def runs(count: int, space: SweepConfig | None = None, seed: int = 0) -> list[SweepRun]:
    return sampled(space or config(SPACE), loss, count, seed)


def test_the_file_is_valid_and_searches_around_the_best() -> None:
    original = config(SPACE, run_cap=20, name="digits", early_terminate={"type": "hyperband", "min_iter": 3})
    found = refine(runs(40, original), original, sweep_id="k3v9x2ab")
    assert yaml.safe_load(found.text) == found.config
    new = SweepConfig.load(found.config)
    assert (new.method, new.run_cap, new.name, new.program) == ("bayes", 20, "digits (refined)", "train.py")
    assert new.rule == original.rule
    assert new.metrics == original.metrics
    lr = found.config["parameters"]["lr"]
    assert 1e-5 < lr["min"] < 1e-2 < lr["max"] < 1.0
    assert lr["max"] / lr["min"] < 1e3
    assert found.config["parameters"]["epochs"] == {"value": 27}
    assert found.text.startswith(
        "# Refined from sweep k3v9x2ab: around the best 8 of 40 runs by loss.\n# The best, run 00"
    )
    assert new.options.prior_runs == ("k3v9x2ab",)
    assert "\n  # the best runs lie between" in found.text
    assert "; was 1e-05 to 1\n  lr:\n    distribution: log_uniform_values\n" in found.text


def test_it_is_always_the_same() -> None:
    made_of = runs(40)
    assert refine(made_of, config(SPACE)) == refine(list(made_of), config(SPACE))
    assert refine(made_of, config(SPACE)) == refine(made_of[::-1], config(SPACE))


def test_the_share_decides_how_many_runs_are_the_best() -> None:
    narrow, wide = (refine(runs(40), config(SPACE), top).config["parameters"]["lr"] for top in (0.1, 0.8))
    assert narrow["max"] / narrow["min"] < wide["max"] / wide["min"]
    assert "around the best 3 of 12 runs" in refine(runs(12), config(SPACE), 0.01).text


@pytest.mark.parametrize("top", [0.0, -1.0, 1.01, math.nan])
def test_a_share_that_is_none(top: float) -> None:
    with pytest.raises(UsageError, match="above 0 and up to 1"):
        refine(runs(12), config(SPACE), top)


def test_an_optimum_at_the_edge_widens_it_and_says_so() -> None:
    space = config({"x": {"min": 0.0, "max": 10.0}})
    found = refine(sampled(space, lambda values, _: -values["x"], 40), space)
    assert found.config["parameters"]["x"]["max"] == 12.5
    assert "# the best run is at the upper edge, 10, so it moved to 12.5; " in found.text


@pytest.mark.parametrize("count", [1, 2, 9])
def test_few_runs_narrow_nothing(count: int) -> None:
    found = refine(runs(count), config(SPACE))
    assert found.config == {**config(SPACE).raw, "method": "bayes"}
    why = f"{count} run{'' if count == 1 else 's'}, fewer than 10"
    assert f"# as it was: {why}\n" in found.text
    assert f"nothing is narrowed: {why}" in found.notes


@pytest.mark.parametrize("state", ["failed", "killed", "running"])
def test_nothing_to_refine(state: str) -> None:
    broken = [replace(run, breaks=("ms <= 3: 4",)) for run in runs(5)]
    with pytest.raises(LightsweepError, match="nothing to refine; left out: 5 runs that break a constraint"):
        refine(broken, config(SPACE))
    with pytest.raises(LightsweepError, match=r"no run has ended with a finite 'loss'.*nothing to refine$"):
        refine([made({"x": 0.5}, [1.0], state=state)], config({"x": {"min": 0.0, "max": 1.0}}))
    with pytest.raises(LightsweepError, match="no run has ended"):
        refine([], config(SPACE))


def test_what_cannot_be_refined() -> None:
    with pytest.raises(UsageError, match="has no metric"):
        refine(runs(12), config(SPACE, metric=None))
    scheduled = config(
        SPACE, method="custom", scheduler={"engine": "optuna", "source": "space.py", "search_space": "space"}
    )
    with pytest.raises(UsageError, match="defined by a function"):
        refine(runs(12), scheduled)


def test_all_stopped_early_a_constant_metric_and_one_parameter() -> None:
    space = config({"x": {"min": 0.0, "max": 1.0}})
    made_of = [made({"x": number / 20}, [1.0], number, state="pruned") for number in range(1, 20)]
    found = refine(made_of, space)
    assert "19 of 19 runs stopped early" in found.text
    SweepConfig.load(found.config)


def test_names_of_users_stay_inside_their_place() -> None:
    space = config({EVIL_NAME: {"min": 0.0, "max": 1.0}, "a" * 300: {"min": 1, "max": 5}}, name=EVIL_NAME)
    found = refine(sampled(space, lambda values, _: values[EVIL_NAME], 30), space, sweep_id="x")
    assert yaml.safe_load(found.text) == found.config
    assert set(found.config["parameters"]) == {EVIL_NAME, "a" * 300}
    metric = {"name": f"loss{EVIL_NAME}"}
    space = config({"x\x85\u2028": {"values": ["a\x85method: grid", "b", "c"]}}, metric=metric)
    # None of the best runs has the last value, so that the comment names it.
    values = ["b", "c", "b", "c", *["a\x85method: grid"] * 8]
    found = refine([made({"x\x85\u2028": value}, [float(place)], place) for place, value in enumerate(values)], space)
    assert "without" in found.text
    assert yaml.safe_load(found.text) == found.config
    nested = config({EVIL_NAME: {"parameters": {"b: c": {"min": 0.0, "max": 1.0}}}, "g" * 200: SPACE["model"]})
    found = refine(sampled(nested, lambda values, _: values[f"{EVIL_NAME}.b: c"], 30), nested)
    assert yaml.safe_load(found.text) == found.config
    SweepConfig.load(found.config)


def test_a_sweep_of_several_metrics_and_a_program_elsewhere() -> None:
    several = config(SPACE, metric=None, metrics=[{"name": "loss"}, {"name": "time"}])
    timed = [replace(run, metrics=run.metrics | {"time": {"min": 1.0, "max": 1.0, "last": 1.0}}) for run in runs(12)]
    found = refine(timed, several, program="../train.py")
    assert found.config["program"] == "../train.py"
    assert "prior_runs" not in found.text
    with pytest.raises(LightsweepError, match="no run has ended with a finite value of loss and time"):
        refine(runs(12), several)


def test_several_metrics_are_refined_around_the_whole_front() -> None:
    """The loss is best at x = 0.2 and the time at x = 0.8, so the front is between, and not around 0.2 alone."""
    several = config(
        {"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}},
        metric=None,
        metrics=[{"name": "loss"}, {"name": "speed", "goal": "maximize"}],
    )
    trained = []
    for number in range(60):
        x, y = number / 59, (7 * number % 60) / 59
        loss, speed = (x - 0.2) ** 2 + y, -((x - 0.8) ** 2) - y
        stats = {name: {"min": v, "max": v, "last": v} for name, v in (("loss", loss), ("speed", speed))}
        trained.append(made({"x": x, "y": y}, [loss], number + 1, metrics=stats))
    found = refine(trained, several, top=0.05)
    members = pareto_front(trained, several).best
    new = SweepConfig.load(found.config).space
    low, high = {each.name: each for each in new.parameters}["x"].distribution.support
    inside = [low <= run.values["x"] <= high for run in members]
    assert all(inside)
    assert 0.5 < high < 1.0
    balanced = found.text.splitlines()[1]
    assert f"around the Pareto front of loss and speed, {len(members)} of 60 runs." in found.text
    assert balanced.startswith("# The most balanced one, run ")
    few = refine(trained[:12], several, top=1.0)
    assert "of 12 runs, and the " in few.text


def test_a_sweep_without_an_end_says_so() -> None:
    assert "this sweep never ends" in refine(runs(12), config(SPACE)).text
    assert "never ends" not in refine(runs(12), config(SPACE, run_cap=3)).text


def creatable(found: Refinement, made_of: list[SweepRun]) -> SweepConfig:
    """The next config, which ``lightsweep sweep`` takes: it searches something, and its prior runs mean something."""
    new = SweepConfig.load(found.config)
    assert new.space.searched
    assert new.options.prior_runs
    check_prior_runs(new, [PriorRun("old", "loss", run) for run in made_of])
    return new


def test_one_value_that_all_of_the_best_runs_had_is_fixed_and_the_rest_stays_open() -> None:
    space = config({"x": {"values": [1, 2, "a", [1, 2], None, True]}, "y": {"min": 0.0, "max": 1.0}})
    for count in (40, 400):
        made_of = sampled(space, lambda values, _: -5 * (values["x"] == "a") + values["y"], count)
        found = refine(made_of, space, 0.1, sweep_id="old")
        assert found.config["parameters"]["x"] == {"value": "a"}
        assert "min" in found.config["parameters"]["y"]
        assert [each.name for each in creatable(found, made_of).space.searched] == ["y"]


def test_nothing_is_narrowed_if_all_of_the_best_runs_are_alike() -> None:
    blocks = {"idle": {"values": ["p", "q"]}, "x": {"values": ["a", "b"]}}
    space = config(blocks)
    made_of = [
        made({"idle": idle, "x": x}, [(x == "b") + 0.01 * (idle == "q")], 4 * place + number + 1)
        for place in range(6)
        for number, (idle, x) in enumerate([("p", "a"), ("q", "a"), ("p", "b"), ("q", "b")])
    ]
    found = refine(made_of, space, sweep_id="old")
    assert found.config["parameters"] == blocks
    assert "# as it was: all of the best runs are alike\n" in found.text
    creatable(found, made_of)


def test_a_run_from_before_an_update_may_lack_a_parameter() -> None:
    space = config({"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}})
    old = [made({"x": place / 20}, [place / 20], place) for place in range(1, 10)]
    new = [made({"x": place / 20, "y": 0.5}, [place / 20 - 1], place) for place in range(3, 8)]
    found = refine([*old, *(replace(run, id=f"1{run.id}") for run in new)], space)
    assert found.config["parameters"]["y"] == {"distribution": "uniform", "min": 0.4, "max": 0.6}
    only_old = refine([*old, made({"x": 0.9}, [0.9], 10)], space)
    assert only_old.config["parameters"]["y"] == {"min": 0.0, "max": 1.0}


def test_a_sweep_that_searches_nothing_names_no_prior_runs() -> None:
    space = config({"x": {"value": 3}}, lightsweep={"seed": 1})
    found = refine([made({"x": 3}, [1.0])], space, sweep_id="old")
    assert found.config["lightsweep"] == {"seed": 1}
    assert any("no parameter in common" in note for note in found.notes)
    assert "lightsweep" not in refine([made({"x": 3}, [1.0])], config({"x": {"value": 3}}), sweep_id="old").config


def test_prior_runs_that_really_had_everything_count() -> None:
    space = config({"x": {"min": 0.0, "max": 1.0}})
    own = made({"x": 0.9}, [2.0], 1)
    prior = [made({"x": place / 20}, [place / 20], id=f"p{place:04d}", prior=True) for place in range(1, 11)]
    assert "around the best 3 of 11 runs" in refine([own, *prior], space).text
    lacking = [replace(run, values={}) for run in prior]
    assert "# as it was: 1 run, fewer than 10" in refine([own, *lacking], space).text


BLOCKS = st.sampled_from(
    [
        {"min": 0.0, "max": 1.0},
        {"min": -5, "max": 5},
        {"values": [1, 2, 4, 8]},
        {"values": [1, True, None, "a", [1]]},
        {"values": ["a", "b"], "probabilities": [0.9, 0.1]},
        {"distribution": "log_uniform", "min": -3, "max": 2},
        {"distribution": "inv_log_uniform_values", "min": 0.1, "max": 10},
        {"distribution": "q_uniform", "min": 0, "max": 3, "q": 0.3},
        {"distribution": "q_log_uniform_values", "min": 0.1, "max": 40, "q": 1},
        {"distribution": "q_log_normal", "mu": 0, "sigma": 2},
        {"distribution": "normal", "mu": 3, "sigma": 0},
        {"distribution": "q_beta", "a": 2, "b": 3, "q": 0.125},
        {"value": {"deep": [1]}},
    ]
)


@settings(max_examples=60, deadline=None)
@given(
    blocks=st.dictionaries(st.text(min_size=1, max_size=5).filter(lambda name: "." not in name), BLOCKS, min_size=1),
    count=st.integers(1, 25),
    seed=st.integers(0, 1000),
)
def test_whatever_was_searched_the_next_file_is_valid(blocks: dict[str, Any], count: int, seed: int) -> None:
    space = config(blocks)
    made_of = []
    for place, run in enumerate(sampled(space, lambda *_: 0.0, min(count, space.space.size or count), seed)):
        made_of.append(made(run.values, [float((7 * place) % 5)], place + 1))
    found = refine(made_of, space, top=0.3, sweep_id="old")
    assert yaml.safe_load(found.text) == found.config
    if space.space.searched:
        creatable(found, made_of)
    else:
        SweepConfig.load(found.config)


def test_the_best_of_repeats_are_the_groups_with_the_best_means() -> None:
    original = config({"x": {"min": 0.0, "max": 1.0}}, lightsweep={"repeats": 2})
    found = [
        made(
            {"x": group / 20},
            [abs(group - 7) + (5.0 if repeat == 2 and group == 7 else 0.0)],
            2 * group + repeat,
            repeat=Repeat(group, repeat, repeat, f"{2 * group + 1:04d}"),
        )
        for group in range(12)
        for repeat in (1, 2)
    ]
    text = refine(found, original, sweep_id="k3v9x2ab").text
    assert "around the best 3 of 12 groups by loss.\n# The best, group 0013: loss 1.\n" in text
    assert "between 0.25 and 0.4;" in text  # 7 had a good first repeat and a bad second one


def test_a_parameter_that_no_best_run_had_stays() -> None:
    space = {"opt": {"values": ["adam", "sgd"]}, "momentum": {"min": 0.0, "max": 1.0}}
    original = config(space, lightsweep={"when": {"momentum": {"opt": "sgd"}}})
    found = [made({"opt": "adam"}, [float(number)], number) for number in range(1, 13)]
    text = refine([*found, made({"opt": "sgd", "momentum": 0.5}, [99.0], 13)], original, sweep_id="k3v9x2ab").text
    assert "# as it was: none of the best runs had it\n  momentum:" in text
