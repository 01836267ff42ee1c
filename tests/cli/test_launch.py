"""``lightsweep launch`` as a user meets it: settings, refusals, the record, and the file of the storage's URL."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from sandboxes import Sandbox, wait_until

from lightsweep.agents.engines import AgentJob, Engine, Launch, make_engine
from lightsweep.agents.engines.local import LocalEngine
from lightsweep.agents.launches import LAUNCH, URL_FILE, make_launch, recorded
from lightsweep.cli import main
from lightsweep.controller import Sweep
from lightsweep.errors import ConfigError, StorageError, UsageError
from lightsweep.schema import SweepConfig
from lightsweep.schema.launching import SETTINGS_FILE, LaunchSettings, read_settings, seconds
from lightsweep.storage import default_url
from lightsweep.storage.url import FILE_VARIABLE, URL_VARIABLE, read_url, write_url

FILE = """
    program: train.py
    method: grid
    metric: {name: loss}
    parameters: {x: {values: [1, 2]}}
    lightsweep: {launch: {agents: 2, jobs_per_agent: 3}}
    """
TRAIN = """
    import os, lightsweep
    assert not [name for name in os.environ if name.startswith("LIGHTSWEEP_STORAGE")]
    with lightsweep.init() as run:
        run.log({"loss": run.config.x})
    """
SECRET = "postgresql://me:s3cret@db.example/sweeps"


def plan(sandbox: Sandbox, *arguments: str) -> list[str]:
    done = sandbox.ask("launch", *arguments, "--dry-run")
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_options_win_over_the_sweep_file_and_that_over_the_file_beside_it(sandbox: Sandbox) -> None:
    sandbox.write("sweep.yaml", FILE)
    done = sandbox.ask("launch", "sweep.yaml")
    assert done.returncode == 2
    assert "name the engine that runs the agents: --on local" in done.stderr
    sandbox.write(SETTINGS_FILE, "on: local\nagents: 5\nagent_options: --stay --count 3\n")
    commands = plan(sandbox, "sweep.yaml")
    assert len(commands) == 2
    assert commands[0].endswith("-m lightsweep agent ID --jobs 3 --stay --count 3")
    assert len(plan(sandbox, "sweep.yaml", "--agents", "4")) == 4
    assert plan(sandbox, "sweep.yaml", "--agent-options", "")[0].endswith("agent ID --jobs 3")
    said = sandbox.ask("launch", "sweep.yaml", "--dry-run").stderr
    assert said == (
        "dry run: ID is a placeholder; the launch creates the sweep and fills in its id\n"
        "to submit this by hand, create the sweep first: lightsweep sweep sweep.yaml\n"
    )
    assert not list(sandbox.directory.glob("lightsweep*db")), "a dry run creates no sweep"


def test_from_the_file_to_a_finished_sweep_in_one_command(sandbox: Sandbox) -> None:
    sandbox.write("sweep.yaml", FILE)
    sandbox.write("train.py", TRAIN)
    done = sandbox.call("launch", "sweep.yaml", "--on", "local")
    assert done.returncode == 0, done.stderr
    sweep_id = done.stdout.strip()
    assert "submitted 2 agents on local: agent-" in done.stderr
    sweep = Sweep.load(sweep_id, storage=sandbox.storage)
    try:
        wait_until(lambda: sweep.state.name == "finished", "the sweep to finish")
        wait_until(lambda: LocalEngine(sweep_id).jobs() == [], "the agents to end")
    finally:
        for _, process in list(LocalEngine(sweep_id)._processes()):
            process.kill()
    assert [run.state for run in sweep.runs] == ["finished"] * 2
    (kept,) = recorded(Sweep.load(sweep_id, storage=sandbox.storage))
    assert kept["engine"] == "local"
    assert kept["options"] == {"jobs_per_agent": 3}
    assert len(kept["jobs"]) == kept["agents"] == 2
    assert "agents: all that were launched have ended" in sandbox.ask("status", sweep_id).stdout
    assert json.loads(sandbox.ask("status", sweep_id, "--json").stdout)["agents"] == []


def test_an_engine_that_is_not_known_here_is_one_line_of_status(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep()
    sweep = Sweep.load(sweep_id, storage=sandbox.storage)
    study_id = sweep.storage.optuna.get_study_id_from_name(sweep_id)
    sweep.storage.optuna.set_study_user_attr(study_id, f"{LAUNCH}1", {"engine": "moon", "agents": 1})
    assert "agents on moon cannot be listed: no engine 'moon'" in sandbox.ask("status", sweep_id).stdout
    assert (
        "no engine 'moon'" in json.loads(sandbox.ask("status", sweep_id, "--json").stdout)["engines_not_asked"]["moon"]
    )
    done = sandbox.ask("launch", "--stop", sweep_id)
    assert done.returncode == 1
    assert "agents on moon were not asked to end" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--on", "lokal"], "no engine 'lokal'; did you mean 'local'?"),
        (
            ["--on", "local", "--drain", "soon"],
            "--drain must be a duration with d, h, m or s, such as 90s, 10m or 1h30m, got 'soon'",
        ),
        (["--on", "local", "partition"], "'partition' is not expected here; the engine's own options follow --"),
        (
            ["--on", "local", "--gpus-per-run", "1"],
            "--on local takes no --gpus-per-run: it starts agents as plain processes",
        ),
        (["--on", "local", "--agent-options", "'"], "quote it as for a shell"),
        (["--stop", "--agents", "2"], "--stop takes no option but --on and --storage"),
        (["--on", "local", "--nodes-per-run", "2", "--jobs-per-agent", "2"], "one run at a time"),
        (["--on", "local", "--nodes-per-run", "2", "--jobs-per-agent", "1"], "--on local takes no --nodes-per-run"),
        (["--on", "ray", "--storage", "postgresql://db/x", "--drain", "9m"], "a job of Ray has no end that is known"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_no_sweep(
    sandbox: Sandbox,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    sandbox.write("sweep.yaml", FILE)
    monkeypatch.chdir(sandbox.directory)
    assert main(["launch", "sweep.yaml", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not list(sandbox.directory.glob("lightsweep*db"))


def test_faults_of_settings_have_their_place(tmp_path: Path) -> None:
    path = tmp_path / SETTINGS_FILE
    path.write_text("on: slurm\nagent: 2\ndrain: 5 weeks\noptions: {time: 1}\n")
    with pytest.raises(ConfigError) as caught:
        read_settings(path)
    first, second, third = map(str, caught.value.faults)
    assert ":2:1: agent: 'agent' is not a key of lightsweep.launch.yaml; did you mean 'agents'?" in first
    assert ":3:8: drain: drain must be a duration" in second
    assert "options must be a list of texts" in third
    raw = {
        "program": "a.py",
        "method": "grid",
        "parameters": {"x": {"value": 1}},
        "lightsweep": {"launch": {"on": 1.5}},
    }
    assert SweepConfig.load(raw).options.launch.on == "1.5"
    with pytest.raises(ConfigError, match=r"lightsweep\.launch\.agents: agents must be a whole number"):
        SweepConfig.load({**raw, "lightsweep": {"launch": {"agents": 0}}})


def test_durations() -> None:
    assert [seconds(each) for each in ("90s", "10m", "1.5h", "1h30m", "2d", 7)] == [90, 600, 5400, 5400, 172800, 7]


# --- the storage's URL


class FarEngine(Engine):
    """An engine of several hosts."""

    def plan(self, launch: Launch) -> str:
        return ""

    def submit(self, launch: Launch) -> list[str]:
        return []

    def jobs(self) -> list[AgentJob]:
        return []

    def stop(self, job: str) -> None: ...


@pytest.mark.parametrize("url", ["sqlite:///sweeps.db", "sweeps.db"])
def test_sqlite_on_several_hosts_is_refused_with_the_remedy(url: str) -> None:
    far = FarEngine("abc")
    with pytest.raises(
        UsageError, match=r"SQLite serves one host only, and agents on far run on several\n.*storage serve"
    ):
        make_launch(LaunchSettings(on="far"), "abc", url, far)
    assert make_launch(LaunchSettings(on="local"), "abc", url, make_engine("local", "abc"))


def test_a_password_is_in_a_file_and_nowhere_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    launch = make_launch(LaunchSettings(on="far"), "abc", SECRET, FarEngine("abc"))
    file = tmp_path / "lightsweep_runs" / "abc" / URL_FILE
    assert launch.environment() == {FILE_VARIABLE: str(file)}
    assert "s3cret" not in repr(launch)
    open_url = SECRET.replace(":s3cret", "")
    assert make_launch(LaunchSettings(on="far"), "abc", open_url, FarEngine("abc")).environment() == {
        URL_VARIABLE: open_url
    }


def test_the_file_of_the_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / URL_FILE
    before = os.umask(0)
    try:
        write_url(path, SECRET)
    finally:
        os.umask(before)
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]
    monkeypatch.delenv(URL_VARIABLE, raising=False)
    monkeypatch.setenv(FILE_VARIABLE, str(path))
    assert default_url() == SECRET
    monkeypatch.setenv(URL_VARIABLE, "sqlite:///other.db")
    assert default_url() == "sqlite:///other.db"
    path.chmod(0o640)
    with pytest.raises(StorageError, match=r"other users may read .* \(mode 640\).*; run: chmod 600") as caught:
        read_url(path)
    assert "s3cret" not in str(caught.value)
    path.chmod(0o600)
    path.write_text("\n")
    with pytest.raises(StorageError, match="is empty"):
        read_url(path)
    with pytest.raises(StorageError, match="cannot be read: No such file"):
        read_url(tmp_path / "none")
    with pytest.raises(StorageError, match="cannot be written"):
        write_url(tmp_path / "none" / "none", SECRET)
