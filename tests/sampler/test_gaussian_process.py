"""The Gaussian process: its gradient, its posterior beside scikit-learn's, its warping and its choices."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from lightsweep.sampler.gaussian_process import (
    FITTED,
    GaussianProcess,
    Kernel,
    Settings,
    _Posterior,  # its gradient decides whether the fit finds anything
    fit,
)

RANDOM = np.random.default_rng(3)
POINTS = RANDOM.random((15, 4))
POINTS[:, 2] = RANDOM.integers(0, 3, 15)
OUTCOMES = RANDOM.normal(size=15)
CHOICES = np.array([False, False, True, False])
NUMBERS = np.zeros(4, dtype=bool)


@pytest.mark.parametrize("warp", [0.0, 0.5])
def test_the_gradient_is_that_of_the_loss(warp: float) -> None:
    posterior = _Posterior(POINTS, OUTCOMES, CHOICES, Settings(warp=warp), np.linspace(0, 2, 15))
    size = len(posterior.bounds)
    assert size == 6 + (6 if warp else 0)
    for seed in range(3):
        theta = np.random.default_rng(seed).normal(0, 0.3, size)
        steps = np.eye(size) * 1e-6
        found = [(posterior.loss(theta + step)[0] - posterior.loss(theta - step)[0]) / 2e-6 for step in steps]
        assert posterior.loss(theta)[1] == pytest.approx(found, rel=1e-4, abs=1e-4)


def test_the_posterior_is_that_of_scikit_learn() -> None:
    lengths = np.array([0.3, 0.7, 1.0, 2.0])
    kernel = Kernel(NUMBERS, lengths, scale=1.5, noise=0.01, warps=np.zeros(0))
    points = RANDOM.random((15, 4))
    peer = GaussianProcessRegressor(ConstantKernel(1.5) * Matern(lengths, nu=2.5), alpha=0.01, optimizer=None)
    others = RANDOM.random((7, 4))
    mean, deviation = peer.fit(points, OUTCOMES).predict(others, return_std=True)
    found = GaussianProcess(kernel, points, OUTCOMES).predict(others)
    assert found[0] == pytest.approx(mean, abs=1e-5)
    assert found[1] == pytest.approx(deviation, abs=1e-5)


def test_an_outcome_with_a_huge_variance_hardly_pulls_the_mean() -> None:
    doubts, odd = np.zeros(15), OUTCOMES.copy()
    doubts[4], odd[4] = 1e6, 50.0
    without = np.arange(15) != 4
    kernel = fit(POINTS[without], OUTCOMES[without], CHOICES, Settings(), RANDOM)[0].kernel
    expected = GaussianProcess(kernel, POINTS[without], OUTCOMES[without])
    found = GaussianProcess(kernel, POINTS, odd, doubts)
    for one, other in zip(found.predict(POINTS), expected.predict(POINTS), strict=True):
        assert one == pytest.approx(other, abs=1e-3)
    assert abs(GaussianProcess(kernel, POINTS, odd).predict(POINTS)[0][4]) > 10
    imagined, _ = found.imagining(POINTS[:1] + 0.01, np.random.default_rng(0))
    assert abs(imagined.predict(POINTS)[0][4]) < 3


def test_the_kernel_is_fitted_with_the_variance_of_each_outcome() -> None:
    points = np.linspace(0, 1, 40)[:, None]
    outcomes, doubts, numbers = np.sin(3 * points[:, 0]), np.zeros(40), np.zeros(1, dtype=bool)
    outcomes[::4] += np.random.default_rng(0).normal(0, 1, 10)
    doubts[::4] = 1.0
    (told,) = fit(points, outcomes, numbers, Settings(), RANDOM, doubts=doubts)
    (untold,) = fit(points, outcomes, numbers, Settings(), RANDOM)
    assert told.kernel.noise < 0.01 < untold.kernel.noise
    assert told.predict(points)[0] == pytest.approx(np.sin(3 * points[:, 0]), abs=0.05)


def test_imagined_outcomes_come_from_the_posterior_and_take_the_doubt_away() -> None:
    (process,) = fit(POINTS, OUTCOMES, CHOICES, Settings(), RANDOM)
    others = np.column_stack([RANDOM.random((5, 2)), RANDOM.integers(0, 3, 5), RANDOM.random(5)])
    mean, deviation = process.predict(others)
    random = np.random.default_rng(0)
    imagined = [process.imagining(others[:1], random) for _ in range(400)]
    drawn = np.array([least for _, least in imagined])
    assert drawn.mean() == pytest.approx(mean[0], abs=4 * deviation[0] / 20)
    assert drawn.std() == pytest.approx(deviation[0], rel=0.2)
    known = imagined[0][0]
    assert known.predict(others[:1])[1][0] < 0.5 * deviation[0] + process.kernel.noise**0.5
    assert (known.predict(others)[1] <= deviation + 1e-9).all()


def test_two_imagined_points_vary_together_and_the_less_of_their_outcomes_is_told() -> None:
    (process,) = fit(POINTS, OUTCOMES, CHOICES, Settings(), RANDOM)
    point = np.array([[0.91, 0.07, 1.0, 0.5]])
    imagined, least = process.imagining(np.vstack([point, point, point + 1e-9]), np.random.default_rng(0))
    assert imagined.predict(point)[0] == pytest.approx(least, abs=0.1)


def test_drawn_kernels_differ_and_are_as_doubtful_as_the_outcomes_are_few() -> None:
    random = np.random.default_rng(4)
    points = random.random((60, 2))
    outcomes = np.sin(5 * points[:, 0])
    outcomes = (outcomes - outcomes.mean()) / outcomes.std()
    numbers = np.zeros(2, dtype=bool)
    spreads = []
    for count in (4, 60):
        processes = fit(points[:count], outcomes[:count], numbers, Settings(), random, 20)
        assert len(processes) == 20
        lengths = np.log([process.kernel.lengths[0] for process in processes])
        assert len(set(lengths)) > 10
        spreads.append(lengths[5:].std())
    assert spreads[1] < 0.5 * spreads[0]


def test_the_chain_draws_from_the_posterior() -> None:
    """With one outcome the exponents may be anything that the prior allows, which is a normal distribution."""
    posterior = _Posterior(np.array([[0.3, 0.6]]), np.zeros(1), np.zeros(2, dtype=bool), Settings(), np.zeros(1))
    drawn = np.array(posterior.chain(posterior.starts[0], 800, np.random.default_rng(1)))
    exponents = drawn[80:, 4:]
    assert np.abs(exponents.mean(axis=0)).max() < 0.15
    assert exponents.std(axis=0) == pytest.approx(np.full(4, 0.5), rel=0.2)


def test_two_choices_are_as_far_apart_as_any_other_two() -> None:
    kernel = Kernel(CHOICES, np.full(4, 0.5), 1.0, 0.0, np.zeros(0))
    points = np.array([[0.1, 0.1, choice, 0.1] for choice in (0.0, 1.0, 2.0)])
    assert kernel.distances(points, points) == pytest.approx(4.0 * (1 - np.eye(3)))


def test_a_warp_bends_the_numbers_only_and_keeps_their_order() -> None:
    kernel = Kernel(CHOICES, np.ones(4), 1.0, 0.0, np.array([2.0, 1.0, 1.0, 1.0, 1.0, 0.5]))
    rows = np.repeat(np.linspace(0, 1, 11)[:, None], 4, axis=1)
    rows[:, 2] = 2.0
    warped = kernel.warped(rows)
    assert warped[:, 0] == pytest.approx(rows[:, 0] ** 2, abs=1e-5)
    assert warped[:, 1] == pytest.approx(rows[:, 1], abs=1e-5)
    assert warped[:, 2] == pytest.approx(rows[:, 2])
    assert (np.diff(warped[:, [0, 1, 3]], axis=0) > 0).all()


def test_a_fit_tells_the_column_that_matters_from_the_others() -> None:
    points = np.random.default_rng(1).random((40, 3))
    outcomes = np.sin(6 * points[:, 1])
    outcomes = (outcomes - outcomes.mean()) / outcomes.std()
    kernel = fit(points, outcomes, np.zeros(3, dtype=bool), Settings(warp=0.0), RANDOM)[0].kernel
    assert kernel.lengths[1] < 0.5 * min(kernel.lengths[0], kernel.lengths[2])
    assert kernel.noise < 0.01


@pytest.mark.parametrize("count", [1, 2, FITTED + 30])
def test_any_number_of_points_and_equal_outcomes_are_fitted(count: int) -> None:
    points = np.repeat(np.random.default_rng(0).random((1, 2)), count, axis=0)
    for process in fit(points, np.zeros(count), np.zeros(2, dtype=bool), Settings(), RANDOM, 3):
        mean, deviation = process.predict(points)
        assert np.isfinite(mean).all()
        assert np.isfinite(deviation).all()
