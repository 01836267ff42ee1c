"""The names of a run: labels, places, steps, the summary, files."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import numpy as np
import pytest

import lightsweep as wandb
from lightsweep.errors import UsageError


def index(run):
    return json.loads((run.dir / "media" / "index.json").read_text())["files"]


def test_labels_are_those_of_init_else_of_the_environment(monkeypatch):
    with wandb.init() as run:
        assert (run.project, run.tags, run.group, run.job_type, run.notes) == ("lightsweep", (), None, None, None)
    monkeypatch.setenv("WANDB_PROJECT", "p")
    monkeypatch.setenv("WANDB_ENTITY", "me")
    monkeypatch.setenv("WANDB_TAGS", "x,y")
    with wandb.init() as run:
        assert (run.path, run.tags) == (f"me/p/{run.id}", ("x", "y"))
    settings = wandb.Settings(start_method="fork", silent=True)
    with wandb.init(
        project="q", entity="you", tags=["a"], group="g", job_type="fold", notes="n", name="mine", settings=settings
    ) as run:
        assert (run.project, run.entity, run.path) == ("q", "you", f"you/q/{run.id}")
        assert (run.group, run.job_type, run.notes, run.name, run.settings) == ("g", "fold", "n", "mine", settings)
        run.tags += ("b",)
        assert run.tags == ("a", "b")
        run.tags = "single"
        assert run.tags == ("single",)


def test_places():
    with wandb.init() as run:
        assert run.url == run.get_url() == run.project_url == Path(run.dir).as_uri()
        assert run.sweep_url is run.get_sweep_url() is None
        assert abs(run.start_time - time.time()) < 60
        assert (run.disabled, run.offline, run.starting_step) == (False, True, 0)
        assert run.project_name() == run.project
        run.config["new"] = 1
        assert run.config_static == {"new": 1}
        assert type(run.config_static) is dict
        assert run.status().sync_items_pending == 0
        assert (run.display(), run.to_html()) == (False, "")


def test_the_directory_is_a_text_and_a_path():
    with wandb.init() as run:
        assert isinstance(run.dir, str)
        assert run.dir + "/x" == os.path.join(run.dir, "x") == f"{run.dir}/x" == str(run.dir / "x")  # noqa: PTH118
        assert run.dir == Path(run.dir)
        assert Path(run.dir) == run.dir
        assert not Path(run.dir) != run.dir  # noqa: SIM202 - the operator is tested
        assert not run.dir != Path(run.dir)  # noqa: SIM202
        assert run.dir != Path(run.dir, "x")
        assert json.loads(json.dumps({"dir": run.dir})) == {"dir": str(run.dir)}
        (run.dir / "sub").mkdir()
        assert run.dir.joinpath("sub").is_dir()
        assert [path.name for path in run.dir.iterdir()] == ["sub"]
        assert run.dir.exists()
        assert run.dir.rpartition(os.sep)[2] == run.dir.name == Path(run.dir).name
        with pytest.raises(AttributeError):
            _ = run.dir.nothing


def test_steps():
    with wandb.init() as run:
        run.log({"a": 1})
        assert run.step == 1
        run.log({"a": 1}, commit=False)
        run.log({"a": 1})
        assert run.step == 2
        run.log({"a": 1}, step=10)
        assert run.step == 10
        run.log({"a": 1}, step=3)  # W&B's steps only grow
        assert run.step == 10
        run.log({"a": 1})
        assert run.step == 11


def test_what_is_logged_beside_numbers_is_kept_or_ignored():
    with wandb.init() as run:
        run.log(
            {"a": 1, "text": "t", "flag": True, "none": None, "list": [1, 2], "array": np.zeros(3), "object": object()}
        )
        assert run.summary == {"a": 1, "text": "t", "flag": True}
        assert not (run.dir / "media").exists()
        image = wandb.Image(np.zeros((2, 2)))
        run.log({"val": {"images": [image, image], "page": wandb.Html("<p>")}}, step=7)
        assert [(each["name"], each["step"]) for each in index(run)] == [("val.images", 7)] * 2 + [("val.page", 7)]


def test_ranks_above_zero_keep_no_files(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with wandb.init() as run:
        run.log({"image": wandb.Image(np.zeros((2, 2)))})
        run.summary["x"] = 1
        run.alert("late")
        artifact = wandb.Artifact("data", "dataset")
        assert run.log_artifact(artifact) is artifact
    assert not list(Path().rglob("*.json"))


def test_the_summary_is_kept_with_values_of_any_kind():
    with wandb.init() as run:
        run.log({"loss": 0.5})
        run.summary["best"] = np.float32(0.25)
        run.summary.where = {"epoch": 3, "files": ["a", Path("b")]}
        run.summary["where"]["epoch"] = 4
        run.summary.where.more = (1, 2)
        wandb.summary.update({"late": None})
        wandb.run.summary["image"] = wandb.Image(np.zeros((2, 2)))
        assert (run.summary.best, run.summary["loss"], run.summary.get("nothing", 7)) == (0.25, 0.5, 7)
        with pytest.raises(AttributeError, match="the summary has no 'lost'; did you mean 'loss'"):
            _ = run.summary.lost
        home = run.dir
    found = json.loads((home / "summary.json").read_text())
    assert found == {
        "loss": 0.5,
        "best": 0.25,
        "where": {"epoch": 4, "files": ["a", "b"], "more": [1, 2]},
        "late": None,
        "image": {"_type": "image-file", "files": ["image/1_0.png"]},
    }
    assert (home / "media" / "image" / "1_0.png").exists()


def test_define_metric_chooses_what_the_summary_keeps():
    with wandb.init() as run:
        run.define_metric("epoch")
        run.define_metric("acc", summary="max", step_metric="epoch")
        run.define_metric("val/*", summary="min,mean")
        run.define_metric("f1", summary="best", goal="maximize")
        wandb.define_metric("hidden", summary="none")
        for acc, loss in ((0.5, 2.0), (0.9, 1.0), (0.7, 3.0), (float("nan"), 2.0)):
            run.log({"epoch": 1, "acc": acc, "val/loss": loss, "f1": acc, "hidden": 1})
        assert run.summary == {
            "epoch": 1,
            "acc": {"max": 0.9},
            "val/loss": {"min": 1.0, "mean": 2.0},
            "f1": {"best": 0.9},
        }
        assert run.summary["acc"]["max"] == run.summary.acc.max == 0.9
        with pytest.raises(UsageError, match=r"summary is min, max, .*, got 'mx'; did you mean 'max'"):
            run.define_metric("x", summary="mx")
        with pytest.raises(UsageError, match='"best" needs goal="minimize" or "maximize", got None'):
            run.define_metric("x", summary="best")


def test_save_copies_what_matches_now_and_at_the_end(tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("1")
    (tmp_path / "out" / "b.bin").write_text("2")
    with wandb.init() as run:
        assert [Path(each).name for each in wandb.save("out/*.txt")] == ["a.txt"]
        assert (run.dir / "a.txt").read_text() == "1"
        run.save("out/*", base_path=".", policy="now")
        assert (run.dir / "out" / "b.bin").read_text() == "2"
        assert run.save("nothing*") == []
        assert run.save() == []
        (tmp_path / "output.log").write_text("mine")
        assert run.save("output.log") == []
        assert "output.log was not saved: the run has a file of that name" in capsys.readouterr().err
        assert run.save(run.dir / "a.txt")[0] == str(run.dir / "a.txt")
        (tmp_path / "out" / "a.txt").write_text("later")
        home = run.dir
    assert (home / "a.txt").read_text() == "later"
    assert (home / "out" / "a.txt").read_text() == "1"


def test_restore_opens_files_of_this_run_or_of_another():
    home = Path("lightsweep_runs", "sweep", "0007")
    home.mkdir(parents=True)
    (home / "model.txt").write_text("weights")
    with wandb.init() as run:
        (run.dir / "own.txt").write_text("own")
        with run.restore("own.txt") as file:
            assert (file.read(), file.name) == ("own", str(run.dir / "own.txt"))
        with wandb.restore("model.txt", run_path="me/p/0007", root="here") as file:
            assert file.read() == "weights"
        assert Path("here", "model.txt").exists()
        assert run.restore("nothing.txt") is None
        assert run.restore("model.txt", run_path="me/p/0009") is None


def test_log_code_keeps_the_sources_once_for_all_runs(tmp_path):
    for name in ("train.py", "lib/net.py", "data.csv", ".hidden/x.py", "venv/y.py", "lightsweep_runs/z.py"):
        (tmp_path / "code" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "code" / name).write_text(name)
    (tmp_path / "code" / "venv" / "pyvenv.cfg").touch()
    for _ in range(2):
        with wandb.init(project="p") as run:
            kept = run.log_code("code")
            assert kept.name == "source-p:v0"
            assert sorted(kept.manifest.entries) == ["lib/net.py", "train.py"]
    with wandb.init() as run:
        kept = run.log_code("code", name="all", include_fn=lambda _: True, exclude_fn=lambda path: path.endswith(".py"))
        assert sorted(kept.manifest.entries) == ["data.csv"]
        assert run.log_code("code/venv", include_fn=lambda path: path.endswith(".nothing")) is None


def test_alerts_and_lines_for_the_terminal(capsys):
    with wandb.init() as run:
        run.alert(title="loss", text="is NaN", level=wandb.AlertLevel.ERROR)
        wandb.alert("short")
        wandb.termlog("a\nb")
        wandb.termwarn("w", repeat=False)
        wandb.termwarn("w", repeat=False)
        wandb.termerror("e")
    assert capsys.readouterr().err.splitlines() == [
        "lightsweep: alert (ERROR): loss: is NaN",
        "lightsweep: alert (INFO): short",
        "lightsweep: a",
        "lightsweep: b",
        "lightsweep: WARNING w",
        "lightsweep: ERROR e",
    ]
