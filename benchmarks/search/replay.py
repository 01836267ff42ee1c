"""Stopping rules replayed on recorded curves: ``python -m benchmarks.search.replay [--held-out] [--orders N]``.

The configurations of a problem come in a random order to asynchronous workers on a simulated clock; runs differ in
speed. A replay counts the epochs that all runs have trained until the first of them is within 1 % of the best loss of
all configurations; 100 % is the way from the median configuration to there. Each rule sees the same orders. What was
replayed is kept in ``results/stopping``, and not replayed again.
"""

from __future__ import annotations

import argparse
import heapq
import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from statistics import median
from typing import Protocol

import numpy as np
import optuna

from benchmarks.search.curves import HELD_OUT, TUNED, table
from benchmarks.tables import judged
from lightsweep.hyperband import BandValues, Hyperband
from lightsweep.stopping import Expected, Halving, Median, Rule
from lightsweep.text import aligned

__all__ = ["RULES", "Replay", "replay"]

RESULTS = Path(__file__).parent / "results" / "stopping"
NEAR = 0.01
OURS, PEER = "expected", "wandb-hyperband"
FEWER, OF_PEER, STOPPED = 12.0, 0.5, 0.02
"""Our goals: so many times fewer epochs than without a rule, at most this part of those of W&B's hyperband, both on the
median problem, and the best run stopped in at most this part of the replays."""


class Judge(Protocol):
    """A rule at work in one replay."""

    def start(self, run: int) -> None:
        """A run begins."""

    def after(self, iteration: int) -> int | None:
        """The next iteration at which the rule may stop a run."""

    def stops(self, run: int, history: Sequence[float]) -> bool:
        """Whether the run stops after these losses."""

    def end(self, run: int) -> None:
        """The run has trained to its end."""


class Never:
    """No run is stopped."""

    def start(self, run: int) -> None:
        pass

    def after(self, iteration: int) -> int | None:
        del iteration
        return None

    def stops(self, run: int, history: Sequence[float]) -> bool:
        raise NotImplementedError

    def end(self, run: int) -> None:
        pass


class Bands(Never):
    """W&B's hyperband in the loop."""

    def __init__(self, hyperband: Hyperband) -> None:
        self._bands = BandValues(hyperband, "minimize")

    def after(self, iteration: int) -> int | None:
        return self._bands.after(iteration)

    def stops(self, run: int, history: Sequence[float]) -> bool:
        return self._bands.judge(str(run), history).stop


class Ours(Never):
    """A rule of `lightsweep.stopping`."""

    def __init__(self, rule: Rule) -> None:
        self._curves = rule.comparison("minimize")

    def after(self, iteration: int) -> int | None:
        return self._curves.after(iteration)

    def stops(self, run: int, history: Sequence[float]) -> bool:
        return self._curves.judge(str(run), history).stop

    def end(self, run: int) -> None:
        self._curves.end(str(run))


