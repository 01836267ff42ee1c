"""The end of a run in processes that torch has started for it: the starter gets an exception that wraps theirs."""

from __future__ import annotations

import sys
from collections.abc import Callable

from lightsweep.errors import AgentLostError, LightsweepError, RunPruned

__all__ = ["cause", "words"]

_ENDS = tuple(f"{kind.__module__}.{kind.__qualname__}: " for kind in (RunPruned, AgentLostError))


def cause(error: BaseException, stopped: Callable[[], str]) -> BaseException:
    """What a training ended by: ``RunPruned`` or ``AgentLostError`` where a process that torch started raised it.

    ``torch.multiprocessing`` (``ddp_spawn``, ``ddp_fork``, ``mp.spawn``) passes on the text of what a process raised,
    or only that it ended; the agent knows whether it had told the run to stop. Any other error is returned as it is.

    Args:
        error: The exception in the process that started the others.
        stopped: Asks the agent why the run was told to stop; empty while it goes on.
    """
    if not _from_child(error):
        return error
    try:
        reason = stopped()
    except AgentLostError as lost:
        return lost
    except LightsweepError:
        return error
    return RunPruned(reason) if reason else error


def words(error: BaseException) -> str:
    """Class and message of an exception; of one that wraps a process's traceback, those at its end."""
    torch = sys.modules.get("torch.multiprocessing")
    if torch is not None and isinstance(error, torch.ProcessRaisedException):
        return f"{_last_line(error)} (in a process that torch started)"
    return f"{type(error).__name__}: {error}"


def _last_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[-1]


def _from_child(error: BaseException) -> bool:
    """Whether a process that torch started may have ended by one of ours; one that was killed leaves no text."""
    torch = sys.modules.get("torch.multiprocessing")
    if torch is None:
        return False
    raised = isinstance(error, torch.ProcessRaisedException) and _last_line(error).startswith(_ENDS)
    return raised or isinstance(error, torch.ProcessExitedException)
