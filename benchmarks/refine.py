"""Compare a refined sweep with a fresh one: the search of ``quality``, bayes, 20 runs each.

For every seed a first sweep runs, and ``refine`` makes the next sweep file of it. Compared are the best loss of the
second sweep's own runs and that of a fresh sweep of the original file, with the same number of runs and a seed of its
own. The second sweep is run twice: on its own, and with the first one's runs as prior runs.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.quality import _SPACE as SPACE
from benchmarks.quality import _train as train
from benchmarks.sizes import Scale
from benchmarks.tables import Table
from lightsweep import SweepConfig
from lightsweep.analysis import refine
from lightsweep.controller import SweepRun
from lightsweep.sampler import Observation, make_searcher

__all__ = ["tables"]

_RUNS = 20
_METHOD = "bayes"


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """One table: a line for each seed, and one for the wins."""
    del directory
    runs = min(_RUNS, scale.budget)
    original = SweepConfig.load(
        {
            "program": "train.py",
            "method": _METHOD,
            "metric": {"name": "loss", "goal": "minimize"},
            "parameters": SPACE,
            "lightsweep": {"sampler": "gp"},
        }
    )
    rows, found = [], []
    for seed in range(scale.seeds):
        first = _search(original, seed, runs)
        refined = SweepConfig.load(refine(first, original).config)
        fresh = _best(_search(original, 1000 + seed, runs))
        alone = _best(_search(refined, 2000 + seed, runs))
        prior = _best(_search(refined, 2000 + seed, runs, first))
        found.append((fresh, alone, prior))
        rows.append([str(seed), f"{_best(first):.4f}", f"{fresh:.4f}", f"{alone:.4f}", f"{prior:.4f}"])
    means = [f"{statistics.fmean(column):.4f}" for column in zip(*found, strict=True)]
    wins = [sum(each[which] < each[0] for each in found) for which in (1, 2)]
    rows.append(["mean", "", *means])
    rows.append(["better than fresh", "", "", *(f"{won} of {len(found)}" for won in wins)])
    header = ["seed", "first sweep", "fresh sweep", "refined sweep", "refined, with prior runs"]
    yield Table(f"Best validation loss of {runs} runs", header, rows)


def _search(config: SweepConfig, seed: int, count: int, prior: Sequence[SweepRun] = ()) -> list[SweepRun]:
    """The runs of one search, one after the other."""
    searcher = make_searcher(config, seed)
    known = [
        Observation(f"p{run.id}", None, run.values, "finished", (run.best or 0.0,), 1)
        for run in prior
        if _inside(config, run.values)
    ]
    runs: list[SweepRun] = []
    for ticket in range(count):
        values = searcher.suggest(ticket, known)
        assert values is not None, "the space has more points than the budget"
        loss = train(values)
        runs.append(SweepRun(f"{ticket + 1:04d}", "finished", dict(values), dict(values), best=loss, history=(loss,)))
        known.append(Observation(str(ticket), ticket, values, "finished", (loss,), 1))
    return runs


def _inside(config: SweepConfig, values: Mapping[str, Any]) -> bool:
    """True if a run lies in the space of another sweep, so that it can be a prior run of it."""
    try:
        config.space.unit(values)
    except ValueError:
        return False
    return True


def _best(runs: Sequence[SweepRun]) -> float:
    return min(run.best for run in runs if run.best is not None)
