"""Agents of one sweep as threads of forked processes, on our side or on Optuna's; what each run took goes into files.

Arguments: a directory for the files, ``ours`` or ``optuna``, the storage's URL, the name of the sweep or study, how
many agents, how many runs (Optuna's side), how many processes, how many seconds a run takes (ours), and within how many
seconds the processes begin, one after the other. During a run an agent looks at the sweep and writes heartbeats as a
real one does.

Agents open the storage before their process makes its file ``ready-N``, and begin when there is a file ``go``. What
they measured is in ``result-N.json``. The processes are forks, so they share the memory of what they import. Threads of
a process take turns a tenth as often as Python's own: each that waits for its turn wakes as often to ask for it, which
with hundreds of agents takes most of the processors' time, and agents of their own do not wait for each other's Python.
"""

from __future__ import annotations

import gc
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from benchmarks.fixtures import CONTINUOUS, METRIC, config, distributions
from lightsweep.agents.heartbeat import Looks, pause
from lightsweep.controller import Outcome, Sweep
from lightsweep.controller.claims import NoRun, RunClaimer
from lightsweep.controller.reports import Reporter, Writer
from lightsweep.errors import StorageUnavailableError
from lightsweep.schema import SweepConfig

_OPENING = 4
"""So many processes open the storage at once: of hundreds many would wait for a connection longer than they may."""

BAND = 3
"""Each run reports so often: the last report is at the first band of the sweep."""

Sample = tuple[int, float, float, float, float, float]
"""Number of the run, when its claim began, and seconds: the claim, a report below the band, the one at it, the end."""


Work = Callable[[list[Sample]], None]
R = TypeVar("R")

unanswered: list[str] = []
"""Why each call failed that the storage did not answer."""

PARENT = os.getpid()
"""The process that forks those of the agents."""


def ours(url: str, name: str, _runs: int, _agents: int, seconds: float) -> Callable[[str], Work]:
    """An agent without processes: what :class:`~lightsweep.agents.worker.Agent` asks of the controller for each run."""

    def opened(agent: str) -> Work:
        sweep = Sweep.load(name, storage=url)
        return lambda samples: work(sweep, agent, samples)

    def work(sweep: Sweep, agent: str, samples: list[Sample]) -> None:
        writer = Writer(sweep.storage)
        claimer, reporter = RunClaimer(sweep, agent), Reporter(sweep, writer)
        at_work: list[int] = []
        over = threading.Event()
        alive = threading.Thread(target=live, args=(sweep, Looks(sweep, lambda: at_work), over))
        if seconds:
            alive.start()
        while True:
            began = time.monotonic()
            run = patient(claimer.next_run)
            if isinstance(run, NoRun):
                break
            waited = time.monotonic()
            at_work[:] = [run.trial_id]
            time.sleep(seconds)
            claimed = time.monotonic()
            for step in range(1, BAND):
                reporter.report(run, {METRIC: 1.0 / step})
            below = time.monotonic()
            reporter.report(run, {METRIC: 1.0 / BAND})
            at_band = time.monotonic()
            assert patient(partial(reporter.finish, run, Outcome("finished")))
            assert run.ticket is not None
            ended = time.monotonic()
            at_work.clear()
            spent = (waited - began, (below - claimed) / (BAND - 1), at_band - below, ended - at_band)
            samples.append((run.ticket, began, *spent))
        over.set()
        if seconds:
            alive.join()
        reporter.close()
        writer.close()
        sweep.storage.close()

    return opened


def patient(act: Callable[[], R]) -> R:
    """Try again if the storage does not answer, as an agent does."""
    while True:
        try:
            return act()
        except StorageUnavailableError as error:  # noqa: PERF203 - a call takes milliseconds
            if os.getppid() != PARENT:  # the benchmark was killed
                os._exit(1)
            unanswered.append(str(error))
            time.sleep(random.uniform(0.5, 1.5))


def live(sweep: Sweep, looks: Looks, over: threading.Event) -> None:
    """Do what the heartbeat of an agent does while runs train."""
    while not over.wait(pause(sweep)):
        patient(looks.refresh)


