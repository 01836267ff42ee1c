"""Search and stopping together: ``python -m benchmarks.search.together [--held-out] [--seeds N] [--runs N]``.

Each side searches with its own sampler and stops runs by its own rule, with asynchronous workers on a simulated clock,
on the trainings whose curves are recorded (``curves.py``). Counted are the epochs of all runs until one of them is
within 1 % of the best loss of the recorded random configurations; 100 % is the way from the median configuration to
there. A search that does not get there counts with all epochs of its runs. Results are kept in ``results/together``.
"""

from __future__ import annotations

import argparse
import heapq
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np
import optuna

from benchmarks.fixtures import distributions
from benchmarks.search.curves import HELD_OUT, TUNED, Task, table
from benchmarks.search.methods import Engine, sweep_file
from benchmarks.search.replay import NEAR
from lightsweep.hyperband import BandValues, Hyperband
from lightsweep.sampler import Observation, RunState, make_searcher
from lightsweep.schema import SweepConfig
from lightsweep.stopping import Curves, Expected, Progress, ended_curve, stopped_ends
from lightsweep.text import aligned

RESULTS = Path(__file__).parent / "results" / "together"


class Side(Protocol):
    """A sampler and a rule."""

    def start(self) -> Mapping[str, Any]:
        """Return the parameters of the next run."""

    def stops(self, run: int, history: Sequence[float]) -> bool:
        """Tell whether a run that has just reported its last loss is to stop."""

    def end(self, run: int, history: Sequence[float], *, stopped: bool) -> None:
        """Take note of the end of a run."""


class Ours:
    """Method bayes with ``stopping: expected``."""

    def __init__(self, task: Task, seed: int) -> None:
        self._searcher = make_searcher(SweepConfig.load(sweep_file(task, "bayes")), seed)
        self._curves = Curves(Expected(), "minimize")
        self._known: list[Observation] = []
        self._ended: dict[str, Progress] = {}

    def start(self) -> Mapping[str, Any]:
        number, ends = len(self._known), stopped_ends("minimize", self._ended)
        known = [replace(one, end=ends.get(one.key)) for one in self._known]
        values = self._searcher.suggest(number, known)
        assert values is not None
        self._known.append(Observation(str(number), number, values, RunState.RUNNING))
        return values

    def stops(self, run: int, history: Sequence[float]) -> bool:
        return self._curves.reached(len(history)) == len(history) and self._curves.judge(str(run), history).stop

    def end(self, run: int, history: Sequence[float], *, stopped: bool) -> None:
        state, values = RunState.PRUNED if stopped else RunState.FINISHED, self._known[run].values
        self._known[run] = Observation(str(run), run, values, state, (min(history),), (history[-1],), version=1)
        self._curves.note(str(run), history)
        if not stopped:
            self._curves.end(str(run))
        curve = ended_curve("minimize", history, finished=not stopped)
        assert curve is not None
        self._ended[str(run)] = curve


