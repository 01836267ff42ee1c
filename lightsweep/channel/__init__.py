"""The channel between an agent and the processes of its runs: a Unix socket, a secret per run, JSON messages.

Standard library only, since every training process imports it. Only agents import ``channel.server``.
"""

from lightsweep.channel.connection import Connection, InProcess
from lightsweep.channel.messages import FinishRequest, Handler, LogReply, LogRequest, StartReply, StartRequest

__all__ = [
    "Connection",
    "FinishRequest",
    "Handler",
    "InProcess",
    "LogReply",
    "LogRequest",
    "StartReply",
    "StartRequest",
]
