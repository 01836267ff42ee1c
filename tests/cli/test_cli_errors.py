"""Bad input: one clear message, exit code 2, no traceback, nothing half written."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest
import yaml
from measure import sources
from sandboxes import Sandbox
from typer.main import get_command

import lightsweep
from lightsweep.cli import main
from lightsweep.cli.main import COMMANDS, app, questions
from lightsweep.controller import Sweep

GOOD_FILE = "{program: train.py, method: grid, metric: {name: loss}, parameters: {x: {values: [1, 2]}}}"
Capture = pytest.CaptureFixture[str]


def refused(capsys: Capture, *arguments: str, code: int = 2) -> str:
    assert main(list(arguments)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert "Traceback" not in err
    return err


@pytest.mark.parametrize("command", ["sweep", "run", "check"])
def test_a_file_that_is_no_sweep(sandbox: Sandbox, capsys: Capture, command: str) -> None:
    sandbox.write("sweep.yaml", "method: gird\nparameters: {x: {valuse: [1]}}\n")
    first, second = refused(capsys, command, "sweep.yaml").splitlines()
    assert first.startswith("error: sweep.yaml:1:")
    assert "'grid'" in first
    assert second.startswith("error: sweep.yaml:2:")
    err = refused(capsys, command, "swep.yaml")
    assert err.count("\n") == 1
    assert err.startswith("error: swep.yaml: ")
    assert not (sandbox.directory / "lightsweep.db").exists()


@pytest.mark.parametrize("text", ["method: [grid", "", "\0", "- 1"])
def test_a_file_that_is_no_mapping(sandbox: Sandbox, capsys: Capture, text: str) -> None:
    sandbox.write("sweep.yaml", text)
    assert all(line.startswith("error: sweep.yaml") for line in refused(capsys, "check", "sweep.yaml").splitlines())


@pytest.mark.parametrize("command", ["run", "check"])
def test_a_program_that_does_not_exist_is_refused_with_the_closest_file(
    sandbox: Sandbox, capsys: Capture, command: str
) -> None:
    sandbox.write("train.py", "")
    sandbox.write("sweep.yaml", GOOD_FILE.replace("train.py", "trian.py"))
    assert main([command, "sweep.yaml"]) == 2
    out, err = capsys.readouterr()
    assert err.startswith("error: program 'trian.py' is neither in ")
    assert err.endswith("; did you mean 'train.py'?\n")
    assert ("2 grid points" in out) == (command == "check")
    sandbox.write("sweep.yaml", GOOD_FILE.replace("train.py", "other.sh"))
    assert main([command, "sweep.yaml"]) == 2
    assert "work in the directory that `program` is relative to" in capsys.readouterr().err
    assert not (sandbox.directory / "lightsweep.db").exists()


@pytest.mark.parametrize("command", [["agent"], ["status", "--json"], ["sweep", "--stop"]])
def test_an_unknown_id_names_the_closest(sandbox: Sandbox, capsys: Capture, command: list[str]) -> None:
    sweep_id = sandbox.sweep("")
    near = ("x" if sweep_id[0] != "x" else "y") + sweep_id[1:]
    err = refused(capsys, *command, near)
    assert err.count("\n") == 1
    assert f"no sweep {near!r}" in err
    assert f"did you mean {sweep_id!r}?" in err


@pytest.mark.parametrize("command", [["agent", "abc"], ["ls"], ["sweep", "--stop", "abc"]])
def test_looking_makes_no_storage(sandbox: Sandbox, capsys: Capture, command: list[str]) -> None:
    assert "there is no storage" in refused(capsys, *command)
    assert list(sandbox.directory.iterdir()) == []


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"command": ["no-such-program", "${args}"]}, "cannot start 'no-such-program'"),
        ({"command": ["${interpreter}", "${envvar:NO_SUCH}"]}, "'NO_SUCH' is not set"),
        ({"program": None}, "does not say what to run"),
    ],
)
def test_what_cannot_be_started_claims_no_run(
    sandbox: Sandbox, capsys: Capture, keys: dict[str, object], words: str
) -> None:
    sweep_id = sandbox.sweep("", **keys)
    assert words in refused(capsys, "agent", sweep_id)
    assert sandbox.runs(sweep_id) == []
    config = {"program": "train.py", "method": "grid", "parameters": {"x": {"values": [1]}}, **keys}
    sandbox.write("sweep.yaml", yaml.safe_dump(config))
    assert words in refused(capsys, "run", "sweep.yaml")
    assert [found.id for found in Sweep.all(storage=sandbox.storage)] == [sweep_id]
    assert not (sandbox.directory / "lightsweep_runs").exists()


def test_a_sampler_that_cannot_be_made_stores_no_sweep(sandbox: Sandbox, capsys: Capture) -> None:
    sandbox.write("train.py", "")
    keys = "method: custom\nscheduler: {source: missing.py, optimizer: sampler}\nmetric: {name: loss}"
    sandbox.write("sweep.yaml", f"{keys}\nprogram: train.py\nparameters: {{x: {{values: [1]}}}}\n")
    refused(capsys, "run", "sweep.yaml")
    assert not (sandbox.directory / "lightsweep.db").exists()


@pytest.mark.parametrize("command", [["sweep", "sweep.yaml"], ["run", "sweep.yaml"], ["ls"], ["agent", "abc"]])
def test_a_storage_that_cannot_be_opened(sandbox: Sandbox, capsys: Capture, command: list[str]) -> None:
    sandbox.write("sweep.yaml", GOOD_FILE)
    sandbox.write("train.py", "")
    err = refused(capsys, *command, "--storage", "postgresql+psycopg://me:secret@127.0.0.1:1/x")
    assert err.startswith("error: storage")
    assert "cannot be opened" in err
    assert "secret" not in err
    assert err.count("\n") == 1


def test_a_directory_that_cannot_be_written_to(sandbox: Sandbox, capsys: Capture) -> None:
    sweep_id = sandbox.sweep("")
    sandbox.write("lightsweep_runs", "in the way")
    err = refused(capsys, "agent", sweep_id)
    assert "start the agent in a directory that may be written to" in err
    assert err.count("\n") == 1
    assert sandbox.runs(sweep_id) == []
    sandbox.write("sweep.yaml", GOOD_FILE)
    assert "in a directory that may be written to" in refused(capsys, "run", "sweep.yaml")
    assert [found.id for found in Sweep.all(storage=sandbox.storage)] == [sweep_id]


def test_a_directory_that_vanishes_gives_the_run_back(sandbox: Sandbox, capsys: Capture) -> None:
    sweep_id = sandbox.sweep(
        """
        import lightsweep, pathlib, shutil
        with lightsweep.init() as run:
            run.log({"loss": 1})
        runs = pathlib.Path(f"lightsweep_runs/{run.sweep_id}")
        shutil.rmtree(runs)
        runs.write_text("in the way")
        """
    )
    assert main(["agent", sweep_id]) == 1
    assert "error: the agent cannot go on: " in capsys.readouterr().err
    first, second = sandbox.runs(sweep_id)
    assert first.state == "finished"
    assert second.state == "killed"
    assert second.reason.startswith("the agent failed: ")


@pytest.mark.usefixtures("sandbox")
def test_debug_shows_the_traceback(capsys: Capture) -> None:
    for arguments in (["--debug", "status", "x"], ["status", "x", "--debug"]):
        assert main(arguments) == 2
        err = capsys.readouterr().err
        assert err.startswith("Traceback (most recent call last)")
        assert err.splitlines()[-1].startswith("error: there is no storage")


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (KeyError("x"), 1, "error: KeyError: 'x'\nerror: this is a bug in lightsweep; --debug shows the traceback"),
        (OSError(28, "No space left on device", "a.db"), 1, "error: a.db: No space left on device\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
        (RuntimeError("\x1b[31mred"), 1, "error: RuntimeError:  [31mred\n"),
    ],
)
def test_whatever_is_raised_is_one_message(
    sandbox: Sandbox, capsys: Capture, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, words: str
) -> None:
    sandbox.sweep("")

    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(Sweep, "all", fail)
    assert words in refused(capsys, "ls", code=code)


def test_ctrl_c_while_the_command_is_loaded(sandbox: Sandbox) -> None:
    sandbox.write(
        "interrupted.py",
        """
        import sys
        from lightsweep.__main__ import main

        class Interrupt:
            def find_spec(self, name, path, target=None):
                if name == "typer":
                    raise KeyboardInterrupt

        sys.meta_path.insert(0, Interrupt())
        sys.exit(main())
        """,
    )
    done = subprocess.run(
        [sys.executable, "interrupted.py", "ls"], cwd=sandbox.directory, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_the_command_begins_where_ctrl_c_is_caught() -> None:
    (command,) = [each for each in entry_points(group="console_scripts") if each.name == "lightsweep"]
    assert command.value == "lightsweep.__main__:main"


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys, lightsweep.cli\n"
        "code = lightsweep.cli.main(['--help'])\n"
        "heavy = {'optuna', 'numpy', 'scipy', 'sqlalchemy', 'yaml', 'pydantic', 'rich', 'torch', 'pandas'}\n"
        "heavy &= set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert all(f"\n  {name} " in done.stdout for name in COMMANDS)


def test_the_list_of_commands_says_what_each_command_says() -> None:
    group = get_command(app)
    with group.make_context("lightsweep", ["ls"]) as context:
        helps = {name: group.get_command(context, name).help for name in COMMANDS}  # type: ignore[attr-defined]
    assert {name: text.splitlines()[0] for name, text in helps.items()} == {
        name: text for name, (_, text) in COMMANDS.items()
    }


def test_every_command_has_an_example_and_no_note_for_programmers() -> None:
    group = get_command(app)
    with group.make_context("lightsweep", ["ls"]) as context:
        for name in COMMANDS:
            command: Any = group.get_command(context, name)  # type: ignore[attr-defined]
            for sub in getattr(command, "commands", {"": command}).values():
                with sub.make_context(name, [], resilient_parsing=True) as inner:
                    text = " ".join(sub.get_help(inner).split())
                assert re.search(f"For example: (python train.py .*)?lightsweep {name}", text), name
                if sub is command:
                    assert not re.search(r"<str>|\{|x>=|\[required\]|no-forward", text), text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["view", "x"], "there is no command 'view'; it is called 'report' here"),
        (["statsu"], "there is no command 'statsu'; did you mean 'status'?"),
        (["qqq"], "there is no command 'qqq'; all commands: lightsweep -h"),
        (["best", "x", "--format", "toml"], "'--format': 'toml' is not one of"),
        (["sweep", "x", "--stop", "--pause"], "exclude each other"),
        (["run", "--job", "2", "x"], "there is no option '--job'; did you mean '--jobs'?\nsee: lightsweep run -h\n"),
        (["run", "x", "--jobs"], "error: Option '--jobs' requires an argument.\nsee: lightsweep -h\n"),
        (["--qqq"], "error: there is no option '--qqq'\nsee: lightsweep -h\n"),
        (["storage"], "Usage: lightsweep storage [OPTIONS] COMMAND [ARGS]...\n\n  Start a database"),
        (["run"], "error: CONFIG is missing\nfor example: lightsweep run sweep.yaml"),
        (["logs", "latest"], "error: RUN|AGENT is missing\nfor example: lightsweep logs"),
        (["agent", "x", "--jobs", "0"], "must be 1 or more\nsee: lightsweep agent -h\n"),
        (["agent", "x", "--jobs", "two"], "must be a whole number\nsee: lightsweep agent -h\n"),
        (["status", "x", "--every", "often"], "must be a number\nsee: lightsweep status -h\n"),
        (["report", "x", "--port", "65536"], "must be 65535 or less\nsee: lightsweep report -h\n"),
        (["show", "x", "1", "2", "3"], "error: too many arguments: 2 3\nsee: lightsweep show -h\n"),
        (["run", "k3v9x2ab"], "no such file; to work on a sweep that exists: lightsweep agent k3v9x2ab"),
        (["agent", "sweep.yaml"], "create a sweep from it and run it with: lightsweep run sweep.yaml"),
    ],
)
def test_a_wrong_command_line_is_answered_with_the_right_one(
    sandbox: Sandbox, capsys: Capture, arguments: list[str], words: str
) -> None:
    sandbox.sweep("")
    Path("sweep.yaml").unlink(missing_ok=True)
    assert main(arguments) == 2
    assert words in capsys.readouterr().err


def test_help_is_also_a_command_and_answers_questions(capsys: Capture) -> None:
    for words in (["help", "best"], ["best", "-h"]):
        assert main(words) == 0
        assert capsys.readouterr().out.startswith("Usage: lightsweep best [OPTIONS] ID\n")
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("lightsweep ")
    assert main(["help", "Network"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("SQLite on a network file system\n\nSQLite relies on locks")
    assert "](" not in out
    assert main(["help", "telemetry"]) == 0  # a word of an answer
    assert capsys.readouterr().out.startswith("Does it send anything anywhere\n")
    assert main(["help", "pruned"]) == 0
    assert {"My run was pruned at once", "Nothing was pruned"} <= {*capsys.readouterr().out.splitlines()}
    assert main(["help", "no", "such", "thing"]) == 2
    err = capsys.readouterr().err
    assert err.endswith("error: no question has 'no such thing'; take a word of one of these\n")
    assert all(f"  {question}\n" in err for question in questions())


def test_what_messages_name_has_an_answer() -> None:
    named = {
        words
        for path in sources()
        for words in re.findall(r"lightsweep help ([a-z]+)", path.read_text())
        if words not in COMMANDS
    }
    assert {"pruned", "failures", "logging", "gone", "network"} <= named
    for words in named:
        assert [question for question in questions() if words in question.lower()], words


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colours_are_everywhere_or_nowhere(
    sandbox: Sandbox, capsys: Capture, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], coloured: bool
) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    sandbox.write("train.py", "")
    sandbox.write("sweep.yaml", "program: train.py\nmethod: grid\nparameters: {x: {values: [1]}}\n")
    sweep_id = sandbox.sweep(parameters={"x": {"values": [1]}})

    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": run.config.x})

    lightsweep.agent(sweep_id, function=train, storage=sandbox.storage)
    assert ("\x1b[32mrun 0001 finished" in capsys.readouterr().out) is coloured
    for words in (["status", sweep_id], ["ls"], ["runs", sweep_id], ["-h"], ["best", "-h"], ["check", "sweep.yaml"]):
        assert main(words) == 0
        assert ("\x1b[" in capsys.readouterr().out) is coloured, words
    assert main(["status", "nosuch"]) == 2
    assert ("\x1b[" in capsys.readouterr().err) is coloured
