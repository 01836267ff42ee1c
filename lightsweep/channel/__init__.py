"""The channel between an agent and the processes of its runs: a Unix socket, a secret per run, JSON messages.

Standard library only, since every training process imports it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lightsweep.channel.connection import Connection
from lightsweep.channel.dispatch import OPERATIONS, Handler, InProcess, Remote, answer
from lightsweep.channel.frames import ENVIRONMENT, ChannelError
from lightsweep.channel.messages import FinishRequest, LogReply, LogRequest, StartReply, StartRequest

if TYPE_CHECKING:
    from lightsweep.channel.server import ChannelServer

__all__ = [
    "ENVIRONMENT",
    "OPERATIONS",
    "ChannelError",
    "ChannelServer",
    "Connection",
    "FinishRequest",
    "Handler",
    "InProcess",
    "LogReply",
    "LogRequest",
    "Remote",
    "StartReply",
    "StartRequest",
    "answer",
]


def __getattr__(name: str) -> Any:
    if name == "ChannelServer":  # only agents pay for what a server imports
        from lightsweep.channel.server import ChannelServer

        return ChannelServer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
