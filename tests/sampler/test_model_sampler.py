"""The sampler on our own Gaussian process: exact improvement, points that exist, the same point for the same seed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from sampler_helpers import best, play, run, sweep
from scipy import integrate, stats
from threadpoolctl import threadpool_info, threadpool_limits

from lightsweep.sampler import make_searcher, model_sampler
from lightsweep.sampler.bayes import quiet
from lightsweep.sampler.gaussian_process import fit
from lightsweep.sampler.model_sampler import (
    Columns,
    ModelSampler,
    log_improvement,
    normalized,
)
from lightsweep.sampler.unit_cube import SnapshotStorage, frozen_trial
from lightsweep.stopping import StoppedEnd

SPACE: dict[str, BaseDistribution] = {
    "x": FloatDistribution(0, 1),
    "n": IntDistribution(0, 4),
    "kind": CategoricalDistribution(range(3)),
}


@pytest.mark.parametrize("z", [3.0, 0.5, -0.9, -1.1, -4.0, -20.0, -35.0])
def test_the_improvement_is_its_integral(z: float) -> None:
    deviation, best_loss = 0.3, 1.0
    mean = best_loss - z * deviation

    def weighed(step: float) -> float:  # relative to the density at the best loss, which is tiny far away
        density = stats.norm.logpdf(best_loss - step, mean, deviation) - stats.norm.logpdf(best_loss, mean, deviation)
        return float(step * math.exp(density))

    area = integrate.quad(weighed, 0, 12 * deviation, limit=200, points=[deviation / max(1.0, abs(z))])[0]
    expected = math.log(area) + stats.norm.logpdf(best_loss, mean, deviation)
    found = log_improvement(np.array([mean]), np.array([deviation]), best_loss)
    assert found[0] == pytest.approx(expected, abs=1e-4)


def test_the_improvement_falls_without_a_jump_and_stays_finite() -> None:
    means = np.concatenate([np.linspace(-5, 50, 5001), 10.0 ** np.arange(2, 12)])
    found = log_improvement(means, np.ones(len(means)), 0.0)
    assert np.isfinite(found).all()
    assert (np.diff(found) < 0).all()


def test_losses_become_normal_and_keep_their_order() -> None:
    losses = np.exp(np.random.default_rng(0).normal(0, 1.5, 200))
    found, variances = normalized(losses, np.zeros(200))
    assert not variances.any()
    assert found.mean() == pytest.approx(0, abs=1e-9)
    assert found.std() == pytest.approx(1)
    assert abs(stats.skew(found)) < 0.6 < 2.0 < abs(stats.skew(losses))
    assert (np.argsort(found) == np.argsort(losses)).all()
    for equal in (np.full(8, 3.0), np.full(7, 0.1)):  # the mean of the second is not exactly 0.1
        assert not normalized(equal, np.ones(len(equal)))[0].any()
    assert not normalized(np.array([3.0]), np.ones(1))[0].any()


def test_deviations_go_through_the_same_transform_as_losses() -> None:
    losses = np.exp(np.random.default_rng(0).normal(0, 1.5, 200))
    step, place = 1e-3, int(np.argmax(losses))
    moved = losses.copy()
    moved[:2] = losses[place] - step, losses[place] + step  # what these two become tells the slope there
    found, _ = normalized(moved, np.zeros(200))
    deviations = np.zeros(200)
    deviations[place] = step
    variance = normalized(moved, deviations)[1][place]
    assert variance**0.5 == pytest.approx(abs(found[1] - found[0]) / 2, rel=0.01)
    one_low = np.append(1e-6 * np.random.default_rng(0).normal(size=299), -1.0)  # bends hard, by a power of 58
    assert normalized(one_low, np.full(300, 9.0))[1].max() <= 1e12
    for hopeless in (1e9, math.inf):
        assert 0 < normalized(losses, np.full(200, hopeless))[1].max() < 1e6


def test_agents_at_the_same_end_of_a_range_are_a_little_apart() -> None:
    columns = Columns(SPACE)
    for corner in (np.array([0.0, 1.0, 2.0]), np.array([1.0, 0.25, 0.0])):
        first, second = (columns.apart(corner, np.random.default_rng(seed)) for seed in (1, 2))
        assert first[0] != second[0]
        assert first == pytest.approx(corner, abs=1e-3)
        assert 0 <= first[0] <= 1
        assert (first[1:] == corner[1:]).all()


def test_the_belief_is_greatest_in_the_middle_and_asks_no_choice() -> None:
    columns = Columns(SPACE)
    points = np.array([[0.5, 0.5, 0.0], [0.5, 0.5, 2.0], [0.25, 0.5, 0.0], [0.0, 1.0, 0.0]])
    assert columns.belief(points) == pytest.approx([0.0, 0.0, -0.5, -4.0])


def test_every_mutation_changes_numbers_and_integers_by_one_at_least() -> None:
    columns = Columns({"n": IntDistribution(0, 10)})
    points = columns.nearest(np.full((50, 1), 0.5))
    assert (columns.mutated(points, 1e-6, np.random.default_rng(0)) != points).all()


def proposed(losses: list[float], seed: int = 1, direction: str = "minimize", **more: Any) -> dict[str, Any]:
    random = np.random.default_rng(5)
    params = [
        {"x": x, "n": int(random.integers(5)), "kind": int(random.integers(3))} for x in random.random(len(losses))
    ]
    ends = more.get("ends", {})
    trials = [
        frozen_trial(number + 1, one, SPACE, [loss], end=ends.get(number))
        for number, (one, loss) in enumerate(zip(params, losses, strict=True))
    ]
    with quiet():
        study = optuna.create_study(
            storage=SnapshotStorage([*trials, *more.get("running", [])]),
            sampler=ModelSampler(seed),
            direction=direction,
        )
        return study.ask(SPACE).params


def threads() -> set[int]:
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}


def test_a_proposal_uses_one_thread_and_leaves_the_others_to_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[int]] = []

    def fitted(*arguments: Any) -> Any:
        seen.append(threads())
        if len(seen) == 2:
            raise FloatingPointError
        return fit(*arguments)

    monkeypatch.setattr(model_sampler, "fit", fitted)
    with threadpool_limits(2, "blas"):
        assert threads() == {2}
        proposed([0.3, 0.1, 0.2])
        with pytest.raises(FloatingPointError):
            proposed([0.3, 0.1, 0.2])
        assert threads() == {2}
    assert seen == [{1}, {1}]


def test_a_proposal_follows_from_its_seed_and_turns_with_the_goal() -> None:
    losses = np.random.default_rng(9).normal(size=12).tolist()
    first = proposed(losses)
    assert first == proposed(losses)
    assert first == proposed([-loss for loss in losses], direction="maximize")
    assert first != proposed([-loss for loss in losses])


def test_a_running_point_is_not_proposed_again() -> None:
    losses = np.random.default_rng(9).normal(size=12).tolist()
    first = proposed(losses)
    second = proposed(losses, running=[frozen_trial(50, first, SPACE, None)])
    assert first != second


def test_a_stopped_run_counts_with_its_end_as_far_as_that_is_sure() -> None:
    losses = np.random.default_rng(9).normal(size=12).tolist()
    place = int(np.argsort(losses)[3])
    sure = proposed(losses, ends={place: StoppedEnd(losses[0], 1e-12)})
    assert sure == proposed([losses[0] if number == place else loss for number, loss in enumerate(losses)])
    assert sure != proposed(losses, ends={place: StoppedEnd(losses[0], 1.0)})
    best = int(np.argmin(losses))
    beaten = [-5.0 if number == best else loss for number, loss in enumerate(losses)]
    assert proposed(losses, ends={best: StoppedEnd(-5.0, 1e-12)}) != proposed(beaten)  # a stopped run is not the best
    unknown = [proposed(losses, ends={place: StoppedEnd(losses[0], deviation)}) for deviation in (1e3, 1e9, math.inf)]
    assert unknown[0] == unknown[1] == unknown[2] != sure


def test_the_first_point_is_the_middle_and_few_draws_follow() -> None:
    config = sweep({"lr": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1.0}, "n": {"min": 0, "max": 10}})
    searcher = make_searcher(config, 3)
    assert searcher.suggest(0, []) == {"lr": pytest.approx(1e-2), "n": 5}
    runs = play(searcher, 12, lambda values: (math.log10(values["lr"]) + 3.3) ** 2 + (values["n"] - 8) ** 2 / 10)
    assert best(runs) < 0.2


def test_agents_whose_points_nobody_knows_yet_get_those_that_follow_one_another() -> None:
    """An agent that does not see the run of another yet proposes what it would, if it saw it."""
    config = sweep({"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}})
    known = play(make_searcher(config, 1), 9, lambda values: values["x"] + values["y"])
    first = make_searcher(config, 1).suggest(9, known)
    assert first is not None
    alone = make_searcher(config, 1).suggest(10, known)
    told = make_searcher(config, 1).suggest(10, [*known, run(9, first, state="running")])
    assert alone == told
    assert alone != first
