"""Agents: claim the runs of a sweep, start them, and record how they ended."""