def plain(url: str, name: str, runs: int, agents: int, _seconds: float) -> Callable[[str], Work]:
    """A worker of Optuna with its defaults and a random sampler; it never asks its pruner."""
    spaces = distributions(SweepConfig.load(config("random", CONTINUOUS)))
    left = iter(range(runs - agents))

    def opened(_agent: str) -> Work:
        study = optuna.load_study(study_name=name, storage=url, sampler=optuna.samplers.RandomSampler())
        return lambda samples: work(study, samples)

    def work(study: optuna.Study, samples: list[Sample]) -> None:
        before = time.monotonic()

        def objective(trial: optuna.Trial) -> float:
            nonlocal before
            if next(left, None) is None:
                study.stop()  # after this one
            for parameter, distribution in spaces.items():
                suggest(trial, parameter, distribution)
            claimed = time.monotonic()
            for step in range(1, BAND + 1):
                trial.report(1.0 / step, step)
            over = time.monotonic()
            each = (over - claimed) / BAND
            # The end of the trial before is a part of the claim: optimize() does not tell them apart.
            samples.append((trial.number, before, claimed - before, each, each, 0.0))
            before = over
            return 1.0 / BAND

        study.optimize(objective)

    return opened


def suggest(trial: optuna.Trial, name: str, distribution: BaseDistribution) -> None:
    """As a script of Optuna's would write it."""
    if isinstance(distribution, FloatDistribution):
        trial.suggest_float(name, distribution.low, distribution.high, log=distribution.log)
    elif isinstance(distribution, IntDistribution):
        trial.suggest_int(name, distribution.low, distribution.high, log=distribution.log)
    elif isinstance(distribution, CategoricalDistribution):
        trial.suggest_categorical(name, distribution.choices)


def memory(key: str) -> float:
    """``VmRSS`` or ``VmHWM`` of this process in MB; 0 where there is no /proc."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith(key)), 0.0)


def main() -> None:
    directory, side, url, name, *counts, seconds, begin = Path(sys.argv[1]), *sys.argv[2:]
    agents, runs, processes = map(int, counts)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sys.setswitchinterval(0.05)
    gc.collect()
    gc.freeze()
    children: list[int] = []
    for number in range(processes):
        while number - len(list(directory.glob("ready-*"))) >= _OPENING:
            if os.waitpid(-1, os.WNOHANG)[0]:
                for child in children:
                    with suppress(ProcessLookupError):
                        os.kill(child, signal.SIGKILL)
                sys.exit("a process failed before all had opened the storage")
            time.sleep(0.02)
        child = os.fork()
        if not child:
            mine, share = (len(range(number, whole, processes)) for whole in (agents, runs))
            opened = {"ours": ours, "optuna": plain}[side](url, name, share, mine, float(seconds))
            crowd(directory, number, opened, mine, float(begin) * number / processes)
            os._exit(0)
        children.append(child)
    failed = [child for child in children if os.waitpid(child, 0)[1]]
    sys.exit(f"{len(failed)} processes failed" if failed else 0)


def crowd(directory: Path, number: int, opened: Callable[[str], Work], agents: int, pause: float) -> None:
    """Let the agents of one process work, after a pause; end the process if one of them fails."""
    bare = memory("VmRSS")
    samples: list[list[Sample]] = [[] for _ in range(agents)]
    open_ones, go = threading.Semaphore(0), threading.Event()

    def live_as(agent: str, kept: list[Sample]) -> None:
        try:
            work = opened(agent)
            open_ones.release()
            go.wait()
            work(kept)
        except BaseException:  # the others would wait for it
            traceback.print_exc()
            os._exit(1)

    threads = [
        threading.Thread(target=live_as, args=(f"{directory.name}:{number}.{agent}", kept))
        for agent, kept in enumerate(samples)
    ]
    for thread in threads:
        thread.start()
    for _ in threads:
        open_ones.acquire()
    (directory / f"ready-{number}").touch()
    while not (directory / "go").exists():
        time.sleep(0.02)
    time.sleep(pause)
    began, processor = time.monotonic(), time.process_time()
    go.set()
    for thread in threads:
        thread.join()
    found = {
        "began": began,
        "ended": time.monotonic(),
        "samples": list(itertools.chain.from_iterable(samples)),
        "bare": bare,
        "peak": memory("VmHWM"),
        "processor": time.process_time() - processor,
        "agents": agents,
        "unanswered": unanswered,
    }
    (directory / f"result-{number}.json").write_text(json.dumps(found))


main()
