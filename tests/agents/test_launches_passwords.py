"""No password where other users of the machine could read it: a database, agents and runs on this machine."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys

import pytest
from others_eyes import seen_by_others
from sandboxes import wait_until
from storage.serving import Serving, open_place

TRAIN = """
import time, lightsweep
with lightsweep.init() as run:
    open("begun", "w").close()
    print("printed", flush=True)
    time.sleep(120)
"""
SWEEP = "{program: train.py, method: grid, metric: {name: loss}, parameters: {x: {values: [1]}}}\n"


def test_a_careless_program_would_be_seen() -> None:
    with open_place() as place:
        secret = secrets.token_hex(12)
        (place / "open.txt").write_text(f"password={secret}")
        (place / "closed.txt").touch(0o600)
        (place / "closed.txt").write_text(secret)
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)", secret])
        try:
            wait_until(lambda: len(seen_by_others(secret, place)) == 2, "both places")
            assert sorted(seen_by_others(secret, place)) == [f"/proc/{process.pid}/cmdline", f"{place}/open.txt"]
        finally:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_no_other_user_can_read_the_password_of_a_served_storage() -> None:
    with open_place() as place:
        server = Serving(place, "--port", "0").ready()
        try:
            (secret,) = re.findall(r":([^:@/]+)@", server.url)
            (place / "train.py").write_text(TRAIN)
            (place / "sweep.yaml").write_text(SWEEP)
            inherited = {name: value for name, value in os.environ.items() if not name.startswith("LIGHTSWEEP")}
            inherited["LIGHTSWEEP_STORAGE_FILE"] = str(server.directory / "url")

            def call(*arguments: str) -> str:
                done = subprocess.run(
                    [sys.executable, "-m", "lightsweep", *arguments],
                    cwd=place, env=inherited, capture_output=True, text=True, check=True, timeout=120,
                )  # fmt: skip
                assert secret not in done.stdout + done.stderr
                return done.stdout

            call("launch", "sweep.yaml", "--on", "local", "--dry-run")
            sweep_id = call("launch", "sweep.yaml", "--on", "local", "--agents", "2").strip()
            wait_until((place / "begun").exists, "a run")
            assert "agents: 2 running" in call("status", sweep_id)
            assert seen_by_others(secret, place) == []
            call("launch", "--stop", sweep_id)
            wait_until(lambda: "have ended" in call("status", sweep_id), "the agents to end")
            call("logs", sweep_id, "0001")
            assert seen_by_others(secret, place) == []
        finally:
            server.end()
