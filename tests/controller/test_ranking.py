"""The Pareto front and its hypervolume, beside their definitions and Optuna."""

from __future__ import annotations

import random
from itertools import combinations
from math import prod

import optuna
import pytest

from lightsweep.controller.ranking import Point, costs, front, hypervolume, hypervolumes, pareto_front
from lightsweep.controller.runs import SweepRun
from lightsweep.sampler import RunState
from lightsweep.schema import SweepConfig


def points(seed: int, axes: int, count: int = 30) -> list[Point]:
    """Points on a coarse grid, so that some are equal on an axis or as a whole."""
    chance = random.Random(seed)
    return [tuple(chance.randrange(8) / 8 for _ in range(axes)) for _ in range(count)]


def dominated(point: Point, others: list[Point]) -> bool:
    return any(other != point and all(a <= b for a, b in zip(other, point, strict=True)) for other in others)


@pytest.mark.parametrize("axes", [1, 2, 3, 4])
@pytest.mark.parametrize("seed", range(5))
def test_the_front_is_what_nothing_dominates(axes: int, seed: int) -> None:
    given = points(seed, axes)
    expected = [i for i, point in enumerate(given) if not dominated(point, given) and point not in given[:i]]
    assert front(given) == expected


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_the_hypervolume_is_the_union_of_boxes(axes: int, seed: int) -> None:
    given, reference = points(seed, axes, count=8), (1.0,) * axes
    union = 0.0
    for size in range(1, len(given) + 1):  # inclusion and exclusion
        for chosen in combinations(given, size):
            union -= (-1) ** size * prod(1 - max(axis) for axis in zip(*chosen, strict=True))
    assert hypervolume(given, reference) == pytest.approx(union)


def test_points_beyond_the_reference_add_nothing() -> None:
    assert hypervolume([(0.5, 2.0), (1.0, 0.0)], (1.0, 1.0)) == 0
    assert hypervolume([], (1.0, 1.0)) == 0


@pytest.mark.parametrize("axes", [2, 3])
def test_the_share_grows_run_by_run(axes: int) -> None:
    given = points(3, axes)
    shares = hypervolumes(given)
    reference = tuple(max(axis) for axis in zip(*given, strict=True))
    box = prod(max(axis) - min(axis) for axis in zip(*given, strict=True))
    assert shares == pytest.approx([hypervolume(given[: n + 1], reference) / box for n in range(len(given))])
    assert shares == sorted(shares)
    assert 0 <= shares[0] <= shares[-1] <= 1


def test_an_axis_without_a_difference_does_not_count() -> None:
    assert hypervolumes([(1.0, 3.0), (1.0, 1.0), (1.0, 2.0)]) == [0, 1, 1]
    assert hypervolumes([(1.0, 3.0)]) == [1]
    assert hypervolumes([]) == []


def config(*goals: str) -> SweepConfig:
    metrics = [{"name": f"m{place}", "goal": goal} for place, goal in enumerate(goals)]
    return SweepConfig.load(
        {"method": "random", "run_cap": 9, "metrics": metrics, "parameters": {"x": {"min": 0.0, "max": 1.0}}}
    )


def run(number: int, *values: float, state: RunState = RunState.FINISHED, prior: bool = False) -> SweepRun:
    metrics = {f"m{place}": {"min": 0.0, "max": 9.0, "last": value} for place, value in enumerate(values)}
    return SweepRun(f"{number:04}", state, {}, {}, metrics=metrics, prior=prior)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_it_is_that_of_optuna() -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    runs = []
    for number, values in enumerate(points(7, 2, count=40)):
        study.add_trial(optuna.trial.create_trial(values=list(values)))
        runs.append(run(number, *values))
    found = pareto_front(runs, config("minimize", "maximize"))
    ours = {found.values[index] for index in found.members}
    assert ours == {tuple(trial.values) for trial in study.best_trials}
    drawn = optuna.visualization.plot_hypervolume_history(study, [1.0, 0.0]).data[0].y
    flat = costs(found.values, config("minimize", "maximize"))
    assert list(drawn) == pytest.approx([hypervolume(flat[: n + 1], (1.0, 0.0)) for n in range(40)])


def test_runs_that_count() -> None:
    """Not prior runs, nor runs without a finite value of each metric, nor those that still run or failed."""
    runs = [
        run(1, 5, 5),
        run(2, 1, 1, prior=True),
        run(3, 1, 1, state=RunState.RUNNING),
        run(4, 1, 1, state=RunState.FAILED),
        run(5, 1),
        run(6, 1, float("nan")),
        run(7, 4, 6, state=RunState.PRUNED),
        run(8, 6, 6),
    ]
    found = pareto_front(runs, config("minimize", "minimize"))
    assert [each.id for each in found.best] == ["0007", "0001"]
    assert found.text == "Pareto front: 2 of 3 runs"
    assert found.documents(config("minimize", "minimize"))[0] == {"run": "0007", "values": {"m0": 4, "m1": 6}}
    assert pareto_front([], config("minimize", "minimize")).text == ""
