"""A run that does next to nothing: when it began and when it was about to end, appended to a file."""

import time

start = time.time()

import os  # noqa: E402 - the clock comes first

import lightsweep  # noqa: E402 - see above

with lightsweep.init() as run:
    run.log({"val_loss": 0.05})
with open(os.environ["BENCH_STAMPS"], "a") as stamps:  # noqa: PTH123 - pathlib takes longer to import than this run
    stamps.write(f"{start} {time.time()}\n")
