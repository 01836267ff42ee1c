"""``importance``, ``refine`` and ``best --format python`` on sweeps in a storage, and the methods of ``Sweep``."""

from __future__ import annotations

import ast
import importlib
import io
import json
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

import pytest
import yaml
from sandboxes import Sandbox

import lightsweep
from lightsweep import Sweep, SweepConfig
from lightsweep.cli import main

importlib.import_module("sklearn")  # which sets variables of the environment when it is first imported

EVIL = "</script><img src=x onerror=alert(1)>\x1b[31m"
PARAMETERS: dict[str, Any] = {
    "x": {"min": 0.0, "max": 1.0},
    "mixed": {"values": [1, True, None, "1", [1, 2]]},
    "model": {"parameters": {EVIL: {"values": ["a", "b"]}}},
    "odd": {"value": [float("-inf"), None, True, "é'\"\n", {"d": 1e-300}]},
}
Capture = pytest.CaptureFixture[str]
Train = Callable[[Any], None]


def good(run: Any) -> None:
    run.log({"loss": run.config.x + 0.1 * (run.config.model[EVIL] == "a"), EVIL: 2.0, "time": 1 - run.config.x})


def fail(run: Any) -> None:
    raise ValueError("no luck")


def constant(run: Any) -> None:
    run.log({"loss": 0.5})


def endless(run: Any) -> None:
    run.log({"loss": float("nan"), "time": float("inf")})


def swept(sandbox: Sandbox, train: Train, count: int, **keys: Any) -> Sweep:
    """A sweep whose runs were done in this process."""
    raw = {"method": "random", "metric": {"name": "loss"}, "parameters": PARAMETERS, "lightsweep": {"seed": 1}, **keys}
    sweep = Sweep.create(raw, storage=sandbox.storage)

    def work() -> None:
        with lightsweep.init() as run:
            train(run)

    if count:
        lightsweep.agent(sweep, function=work, count=count)
    return sweep


@pytest.mark.parametrize(
    ("train", "count", "parameters"),
    [
        (good, 1, PARAMETERS),
        (good, 25, PARAMETERS),
        (good, 12, {**PARAMETERS, **{f"p{number}": {"min": 0, "max": 9} for number in range(15)}}),  # more than runs
        (fail, 3, PARAMETERS),
        (constant, 1, {"x": {"value": 3}}),
        (endless, 4, PARAMETERS),
    ],
)
def test_every_command_answers_something_sensible(
    sandbox: Sandbox, capfd: Capture, train: Train, count: int, parameters: dict[str, Any]
) -> None:
    sweep = swept(sandbox, train, count, parameters=parameters)
    valued = count > 0 and train not in (fail, endless)
    capfd.readouterr()

    assert main(["importance", sweep.id]) == 0
    shown = capfd.readouterr()
    assert max(map(len, shown.out.splitlines())) <= 80
    assert shown.out.startswith("importance for loss (minimize): ")
    assert "\x1b" not in shown.out
    doubts = [line for line in shown.out.splitlines() if line.startswith("warning: ")]
    # The script reads x only, which is a doubt of its own.
    assert bool([line for line in doubts if "no run read" not in line]) == (train is not good or count < 25)
    assert shown.err == ""

    assert main(["importance", sweep.id, "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert document["id"] == sweep.id
    assert len(document["parameters"]) == len(sweep.config.space.searched)

    assert main(["refine", sweep.id, "-o", "next.yaml"]) == (0 if valued else 1)
    shown = capfd.readouterr()
    if valued:
        new = SweepConfig.load("next.yaml")
        assert new.method == "bayes"
        assert {each.name for each in new.space.parameters} == {each.name for each in sweep.config.space.parameters}
        assert "lightsweep sweep next.yaml" in shown.err
    else:
        assert shown.err.splitlines()[-1].startswith("error: no run has ended with a finite 'loss'")
        assert not (sandbox.directory / "next.yaml").exists()
    assert shown.out == ""
    assert not list(sandbox.directory.glob(".next*"))

    frame = sweep.dataframe()
    assert len(frame) == count
    assert {f"config.{parameter.name}" for parameter in sweep.config.space.parameters} <= set(frame.columns)
    assert sweep.importance().runs == (count if valued else 0)

    assert main(["best", sweep.id, "--format", "python"]) == (0 if valued else 1)
    out = capfd.readouterr().out
    if valued:
        assert sweep.best_run is not None
        assert ast.literal_eval(out) == sweep.best_run.config


def test_the_table_of_importance(sandbox: Sandbox, capfd: Capture) -> None:
    sweep = swept(sandbox, good, 25)
    capfd.readouterr()
    assert main(["importance", sweep.id]) == 0
    lines = capfd.readouterr().out.splitlines()
    written = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="backslashreplace")
    with redirect_stdout(written):
        assert main(["importance", sweep.id]) == 0
    written.seek(0)
    assert "linear      #############  " in written.read()
    assert lines[0] == "importance for loss (minimize): 25 runs"
    head = next(place for place, line in enumerate(lines) if line.startswith("parameter"))
    assert lines[head].split() == ["parameter", "axis", "importance", "linear", "rank"]
    first = lines[head + 1].split()
    assert first[:3] == ["x", "linear", "█" * 13]
    assert first[-2].startswith("+0.9")
    assert lines[head + 2].split()[0].startswith("model.</script>")
    assert len(lines[head + 2].split("category")[1].split()[0]) <= 13
    assert "warning: no run read 'mixed', so its numbers are chance" in lines
    assert [line.split()[0] for line in lines if "never read" in line] == ["mixed"]
    assert main(["importance", sweep.id, "--metric", "time"]) == 0
    other = capfd.readouterr().out
    assert other.startswith("importance for time: 25 runs")
    assert "-1.00   -1.00" in other
    assert main(["importance", sweep.id, "--at", "2"]) == 0
    assert "left out: 25 runs with fewer than 2 iterations" in capfd.readouterr().out
    assert main(["importance", sweep.id, "--metric", "tme"]) == 2
    assert capfd.readouterr().err.splitlines() == ["error: no run has logged 'tme'; did you mean 'time'?"]
    assert main(["importance", "nothing"]) == 2
    assert main(["refine", "nothing"]) == 2


def test_a_file_that_exists_is_left_alone(sandbox: Sandbox, capfd: Capture) -> None:
    sweep = swept(sandbox, good, 12)
    path = sandbox.write("next.yaml", "mine")
    assert main(["refine", sweep.id, "-o", "next.yaml"]) == 2
    assert "next.yaml exists; give another name, or --force to overwrite it" in capfd.readouterr().err
    assert path.read_text() == "mine"
    assert main(["refine", sweep.id, "-o", "next.yaml", "--force"]) == 0
    written = path.read_text()
    capfd.readouterr()
    assert main(["refine", sweep.id]) == 0
    assert yaml.safe_load(capfd.readouterr().out) == yaml.safe_load(written)
    assert path.stat().st_mode & 0o777 == sandbox.write("other", "").stat().st_mode & 0o777
    assert main(["refine", sweep.id, "--top", "1.5"]) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["-o", "nowhere/next.yaml"],
            "error: cannot write 'next.yaml': the folder 'nowhere' does not exist; ",
        ),
        (["-o", "folder", "--force"], "error: --output is a sweep file, but folder is a folder; write to folder/sweep"),
        (["-o", "folder"], "error: --output is a sweep file, but folder is a folder"),
        (["-o", "lost", "--force"], "error: lost cannot be written: "),
    ],
)
def test_where_a_sweep_file_cannot_go(sandbox: Sandbox, capfd: Capture, arguments: list[str], words: str) -> None:
    sweep = swept(sandbox, good, 3)
    (sandbox.directory / "folder").mkdir()
    (sandbox.directory / "lost").symlink_to("nowhere/next.yaml")
    assert main(["refine", sweep.id, *arguments]) == 2
    err = capfd.readouterr().err
    assert err.startswith(words)
    assert err.count("\n") == 1


