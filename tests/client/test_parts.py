"""Several ``init()`` in one run, as processes and one after the other: the run's value is what the parent logs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lightsweep
from lightsweep.agents.active_run import FirstProcess
from lightsweep.client import serving
from lightsweep.client.history import read_history
from lightsweep.errors import RunPruned
from scripted import ScriptedHandler


def parts(directory: Path) -> list[list[dict]]:
    """The lines of each part of the run in this directory."""
    files = sorted((directory / "parts").glob("*.jsonl"))
    return [[json.loads(line) for line in file.read_text().splitlines()] for file in files]


def logged(part: list[dict]) -> list[dict]:
    return [line["log"] for line in part if "log" in line]


class Scripted(ScriptedHandler):
    """Knows, as an agent does, which process was the first."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.first_process = FirstProcess()

    def start(self, message):
        self.extra["first"] = self.first_process.is_first(message)
        return super().start(message)


def test_folds_one_after_the_other_while_the_parent_is_active():
    handler = ScriptedHandler({"x": 10})
    with serving(handler):
        parent = lightsweep.init(config={"epochs": 2})
        for number in range(3):
            part = lightsweep.init(group="g", name=f"fold-{number}", reinit=True, config={"fold": number, "x": 11})
            assert lightsweep.run is part
            assert (part.config.x, part.config.fold, part.config.epochs) == (11, number, 2)
            assert part.name == f"fold-{number}"
            assert part.dir == parent.dir / "parts" / str(number + 1)
            lightsweep.log({"val_loss": number})
            part.finish()
            assert lightsweep.run is parent
        assert lightsweep.init(id=parent.id, resume="must") is parent
        lightsweep.log({"val_loss": 1})
    assert [log["metrics"] for log in handler.logs] == [{"val_loss": 1.0}]
    assert [logged(part) for part in parts(Path("run-0007"))] == [[{"val_loss": float(n)}] for n in range(3)]


def test_of_folds_without_a_parent_the_last_one_counts(capsys):
    """As with W&B, where each ``init`` of the process is the same run, begun anew."""
    Path("run-0007").mkdir()
    handler = ScriptedHandler()
    with serving(handler):
        for fold in range(3):
            with lightsweep.init(project="p", reinit=True) as run:
                for epoch in range(2):
                    run.log({"val_loss": fold + epoch / 10, "fold": fold})
        assert lightsweep.run is None
        assert len(handler.logs) == 2
    first, last = handler.logs[:2], handler.logs[2:]
    assert [log["metrics"]["fold"] for log in first] == [0, 0]
    assert last == [
        {"metrics": {"val_loss": 2.0, "fold": 2.0}, "last": True, "anew": True},
        {"metrics": {"val_loss": 2.1, "fold": 2.0}, "last": True},
    ]
    assert len(handler.finishes) == 1
    assert [[log["fold"] for log in logged(part)] for part in parts(Path("run-0007"))] == [[1, 1], [2, 2]]
    assert [(row["_step"], row["val_loss"]) for row in read_history(["run-0007"])] == [(0, 2.0), (1, 2.1)]
    assert capsys.readouterr().err == (
        "lightsweep: run 0007 has its metric, so this init() begins a part of it\n"
        "lightsweep: if the script ends without init(id=run.id), the last such part counts, as with W&B\n"
    )


def test_a_part_that_logs_no_metric_or_fails_counts_for_nothing():
    handler = ScriptedHandler()
    with serving(handler):
        lightsweep.init().log({"val_loss": 1})
        lightsweep.finish()
        with lightsweep.init() as part:
            part.log({"test_loss": 3})
    assert [log["metrics"] for log in handler.logs] == [{"val_loss": 1.0}]
    handler = ScriptedHandler()
    with pytest.raises(ValueError, match="no data"), serving(handler):
        lightsweep.init().log({"val_loss": 1})
        lightsweep.finish()
        with lightsweep.init() as part:
            part.log({"val_loss": 0})
            raise ValueError("no data")
    assert [log["metrics"] for log in handler.logs] == [{"val_loss": 1.0}]


@pytest.mark.parametrize("end", ["", "raise ValueError('x')"])
def test_the_last_fold_of_a_script_counts_at_its_end(script, end):
    code = f"""
import lightsweep as wandb
for fold in range(3):
    wandb.init(reinit=True)
    wandb.log({{"val_loss": fold}})
    wandb.finish()
{end}
"""
    handler = Scripted()
    done = script(handler, code)
    assert done.returncode == bool(end), done.stderr
    assert [(log["metrics"], log.get("anew")) for log in handler.logs] == [
        ({"val_loss": 0.0}, None),
        ({"val_loss": 2.0}, True),
    ]


