"""The ``lightsweep`` command."""
