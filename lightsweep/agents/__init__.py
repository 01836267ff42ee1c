"""Agents: they claim the runs of a sweep, start them, and record how they ended."""

from __future__ import annotations

from lightsweep.agents.closing import closing
from lightsweep.agents.events import Display
from lightsweep.agents.lines import LineDisplay
from lightsweep.agents.pool import Agent
from lightsweep.agents.start import agent, work

__all__ = ["Agent", "Display", "LineDisplay", "agent", "closing", "work"]
