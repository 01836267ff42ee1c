"""The access to sweeps and runs, in ``public``."""
