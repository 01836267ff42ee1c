"""The wire between an agent and the processes that it starts: a Unix socket, a secret per run, JSON messages.

Standard library only, since every training process imports it.
"""

from __future__ import annotations

from lightsweep.channel.connection import Connection, Lifeline
from lightsweep.channel.dispatch import OPERATIONS, Handler, answer
from lightsweep.channel.frames import ENVIRONMENT, ChannelError
from lightsweep.channel.server import ChannelServer

__all__ = ["ENVIRONMENT", "OPERATIONS", "ChannelError", "ChannelServer", "Connection", "Handler", "Lifeline", "answer"]