def test_the_program_is_found_from_where_the_file_is_written(sandbox: Sandbox) -> None:
    home = sandbox.directory / "sweeps"
    home.mkdir()
    (home / "train.py").write_text("")
    raw = {"program": "train.py", "method": "random", "metric": {"name": "loss"}, "parameters": PARAMETERS}
    (home / "sweep.yaml").write_text(yaml.safe_dump(raw))
    sweep = Sweep.create(home / "sweep.yaml", storage=sandbox.storage)

    def train() -> None:
        with lightsweep.init() as run:
            good(run)

    lightsweep.agent(sweep, function=train, count=2)
    (sandbox.directory / "later").mkdir()
    for name, program in (
        ("sweeps/a.yaml", "train.py"),
        ("b.yaml", "sweeps/train.py"),
        ("later/c.yaml", "../sweeps/train.py"),
    ):
        assert main(["refine", sweep.id, "-o", name]) == 0
        assert SweepConfig.load(name).program == program


def test_the_next_sweep_begins_with_the_old_runs(sandbox: Sandbox) -> None:
    sweep = swept(sandbox, good, 12, run_cap=12)
    assert main(["refine", sweep.id, "-o", "next.yaml"]) == 0
    assert main(["sweep", "next.yaml"]) == 0
    _, later = Sweep.all(storage=sandbox.storage)
    assert {run.id[0] for run in later.runs} == {"p"}
    assert 3 <= len(later.runs) <= 12

    # What is refined once more begins with all of them.
    lightsweep.agent(later, function=good, count=3)
    assert main(["refine", later.id, "-o", "third.yaml"]) == 0
    assert SweepConfig.load("third.yaml").options.prior_runs == (later.id,)
    assert main(["sweep", "third.yaml"]) == 0


def test_a_prior_sweep_that_is_not_in_the_storage(sandbox: Sandbox, capsys: Capture) -> None:
    sweep = swept(sandbox, good, 12, run_cap=12)
    assert main(["refine", sweep.id, "-o", "next.yaml"]) == 0
    assert main(["sweep", "next.yaml", "--storage", "elsewhere.db"]) == 2
    assert f"no sweep '{sweep.id}'" in capsys.readouterr().err
    assert main(["check", "next.yaml"]) == 0
    assert f"begins    with the runs of {sweep.id}" in capsys.readouterr().out


def test_a_missing_package_is_one_message(sandbox: Sandbox, capfd: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = swept(sandbox, good, 12)
    capfd.readouterr()
    for module in [name for name in sys.modules if name.partition(".")[0] in ("sklearn", "pandas")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert main(["importance", sweep.id]) == 2
    error = (
        "error: this needs scikit-learn, which is not installed; install it with: pip install 'lightsweep[analysis]'"
    )
    assert capfd.readouterr().err.splitlines() == [error]
    with pytest.raises(lightsweep.UsageError, match=r"needs pandas.*lightsweep\[analysis\]"):
        sweep.dataframe()
    assert main(["refine", sweep.id, "-o", "next.yaml"]) == 0
