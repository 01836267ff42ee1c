"""Search and stopping on real trainings, beside the methods that people use: ``python -m benchmarks.search``."""
