"""A run of a sweep: for each dict that it gets it trains a step, logs the dict, and answers with the time that took."""

import os
import time
from multiprocessing.connection import Client

from training_step import train

import lightsweep

with lightsweep.init() as run, Client(os.environ["BENCH_ADDRESS"]) as bench:
    for metrics in iter(bench.recv, None):
        train()
        start = time.perf_counter()
        run.log(metrics)
        bench.send(time.perf_counter() - start)
