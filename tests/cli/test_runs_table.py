"""``lightsweep runs`` and ``lightsweep show``."""

from __future__ import annotations

import json
import re

import pytest
from sandboxes import Sandbox

from lightsweep.cli import main

Capture = pytest.CaptureFixture[str]

TRAIN = """
    import lightsweep
    with lightsweep.init() as run:
        if run.config.x == 4:
            raise ValueError("too large")
        for iteration in range(5 - run.config.x):
            run.log({"loss": (run.config.x - 2) ** 2 + 1 / (1 + iteration), "other": 1})
"""

PARAMETERS = {"x": {"values": [1, 2, 3, 4]}, "fixed": {"value": 7}}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A storage and its sweep: three runs finished, the best is the second, and one failed."""
    sandbox = Sandbox(tmp_path_factory.mktemp("runs"))
    sweep_id = sandbox.sweep(TRAIN, parameters=PARAMETERS)
    sandbox.call("agent", sweep_id, "--storage", sandbox.storage)
    return sweep_id, sandbox.storage


def first_columns(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[1:] if line[:4].isdigit()]


@pytest.mark.parametrize(
    ("options", "order"),
    [
        ([], ["0002", "0001", "0003", "0004"]),
        (["--sort", "number"], ["0001", "0002", "0003", "0004"]),
        (["--sort", "iterations"], ["0001", "0002", "0003", "0004"]),
        (["--top", "1"], ["0002"]),
        (["--state", "failed"], ["0004"]),
        (["--state", "finished", "--sort", "number", "--top", "2"], ["0001", "0002"]),
    ],
)
def test_the_order_and_the_choice(done: tuple[str, str], capsys: Capture, options: list[str], order: list[str]) -> None:
    sweep_id, storage = done
    assert main(["runs", sweep_id, *options, "--storage", storage]) == 0
    assert first_columns(capsys.readouterr().out) == order
    assert main(["runs", sweep_id, *options, "--json", "--storage", storage]) == 0
    assert [run["id"] for run in json.loads(capsys.readouterr().out)] == order


def test_a_row_has_the_value_and_the_parameters(done: tuple[str, str], capsys: Capture) -> None:
    sweep_id, storage = done
    assert main(["runs", sweep_id, "--top", "1", "--storage", storage]) == 0
    heading, row, more, one = capsys.readouterr().out.splitlines()
    assert heading.split() == ["run", "state", "loss", "iterations", "time", "x"]
    assert row.split()[:4] == ["0002", "finished", "0.33333", "3"]
    assert row.split()[-1] == "2"
    assert more == "3 more without --top"
    assert one == f"one of them, with its reason: lightsweep show {sweep_id} 0002 --storage {storage}"


def test_a_failed_run_shows_its_parameters(done: tuple[str, str], capsys: Capture) -> None:
    sweep_id, storage = done
    assert main(["show", sweep_id, "0004", "--storage", storage]) == 0
    shown = capsys.readouterr().out
    assert "failed" in shown
    assert "ValueError: too large" in shown
    assert "x          4" in shown


def test_show_finds_the_best_run(done: tuple[str, str], capsys: Capture) -> None:
    sweep_id, storage = done
    assert main(["show", sweep_id, "best", "--json", "--storage", storage]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["id"], found["config"], found["metrics"]["other"]["last"]) == ("0002", {"x": 2, "fixed": 7}, 1)


def test_a_run_is_known_by_its_number_alone(done: tuple[str, str], capsys: Capture) -> None:
    sweep_id, storage = done
    for words in (["show", sweep_id, "2"], ["status", f"{sweep_id}/2"], ["show", sweep_id, f"{sweep_id}/002"]):
        assert main([*words, "--storage", storage]) == 0
        assert capsys.readouterr().out.startswith(f"run 0002 of sweep {sweep_id}: ")


def test_mistakes(done: tuple[str, str], sandbox: Sandbox, capsys: Capture) -> None:
    sweep_id, storage = done
    assert main(["runs", sweep_id, "--state", "prund", "--storage", storage]) == 2
    assert "no run is 'prund'; did you mean 'pruned'?" in capsys.readouterr().err
    assert main(["show", sweep_id, "9", "--storage", storage]) == 2
    assert re.search(rf"sweep {sweep_id} has no run '9'; its runs are 0001 to 000\d\n", capsys.readouterr().err)
    empty = sandbox.sweep("")
    assert main(["show", empty, "best", "--storage", sandbox.storage]) == 2
    assert "no best run yet" in capsys.readouterr().err
    assert main(["runs", empty, "--storage", sandbox.storage]) == 0
    assert capsys.readouterr().out == f"sweep {empty} has no run yet\n"
