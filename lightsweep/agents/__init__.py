"""Agents: claim the runs of a sweep, start them, and record how they ended."""

from lightsweep.agents.api import agent, work
from lightsweep.agents.displays.base import Display, LineDisplay, closing
from lightsweep.agents.worker import Agent

__all__ = ["Agent", "Display", "LineDisplay", "agent", "closing", "work"]
