"""The channel between an agent and the processes of its runs: a Unix socket, a secret per run, JSON messages.

Standard library only, since every training process imports it. Only agents import ``channel.server``.
"""

from __future__ import annotations

from lightsweep.channel.connection import Connection
from lightsweep.channel.dispatch import Handler, InProcess, Remote
from lightsweep.channel.frames import ChannelError
from lightsweep.channel.messages import FinishRequest, LogReply, LogRequest, StartReply, StartRequest

__all__ = [
    "ChannelError",
    "Connection",
    "FinishRequest",
    "Handler",
    "InProcess",
    "LogReply",
    "LogRequest",
    "Remote",
    "StartReply",
    "StartRequest",
]
