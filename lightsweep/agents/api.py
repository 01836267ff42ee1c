"""Start an agent from Python or from the command line."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Protocol

from lightsweep.agents.displays.base import Display, GuardedDisplay, LineDisplay, closing
from lightsweep.agents.launchers.call import IMPORTING
from lightsweep.agents.launchers.function import FunctionLauncher, IsolatedLauncher
from lightsweep.agents.launchers.nodes import NodesLauncher
from lightsweep.agents.launchers.process import CommandLauncher, ProcessLauncher
from lightsweep.agents.signals import Interrupts, function_ended
from lightsweep.agents.worker import Agent
from lightsweep.client.processes import rank
from lightsweep.controller import Sweep
from lightsweep.errors import UsageError
from lightsweep.stand_in import standing_in
from lightsweep.storage import Storage


class StoredSweep(Protocol):
    """A sweep and its storage, such as a ``lightsweep.Sweep``."""

    @property
    def id(self) -> str: ...

    @property
    def storage(self) -> Storage: ...


def agent(
    sweep_id: str | StoredSweep,
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
    """Work on a sweep until it is done, and print each event.

    Args:
        sweep_id: The sweep's id, or the sweep.
        function: Called without arguments for each run, one after the other in this thread; its ``init()`` gives the
            run. Without it the sweep's ``program`` or ``command`` is started, one process for each run.
        entity: Accepted and ignored, as is ``project``: the id is enough.
        project: See ``entity``.
        count: Number of runs after which the agent leaves.
        jobs: Number of processes at once; one with ``function``.
        isolate: Call ``function`` in a fresh process for each run, so that memory does not pile up. If it is a function
            of the script itself, the script must guard its work by ``if __name__ == "__main__"``.
        max_consecutive_failed_runs: Number of failed runs in a row after which the agent gives up.
        storage: A storage URL; ``LIGHTSWEEP_STORAGE``, or ``lightsweep.db`` here, by default.

    Raises:
        NotFoundError: No such sweep, or its program does not exist.
        StorageError: The storage cannot be opened.
        UsageError: ``jobs`` with ``function``, a number below 1, ``isolate`` with a function that cannot be passed to
            another process, a script without the guard, or ``function`` in a process whose rank is above 0.
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
            f"this process is rank {me} of a distributed training (by RANK or LOCAL_RANK), and an agent in each rank "
            "would take other runs; give the sweep a `program`, whose process launches the ranks of its run; or call "
            "agent(..., function=..., isolate=True) in one process alone, and let the function fork or spawn its ranks"
        )
    if IMPORTING in os.environ:
        raise UsageError('with isolate=True call lightsweep.agent() below `if __name__ == "__main__":`')
    if isinstance(sweep_id, str):
        sweep = Sweep.load(sweep_id, storage=storage)
    else:
        sweep = Sweep.load(sweep_id.id, storage=sweep_id.storage)
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
    if function is not None and worker.signalled not in (0, signal.SIGINT):
        signal.raise_signal(worker.signalled)  # the runs are given back; now the signal does what it always does


def work(
    sweep: Sweep,
    function: Callable[[], Any] | None = None,
    *,
    isolate: bool = False,
    display: Display,
    forward_signals: bool = False,
    stand_in: str | None = None,
    nodes_per_run: int = 1,
    cold: bool = False,
    **options: Any,
) -> Agent:
    """Run an agent in the calling thread until it leaves, and return it.

    Args:
        sweep: The sweep.
        function: See :func:`agent`.
        isolate: See :func:`agent`.
        display: Shows what happens.
        forward_signals: Pass SIGUSR1, SIGUSR2 and SIGHUP on to the runs.
        stand_in: The package that lightsweep stands in for in the runs; by default as the sweep's config says.
        nodes_per_run: Nodes of this process's Slurm job on which each run is started.
        cold: Start Python anew for each run, whatever the sweep's config says.
        **options: Of :class:`~lightsweep.agents.worker.Agent`.
    """
    stand_in = stand_in or sweep.config.options.stand_in
    if function is not None and not isolate:
        calls = FunctionLauncher(function)
        with standing_in(stand_in):
            worker = Agent(sweep, calls, display=display, **options)
            with function_ended(worker, calls):
                worker.run()
        return worker
    if function is not None:
        launcher: ProcessLauncher = IsolatedLauncher(function, stand_in)
    elif nodes_per_run > 1:
        launcher = NodesLauncher(sweep, nodes_per_run, stand_in)
    else:
        launcher = CommandLauncher(sweep, stand_in)
    if sweep.config.options.warm and not cold and nodes_per_run == 1:
        launcher.warm_up(GuardedDisplay(display).hint)
    worker = Agent(sweep, launcher, display=display, show_output=True, **options)
    interrupts = Interrupts(worker, forward=forward_signals)
    with interrupts.installed():
        worker.run_slots(interrupts.wait)
    return worker
