"""The cost of lightsweep, measured beside Optuna alone in the same run: ``python -m benchmarks [NAME ...]``."""
