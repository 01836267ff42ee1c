"""``python -m benchmarks [NAME ...] [--small | --whole | --crowds]``: run benchmarks and print their tables.

The exit code is 0 whatever the figures are: they are for people to judge, on the machine that gave them.
"""

from __future__ import annotations

import argparse
import importlib
import time

from benchmarks.machine import described, workplace
from benchmarks.sizes import CROWDS, FULL, SMALL, WHOLE

NAMES = (
    "startup",
    "proposals",
    "reports",
    "turnaround",
    "sweeps",
    "footprint",
    "training",
    "browser",
    "scale",
    "quality",
    "refine",
    "stages",
)
"""Modules of this package with a function ``tables(scale, directory)`` that yields tables, in the order they run."""


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one or more of: {', '.join(NAMES)}; all by default")
    sizes = parser.add_mutually_exclusive_group()
    sizes.add_argument("--small", action="store_true", help="small sizes, to see that everything works")
    sizes.add_argument("--whole", action="store_true", help="scale: 10,000 runs, which takes some minutes more")
    sizes.add_argument(
        "--crowds", action="store_true", help="scale: 256 and 1,000 agents whose runs take time, no others"
    )
    chosen = parser.parse_args()
    unknown = sorted(set(chosen.names) - set(NAMES))
    if unknown:
        parser.error(f"no benchmark {', '.join(map(repr, unknown))}; there are {', '.join(NAMES)}")
    scale = SMALL if chosen.small else WHOLE if chosen.whole else CROWDS if chosen.crowds else FULL
    print(f"{described()}\n")
    for name in chosen.names or NAMES:
        start = time.perf_counter()
        module = importlib.import_module(f"benchmarks.{name}")
        print(f"## {name}\n\n{(module.__doc__ or '').strip()}\n", flush=True)
        with workplace() as directory:
            for table in module.tables(scale, directory):
                print(f"{table}\n", flush=True)
        print(f"({name} took {time.perf_counter() - start:.0f} s)\n", flush=True)


if __name__ == "__main__":
    main()
