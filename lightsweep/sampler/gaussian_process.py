"""A Gaussian process over the unit cube, for numbers and for unordered choices.

Formulas: Rasmussen and Williams, *Gaussian Processes for Machine Learning*, 2006 (the posterior, the marginal
likelihood and its gradient, the Matérn kernel with 5/2); Snoek et al., *Input Warping for Bayesian Optimization of
Non-stationary Functions*, 2014 (the warping); Hvarfner, Hellsten and Nardi, *Vanilla Bayesian Optimization Performs
Great in High Dimensions*, 2024 (length scales whose prior grows with the number of parameters).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from scipy import linalg, optimize
from threadpoolctl import ThreadpoolController

Floats = npt.NDArray[np.float64]
Booleans = npt.NDArray[np.bool_]

# The kernel is fitted to at most this many outcomes, evenly over their order: more take time and change little.
FITTED = 150
_ROOT5 = math.sqrt(5.0)
_JITTER = 1e-8
_BLUR = 1e-4
_STEPS = 60
# Hamiltonian steps: the length of the first in deviations of the prior, the parts of each, and how many for a sample.
_STRIDE, _LEAPS, _THIN = 0.25, 5, 2
# Bounds of the logarithms of the kernel's parameters.
_LENGTHS = (math.log(0.02), math.log(1000.0))
_SCALES = (math.log(0.05), math.log(20.0))
_NOISES = (math.log(1e-6), math.log(1.0))
_WARPS = (math.log(0.2), math.log(5.0))


_one_at_a_time = threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let the linear algebra of the block use one thread; also a decorator.

    The matrices are small: more threads save no time, and would wait busily on cores that belong to the training.
    """
    with _one_at_a_time, _pools().limit(limits=1, user_api="blas"):
        yield


@cache
def _pools() -> ThreadpoolController:
    return ThreadpoolController()


@dataclass(frozen=True)
class Settings:
    """What is assumed before any run.

    Attributes:
        warp: Standard deviation of the logarithms of the warping exponents; 0 for no warping.
        noise: Median of the variance of the noise, relative to the variance of the outcomes.
    """

    warp: float = 0.5
    noise: float = 1e-4


@dataclass(frozen=True)
class Kernel:
    """A Matérn kernel with 5/2 of warped numbers and of choices, two different ones of which are 1 apart.

    Attributes:
        choices: Shape ``(d,)``: whether a column holds indices of choices instead of numbers in [0, 1].
        lengths: Shape ``(d,)``: the length scale of each column.
        scale: The variance of the outcome.
        noise: The variance of its noise.
        warps: Exponents ``a``, then ``b``, of each column of numbers, ``x -> 1 - (1 - x**a)**b``; empty for none.
    """

    choices: Booleans
    lengths: Floats
    scale: float
    noise: float
    warps: Floats

    def warped(self, points: Floats) -> Floats:
        """Return points of shape ``(n, d)`` with their numbers warped."""
        if not len(self.warps):
            return points
        a, b = np.split(self.warps, 2)
        found = points.copy()
        found[:, ~self.choices] = 1 - (1 - _inside(points[:, ~self.choices]) ** a) ** b
        return found

    def distances(self, left: Floats, right: Floats) -> Floats:
        """Return squared distances of warped points in length scales, of shape ``(len(left), len(right))``."""
        numbers = ~self.choices
        a, b = left[:, numbers] / self.lengths[numbers], right[:, numbers] / self.lengths[numbers]
        squared = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1)[None, :] - 2 * a @ b.T
        for column in np.flatnonzero(self.choices):
            squared += (left[:, column, None] != right[None, :, column]) / self.lengths[column] ** 2
        return np.maximum(squared, 0.0)  # type: ignore[no-any-return]

    def covariance(self, left: Floats, right: Floats) -> Floats:
        """Return the covariance of outcomes without noise, of shape ``(len(left), len(right))``."""
        squared = self.distances(left, right)
        root = _ROOT5 * np.sqrt(squared)
        return self.scale * (1 + root + 5 / 3 * squared) * np.exp(-root)