def test_a_run_goes_on_by_its_id_after_its_end():
    handler = ScriptedHandler()
    with serving(handler):
        with lightsweep.init() as run:
            run.log({"val_loss": 2})
        with lightsweep.init(group="g"):
            lightsweep.log({"val_loss": 0})
        with lightsweep.init(id=run.id, resume="must"):
            lightsweep.log({"val_loss": 1})
    assert [log["metrics"] for log in handler.logs] == [{"val_loss": 2.0}, {"val_loss": 1.0}]


def test_a_run_that_ended_without_its_metric_goes_on_by_its_name():
    """Hugging Face's search: it reads the config, ends the run, and begins it again by its name, with a group."""
    handler = ScriptedHandler({"lr": 0.1}, swept=("lr",))
    with serving(handler):
        first = lightsweep.init()
        there = {"__name__": "transformers.integrations.integration_utils", "config": first.config}
        assert eval("vars(config)['_items']", there) == {"lr": 0.1}
        first.finish()
        with lightsweep.init(name=first.name, group="g") as run:
            assert run.id == first.id
            run.log({"val_loss": 1})
        lightsweep.init(name=first.name, group="g").finish()  # it has its metric: a part
    assert [log["metrics"] for log in handler.logs] == [{"val_loss": 1.0}]
    assert [finish["unread"] for finish in handler.finishes] == [[], []]
    assert Path("run-0007", "parts", "1.jsonl").exists()


def test_a_group_alone_changes_nothing_of_the_first_init_nor_of_a_second():
    """Libraries call ``init`` beside the script, with their own labels."""
    handler = ScriptedHandler()
    with serving(handler):
        run = lightsweep.init(group="g", job_type="train", reinit=True)
        assert lightsweep.init(group="g", name="n") is run
        assert lightsweep.init(reinit=True) is run  # no metric yet: such scripts read their config by the first
        run.log({"val_loss": 1})
    assert len(handler.logs) == 1
    assert not Path("run-0007", "parts").exists()


def test_a_stopped_run_stops_its_parts():
    handler = ScriptedHandler(stop_at=1)
    with serving(handler):
        with lightsweep.init() as run:
            run.log({"val_loss": 1})
        part = lightsweep.init(group="g")
        with pytest.raises(RunPruned, match="band 3"):
            part.log({"val_loss": 1})
    assert [finish["state"] for finish in handler.finishes] == ["pruned"]


def test_a_worker_of_a_function_keeps_its_part():
    """The handler of a function is in the agent's process, which a forked child must not touch."""
    import multiprocessing

    def work():
        with lightsweep.init(group="g") as part:
            part.log({"val_loss": 5})

    handler = ScriptedHandler()
    with serving(handler):
        run = lightsweep.init()
        worker = multiprocessing.get_context("fork").Process(target=work)
        worker.start()
        worker.join()
        assert worker.exitcode == 0
        run.log({"val_loss": 1})
    assert len(handler.logs) == 1
    assert [logged(part) for part in parts(Path("run-0007"))] == [[{"val_loss": 5.0}]]


@pytest.mark.parametrize(
    ("method", "how", "code", "state"),
    [
        ("fork", "raise ValueError('no data')", 1, "failed"),
        ("spawn", "wandb.log({'val_loss': 1})", 0, "pruned"),
        ("fork", "with run: wandb.log({'val_loss': 1})", 0, "pruned"),
        ("spawn", "with run: sys.exit(3)", 3, "failed"),
    ],
)
def test_workers_that_wait_do_not_keep_a_parent_from_ending(script, method, how, code, state):
    source = f"""
import multiprocessing, sys
import lightsweep as wandb

def fold(inbox):
    inbox.get()

if __name__ == "__main__":
    context = multiprocessing.get_context("{method}")
    inbox = context.Queue()
    for _ in range(2):
        context.Process(target=fold, args=(inbox,)).start()
    run = wandb.init()
    {how}
"""
    handler = ScriptedHandler(stop_at=1)
    done = script(handler, source, PYTHONWARNINGS="ignore::DeprecationWarning")
    (finish,) = handler.finishes
    assert (done.returncode, finish["state"]) == (code, state)
    if "ValueError" in how:
        assert finish["error"] == "ValueError: no data (train.py:14)"
        assert "ValueError: no data" in done.stderr


def test_a_script_that_leaves_workers_behind_says_that_it_waits_for_them(script):
    """As Python does: it cannot be told from a script whose workers are at work."""
    code = """
import multiprocessing, sys, time
import lightsweep

if __name__ == "__main__":
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(1,), name="fold-1").start()
    lightsweep.init().log({"val_loss": 1})
    sys.exit(4)
"""
    handler = ScriptedHandler()
    done = script(handler, code, PYTHONWARNINGS="ignore::DeprecationWarning")
    assert (done.returncode, [finish["state"] for finish in handler.finishes]) == (4, ["finished"])
    assert "run 0007 has ended, but its process still waits for 1 of its own (fold-1)" in done.stderr
