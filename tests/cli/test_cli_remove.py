"""``lightsweep rm``: the files of runs, and whole sweeps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sandboxes import Sandbox

from lightsweep.cli.main import main
from lightsweep.storage import open_storage
from lightsweep.storage.copying import copies, mark

TRAIN = """
    import lightsweep
    with lightsweep.init() as run:
        (run.dir / "model.pt").write_text("weights" * 100)
        run.log({"loss": run.config.x})
"""


@pytest.fixture
def sweep(sandbox: Sandbox) -> str:
    made = sandbox.sweep(TRAIN)
    done = sandbox.call("agent", made, "--storage", sandbox.storage)
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def rm(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Call the command in this process; return its exit code and its output."""
    monkeypatch.chdir(sandbox.directory)

    def call(*arguments: str) -> tuple[int, str]:
        code = main(["rm", *arguments, "--storage", sandbox.storage])
        output = capsys.readouterr()
        return code, output.out + output.err

    return call


def home(sandbox: Sandbox, sweep: str) -> Path:
    return sandbox.directory / "lightsweep_runs" / sweep


def test_the_files_of_a_run_are_removed_and_its_row_stays(sandbox: Sandbox, sweep: str, rm) -> None:
    code, said = rm(f"{sweep}/0002", f"{sweep}-0003", "--yes")
    assert code == 0, said
    assert f"runs 0002, 0003 of sweep {sweep}: removes 8 files (" in said
    assert str(home(sandbox, sweep) / "0002") in said
    assert sorted(path.name for path in home(sandbox, sweep).iterdir()) == ["0001"]
    assert [(run.id, run.best) for run in sandbox.runs(sweep)] == [("0001", 1), ("0002", 2), ("0003", 3)]


def test_a_sweep_is_removed_with_its_study_and_no_other_one(sandbox: Sandbox, sweep: str, rm) -> None:
    other = sandbox.sweep()
    code, said = rm(sweep, "--yes")
    assert code == 0, said
    assert f"sweep {sweep}, 3 runs: removes it from sqlite:///" in said
    assert not home(sandbox, sweep).exists()
    assert home(sandbox, sweep).parent.exists()
    assert main(["status", sweep, "--storage", sandbox.storage]) == 2
    assert main(["status", other, "--storage", sandbox.storage]) == 0


def test_without_a_terminal_it_needs_yes_and_removes_nothing(sandbox: Sandbox, sweep: str) -> None:
    done = sandbox.call("rm", sweep, "--storage", sandbox.storage)
    assert done.returncode == 2
    assert done.stderr.endswith("error: nothing was removed: --yes is needed without a terminal to ask on\n")
    assert len(sandbox.runs(sweep)) == 3
    assert len(list(home(sandbox, sweep).iterdir())) == 3


@pytest.mark.parametrize(("answer", "code"), [("y", 0), ("n", 1)])
def test_on_a_terminal_it_asks(sandbox: Sandbox, sweep: str, rm, monkeypatch: pytest.MonkeyPatch, answer, code) -> None:
    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("typer.confirm", lambda *_, **__: answer == "y")
    assert rm(sweep)[0] == code
    assert home(sandbox, sweep).exists() == bool(code)


def test_a_running_run_is_refused_with_what_to_do(sandbox: Sandbox, rm) -> None:
    sweep = sandbox.sweep(
        """
        import time, lightsweep
        with lightsweep.init() as run:
            print("begun", flush=True)
            time.sleep(600)
        """
    )
    agent = sandbox.follow("agent", sweep, "--storage", sandbox.storage)
    agent.until("begun")
    for target in (sweep, f"{sweep}/0001"):
        code, said = rm(target, "--yes")
        assert code == 2
        assert (
            f"error: sweep {sweep}: run 0001 is running; wait for the end, or end all runs with: lightsweep cancel"
            in said
        )
    assert home(sandbox, sweep).exists()
    assert sandbox.ask("sweep", "--cancel", sweep, "--storage", sandbox.storage).returncode == 0
    agent.end()
    assert rm(sweep, "--yes")[0] == 0
    assert not home(sandbox, sweep).exists()


def test_unknown_sweeps_and_runs_are_refused_before_anything_is_removed(sandbox: Sandbox, sweep: str, rm) -> None:
    for target in ("nonesuch", f"{sweep}/0009", f"{sweep}/.."):
        code, said = rm(sweep, target, "--yes") if "/" not in target else rm(f"{sweep}/0001", target, "--yes")
        assert (code, "error: " in said) == (2, True)
    assert len(list(home(sandbox, sweep).iterdir())) == 3


def test_links_are_removed_and_not_followed(sandbox: Sandbox, sweep: str, rm) -> None:
    outside = sandbox.directory / "outside"
    outside.mkdir()
    (outside / "data.pt").touch()
    (home(sandbox, sweep) / "0001" / "link").symlink_to(outside)
    (home(sandbox, sweep) / "linked").symlink_to(outside)
    assert rm(sweep, "--yes")[0] == 0
    assert (outside / "data.pt").exists()


def test_a_storage_cannot_name_a_directory_of_something_else(sandbox: Sandbox, sweep: str, rm) -> None:
    """The storage may be shared, so only directories that are named as those of agents are ever removed."""
    import sqlite3

    precious = sandbox.directory / "precious"
    (precious / "0001").mkdir(parents=True)
    with sqlite3.connect(sandbox.directory / "lightsweep.db") as database:
        key = "lightsweep:attempt"
        rows = database.execute(
            "SELECT trial_user_attribute_id, value_json FROM trial_user_attributes WHERE key = ?", (key,)
        )
        for row, value in rows.fetchall():
            changed = json.dumps({**json.loads(value), "home": str(precious)})
            database.execute(
                "UPDATE trial_user_attributes SET value_json = ? WHERE trial_user_attribute_id = ?", (changed, row)
            )
    assert rm(f"{sweep}/0001", "--yes")[0] == 0
    assert rm(sweep, "--yes")[0] == 0
    assert (precious / "0001").is_dir()


def test_a_sweep_that_was_copied_leaves_its_files_to_the_copy(sandbox: Sandbox, sweep: str, rm) -> None:
    copy = f"sqlite:///{sandbox.directory}/copy.db"
    assert sandbox.ask("storage", "copy", sandbox.storage, copy).returncode == 0
    code, said = rm(f"{sweep}/0001", "--yes")
    assert code == 2
    assert f"sweep {sweep} was copied to {copy}, and the copy uses the files of run 0001\n" in said
    code, said = rm(sweep, "--yes")
    assert code == 0
    assert f"the files of its runs stay, since its copy in {copy} uses them\n" in said
    assert len(list(home(sandbox, sweep).iterdir())) == 3
    assert main(["rm", sweep, "--yes", "--storage", copy]) == 0
    assert not home(sandbox, sweep).exists()


def test_copies_are_noted_once(sandbox: Sandbox, sweep: str) -> None:
    old = open_storage(sandbox.storage)
    for place in ("postgresql://me:***@db/sweeps", "sqlite:////b.db", "sqlite:////b.db"):
        mark(old, sweep, place)
    assert copies(old, old.optuna.get_study_id_from_name(sweep)) == ["postgresql://me:***@db/sweeps", "sqlite:////b.db"]