class GaussianProcess:
    """The posterior of a kernel.

    Args:
        kernel: The kernel.
        points: Shape ``(n, d)``.
        outcomes: What was seen at the points, shape ``(n,)``, with mean 0 and variance 1.
        doubts: The variance of each outcome beside the kernel's noise, shape ``(n,)``; 0 by default.
    """

    def __init__(self, kernel: Kernel, points: Floats, outcomes: Floats, doubts: Floats | None = None) -> None:
        self.kernel = kernel
        self._raw = points
        self._outcomes = outcomes
        self._doubts = np.zeros(len(points)) if doubts is None else doubts
        self._points = kernel.warped(points)
        covariance = kernel.covariance(self._points, self._points)
        covariance[np.diag_indices_from(covariance)] += kernel.noise + _JITTER + self._doubts
        self._factor = linalg.cholesky(covariance, lower=True)
        self._weights = linalg.cho_solve((self._factor, True), outcomes)

    def predict(self, points: Floats) -> tuple[Floats, Floats]:
        """Return the mean and the standard deviation of the outcome without noise, each of shape ``(len(points),)``."""
        cross = self.kernel.covariance(self.kernel.warped(points), self._points)
        solved = linalg.solve_triangular(self._factor, cross.T, lower=True)
        variance = self.kernel.scale - (solved**2).sum(axis=0)
        return cross @ self._weights, np.sqrt(np.maximum(variance, 1e-12))

    def imagining(self, points: Floats, random: np.random.Generator) -> tuple[GaussianProcess, float]:
        """Return the posterior if these points gave outcomes that are drawn from what may come, and the least of these.

        So that points that are being tried are known, although their outcomes are not. Source: Snoek, Larochelle and
        Adams, *Practical Bayesian Optimization of Machine Learning Algorithms*, 2012.
        """
        warped = self.kernel.warped(points)
        cross = self.kernel.covariance(warped, self._points)
        solved = linalg.solve_triangular(self._factor, cross.T, lower=True)
        spread = self.kernel.covariance(warped, warped) - solved.T @ solved
        spread[np.diag_indices_from(spread)] += _BLUR
        drawn = cross @ self._weights + linalg.cholesky(spread, lower=True) @ random.normal(size=len(points))
        outcomes = np.concatenate([self._outcomes, drawn])
        doubts = np.concatenate([self._doubts, np.zeros(len(points))])
        return GaussianProcess(self.kernel, np.vstack([self._raw, points]), outcomes, doubts), float(drawn.min())


def fit(
    points: Floats,
    outcomes: Floats,
    choices: Booleans,
    settings: Settings,
    random: np.random.Generator,
    samples: int = 1,
    doubts: Floats | None = None,
) -> list[GaussianProcess]:
    """Return processes with probable kernels: with the most probable one, then with others drawn by chance.

    The most probable kernel is found by gradient from two beginnings, the others by Hamiltonian steps
    from there.

    Args:
        points: Shape ``(n, d)``, n and d at least 1.
        outcomes: Shape ``(n,)``, with mean 0 and variance 1.
        choices: Shape ``(d,)``: whether a column holds indices of choices.
        settings: What is assumed before.
        random: Draws the kernels.
        samples: The number of processes, at least 1.
        doubts: See :class:`GaussianProcess`.
    """
    doubts = np.zeros(len(points)) if doubts is None else doubts
    order = np.argsort(outcomes, kind="stable")
    chosen = order[np.linspace(0, len(order) - 1, min(FITTED, len(order))).round().astype(int)]
    posterior = _Posterior(points[chosen], outcomes[chosen], choices, settings, doubts[chosen])
    fits = [
        optimize.minimize(
            posterior.loss, start, jac=True, bounds=posterior.bounds, method="L-BFGS-B", options={"maxiter": _STEPS}
        )
        for start in posterior.starts
    ]
    thetas = [min(fits, key=lambda each: float(each.fun)).x]
    if samples > 1:
        thetas += posterior.chain(thetas[0], samples - 1, random)
    return [GaussianProcess(posterior.kernel(theta), points, outcomes, doubts) for theta in thetas]


