"""A training step for the programs that log: a process that only waited would log from an idle processor."""

import time

import numpy as np

_SECONDS = 0.005
_WEIGHTS = np.random.default_rng(0).random((256, 256), dtype=np.float32)


def train() -> None:
    """Multiply matrices for 5 ms."""
    end = time.perf_counter() + _SECONDS
    while time.perf_counter() < end:
        _WEIGHTS @ _WEIGHTS
