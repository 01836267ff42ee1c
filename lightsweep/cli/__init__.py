"""The ``lightsweep`` command: the module of a command is loaded when the command is called."""

from lightsweep.cli.main import main

__all__ = ["main"]
