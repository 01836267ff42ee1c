"""Rank 0 of several is stopped alone: the agent ends the others, quietly, and what rank 0 still does is done."""

from __future__ import annotations

import time

from sandboxes import Sandbox

RANKS = """
    import atexit, os, subprocess, sys, time
    import lightsweep

    def train(run):
        atexit.register(print, "closed its files")
        try:
            for epoch in range(4):
                run.log({"loss": run.config.x})
        finally:
            print("left the loop")

    if "RANK" not in os.environ:  # the launcher: as torchrun does, it gives each rank a session of its own
        ranks = [
            subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, **rank}, start_new_session=True)
            for rank in ({"RANK": "0", "WORLD_SIZE": "2"}, {"RANK": "1", "WORLD_SIZE": "2"})
        ]
        sys.exit(max(rank.wait() for rank in ranks))
    if os.environ["RANK"] == "1":
        time.sleep(0 if "--x=1" in sys.argv else 70)  # in a collective
        print("rank 1 ends")
        sys.exit()
    with lightsweep.init() as run:
        train(run)
    print("after the block")
"""


def test_the_other_ranks_are_ended_at_once(sandbox: Sandbox) -> None:
    early = {"type": "hyperband", "min_iter": 2}
    sweep = sandbox.sweep(RANKS, early_terminate=early, parameters={"x": {"values": [1, 2]}})
    began = time.monotonic()
    done = sandbox.call("agent", sweep, "--storage", sandbox.storage)
    assert time.monotonic() - began < 55
    assert done.returncode == 0, done.stdout + done.stderr
    assert [(run.state, run.iterations) for run in sandbox.runs(sweep)] == [("finished", 4), ("pruned", 2)]
    first, _, second = done.stdout.partition("run 0002 started")
    assert ("rank 1 ends" in first, "rank 1 ends" in second) == (True, False)
    assert second.index("left the loop") < second.index("closed its files")
    assert second.count("lightsweep: run 0002 stopped early") == 1
    assert "after the block" not in second
    assert "Traceback" not in done.stdout
