"""What lightsweep costs, measured beside Optuna's own way in the same run: ``python -m benchmarks [NAME ...]``."""
