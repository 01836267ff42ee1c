"""``lightsweep status --watch``: follow a sweep until it has ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timezone

from rich.console import Console

from lightsweep.agents.displays.events import EventLog
from lightsweep.agents.displays.frame import Frame
from lightsweep.agents.displays.live_view import LiveView
from lightsweep.controller import RunState, Sweep, SweepStatus
from lightsweep.controller.forecast import forecast_text
from lightsweep.controller.summary import part_views, summarize
from lightsweep.errors import StorageUnavailableError


def watch(
    sweep: Sweep,
    console: Console,
    every: float,
    *,
    on_terminal: bool,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
) -> None:
    """Show a sweep until it has ended or the user presses Ctrl-C: on a terminal in place, else one line per update.

    A stopped sweep has ended when all of its runs have ended. While the database does not answer, a message says so.

    Args:
        sweep: The sweep.
        console: Where to show it.
        every: Seconds between two updates.
        on_terminal: Whether the console is a terminal.
        sleep: Waits.
        clock: Tells the time.

    Raises:
        NotFoundError: The sweep was deleted.
    """
    view = LiveView(console, sweep, redirect=False) if on_terminal else None
    log, told = EventLog(sweep), False
    try:
        while True:
            ended = False
            try:
                changed = sweep.refresh()
                silent = sweep.silences()
            except StorageUnavailableError as error:
                line = f"{error}; trying again"
                if view:
                    view.show_beside(line)
            else:
                running = [run for run in sweep.known_runs() if run.state == RunState.RUNNING]
                if view:
                    if told:  # not of all that ended before
                        for entry in sorted(changed, key=lambda entry: entry.record.ended or clock()):
                            if not entry.running and not entry.prior:
                                view.log(log.ended(sweep.view(entry)))
                    frame = view.show(running, clock(), silent=silent)
                else:
                    summary = summarize(sweep)
                    standing = summary.standing(silent)
                    parts, more = part_views(sweep), forecast_text(sweep)
                    frame = Frame(summary, running, clock(), parts, standing=standing, silent=silent, forecast=more)
                    line = frame.line()
                told = True
                state = frame.summary.state.name
                ended = state in (SweepStatus.FINISHED, SweepStatus.CANCELLED)
                ended |= state == SweepStatus.STOPPED and not running
            if not view:
                print(line, file=console.file, flush=True)
            if ended:
                return
            sleep(every)
    except KeyboardInterrupt:
        return
    finally:
        if view:
            view.close(keep=True)