class _Posterior:
    """The posterior of the logarithms of a kernel's parameters: lengths, scale, noise, exponents."""

    def __init__(self, points: Floats, outcomes: Floats, choices: Booleans, settings: Settings, doubts: Floats) -> None:
        self._raw, self._outcomes, self._choices, self._doubts = points, outcomes, choices, doubts
        self._dimensions = points.shape[1]
        numbers = int((~choices).sum())
        exponents = 2 * numbers if settings.warp else 0
        size = self._dimensions
        self.bounds = [_LENGTHS] * size + [_SCALES, _NOISES] + [_WARPS] * exponents
        lengths = np.full(size, math.sqrt(2.0) + 0.5 * math.log(size))
        self._mean = np.concatenate([lengths, [0.0, math.log(settings.noise)], np.zeros(exponents)])
        spread = np.full(size, math.sqrt(3.0))
        self._deviation = np.concatenate([spread, [1.0, 2.0], np.full(exponents, settings.warp or 1.0)])
        smooth, rough = self._mean.copy(), self._mean.copy()
        smooth[:size] = math.log(0.5) + 0.5 * math.log(size)
        rough[: size + 2] = [*[math.log(0.2)] * size, 0.0, math.log(1e-2)]
        self.starts = (smooth, rough)

    def kernel(self, theta: Floats) -> Kernel:
        size = self._dimensions
        values = np.exp(theta)
        return Kernel(self._choices, values[:size], float(values[size]), float(values[size + 1]), values[size + 2 :])

    def loss(self, theta: Floats) -> tuple[float, Floats]:
        """Return the negative logarithm of the density, up to a constant, and its gradient."""
        kernel, size = self.kernel(theta), self._dimensions
        points = kernel.warped(self._raw)
        count = len(points)
        squared = kernel.distances(points, points)
        root = _ROOT5 * np.sqrt(squared)
        decay = kernel.scale * np.exp(-root)
        signal = decay * (1 + root + 5 / 3 * squared)
        covariance = signal.copy()
        covariance[np.diag_indices(count)] += kernel.noise + _JITTER + self._doubts
        try:
            factor = linalg.cholesky(covariance, lower=True)
        except linalg.LinAlgError:
            return 1e10, np.zeros_like(theta)
        weights = linalg.cho_solve((factor, True), self._outcomes)
        scaled = (theta - self._mean) / self._deviation
        loss = 0.5 * self._outcomes @ weights + np.log(np.diag(factor)).sum() + 0.5 * scaled @ scaled
        slope = linalg.cho_solve((factor, True), np.eye(count)) - np.outer(weights, weights)  # twice, by the covariance
        by_distance = slope * (-5 / 6 * decay * (1 + root))
        rows = by_distance.sum(axis=1)
        gradient = np.zeros_like(theta)
        for column in range(size):
            axis = points[:, column]
            if self._choices[column]:
                total = (by_distance * (axis[:, None] != axis[None, :])).sum()
            else:
                total = 2 * (rows @ axis**2 - axis @ by_distance @ axis)
            gradient[column] = -total / kernel.lengths[column] ** 2
        gradient[size] = 0.5 * (slope * signal).sum()
        gradient[size + 1] = 0.5 * kernel.noise * np.trace(slope)
        if len(kernel.warps):
            gradient[size + 2 :] = self._by_exponents(kernel, points, by_distance, rows)
        return float(loss), gradient + scaled / self._deviation

    def chain(self, start: Floats, samples: int, random: np.random.Generator) -> list[Floats]:
        """Return logarithms drawn from the posterior, by Hamiltonian steps that begin at ``start``.

        A step that is refused makes the next ones shorter. Source: Neal, *MCMC Using Hamiltonian Dynamics*, 2011.
        """
        low, high = np.array(self.bounds).T
        theta, (loss, slope), length = start, self.loss(start), _STRIDE
        found = []
        for _ in range(samples * _THIN):
            push = random.normal(size=len(theta))
            stride = length * random.uniform(0.7, 1.3) * self._deviation
            new, new_loss, new_slope, new_push = theta, loss, slope, push
            for _ in range(_LEAPS):
                half = new_push - 0.5 * stride * new_slope
                new = new + stride * half
                if (new < low).any() or (new > high).any():
                    new_loss = math.inf
                    break
                new_loss, new_slope = self.loss(new)
                new_push = half - 0.5 * stride * new_slope
            if math.log(random.random()) < loss + 0.5 * push @ push - new_loss - 0.5 * new_push @ new_push:
                theta, loss, slope, length = new, new_loss, new_slope, 1.25 * length
            else:
                length *= 0.5
            found.append(theta)
        return found[_THIN - 1 :: _THIN]

    def _by_exponents(self, kernel: Kernel, points: Floats, by_distance: Floats, rows: Floats) -> Floats:
        numbers = ~self._choices
        a, b = np.split(kernel.warps, 2)
        x, warped = _inside(self._raw[:, numbers]), points[:, numbers]
        pull = (rows[:, None] * warped - by_distance @ warped) * 2 / kernel.lengths[numbers] ** 2
        power = x**a
        tail = (1 - power) ** b
        by_a = b * tail / (1 - power) * power * np.log(x) * a
        by_b = -tail * np.log(1 - power) * b
        return np.concatenate([(pull * by_a).sum(axis=0), (pull * by_b).sum(axis=0)])


def _inside(numbers: Floats) -> Floats:
    """Keep numbers from 0 and 1, where the logarithms are infinite."""
    return np.clip(numbers, 1e-6, 1 - 1e-6)
