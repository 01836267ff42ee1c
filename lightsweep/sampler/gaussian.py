"""What a Gaussian process is given of the shadow study, so that it stays quick and outliers do not blind it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from optuna.trial import FrozenTrial, TrialState

from lightsweep.sampler.shadow import frozen_trial

__all__ = ["GP_RUNS", "prepared"]

# A proposal from this many runs takes about half a second on two cores; the time grows with the third power.
GP_RUNS = 300
# Values this many times as far from the best as the median is are as bad as any.
REACH = 3.0


def prepared(trials: Sequence[FrozenTrial], goals: Sequence[str]) -> list[FrozenTrial]:
    """``trials`` for a Gaussian process: not more than ``GP_RUNS`` completed ones, without far outliers.

    Of more, the better half of ``GP_RUNS`` stays, and as many of the others, evenly over their order. A process
    standardizes the values, so a single diverged run (a loss of 1e9) would make all others look the same: values
    further than 3 times the median's distance from the best, on the bad side, are set to that distance.

    Args:
        trials: COMPLETE ones with finite values, and RUNNING ones, which all stay.
        goals: ``minimize`` or ``maximize`` for each objective.
    """
    completed = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if not completed:
        return list(trials)
    signs = np.array([-1.0 if goal == "maximize" else 1.0 for goal in goals])
    losses = np.array([trial.values for trial in completed]) * signs
    kept = _chosen(losses).tolist()
    best = losses.min(axis=0)
    reach = REACH * (np.median(losses, axis=0) - best)
    limits = np.where(reach > 0, best + reach, np.inf)
    values = np.minimum(losses, limits) * signs
    shown: list[FrozenTrial] = [trial for trial in trials if trial.state != TrialState.COMPLETE]
    for place in sorted(kept):
        trial, clipped = completed[place], values[place].tolist()
        if clipped != trial.values:
            trial = frozen_trial(trial.number, trial.params, trial.distributions, clipped)
        shown.append(trial)
    return sorted(shown, key=lambda trial: trial.number)


def _chosen(losses: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    count = len(losses)
    if count <= GP_RUNS:
        return np.arange(count)
    ranks = losses.argsort(axis=0, kind="stable").argsort(axis=0, kind="stable").sum(axis=1)
    order = np.argsort(ranks, kind="stable")
    better, others = order[: GP_RUNS // 2], np.sort(order[GP_RUNS // 2 :])
    spread = np.linspace(0, len(others) - 1, GP_RUNS - len(better)).round().astype(np.int64)
    return np.concatenate([better, others[spread]])
