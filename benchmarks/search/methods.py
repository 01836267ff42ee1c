"""The methods of the search benchmark, each behind the same two calls: ask for a point, tell a loss."""

from __future__ import annotations

import json
import os
import subprocess
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import optuna
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, TPESampler

from benchmarks.fixtures import distributions
from benchmarks.search.problems import Problem
from lightsweep.sampler import Observation, RunState, make_searcher
from lightsweep.schema import SweepConfig

__all__ = ["ENGINES", "METHODS", "Method", "sweep_file"]

Values = Mapping[str, Any]
_ROOT = Path(__file__).parents[2]
ENGINES = {
    "wandb": Path(os.environ.get("LIGHTSWEEP_ENGINE", _ROOT / ".engine/bin/python")),
    "smac": Path(os.environ.get("LIGHTSWEEP_SMAC", _ROOT / ".engine-smac/bin/python")),
}
"""The interpreters of environments with W&B's engine and with SMAC3; ``make bench-search`` makes them."""


class Method(Protocol):
    """A search of one problem with one seed; its ``seconds``, if it has any, are CPU time of another process."""

    def ask(self) -> tuple[int, Values]:
        """Return a run's number and parameters; earlier runs may not have been told yet."""

    def tell(self, number: int, loss: float) -> None:
        """Say how a run ended."""


class Searched(Protocol):
    """What a method needs of a problem."""

    @property
    def parameters(self) -> Mapping[str, Mapping[str, Any]]:
        """The parameters of a sweep file."""


def sweep_file(problem: Searched, method: str, **options: Any) -> dict[str, Any]:
    """The sweep file of a problem; ``options`` are those of its ``lightsweep`` block."""
    return {
        "program": "train.py",
        "method": method,
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {name: dict(one) for name, one in problem.parameters.items()},
        **({"lightsweep": options} if options else {}),
    }


class Ours:
    """A searcher of lightsweep, driven as an agent drives it."""

    def __init__(self, problem: Problem, seed: int, method: str, **options: Any) -> None:
        self._searcher = make_searcher(SweepConfig.load(sweep_file(problem, method, **options)), seed)
        self._known: list[Observation] = []

    def ask(self) -> tuple[int, Values]:
        number = len(self._known)
        values = self._searcher.suggest(number, self._known)
        assert values is not None, "the space has more points than the benchmark has runs"
        self._known.append(Observation(str(number), number, values, RunState.RUNNING))
        return number, values

    def tell(self, number: int, loss: float) -> None:
        values = self._known[number].values
        self._known[number] = Observation(str(number), number, values, RunState.FINISHED, (loss,), version=1)


class Native:
    """An Optuna sampler as its users write it, with ``suggest_categorical`` for the values in a list."""

    def __init__(self, problem: Problem, make: Callable[[], BaseSampler]) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            self._study = optuna.create_study(sampler=make())
        self._space = distributions(SweepConfig.load(sweep_file(problem, "random")))
        self._trials: list[optuna.Trial] = []

    def ask(self) -> tuple[int, Values]:
        self._trials.append(self._study.ask(self._space))
        return len(self._trials) - 1, self._trials[-1].params

    def tell(self, number: int, loss: float) -> None:
        self._study.tell(self._trials[number], loss)


class Engine:
    """A search in an environment of its own: a process that speaks JSON lines."""

    def __init__(self, problem: Searched, seed: int, name: str) -> None:
        if not ENGINES[name].exists():
            raise FileNotFoundError(f"{ENGINES[name]} is missing; make bench-search installs it")
        program = Path(__file__).with_name(f"{name}_engine.py")
        self._process = subprocess.Popen(
            [str(ENGINES[name]), "-W", "ignore", str(program), str(seed)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._config = sweep_file(problem, "bayes")
        self._runs: list[dict[str, Any]] = []
        self.seconds = 0.0

    def ask(self) -> tuple[int, Values]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps({"config": self._config, "runs": self._runs}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        values, self.seconds = answer["values"], self.seconds + answer["seconds"]
        self._runs.append({"config": {name: {"value": one} for name, one in values.items()}, "state": "running"})
        return len(self._runs) - 1, values

    def tell(self, number: int, loss: float) -> None:
        self._runs[number] |= {"state": "finished", "summaryMetrics": {"loss": loss}, "history": [{"loss": loss}]}

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


METHODS: dict[str, Callable[[Problem, int], Method]] = {
    "lightsweep": lambda problem, seed: Ours(problem, seed, "bayes"),
    "random": lambda problem, seed: Ours(problem, seed, "random"),
    "sobol": lambda problem, seed: Ours(problem, seed, "random", sampler="qmc"),
    "optuna-tpe": lambda problem, seed: Native(problem, lambda: TPESampler(seed=seed)),
    "optuna-gp": lambda problem, seed: Native(problem, lambda: GPSampler(seed=seed)),
    "optuna-cmaes": lambda problem, seed: Native(
        problem, lambda: CmaEsSampler(seed=seed, warn_independent_sampling=False)
    ),
    "wandb": lambda problem, seed: Engine(problem, seed, "wandb"),
    "smac": lambda problem, seed: Engine(problem, seed, "smac"),
}
"""Makes each method, for a problem and a seed."""
