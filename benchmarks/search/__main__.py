"""``python -m benchmarks.search [--full] [--shard K/N] [--tables]``: run the searches that are missing, print tables.

The short form takes some minutes: 20 runs, one seed. The full form takes hours: 100 runs with one worker and 50 with
eight, five seeds; its raw results are committed, so ``--tables`` prints them at once. ``--shard 2/4`` runs each fourth
search, beginning with the second. Ctrl-C loses the search at work only.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from benchmarks.machine import described
from benchmarks.search.driver import RESULTS, Search, read, run
from benchmarks.search.methods import METHODS
from benchmarks.search.problems import PROBLEMS
from benchmarks.search.standings import standings


def searches(chosen: argparse.Namespace) -> Iterator[Search]:
    """The searches of a form, seed by seed, so that any beginning of them is fair to all methods."""
    problems, methods = chosen.problems.split(","), chosen.methods.split(",")
    for seed, workers in product(range(chosen.seeds or (5 if chosen.full else 1)), map(int, chosen.workers.split(","))):
        runs = chosen.runs or ((100 if workers == 1 else 50) if chosen.full else 20)
        for problem, method in product(problems, methods):
            yield Search(problem, method, seed, workers, runs)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search", description=__doc__)
    parser.add_argument("--full", action="store_true", help="the full form, whose results are kept in results/")
    parser.add_argument("--tables", action="store_true", help="run nothing: print the tables of the kept results")
    parser.add_argument("--shard", default="1/1", metavar="K/N", help="run the K-th of N parts")
    parser.add_argument("--methods", default=",".join(METHODS), help="names, separated by commas; all by default")
    parser.add_argument("--problems", default=",".join(PROBLEMS), help="names, separated by commas; all by default")
    parser.add_argument("--workers", default="1,8", help="numbers of workers, separated by commas")
    parser.add_argument("--seeds", type=int, help="the number of seeds, instead of the form's")
    parser.add_argument("--runs", type=int, help="the number of runs of a search, instead of the form's")
    parser.add_argument("--results", type=Path, help="the folder of the results, instead of the form's")
    chosen = parser.parse_args()
    part, parts = map(int, chosen.shard.split("/"))
    mine = [search for number, search in enumerate(searches(chosen)) if number % parts == part - 1]
    print(f"{described()}\n", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        directory = chosen.results or (RESULTS if chosen.full or chosen.tables else Path(scratch))
        for result in run([] if chosen.tables else mine, directory):
            search = result.search
            print(
                f"{search.problem:18} {search.method:13} seed {search.seed}, {search.workers} at once: "
                f"best {min(result.losses):.4g}, {result.seconds:.3f} s a proposal",
                flush=True,
            )
        for table in standings(read(directory)):
            print(f"\n{table}", flush=True)


if __name__ == "__main__":
    main()
