"""Search by the improvement that a Gaussian process expects, for one objective, as an Optuna sampler."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from optuna import Study
from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from scipy import special, stats

from lightsweep.sampler.gaussian_process import Floats, Settings, fit, one_thread
from lightsweep.sampler.unit_cube import gp_trials, stopped_end

# The point is sought among uniform draws and around the best runs, then by mutation of what promises most.
DRAWN = 1024
BEST_RUNS, AROUND = 5, 64
ROUNDS, PARENTS, CHILDREN = 12, 24, 8
# A round of mutation for each so many runs: what a model of few runs promises most is its error at a corner.
RUNS_PER_ROUND = 4
# The belief in the middle of the ranges, as a normal distribution of each number, counts this many times over the runs.
BELIEF, SPREAD = 5.0, 0.25
# A point that is this near to another in every column would give the same outcome.
NEAR = 1e-3
# Kernels are drawn beside the most probable one while fewer runs count than this, and while runs are at work.
FEW_RUNS = 15
MANY_POINTS = 200
# With fewer outcomes than this, no power transform is fitted to them.
BENT = 6
# A loss is as good as unknown if it is as uncertain as so many standard deviations of all losses.
UNKNOWN = 10.0
# No deviation is greater once it is transformed, so that its square stays finite.
LARGEST_DEVIATION = 1e6


class ModelSampler(BaseSampler):
    """Propose the point with the greatest expected improvement over the best run.

    Trials have the parameters of :class:`~lightsweep.sampler.unit_cube.Axes`, all of them the same. At least one is
    COMPLETE; outcomes of RUNNING ones are imagined, other ones for each kernel. A run that was stopped early has the
    end that is expected of it, and its variance as noise of its own; it is not the best run.

    With constraints (`optuna.trial.FrozenTrial.constraints`) it is multiplied by the probability that the point keeps
    them, of which each has a process of its own; only points that keep them are improved on. Source: Gardner et al.,
    *Bayesian Optimization with Inequality Constraints*, 2014.

    Args:
        seed: The seed of the candidates.
        settings: What the process assumes.
        project: Returns the points of candidates, of the same shape, with a fixed value in each column that has no
            effect there; none has by default.

    Attributes:
        gain: The improvement over the best run that is expected of the last proposal, in units of the objective.
    """

    def __init__(
        self, seed: int, settings: Settings | None = None, project: Callable[[Floats], Floats] | None = None
    ) -> None:
        self._seed = seed
        self._settings = settings or Settings()
        self._project = project
        self.gain: float | None = None

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the space of the first trial, which all share."""
        del trial
        return next(one.distributions for one in study.get_trials(deepcopy=False) if one.distributions)

    @one_thread()
    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: Mapping[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the parameters of the next trial."""
        del trial
        columns = Columns(search_space, self._project)
        shown = [one for one in study.get_trials(deepcopy=False) if one.distributions]
        trials = gp_trials(shown, [study.direction.name.lower()])
        completed = [one for one in trials if one.state == TrialState.COMPLETE]
        sign = -1.0 if study.direction == StudyDirection.MAXIMIZE else 1.0
        raw = np.array([sign * float(one.value or 0.0) for one in completed])
        deviations = np.array([0.0 if (end := stopped_end(one)) is None else end.deviation for one in completed])
        losses, doubts = normalized(raw, deviations)
        known = columns.points(completed)
        random = np.random.default_rng(self._seed)
        pending = columns.points([one for one in trials if one.state == TrialState.RUNNING])
        count = kernels(len(known), len(pending))
        processes = fit(known, losses, columns.choices, self._settings, random, count, doubts)
        bounds = Bounds(completed, known, columns.choices, self._settings, random)
        kept = bounds.kept if bounds.kept.any() else np.ones(len(known), dtype=bool)
        if (kept & (deviations == 0)).any():
            kept &= deviations == 0
        models = [(process, float(process.predict(known)[0][kept].min())) for process in processes]
        if len(pending):
            imagined = [process.imagining(pending, random) for process in processes]
            # An imagined outcome is to be beaten only if its point surely keeps what runs must keep.
            models = [
                (process, best if bounds.broken else min(best, least))
                for (process, least), (_, best) in zip(imagined, models, strict=True)
            ]
        near = known[np.argsort(losses, kind="stable")[:BEST_RUNS]]

        def promise(points: Floats) -> Floats:
            believed = BELIEF / len(known) * columns.belief(points) + bounds.log_probability(points)
            if not bounds.kept.any():
                return believed
            each = [log_improvement(*process.predict(points), best) for process, best in models]
            expected = special.logsumexp(each, axis=0) - math.log(len(each))
            return expected + believed  # type: ignore[no-any-return]

        rounds = min(ROUNDS, len(known) // RUNS_PER_ROUND)
        found = most_promising(promise, rounds, columns, near, columns.points(trials), random)
        if bounds.kept.any():
            each = [process.predict(found[None, :]) for process, _ in models]
            gains = [expected_gain(float(mean[0]), float(spread[0]), raw[kept], losses[kept]) for mean, spread in each]
            self.gain = sum(gains) / len(gains) * math.exp(float(bounds.log_probability(found[None, :])[0]))
        return columns.params(columns.apart(found, random))

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Raise, since all parameters are sampled together."""
        raise NotImplementedError(f"parameter {param_name!r} is not one of the trials before")


class Columns:
    """The columns of a process for the parameters of trials.

    A float is itself, an integer from 0 to n, at least 1, is divided by n, a category is its index.

    Args:
        space: The parameters.
        project: See :class:`ModelSampler`.
    """

    def __init__(
        self, space: Mapping[str, BaseDistribution], project: Callable[[Floats], Floats] | None = None
    ) -> None:
        self._space = dict(space)
        self._project = project
        self.choices = np.array([isinstance(one, CategoricalDistribution) for one in space.values()], dtype=bool)
        self._tops = np.array([_top(one) for one in space.values()], dtype=float)
        self._stepped = ~self.choices & (self._tops > 0)
        self._most = np.where(self.choices, self._tops, 1.0)

    def __len__(self) -> int:
        return len(self._space)

    def points(self, trials: Sequence[FrozenTrial]) -> Floats:
        """Return the points of trials, of shape ``(len(trials), d)``."""
        rows = [[float(one.params[name]) for name in self._space] for one in trials]
        found = np.array(rows, dtype=float).reshape(len(rows), len(self))
        found[:, self._stepped] /= self._tops[self._stepped]
        return found

    def params(self, point: Floats) -> dict[str, Any]:
        """Return a trial's parameters for a point of shape ``(d,)``."""
        raw = np.where(self._stepped, np.round(point * self._tops), point).tolist()
        return {
            name: float(value) if top == 0 and not choice else int(value)
            for name, value, top, choice in zip(self._space, raw, self._tops, self.choices, strict=True)
        }

    def apart(self, point: Floats, random: np.random.Generator) -> Floats:
        """Return a point of shape ``(d,)`` with its floats moved a little.

        So agents that found the same end of a range, at the same time, try two points.
        """
        floats = ~self.choices & ~self._stepped
        return np.where(floats, (1 - NEAR) * point + NEAR * random.random(len(self)), point)

    def belief(self, points: Floats) -> Floats:
        """Return the logarithm of a density that is greatest in the middle, up to a constant, of shape ``(n,)``.

        People write a range around the values that they expect to be good. Used as in Hvarfner et al., *πBO: Augmenting
        Acquisition Functions with User Beliefs for Bayesian Optimization*, 2022: it counts less with each run.
        """
        return -0.5 * (((points[:, ~self.choices] - 0.5) / SPREAD) ** 2).sum(axis=1)  # type: ignore[no-any-return]

    def spread(self, units: Floats) -> Floats:
        """Return the points for uniform numbers in [0, 1), of the same shape."""
        return self.nearest(np.where(self.choices, np.floor(units * (self._tops + 1)), units))

    def mutated(self, points: Floats, scale: float, random: np.random.Generator) -> Floats:
        """Return points of the same shape, each with a third of its columns changed, and at least one.

        A number moves by a normal step with standard deviation ``scale``, an integer by 1 at least; every second
        choice to change is drawn anew.
        """
        count, size = points.shape
        change = random.random((count, size)) < max(0.3, 1.5 / size)
        change[np.arange(count), random.integers(0, size, count)] = True
        steps = random.normal(0.0, scale, (count, size))
        least = np.where(self._stepped, 1.0 / np.maximum(self._tops, 1.0), 0.0)
        steps = np.copysign(np.maximum(np.abs(steps), least), steps)
        drawn = np.floor(random.random((count, size)) * (self._tops + 1))
        flipped = np.where(random.random((count, size)) < 0.5, drawn, points)
        return self.nearest(np.where(change, np.where(self.choices, flipped, points + steps), points))

    def nearest(self, points: Floats) -> Floats:
        """Return the nearest points that exist."""
        found = np.clip(points, 0.0, self._most)
        tops = self._tops[self._stepped]
        found[:, self._stepped] = np.round(found[:, self._stepped] * tops) / tops
        return found if self._project is None else self._project(found)


class Bounds:
    """The constraints of trials, each a process of how far a point is beyond its bound.

    A constraint that every run keeps is left out: nothing is known of where it ends.

    Args:
        trials: COMPLETE trials, all with the same constraints or without any.
        points: Their points, of shape ``(n, d)``.
        choices: The columns that are choices.
        settings: What the processes assume.
        random: As for :func:`~lightsweep.sampler.gaussian_process.fit`.

    Attributes:
        kept: Whether each trial keeps all constraints, of shape ``(n,)``.
        broken: Whether a trial breaks one.
    """

    def __init__(
        self,
        trials: Sequence[FrozenTrial],
        points: Floats,
        choices: Any,
        settings: Settings,
        random: np.random.Generator,
    ) -> None:
        beyond = np.array([list(one.constraints.values()) for one in trials], dtype=float).reshape(len(trials), -1)
        self.kept = (beyond <= 0).all(axis=1)
        self.broken = not self.kept.all()
        self._processes = []
        for column in beyond.T[(beyond > 0).any(axis=0)]:
            # Far from the bound only the side matters, and the bound itself stays 0.
            bent = np.arcsinh(column / max(float(np.median(np.abs(column))), 1e-300))
            deviation = float(bent.std()) or 1.0
            process, *_ = fit(points, (bent - bent.mean()) / deviation, choices, settings, random)
            self._processes.append((process, -float(bent.mean()) / deviation))

    def log_probability(self, points: Floats) -> Floats:
        """Return the logarithm of the probability that points keep all constraints, of shape ``(n,)``."""
        total = np.zeros(len(points))
        for process, bound in self._processes:
            mean, deviation = process.predict(points)
            total += special.log_ndtr((bound - mean) / deviation)
        return total


def _top(distribution: BaseDistribution) -> int:
    """The highest index of a category or of an integer; 0 for a float."""
    if isinstance(distribution, CategoricalDistribution):
        return len(distribution.choices) - 1
    return int(distribution.high) if isinstance(distribution, IntDistribution) else 0


def normalized(losses: Floats, deviations: Floats) -> tuple[Floats, Floats]:
    """Return losses with mean 0 and variance 1, in the same order, and shaped more like a normal distribution.

    The power transform of Yeo and Johnson (2000) takes in the long tail of bad runs. All are 0 if they do not differ.

    Args:
        losses: Shape ``(n,)``.
        deviations: The standard deviation of each; the variances that these become are returned as well.
    """
    deviations = np.minimum(deviations, UNKNOWN * losses.std())
    both = np.concatenate([losses, losses - deviations, losses + deviations])
    count = len(losses)
    scaled = found = _standardized(both, count)
    if count >= BENT and scaled[:count].any():
        _, power = stats.yeojohnson(scaled[:count])
        bent = stats.yeojohnson(scaled, power)
        found = _standardized(bent, count) if np.isfinite(bent).all() else scaled
    low, high = np.split(found[count:], 2)
    return found[:count], np.minimum(0.5 * (high - low), LARGEST_DEVIATION) ** 2


def _standardized(values: Floats, count: int) -> Floats:
    """Return values scaled so that the first ``count`` have mean 0 and variance 1; all 0 if these do not differ."""
    first = values[:count]
    deviation = float(first.std())
    differ = first.min() < first.max() and deviation > 0  # equal ones may be rounded to a mean beside them
    return (values - first.mean()) / deviation if differ else np.zeros_like(values)


def kernels(known: int, pending: int) -> int:
    """Return how many kernels are asked: more of them where they differ, or where outcomes are imagined."""
    if known + pending > MANY_POINTS:
        return 1
    return 8 if known < FEW_RUNS else 4 if pending else 1


def log_improvement(mean: Floats, deviation: Floats, best: float) -> Floats:
    """Return the logarithm of the expected improvement below ``best``; exact also far from it, where that is tiny.

    Source: Ament et al., *Unexpected Improvements to Expected Improvement for Bayesian Optimization*, 2023.
    """
    z = (best - mean) / deviation
    density = -0.5 * z**2 - 0.5 * math.log(2 * math.pi)
    below = np.minimum(z, -1.0)
    mills = below * math.sqrt(math.pi / 2) * special.erfcx(-below / math.sqrt(2))
    # Further than 10,000 deviations the difference is lost in rounding; its limit is known.
    rest = np.where(below > -1e4, np.log(np.maximum(1 + mills, 1e-16)), -2 * np.log(-below))
    near = np.log(np.exp(density) + np.maximum(z, -1.0) * special.ndtr(z) + (z <= -1.0))
    return np.where(z > -1.0, near, density + rest) + np.log(deviation)


def expected_gain(mean: float, deviation: float, raw: Floats, losses: Floats) -> float:
    """Return the improvement over the least of ``raw`` that is expected of a point, in their units.

    The improvement of the normalized loss, in the units that the losses have over the best quarter of the runs. On
    synthetic problems, over the first 40 runs, it was 0.5 to 2.5 times what was gained, summed over the runs; once a
    search has converged it is too high.

    Args:
        mean, deviation: Of the point's normalized loss.
        raw: The losses so far.
        losses: The same, normalized.
    """
    order = np.argsort(raw, kind="stable")
    best, least = float(raw[order[0]]), float(losses[order[0]])
    other = order[min(max(1, len(order) // 4), len(order) - 1)]
    slope = (float(raw[other]) - best) / max(float(losses[other]) - least, 1e-12)
    z = (least - mean) / deviation
    below = deviation * (z * float(stats.norm.cdf(z)) + float(stats.norm.pdf(z)))
    return slope * max(below, 0.0)


def most_promising(
    promise: Callable[[Floats], Floats],
    rounds: int,
    columns: Columns,
    near: Floats,
    seen: Floats,
    random: np.random.Generator,
) -> Floats:
    """Return the point that promises most of those that are found, of shape ``(d,)``.

    Args:
        promise: Returns a number for each of some points.
        rounds: How often the best points are mutated.
        columns: The space.
        near: Points around which others are tried too, shape ``(k, d)``.
        seen: Points that are not proposed again, nor points very near to them, shape ``(n, d)``, unless nothing else is
            found.
        random: Draws the candidates.
    """
    drawn = columns.spread(random.random((DRAWN, len(columns))))
    pool = np.vstack([drawn, columns.mutated(np.repeat(near, AROUND, axis=0), 0.1, random)])
    scores = promise(pool)
    for number in range(rounds):
        order = np.argsort(-scores, kind="stable")[:PARENTS]
        children = columns.mutated(np.repeat(pool[order], CHILDREN, axis=0), 0.2 * 0.7**number, random)
        pool = np.vstack([pool[order], children])
        scores = np.concatenate([scores[order], promise(children)])
    order = np.argsort(-scores, kind="stable")
    for place in order:
        if (np.abs(pool[place] - seen).max(axis=1) > NEAR).all():
            return pool[place]  # type: ignore[no-any-return]
    return pool[order[0]]  # type: ignore[no-any-return]
