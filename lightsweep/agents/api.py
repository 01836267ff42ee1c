"""Start an agent from Python or from the command line."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

from lightsweep.agents.displays.base import Display, LineDisplay, closing
from lightsweep.agents.isolated import IsolatedLauncher
from lightsweep.agents.launchers.process import FunctionLauncher, ProcessLauncher
from lightsweep.agents.signals import Interrupts
from lightsweep.agents.worker import Agent
from lightsweep.client.ranks import rank
from lightsweep.controller import Sweep
from lightsweep.errors import UsageError

__all__ = ["agent", "work"]


def agent(
    sweep_id: str | Sweep,
    function: Callable[[], Any] | None = None,
    entity: str | None = None,
    project: str | None = None,
    count: int | None = None,
    *,
    jobs: int = 1,
    isolate: bool = False,
    max_consecutive_failed_runs: int | None = None,
    storage: str | None = None,
) -> None:
    """Work on a sweep until it is done, and print what happens.

    Args:
        sweep_id: The sweep's id, or the sweep.
        function: Called without arguments for each run, one after the other in this thread; its ``init()`` gives the
            run. Without it the sweep's ``program`` or ``command`` is started, one process for each run.
        entity: Accepted and ignored, as is ``project``: the id is enough.
        project: See ``entity``.
        count: Leave after this number of runs.
        jobs: Number of processes at once; one with ``function``.
        isolate: Call ``function`` in a fresh process for each run, so that memory does not pile up. It must then be
            the function of a module, and a script must guard its work by ``if __name__ == "__main__"``.
        max_consecutive_failed_runs: Leave after this number of failed runs in a row.
        storage: A storage URL; ``LIGHTSWEEP_STORAGE``, or ``lightsweep.db`` here, by default.

    Raises:
        NotFoundError: No such sweep, or its program does not exist.
        StorageError: The storage cannot be opened.
        UsageError: ``jobs`` with ``function``, a number below 1, ``isolate`` with a function that cannot be passed
            to another process, or ``function`` in a process whose rank is above 0: it would claim runs of its own.
    """
    del entity, project
    for name, value in (("count", count), ("jobs", jobs), ("max_consecutive_failed_runs", max_consecutive_failed_runs)):
        if value is not None and value < 1:
            raise UsageError(f"{name} must be 1 or more, not {value}")
    if function is not None and jobs != 1:
        raise UsageError(
            f"a function runs in this process, one run at a time, so jobs={jobs} is not possible; "
            "give the sweep a `program` and leave out `function` to run several at once"
        )
    if function is not None and (me := rank()):
        raise UsageError(
            f"this process is rank {me} of a distributed training (by RANK or LOCAL_RANK), and an agent in it would "
            "take runs of its own; give the sweep a `program`, whose process launches the ranks of its run; or call "
            "agent(..., function=..., isolate=True) in one process alone, and let the function fork or spawn its ranks"
        )
    sweep = sweep_id if isinstance(sweep_id, Sweep) else Sweep.load(sweep_id, storage=storage)
    display = LineDisplay(sys.stdout, sweep)
    worker = work(
        sweep,
        function,
        isolate=isolate,
        display=display,
        count=count,
        jobs=jobs,
        max_consecutive_failed=max_consecutive_failed_runs,
    )
    for line in closing(sweep, worker.left).splitlines():
        display.say(line)


def work(
    sweep: Sweep,
    function: Callable[[], Any] | None = None,
    *,
    isolate: bool = False,
    display: Display,
    forward_signals: bool = False,
    **options: Any,
) -> Agent:
    """Run an agent in the calling thread until it leaves; the agent, to be asked why.

    Args:
        sweep: The sweep.
        function: See :func:`agent`.
        isolate: See :func:`agent`.
        display: Hears what happens.
        forward_signals: Pass SIGUSR1, SIGUSR2 and SIGHUP on to the runs.
        **options: Of :class:`~lightsweep.agents.worker.Agent`.
    """
    if function is not None:
        launcher = IsolatedLauncher(function) if isolate else FunctionLauncher(function)
        worker = Agent(sweep, launcher, display=display, **options)
        worker.run()
        return worker
    worker = Agent(sweep, ProcessLauncher(sweep), display=display, show_output=True, **options)
    if threading.current_thread() is not threading.main_thread():
        worker.run_slots(threading.Thread.join)
        return worker
    interrupts = Interrupts(worker, forward=forward_signals)
    with interrupts.installed():
        worker.run_slots(interrupts.wait)
    return worker
