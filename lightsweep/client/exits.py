"""The end of a script that uses no ``with`` block: its run ends with the process, and a stopped run says so quietly."""

from __future__ import annotations

import atexit
import sys
from types import TracebackType

from lightsweep.client.session import Run
from lightsweep.errors import AgentLostError, RunPruned

__all__ = ["guard"]


def guard(run: Run) -> None:
    """End ``run`` when this process ends.

    An uncaught ``RunPruned`` becomes one line and exit code 0, ``AgentLostError`` one line and exit code 1; anything
    else goes to the hook that was there before.
    """
    before = sys.excepthook

    def at_exception(kind: type[BaseException], raised: BaseException, trace: TracebackType | None) -> None:
        error = run.cause(raised)
        run.close(error)
        if isinstance(error, RunPruned):
            print(f"lightsweep: run {run.id} stopped early: {error.reason}", file=sys.stderr)
            raise SystemExit(0)
        if isinstance(error, AgentLostError):
            print(f"lightsweep: {error}", file=sys.stderr)
            return
        before(kind, raised, trace)

    def at_exit() -> None:
        # where another library has replaced the hook, the interpreter still remembers what was not caught
        run.close(getattr(sys, "last_value", None))

    sys.excepthook = at_exception
    atexit.register(at_exit)
    run.on_end(lambda: atexit.unregister(at_exit))
