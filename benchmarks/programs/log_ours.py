"""A run of a sweep: logs each dict that the benchmark sends, and answers with the seconds that it took."""

import os
import time
from multiprocessing.connection import Client

import lightsweep

with lightsweep.init() as run, Client(os.environ["BENCH_ADDRESS"]) as bench:
    for metrics in iter(bench.recv, None):
        start = time.perf_counter()
        run.log(metrics)
        bench.send(time.perf_counter() - start)