class Pruner(Never):
    """A pruner of Optuna, as its users write it: report and ask after each epoch."""

    def __init__(self, make: Callable[[int], optuna.pruners.BasePruner], length: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        self._study = optuna.create_study(pruner=make(length), sampler=optuna.samplers.RandomSampler())
        self._trials: dict[int, optuna.Trial] = {}
        self._told: dict[int, float] = {}

    def start(self, run: int) -> None:
        self._trials[run] = self._study.ask()

    def after(self, iteration: int) -> int | None:
        return iteration + 1

    def stops(self, run: int, history: Sequence[float]) -> bool:
        trial = self._trials[run]
        self._told[run] = history[-1]
        trial.report(history[-1], len(history))
        if not trial.should_prune():
            return False
        self._study.tell(trial, state=optuna.trial.TrialState.PRUNED)
        return True

    def end(self, run: int) -> None:
        self._study.tell(self._trials[run], self._told[run])


class Knowing(Never):
    """Stops each run after its first epoch, but one."""

    def __init__(self, kept: int) -> None:
        self._kept = kept

    def after(self, iteration: int) -> int | None:
        return 1 if iteration == 0 else None

    def stops(self, run: int, history: Sequence[float]) -> bool:
        del history
        return run != self._kept


ORACLE = "oracle"
"""Knows the run with which the fewest epochs are needed, and stops the others at once: no rule can do better."""

RULES: dict[str, Callable[[int], Judge]] = {
    "none": lambda _: Never(),
    "wandb-hyperband": lambda _: Bands(Hyperband(min_iter=3, eta=3)),
    "wandb-hyperband-1": lambda _: Bands(Hyperband(min_iter=1, eta=3)),
    "halving": lambda _: Ours(Halving()),
    "median": lambda _: Ours(Median()),
    "expected": lambda _: Ours(Expected()),
    "optuna-hyperband": lambda length: Pruner(lambda most: optuna.pruners.HyperbandPruner(1, most, 3), length),
    "optuna-halving": lambda length: Pruner(lambda _: optuna.pruners.SuccessiveHalvingPruner(1, 3), length),
    "optuna-median": lambda length: Pruner(lambda _: optuna.pruners.MedianPruner(), length),
}
"""Makes each rule for a length of training."""


@dataclass(frozen=True)
class Replay:
    """One replay.

    Attributes:
        problem, rule, workers, order: What was replayed.
        reached: The epochs of all runs until one was near the best; all epochs without a rule if none ever was.
        total: The epochs of all runs.
        whole: All epochs without a rule.
        missed: Whether the best configuration was stopped before its best epoch.
    """

    problem: str
    rule: str
    workers: int
    order: int
    reached: int
    total: int
    whole: int
    missed: bool


def replay(problem: str, rule: str, workers: int, order: int) -> Replay:
    """Replay a rule, or the `ORACLE`."""
    losses = table(problem).losses
    if rule != ORACLE:
        return _replayed(Replay(problem, rule, workers, order, 0, 0, 0, False), RULES[rule](losses.shape[1]))
    near = np.flatnonzero((losses <= _target(losses)).any(axis=1)).tolist()
    found = [_replayed(Replay(problem, rule, workers, order, 0, 0, 0, False), Knowing(run)) for run in near]
    return min(found, key=lambda each: each.reached)


def _replayed(key: Replay, judge: Judge) -> Replay:
    losses, order, workers = table(key.problem).losses, key.order, key.workers
    count, length = losses.shape
    random = np.random.default_rng(order)
    waiting = iter(random.permutation(count).tolist())
    paces = random.lognormal(0.0, 0.3, count)
    starts, done = np.zeros(count), np.zeros(count, dtype=int)
    curves = losses.tolist()
    events: list[tuple[float, int, int]] = []

    def begin(now: float) -> None:
        if (run := next(waiting, None)) is not None:
            judge.start(run)
            starts[run] = now
            later(run, 0)

    def later(run: int, iteration: int) -> None:
        look = min(judge.after(iteration) or length, length)
        heapq.heappush(events, (starts[run] + look * paces[run], run, look))

    for _ in range(workers):
        begin(0.0)
    while events:
        now, run, look = heapq.heappop(events)
        done[run] = look
        # The end of a run is judged by nothing, but what it reported there is known.
        stopped = judge.after(look - 1) == look and judge.stops(run, curves[run][:look])
        if stopped or look == length:
            if not stopped:
                judge.end(run)
            begin(now)
        else:
            later(run, look)
    return _measured(key, losses, starts, paces, done)


def _target(losses: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> float:
    ends = losses.min(axis=1)
    return float(ends.min() + NEAR * (np.median(ends) - ends.min()))


def _measured(
    found: Replay,
    losses: np.ndarray[tuple[int, int], np.dtype[np.float64]],
    starts: np.ndarray[tuple[int], np.dtype[np.float64]],
    paces: np.ndarray[tuple[int], np.dtype[np.float64]],
    done: np.ndarray[tuple[int], np.dtype[np.int64]],
) -> Replay:
    ends = losses.min(axis=1)
    near = losses <= _target(losses)
    first = np.where(near.any(axis=1), near.argmax(axis=1) + 1, losses.shape[1] + 1)
    hits = (starts + first * paces)[first <= done]
    reached = losses.size
    if len(hits):
        reached = int(np.clip(np.floor((hits.min() - starts) / paces + 1e-9), 0, done).sum())
    best = int(ends.argmin())
    missed = bool(done[best] <= int(losses[best].argmin()))
    key = (found.problem, found.rule, found.workers, found.order)
    return Replay(*key, reached, int(done.sum()), losses.size, missed)


def kept(folder: Path = RESULTS) -> list[Replay]:
    """The replays of a folder."""
    files = sorted(folder.glob("*.jsonl"))
    return [Replay(**json.loads(line)) for file in files for line in file.read_text().splitlines()]


def tables(replays: Sequence[Replay], workers: Sequence[int]) -> Iterator[str]:
    """The figures of each rule as lines of text: a table for each number of workers."""
    problems = list(dict.fromkeys(one.problem for one in replays))
    for at_once in workers:
        mine = [one for one in replays if one.workers == at_once]
        epochs: dict[str, dict[str, float]] = {}
        for one, rule in product(problems, [*RULES, ORACLE]):
            found = [each for each in mine if (each.problem, each.rule) == (one, rule)]
            if found:
                epochs.setdefault(rule, {})[one] = float(np.mean([each.reached for each in found]))
        rows = [["rule", *problems, "times fewer (median)", "total", "best stopped"]]
        for rule, by_problem in epochs.items():
            found = [each for each in mine if each.rule == rule]
            fewer = median(epochs["none"][one] / each for one, each in by_problem.items())
            total = median([each.total / each.whole for each in found])
            missed = np.mean([each.missed for each in found])
            cells = [f"{by_problem[one]:.0f}" if one in by_problem else "" for one in problems]
            rows.append([rule, *cells, f"{fewer:.1f}", f"{100 * total:.1f} %", f"{100 * missed:.1f} %"])
        yield f"{at_once} at once:\n" + "\n".join([*aligned(rows, right=range(1, len(rows[0]))), *_goals(epochs, mine)])


def _goals(epochs: Mapping[str, Mapping[str, float]], replays: Sequence[Replay]) -> list[str]:
    """Say of each goal whether `OURS` meets it, in a line; nothing without the replays that this needs."""
    if not {"none", OURS, PEER} <= epochs.keys():
        return []
    ours = epochs[OURS]
    fewer = median(epochs["none"][one] / each for one, each in ours.items())
    part = median(each / epochs[PEER][one] for one, each in ours.items())
    missed = float(np.mean([each.missed for each in replays if each.rule == OURS]))
    return [
        f"{OURS}: {fewer:.1f} times fewer epochs than without a rule (our goal >= {FEWER:g}: "
        f"{judged(fewer, FEWER, least=True)}); {part:.2f} of those of {PEER} (our goal <= {OF_PEER:g}: "
        f"{judged(part, OF_PEER)}); best stopped in {100 * missed:.1f} % (our goal <= {100 * STOPPED:g} %: "
        f"{judged(missed, STOPPED)})"
    ]


def main() -> None:
    """Replay what is missing, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.replay", description=__doc__)
    parser.add_argument("--held-out", action="store_true", help="the problems that nothing was chosen on")
    parser.add_argument("--orders", type=int, default=20, help="random orders of each problem; 20 by default")
    parser.add_argument("--workers", default="1,4,16,64", help="numbers of workers, separated by commas")
    parser.add_argument(
        "--rules", default=",".join([*RULES, ORACLE]), help="names, separated by commas; all by default"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder of the results")
    chosen = parser.parse_args()
    tasks = HELD_OUT if chosen.held_out else TUNED
    problems = [task.name for task in tasks if task.recorded.exists()]
    for task in tasks:
        if task.name not in problems:
            print(f"{task.name} is not recorded yet: python -m benchmarks.search.curves {task.name}", flush=True)
    workers = [int(one) for one in chosen.workers.split(",")]
    chosen.results.mkdir(parents=True, exist_ok=True)
    done = {(one.problem, one.rule, one.workers, one.order) for one in kept(chosen.results)}
    for order, one, at_once, rule in product(range(chosen.orders), problems, workers, chosen.rules.split(",")):
        if (one, rule, at_once, order) not in done:
            found = replay(one, rule, at_once, order)
            with (chosen.results / f"{one}.jsonl").open("a") as file:
                file.write(json.dumps(asdict(found)) + "\n")
    for text in tables([one for one in kept(chosen.results) if one.problem in problems], workers):
        print(f"\n{text}", flush=True)


if __name__ == "__main__":
    main()
