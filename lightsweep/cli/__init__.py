"""The ``lightsweep`` command: one small module per command, loaded when it is called."""

from __future__ import annotations

from lightsweep.cli.main import main

__all__ = ["main"]
