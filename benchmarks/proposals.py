"""The time to find the parameters of the next run.

"proposal" is the sampler alone; "next run" is all that an agent does between two runs in the storage: look at the
sweep's state, claim a trial, propose, write the parameters. The peer is ``study.ask`` with all parameters, which
claims, proposes and writes too, with Optuna's sampler of the same kind (GPSampler, and TPESampler, its default, beside
``auto``). One warm-up on each side, then they take turns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import BaseSampler, GPSampler, GridSampler, RandomSampler, TPESampler

from benchmarks.fixtures import CONTINUOUS, FINITE, OptunaStudy, config, optuna_study, sweep_with_runs
from benchmarks.sizes import Scale
from benchmarks.tables import Figure, Row, Table, comparison, interleaved, timed
from lightsweep.controller import ClaimedRun, Outcome, Sweep
from lightsweep.controller.claims import RunClaimer
from lightsweep.controller.reports import Reporter, Writer
from lightsweep.sampler import Observation, make_searcher

__all__ = ["tables"]

_SAMPLERS: dict[str, Callable[[Sweep], BaseSampler]] = {
    "random": lambda _: RandomSampler(seed=1),
    "grid": lambda sweep: GridSampler(_choices(sweep), seed=1),
    "gp": lambda _: GPSampler(seed=1),
    "auto": lambda _: TPESampler(seed=1),
}


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """A table for grid and random, and one for bayes."""
    rows: list[Row] = []
    for runs in scale.runs:
        for method, parameters in (("grid", FINITE), ("random", CONTINUOUS)):
            raw = config(method, parameters)
            rows += _measure(directory, raw, runs, method, 0.010, scale.repeats, scale.repeats)
    yield comparison("grid and random", rows, "ask")
    rows = []
    for sampler, peer_repeats in (("auto", scale.repeats // 2), ("gp", 2)):
        raw = config("bayes", CONTINUOUS, sampler=sampler)
        rows += _measure(directory, raw, scale.observations, sampler, 1.0, max(2, scale.repeats // 2), peer_repeats)
    yield comparison("bayes", rows, "ask")


def _measure(
    directory: Path, raw: dict[str, Any], runs: int, kind: str, most: float, repeats: int, peer_repeats: int
) -> list[Row]:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sweep = sweep_with_runs(directory, raw, runs, f"{kind}-ours-{runs}")
    study = optuna_study(directory, raw, runs, f"{kind}-optuna-{runs}")
    agent = _Claims(sweep)
    ask = _asking(sweep, study, kind)
    try:
        first = timed(agent.next_run)
        ask()
        agent.give_up()
        pairs = interleaved(peer_repeats, ours=agent.next_run, peer=ask, over=agent.give_up)
        pairs["ours"] += interleaved(repeats - peer_repeats, ours=agent.next_run, over=agent.give_up)["ours"]
    finally:
        agent.close()
    proposals = interleaved(repeats, proposal=_proposing(sweep))["proposal"]
    peer = Figure.of(pairs["peer"])
    return [
        Row(f"{kind}, {runs:,} runs: proposal", Figure.of(proposals), peer, most=most),
        Row(f"{kind}, {runs:,} runs: next run", Figure.of(pairs["ours"]), peer, most=most),
        Row(f"{kind}, {runs:,} runs: an agent's first", Figure.of([first])),
    ]


class _Claims:
    """An agent that claims runs and gives them up; what is measured is :meth:`next_run`."""

    def __init__(self, sweep: Sweep) -> None:
        self._claimer = RunClaimer(sweep, "benchmark")
        self._writer = Writer(sweep.storage)
        self._reporter = Reporter(sweep, self._writer)
        self._claimed: list[ClaimedRun] = []

    def next_run(self) -> None:
        found = self._claimer.next_run()
        assert isinstance(found, ClaimedRun), found
        self._claimed.append(found)

    def give_up(self) -> None:
        """So that no run is found without a sign of life later."""
        while self._claimed:
            self._reporter.finish(self._claimed.pop(), Outcome("failed", "benchmark"))

    def close(self) -> None:
        self._writer.close()


def _proposing(sweep: Sweep) -> Callable[[], object]:
    """The sampler alone, with all runs known, asked for one ticket after the other."""
    searcher = make_searcher(sweep.config, sweep.seed)
    known = _observations(sweep)
    start = len(sweep.runs)
    tickets = iter(range(start, start + 10_000))
    searcher.suggest(start, known)
    return lambda: searcher.suggest(next(tickets), known)


def _observations(sweep: Sweep) -> Sequence[Observation]:
    return [
        Observation(
            key=run.id,
            ticket=number,
            values=run.values,
            state="finished",
            objectives=None if run.best is None else (run.best,),
            version=1,
        )
        for number, run in enumerate(sweep.runs)
        if run.state == "finished"
    ]


def _asking(sweep: Sweep, study: OptunaStudy, kind: str) -> Callable[[], object]:
    opened = study.load(_SAMPLERS[kind](sweep))
    return lambda: opened.ask(dict(study.distributions))


def _choices(sweep: Sweep) -> dict[str, list[Any]]:
    return {
        parameter.name: [parameter.distribution.value_at(index) for index in range(parameter.distribution.size or 0)]
        for parameter in sweep.config.space.parameters
    }
