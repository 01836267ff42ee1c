"""The commands that show a sweep: status, best, export, ls, check, schema."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from sandboxes import Sandbox, powerless

import lightsweep
from lightsweep import Sweep
from lightsweep.cli import main
from lightsweep.controller import Sweep as StoredSweep
from lightsweep.controller.claims import RunClaimer

EVIL = "\x1b[31m[bold]x\r\n"
Capture = pytest.CaptureFixture[str]
Show = Callable[..., str]


@pytest.fixture
def show(capsys: Capture) -> Show:
    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(list(arguments)) == 0
        return capsys.readouterr().out

    return run


@pytest.fixture
def done(sandbox: Sandbox) -> Sweep:
    """A sweep with a run of each kind: finished, pruned, failed, killed."""
    sweep = Sweep.create(
        {
            "method": "grid",
            "name": "four ways",
            "metric": {"name": "loss"},
            "early_terminate": {"type": "hyperband", "min_iter": 2},
            "parameters": {
                "x": {"values": [1, 2, 3, 4]},
                "model": {"parameters": {"width": {"value": 8}, "text": {"values": [EVIL]}}},
            },
        },
        storage=sandbox.storage,
    )

    def train() -> None:
        with lightsweep.init() as run:
            x = run.config.x
            run.log({"loss": float(x), "note": float("inf")})
            if x == 3:
                raise ValueError(f"three {EVIL}")
            if x == 4:
                raise KeyboardInterrupt
            run.log({"loss": float("nan") if x == 1 else 2.5})
            run.log({"loss": x / 2})

    lightsweep.agent(sweep, function=train)
    return sweep


def test_the_json_document(sandbox: Sandbox, done: Sweep, show: Show) -> None:
    document = json.loads(show("status", done.id, "--json"))
    assert list(document) == ["id", "name", "state", "reason", "method", "metric", "storage", "runs"]
    runs = document.pop("runs")
    assert document == {
        "id": done.id,
        "name": "four ways",
        "state": "finished",
        "reason": "all 4 points of the grid",
        "method": "grid",
        "metric": {"name": "loss", "goal": "minimize"},
        "storage": "sqlite:///lightsweep.db",
    }
    assert {tuple(run) for run in runs} == {
        ("id", "state", "config", "best", "last", "iterations", "started", "ended", "reason", "unread")
    }
    assert [(run["id"], run["state"]) for run in runs] == [
        ("0001", "finished"),
        ("0002", "pruned"),
        ("0003", "failed"),
        ("0004", "killed"),
    ]
    assert runs[0]["config"] == {"model": {"text": EVIL, "width": 8}, "x": 1}
    assert [run["best"] for run in runs] == [0.5, 2.0, 3.0, 4.0]
    assert [run["iterations"] for run in runs] == [2, 2, 1, 1]
    assert all(run["started"] <= run["ended"] for run in runs)
    assert runs[0]["started"].endswith("+00:00")
    assert runs[3]["reason"] == "interrupted"
    assert json.loads(show("export", done.id, "--format", "json")) == {**document, "runs": runs}


def test_a_sweep_that_has_not_begun(sandbox: Sandbox, show: Show) -> None:
    sweep_id = sandbox.sweep("", metric=None)
    document = json.loads(show("status", sweep_id, "--json"))
    assert (document["state"], document["metric"], document["runs"]) == ("running", None, [])
    assert "no runs yet" in show("status", sweep_id)


def test_parameters_that_json_lacks_are_text_and_values_null(sandbox: Sandbox, show: Show) -> None:
    parameters = {"x": {"values": [float("inf")]}, "y": {"value": [1.5, {"z": -float("inf")}]}, "z": {"values": [1, 2]}}
    sweep_id = sandbox.sweep("", parameters=parameters)

    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": float("nan"), "x": run.config.x})

    lightsweep.agent(sweep_id, function=train, count=1)
    (run,) = json.loads(show("status", sweep_id, "--json"))["runs"]
    assert run["config"] == {"x": "inf", "y": [1.5, {"z": "-inf"}], "z": 1}
    assert (run["best"], run["last"], run["iterations"], run["unread"]) == (None, None, 0, ["z"])
    assert "no run reads 'z', although the sweep varies it\n" in show("status", sweep_id)
    assert show("export", sweep_id).splitlines()[1].startswith("0001,finished,,nan,0,")


def test_the_text(done: Sweep, show: Show) -> None:
    text = show("status", done.id)
    assert text.startswith(f"sweep {done.id} (four ways): finished (all 4 points of the grid)\n")
    assert "best loss 0.5 (run 0001): x=1" in text
    assert "no run reads" not in text  # one value: nothing is varied
    assert all(line.isprintable() for line in text.splitlines())
    rows = [line.split()[:2] for line in text.splitlines() if line.startswith("000")]
    assert rows == [["0001", "finished"], ["0002", "pruned"], ["0003", "failed"], ["0004", "killed"]]
    assert re.search(r"\n      stopped at band 2: 2\.500 > cut-off 0\.5000 \(the (2nd )?best of \d runs\)\n", text)
    assert text.endswith(f"\nwhat it printed: lightsweep logs {done.id} 0004\n")


def test_a_long_reason_is_whole_and_fits_the_terminal(
    sandbox: Sandbox, show: Show, monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep_id = sandbox.sweep("", parameters={"x": {"values": [1]}})

    def train() -> None:
        raise ValueError("long " * 40)

    lightsweep.agent(sweep_id, function=train)
    assert "long " * 39 + "long" in show("status", sweep_id)
    monkeypatch.setattr("lightsweep.cli.status.columns", lambda: 60)
    monkeypatch.setattr("lightsweep.cli.output.columns", lambda: 60)
    reason = [line for line in show("status", sweep_id).splitlines() if "long" in line]
    assert sum(line.count("long") for line in reason) == 40
    assert 40 < max(map(len, reason)) <= 60


def test_the_best_runs_are_shown_first_and_the_failed_ones_apart(sandbox: Sandbox, show: Show) -> None:
    sweep_id = sandbox.sweep("", parameters={"x": {"values": [4, 0, 1, 3, 2]}})

    def train() -> None:
        with lightsweep.init() as run:
            run.log({"loss": run.config.x})
            if run.config.x == 0:
                raise ValueError("better, but without a result")

    lightsweep.agent(sweep_id, function=train)
    text = show("status", sweep_id, "--top", "2")
    assert f"the best 2 of 4 runs; all: lightsweep runs {sweep_id}\n" in text
    assert [line.split()[0] for line in text.splitlines() if line.startswith("000")] == ["0003", "0005", "0002"]
    assert "best loss 1 (run 0003): x=1" in text
    assert yaml.safe_load(show("best", sweep_id)) == {"x": 1}
    assert "loss 1 " in show("ls")


def test_who_works_on_a_sweep_is_seen(sandbox: Sandbox, show: Show, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep_id = sandbox.sweep("")
    assert f"\nwaiting for an agent: lightsweep agent {sweep_id}\n" in show("status", sweep_id)
    assert show("status", sweep_id).startswith(f"sweep {sweep_id}: running, no agent\n")
    sweep = Sweep.load(sweep_id, storage=sandbox.storage)
    RunClaimer(StoredSweep.load(sweep_id, storage=sandbox.storage), "agent").next_run()
    assert show("status", sweep_id).startswith(f"sweep {sweep_id}: running\n")
    monkeypatch.setattr("lightsweep.controller.reader._LATE_SECONDS", -sweep.config.options.lease)
    assert re.search(r"^sweep \w+: running, no sign of life for \d", show("status", sweep_id))
    assert "no sign of life for" in show("ls")
    main(["pause", sweep_id])
    assert f"let it continue with: lightsweep resume {sweep_id}\n" in show("status", sweep_id)


def test_best_in_each_format(done: Sweep, show: Show) -> None:
    config = {"model": {"text": EVIL, "width": 8}, "x": 1}
    assert yaml.safe_load(show("best", done.id)) == config
    assert json.loads(show("best", done.id, "--format", "json")) == config
    assert shlex.split(show("best", done.id, "--format", "args")) == [
        f"--model.text={EVIL}",
        "--model.width=8",
        "--x=1",
    ]


@pytest.mark.parametrize(
    ("keys", "words"), [({"metric": None}, "has no metric"), ({}, "no run has logged a finite 'loss' yet")]
)
def test_no_best_run(sandbox: Sandbox, capsys: Capture, keys: dict[str, Any], words: str) -> None:
    assert main(["best", sandbox.sweep("", **keys)]) == 1
    assert words in capsys.readouterr().err


def test_export_as_a_table(done: Sweep, show: Show) -> None:
    rows = list(csv.DictReader(io.StringIO(show("export", done.id), newline="")))
    assert [row["config.x"] for row in rows] == ["1", "2", "3", "4"]
    assert {row["config.model.text"] for row in rows} == {EVIL.replace("\x1b", "\\x1b").replace("\r", "\\r")}
    assert [float(row["best"]) for row in rows] == [0.5, 2.0, 3.0, 4.0]
    assert rows[0]["last.note"] == "inf"


def test_export_hands_no_formula_and_no_escape_to_whoever_opens_the_table(sandbox: Sandbox, show: Show) -> None:
    def train() -> None:
        run = lightsweep.init()
        run.log({"loss": -float(len(str(run.config.text))), "\x1b[2Jnote": 1.0})

    texts = ["=1+1", "+cmd", "-x", "@sum", "-5", "+1e3", "a\x1b[2Jb"]
    parameters = {"text": {"values": texts}, "=name": {"value": -1}, "list": {"value": ["=1"]}}
    sweep_id = sandbox.sweep("", parameters=parameters)
    lightsweep.agent(sweep_id, function=train)
    text = show("export", sweep_id)
    assert "\x1b" not in text
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["config.text"] for row in rows] == ["'=1+1", "'+cmd", "'-x", "'@sum", "-5", "+1e3", "a\\x1b[2Jb"]
    assert {row["config.=name"] for row in rows} == {"-1"}
    assert {row["config.list"] for row in rows} == {'["=1"]'}
    assert [float(row["best"]) for row in rows] == [-float(len(each)) for each in texts]


def test_ls(sandbox: Sandbox, done: Sweep, show: Show) -> None:
    other = sandbox.sweep("", name=f"evil {EVIL}", metric={"name": f"m{EVIL}"})
    lines = show("ls").splitlines()
    assert lines[0].split() == ["id", "state", "method", "runs", "best", "created", "name", "or", "file"]
    assert lines[2].startswith(f"{done.id}  finished           grid    4/4   loss 0.5  ")
    assert lines[2].endswith("four ways")
    assert lines[1].startswith(f"{other}  running, no agent  grid    0/3   –")
    assert all(line.isprintable() for line in lines)
    new, old = json.loads(show("ls", "--json"))
    assert (new["id"], new["standing"], new["runs"], new["limit"]) == (other, "running, no agent", 0, 3)
    assert (old["state"], old["best"], old["states"]["failed"]) == ("finished", {"run": "0001", "value": 0.5}, 1)


def test_a_storage_that_is_read_only_is_looked_at(done: Sweep, show: Show, capsys: Capture) -> None:
    commands = [("status", done.id), ("ls",), ("best", done.id), ("export", done.id), ("importance", done.id)]
    commands = [*commands, ("refine", done.id), ("status", done.id, "--json")]
    before = [show(*command) for command in commands]
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        copy = Path(directory) / "lightsweep.db"
        with closing(sqlite3.connect("lightsweep.db")) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        url = f"sqlite:///{copy}"
        with powerless(Path(directory)):
            shown = [show(*command, "--storage", url) for command in commands]
            capsys.readouterr()
            assert main(["sweep", done.id, "--stop", "--storage", url]) == 2
            assert "check the permissions of the file and its directory" in capsys.readouterr().err
    assert [
        text.replace(f"{directory}/", "").replace(" --storage sqlite:///lightsweep.db", "") for text in shown
    ] == before


def test_the_state_of_a_sweep(sandbox: Sandbox, capsys: Capture) -> None:
    sweep_id = sandbox.sweep("")
    states = {"pause": "paused", "resume": "running", "stop": "stopped", "cancel": "cancelled"}
    for word, expected in states.items():
        for words in ([word, sweep_id], ["sweep", f"--{word}", sweep_id]):
            assert main(words) == 0
            first, *more = capsys.readouterr().err.splitlines()
            assert first == f"sweep {sweep_id}: {expected}"
            goes_on = f"running runs go on; begin new ones with: lightsweep resume {sweep_id}"
            assert more == ([goes_on] if word == "pause" else [])
            assert Sweep.load(sweep_id, storage=sandbox.storage).state.name == expected
    assert main(["sweep", "--resume", sweep_id]) == 2
    assert "final" in capsys.readouterr().err


def test_a_sweep_is_found_by_the_beginning_of_its_id_or_as_the_latest(
    sandbox: Sandbox, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    letters = iter("twin0001twin0002other003")
    monkeypatch.setattr("lightsweep.controller.sweeps.secrets.choice", lambda _: next(letters))
    monkeypatch.setenv("LIGHTSWEEP_STORAGE", sandbox.storage)
    for _ in range(3):
        Sweep.create({"method": "grid", "parameters": {"x": {"values": [1]}}})
    for name, found in [("oth", "other003"), ("latest", "other003"), ("twin0002", "twin0002")]:
        assert main(["status", name]) == 0
        assert capsys.readouterr().out.startswith(f"sweep {found}: ")
    assert main(["status", "twin"]) == 2
    assert "'twin' is the beginning of several sweeps: twin0001, twin0002" in capsys.readouterr().err
    assert main(["status", ""]) == 2
    assert main(["rm", "oth", "--yes"]) == 2
    assert "rm needs the whole id of a sweep: 'oth' is other003" in capsys.readouterr().err
    assert len(Sweep.all()) == 3


def test_a_shell_completes_commands_and_ids(sandbox: Sandbox) -> None:
    sweep_id = sandbox.sweep("")
    for words, expected in [("lightsweep stat", "status"), ("lightsweep best ", sweep_id)]:
        asked = {"_LIGHTSWEEP_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
        sandbox.environment.update(asked)
        done = sandbox.call()
        assert done.stdout.split() == [expected], done.stderr


@pytest.mark.parametrize("word", ["stop", "cancel"])
def test_an_agent_of_a_sweep_that_is_over_leaves(sandbox: Sandbox, capsys: Capture, word: str) -> None:
    sweep_id = sandbox.sweep("")
    main([word, sweep_id])
    assert main(["agent", sweep_id]) == 0
    assert f"agent of sweep {sweep_id} ended: the sweep is" in capsys.readouterr().out


def test_sweep_prints_the_id_and_how_to_go_on(sandbox: Sandbox, capsys: Capture) -> None:
    sandbox.write(
        "sweep.yaml",
        """
        method: bayes
        metric: {name: loss}
        early_terminate: {type: hyperband, min_iter: 3}
        parameters: {lr: {min: 0.1, max: 1.0}}
        nonsense: 3
        """,
    )
    assert main(["sweep", "sweep.yaml", "--storage", "mine.db"]) == 0
    out, err = capsys.readouterr()
    sweep_id = out.strip()
    assert Sweep.load(sweep_id, storage="mine.db").config.method == "bayes"
    lines = err.splitlines()
    assert lines[0].startswith("warning: sweep.yaml:6:")
    assert lines[1:] == [
        "created a bayes sweep over 1 parameter",
        "bands (iterations of the metric): 3, 9, 27, 81, 243, ...",
        "it never ends by itself: set run_cap, or give agents --count",
        f"start agents with: lightsweep agent {sweep_id} --storage mine.db",
    ]


def test_sweep_and_check_name_the_same_bands(sandbox: Sandbox, capsys: Capture) -> None:
    config = {
        "method": "random",
        "metric": {"name": "loss"},
        "early_terminate": {"type": "hyperband", "max_iter": 2**10, "s": 9, "eta": 2},
        "parameters": {"lr": {"min": 0.1, "max": 1.0}},
    }
    sandbox.write("sweep.yaml", json.dumps(config))
    assert main(["check", "sweep.yaml"]) == 0
    assert "hyperband after 2, 4, 8, 16, 32, ... reports" in capsys.readouterr().out.replace("\n          ", " ")
    assert main(["sweep", "sweep.yaml"]) == 0
    assert "bands (iterations of the metric): 2, 4, 8, 16, 32, ...\n" in capsys.readouterr().err


def test_check_shows_the_file_that_a_command_names(sandbox: Sandbox, show: Show) -> None:
    sandbox.write("train.py", "")
    sandbox.write(
        "sweep.yaml",
        """
        program: train.py
        command: [python, "${program}", "--config=${args_json_file}"]
        method: grid
        parameters: {x: {values: [1, 2]}, model: {parameters: {act: {value: null}}}}
        """,
    )
    text = show("check", "sweep.yaml")
    file = "lightsweep_runs/SWEEP/RUN/parameters.json"
    assert text[text.index("sample commands:") :].splitlines()[1:] == [
        f"  python train.py --config={file}",
        f'    {file}: {{"model": {{"act": null}}, "x": 1}}',
        f"  python train.py --config={file}",
        f'    {file}: {{"model": {{"act": null}}, "x": 2}}',
    ]
    assert {path.name for path in sandbox.directory.iterdir()} == {"sweep.yaml", "train.py"}


def test_check_cuts_nothing_where_its_output_is_kept(sandbox: Sandbox, show: Show) -> None:
    values = [f"value-{number}" for number in range(20)]
    sandbox.write("sweep.yaml", json.dumps({"method": "grid", "parameters": {"x": {"values": values}}}))
    lines = [line.strip().removesuffix("20").strip() for line in show("check", "sweep.yaml").splitlines()]
    assert ", ".join(values) in " ".join(lines)


def test_check_of_a_command_without_parameters_shows_what_init_gives(sandbox: Sandbox, show: Show) -> None:
    raw = {
        "program": "train.py",
        "command": ["python", "${program}", "--epochs=3"],
        "method": "grid",
        "parameters": {"x": {"values": [1, 2, 3, 4]}},
    }
    sandbox.write("train.py", "")
    sandbox.write("sweep.yaml", json.dumps(raw))
    text = show("check", "sweep.yaml")
    assert text.splitlines()[-7:] == [
        "command of every run, without parameters (pass them with ${args}, or read them by init()):",
        "  python train.py --epochs=3",
        "",
        "sample parameters that init() gives the script:",
        "  x=1",
        "  x=2",
        "  x=3",
    ]
    for item in ("${args_json}", "--x=${x}"):
        sandbox.write("sweep.yaml", json.dumps({**raw, "command": ["python", "${program}", item]}))
        assert "init()" not in show("check", "sweep.yaml")


def test_the_schema_is_json(show: Show) -> None:
    assert "method" in json.loads(show("schema"))["properties"]


def test_a_metric_that_is_not_finite_at_the_end_is_said(sandbox: Sandbox, show: Show, capsys: Capture) -> None:
    logged = ["0.5 0.4 0.3 nan nan nan", "nan nan", "1.0 inf", "nan 0.3"]
    sweep_id = sandbox.sweep("", parameters={"values": {"values": logged}})

    def train() -> None:
        with lightsweep.init() as run:
            for value in run.config["values"].split():
                run.log({"loss": float(value)})

    lightsweep.agent(sweep_id, function=train)
    lines = [line for line in capsys.readouterr().out.splitlines() if re.match(r"run \d+ finished", line)]
    reasons = ["NaN since iteration 4 of 6", "NaN since iteration 1 of 2", "inf since iteration 2 of 2", ""]
    assert [run.reason for run in sandbox.runs(sweep_id)] == reasons
    shown = show("status", sweep_id)
    show("report", sweep_id, "-o", "report.html")
    page = Path("report.html").read_text()
    for line, reason in zip(lines, reasons, strict=True):
        assert line.removesuffix(" (new best)").endswith(reason)
        assert reason in shown
        assert reason in page
