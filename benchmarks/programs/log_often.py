"""A run whose loop has a step each millisecond: its seconds, and those of each log, are in a file as JSON.

Arguments: the file, the number of steps, and the number of metrics that each step logs, 0 for a loop without logs.
"""

import json
import sys
import time
from pathlib import Path

import lightsweep

STEP_SECONDS = 0.001
place, steps, metrics = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
spent = []
with lightsweep.init() as run:
    begun = time.perf_counter()
    for step in range(1, steps + 1):
        time.sleep(max(0.0, begun + step * STEP_SECONDS - time.perf_counter()))
        if metrics:
            logged = {"val_loss": 1.0 / step, **{f"other{number}": step / number for number in range(1, metrics)}}
            start = time.perf_counter()
            run.log(logged)
            spent.append(time.perf_counter() - start)
    total = time.perf_counter() - begun
    if not metrics:
        run.log({"val_loss": 1.0})
place.write_text(json.dumps({"total": total, "spent": spent}))
