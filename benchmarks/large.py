"""``python -m benchmarks.large DIRECTORY RUNS [REPORTS]``: make a sweep of very many runs, for the commands to read.

The sweep is in ``DIRECTORY/lightsweep.db``, in the demo's space; each run reported 27 values unless REPORTS says
otherwise. 100,000 runs take a few minutes and, with 27 reports each, half a gigabyte.
"""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.fixtures import CONTINUOUS, REPORTS, config, sweep_with_runs

__all__ = ["main"]


def main() -> None:
    """Make the sweep and print its id."""
    directory, runs, *rest = sys.argv[1:]
    reports = int(rest[0]) if rest else REPORTS
    raw = {**config("random", CONTINUOUS), "run_cap": int(runs) + 1_000}
    print(sweep_with_runs(Path(directory), raw, int(runs), "lightsweep", reports).id)


if __name__ == "__main__":
    main()