class Optuna:
    """TPE with the HyperbandPruner, as Optuna's users write it: report and ask after each epoch."""

    def __init__(self, task: Task, seed: int) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        pruner = optuna.pruners.HyperbandPruner(1, task.iterations, 3)
        self._study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed), pruner=pruner)
        self._space = distributions(SweepConfig.load(sweep_file(task, "random")))
        self._trials: list[optuna.Trial] = []

    def start(self) -> Mapping[str, Any]:
        self._trials.append(self._study.ask(self._space))
        return self._trials[-1].params

    def stops(self, run: int, history: Sequence[float]) -> bool:
        self._trials[run].report(history[-1], len(history))
        return self._trials[run].should_prune()

    def end(self, run: int, history: Sequence[float], *, stopped: bool) -> None:
        if stopped:
            self._study.tell(self._trials[run], state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(self._trials[run], history[-1])


class Wandb(Engine):
    """Method bayes of W&B's engine, and its hyperband applied in the loop."""

    def __init__(self, task: Task, seed: int) -> None:
        super().__init__(task, seed, "wandb")
        self._bands = BandValues(Hyperband(min_iter=3, eta=3), "minimize")

    def start(self) -> Mapping[str, Any]:
        return self.ask()[1]

    def stops(self, run: int, history: Sequence[float]) -> bool:
        return self._bands.judge(str(run), history).stop

    def end(self, run: int, history: Sequence[float], *, stopped: bool) -> None:
        del stopped  # W&B's agent ends the process, and the engine sees a run that has finished
        self.tell(run, history[-1])


SIDES: dict[str, Callable[[Task, int], Side]] = {"lightsweep": Ours, "optuna": Optuna, "wandb": Wandb}


@dataclass(frozen=True)
class Result:
    """One search.

    Attributes:
        problem, side, workers, seed: What was searched.
        epochs: The epochs of all runs until one was near the best of the recorded ones; of all runs if none was.
        reached: Whether one was.
        runs: The runs that had started by then.
    """

    problem: str
    side: str
    workers: int
    seed: int
    epochs: int
    reached: bool
    runs: int


def search(task: Task, name: str, workers: int, seed: int, most: int) -> Result:
    """Search until a run is near the best, or ``most`` runs have ended."""
    ends = table(task.name).losses.min(axis=1)
    target = float(ends.min() + NEAR * (np.median(ends) - ends.min()))
    side, clock = SIDES[name](task, seed), np.random.default_rng([seed, workers])
    curves: list[list[float]] = []
    events: list[tuple[float, float, int, int]] = []
    epochs = 0

    def begin(now: float) -> None:
        if len(curves) < most:
            curves.append(task.curve(side.start(), seed * 1000 + len(curves)))
            pace = float(clock.lognormal(0.0, 0.3))
            heapq.heappush(events, (now + pace, pace, len(curves) - 1, 1))

    for _ in range(workers):
        begin(0.0)
    reached = False
    while events and not reached:
        now, pace, run, epoch = heapq.heappop(events)
        epochs += 1
        history = curves[run][:epoch]
        reached = history[-1] <= target
        last = epoch == task.iterations
        stopped = not last and side.stops(run, history)
        if last or stopped:
            side.end(run, history, stopped=stopped)
            begin(now)
        else:
            heapq.heappush(events, (now + pace, pace, run, epoch + 1))
    if isinstance(side, Engine):
        side.close()
    return Result(task.name, name, workers, seed, epochs, reached, len(curves))


def kept() -> list[Result]:
    """The results of the folder."""
    return [Result(**json.loads(line)) for file in sorted(RESULTS.glob("*.jsonl")) for line in file.open()]


def tables(results: Sequence[Result]) -> Iterator[str]:
    """A table for each number of workers: median epochs, and ours in parts of each side's on the median problem."""
    problems = list(dict.fromkeys(one.problem for one in results))
    for workers in sorted({one.workers for one in results}):
        epochs: dict[str, list[float]] = {}
        rows = [["side", *problems, "ours in parts of it (median)", "reached"]]
        for side in SIDES:
            mine = [one for one in results if (one.side, one.workers) == (side, workers)]
            epochs[side] = [median(one.epochs for one in mine if one.problem == each) for each in problems]
            ratio = median(ours / each for ours, each in zip(epochs["lightsweep"], epochs[side], strict=True))
            share = f"{sum(one.reached for one in mine)} of {len(mine)}"
            rows.append([side, *(f"{each:.0f}" for each in epochs[side]), f"{ratio:.2f}", share])
        yield f"{workers} at once:\n" + "\n".join(aligned(rows, right=range(1, len(rows[0]))))


def main() -> None:
    """Search what is missing, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.together", description=__doc__)
    parser.add_argument("--held-out", action="store_true", help="the problems that nothing was chosen on")
    parser.add_argument("--seeds", type=int, default=3, help="searches of each problem; 3 by default")
    parser.add_argument("--runs", type=int, default=100, help="runs of a search at most; 100 by default")
    parser.add_argument("--workers", default="8", help="numbers of workers, separated by commas")
    parser.add_argument("--problems", default="", help="names, separated by commas; all by default")
    chosen = parser.parse_args()
    RESULTS.mkdir(parents=True, exist_ok=True)
    tasks = [task for task in (HELD_OUT if chosen.held_out else TUNED) if task.recorded.exists()]
    tasks = [task for task in tasks if not chosen.problems or task.name in chosen.problems.split(",")]
    workers = [int(each) for each in chosen.workers.split(",")]
    done = {(one.problem, one.side, one.workers, one.seed) for one in kept()}
    for seed, task, at_once, side in product(range(chosen.seeds), tasks, workers, SIDES):
        if (task.name, side, at_once, seed) not in done:
            found = search(task, side, at_once, seed, chosen.runs)
            with (RESULTS / f"{task.name}.jsonl").open("a") as file:
                file.write(json.dumps(asdict(found)) + "\n")
            print(found, flush=True)
    names = {task.name for task in tasks}
    for text in tables([one for one in kept() if one.problem in names]):
        print(f"\n{text}", flush=True)


if __name__ == "__main__":
    main()
