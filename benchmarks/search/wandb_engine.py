"""Drives the engine behind W&B's sweeps; runs in the environment of that engine, without anything of ours.

Reads a line of JSON with ``config`` and ``runs`` for each point, and writes a line with the point's parameters and the
seconds of CPU that it took.
"""

import json
import random
import sys
import time

import numpy as np
import sweeps

random.seed(int(sys.argv[1]))
np.random.seed(int(sys.argv[1]))  # the engine draws from numpy's global state
for line in sys.stdin:
    asked = json.loads(line)
    start = time.process_time()
    runs = [sweeps.SweepRun(**run) for run in asked["runs"]]
    found = sweeps.next_run(asked["config"], runs)
    values = {name: one["value"] for name, one in found.config.items()}
    print(json.dumps({"values": values, "seconds": time.process_time() - start}), flush=True)
