"""Drives the engine behind W&B's sweeps; runs in the environment of that engine, without anything of ours.

Reads a line of JSON with ``config`` and ``runs`` for each point, and writes the point's parameters as a line.
"""

import json
import random
import sys

import numpy as np
import sweeps

random.seed(int(sys.argv[1]))
np.random.seed(int(sys.argv[1]))  # the engine draws from numpy's global state
for line in sys.stdin:
    asked = json.loads(line)
    runs = [sweeps.SweepRun(**run) for run in asked["runs"]]
    found = sweeps.next_run(asked["config"], runs)
    print(json.dumps({name: one["value"] for name, one in found.config.items()}), flush=True)
