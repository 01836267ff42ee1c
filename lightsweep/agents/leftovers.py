"""What a run's main process leaves behind: data loader workers, daemons, ranks in sessions of their own."""

from __future__ import annotations

import signal
import time

from lightsweep.agents.processes.orphans import group_lives, has_mark, marked, send, send_group

__all__ = ["ask_group", "end_leftovers", "kill_all"]

_LEFTOVER_SECONDS = 2.0
_POLL_SECONDS = 0.02


def ask_group(group: int) -> None:
    """Ask a process group to end."""
    send_group(group, signal.SIGTERM)
    send_group(group, signal.SIGCONT)  # a stopped process takes no SIGTERM


def kill_all(group: int, token: str) -> None:
    """Kill a group, and what was started with the token outside of it."""
    send_group(group, signal.SIGKILL)
    for pid in marked({token} - {""}):
        send(pid, signal.SIGKILL)


def end_leftovers(group: int, token: str, deadline: float | None) -> None:
    """End all that is left of a run whose main process is over.

    Args:
        group: Its process group.
        token: The token that its processes were started with; empty where there is none.
        deadline: When it is killed, in seconds of the monotonic clock, where its group was asked to end before;
            otherwise it is asked now, and has two seconds.
    """
    strays = marked({token} - {""})
    if not strays and not group_lives(group):
        return
    if deadline is None:
        ask_group(group)
        deadline = time.monotonic() + _LEFTOVER_SECONDS
    for pid in strays:  # a launcher that was killed has passed on nothing
        send(pid, signal.SIGTERM)
        send(pid, signal.SIGCONT)
    while (strays or group_lives(group)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
        strays = [pid for pid in strays if has_mark(pid, {token})]
    kill_all(group, token)
    _wait_for_strays(group, token)


def _wait_for_strays(group: int, token: str) -> None:
    """See them gone, since the next attempt may use the same directory and GPU; one may just have started another."""
    patience = time.monotonic() + _LEFTOVER_SECONDS
    while marked({token} - {""}) and time.monotonic() < patience:
        time.sleep(_POLL_SECONDS)
        kill_all(group, token)
