"""``Api()`` on sweeps that real agents have run."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from sandboxes import Sandbox

import lightsweep as wandb
from lightsweep import Sweep
from lightsweep.errors import NotFoundError, UsageError

TRAIN = """
    import lightsweep
    from pathlib import Path
    with lightsweep.init() as run:
        if run.config.x == 3:
            raise ValueError("three is too much")
        for epoch in range(4):
            run.log({"loss": run.config.x / (1 + epoch), "acc": 10 * run.config.x + epoch, "epoch": epoch})
        Path(run.dir, "out").mkdir()
        Path(run.dir, "out", "model.txt").write_text(f"weights of {run.config.x}")
"""
PARAMETERS = {"x": {"values": [1, 2, 3]}, "model": {"parameters": {"hidden": {"value": 64}, "act": {"value": "relu"}}}}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A directory with the storage, and the id of a sweep in it whose agent has ended."""
    sandbox = Sandbox(tmp_path_factory.mktemp("api"))
    sweep_id = sandbox.sweep(TRAIN, name="tiny", project="digits", parameters=PARAMETERS)
    done = sandbox.call("agent", sweep_id)
    assert "run 0002 finished" in done.stdout, done.stderr
    sandbox.close()
    return sandbox.directory, sweep_id


@pytest.fixture
def sweep(done: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The id of that sweep, in its directory."""
    monkeypatch.chdir(done[0])
    monkeypatch.delenv("LIGHTSWEEP_STORAGE", raising=False)
    monkeypatch.delenv("WANDB_ENTITY", raising=False)
    return done[1]


def test_a_sweep_is_found_by_its_id_or_by_a_path(sweep: str) -> None:
    api = wandb.Api()
    for path in (sweep, f"digits/{sweep}", f"me/digits/{sweep}"):
        assert api.sweep(path).id == sweep
    found = api.sweep(sweep)
    assert (found.name, found.project, found.state, found.expected_run_count) == ("tiny", "digits", "FINISHED", 3)
    assert found.path[1:] == ["digits", sweep]
    assert found.config["metric"] == {"name": "loss"}
    assert found.order == "+summary_metrics.loss"
    assert found.url == Path("lightsweep_runs", sweep).absolute().as_uri()
    found.config["metric"]["name"] = "changed"
    assert found.config["metric"] == {"name": "loss"}
    with pytest.raises(NotFoundError, match=r"no sweep 'absent00' in .*; the latest is"):
        api.sweep("me/digits/absent00")


def test_the_runs_and_the_best_of_them(sweep: str) -> None:
    found = wandb.Api().sweep(sweep)
    assert [run.config["x"] for run in found.runs] == [1, 2, 3]
    assert [run.state for run in found.runs] == ["finished", "finished", "failed"]
    assert [run.id for run in found.runs] == [f"{sweep}-0001", f"{sweep}-0002", f"{sweep}-0003"]
    assert len(found.runs) == found.runs.length == 3
    best = found.best_run()
    assert best is not None
    assert (best.config, best.summary["loss"]) == ({"x": 1, "model": {"hidden": 64, "act": "relu"}}, 0.25)
    other = found.best_run(order="-summary_metrics.acc")
    assert other is not None
    assert (other.config["x"], other.summary.get("acc")) == (2, 23)
    assert found.best_run(order="-summary_metrics.nothing") is None


def test_a_run_is_found_by_its_id_or_its_number(sweep: str) -> None:
    api = wandb.Api()
    for path in (f"{sweep}-0002", f"me/digits/{sweep}-0002", f"{sweep}/0002", f"me/digits/{sweep}/0002", "0002"):
        assert api.run(path).id == f"{sweep}-0002"
    with pytest.raises(NotFoundError, match=r"has no run '0022'; did you mean '0002'\?"):
        api.run(f"{sweep}-0022")
    with pytest.raises(NotFoundError, match="no run '9999' in the storage"):
        api.run("9999")


def test_what_a_run_has(sweep: str) -> None:
    run = wandb.Api().run(f"{sweep}-0002")
    assert (run.name, run.display_name, run.project, run.tags) == ("tiny-0002", "tiny-0002", "digits", [])
    assert {name: value for name, value in run.summary._json_dict.items() if not name.startswith("_")} == {
        "loss": 0.5,
        "acc": 23,
        "epoch": 3,
    }
    assert run.summary["_runtime"] > 0
    assert run.summary.acc == 23
    assert run.metadata["program"] == "train.py"
    assert run.created_at.endswith("Z")
    assert run.url == Path("lightsweep_runs", sweep, "0002").absolute().as_uri()
    assert repr(run).endswith(f"/digits/{sweep}-0002 (finished)>")
    failed = wandb.Api().run(f"{sweep}-0003")
    assert "three is too much" in failed.reason
    assert failed.summary.get("loss") is None


def test_the_history_has_every_number(sweep: str, capsys: pytest.CaptureFixture[str]) -> None:
    run = wandb.Api().run(f"{sweep}-0001")
    rows = run.history(pandas=False)
    assert [row["loss"] for row in rows] == [1, 1 / 2, 1 / 3, 1 / 4]
    assert list(rows[0]) == ["_step", "_runtime", "_timestamp", "loss", "acc", "epoch"]
    assert [row["acc"] for row in rows] == [10, 11, 12, 13]
    assert 0 <= rows[0]["_runtime"] <= rows[3]["_runtime"] < 60
    assert list(run.scan_history(keys=["acc"], min_step=1, max_step=3)) == [
        {"_step": 1, "acc": 11},
        {"_step": 2, "acc": 12},
    ]
    assert run.history(samples=2, keys=["loss"], pandas=False) == [{"_step": 0, "loss": 1}, {"_step": 3, "loss": 0.25}]
    assert run.history(samples=1, keys=["loss"], pandas=False, x_axis="epoch") == [{"epoch": 0, "loss": 1}]
    assert run.history(keys=["nothing"], pandas=False) == []
    assert run.history(stream="system", pandas=False) == []
    assert (run.lastHistoryStep, run.summary["_step"]) == (3, 3)
    assert capsys.readouterr().err == ""


def test_without_its_files_a_run_has_the_history_of_the_metric(
    sweep: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lightsweep.wandb.api.read_history", lambda _: [])
    run = wandb.Api().run(f"{sweep}-0001")
    assert run.history(keys=["acc"], pandas=False) == [{"_step": 3, "acc": 13}]
    assert "has no history.jsonl on this machine; of 'acc' the storage has the last value only" in (
        capsys.readouterr().err
    )
    rows = run.history(pandas=False)
    assert rows[0] == {"_step": 0, "loss": 1}
    assert rows[-1] == {"_step": 3, "loss": 0.25, "acc": 13, "epoch": 3}


FOLDS = """
    import lightsweep as wandb
    run = wandb.init(config={"epochs": 2})
    for fold in range(2):
        part = wandb.init(group="cv", job_type="fold", name=f"fold-{fold}", config={"fold": fold}, reinit=True)
        for epoch in range(2):
            part.log({"loss": run.config.x + fold, "acc": epoch})
        part.summary["note"] = "well"
        part.finish()
    run = wandb.init(id=run.id)
    run.log({"loss": run.config.x})
"""


def test_the_parts_of_a_run(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep_id = sandbox.sweep(FOLDS, parameters={"x": {"values": [1, 2]}})
    done = sandbox.call("agent", sweep_id, "--storage", sandbox.storage)
    assert done.returncode == 0, done.stdout + done.stderr
    monkeypatch.setenv("LIGHTSWEEP_STORAGE", sandbox.storage)
    api = wandb.Api()
    sweep = api.sweep(sweep_id)
    assert [run.id for run in sweep.runs] == [f"{sweep_id}-0001", f"{sweep_id}-0002"]
    parts = sweep.runs[1].parts
    assert [part.name for part in parts] == ["fold-0", "fold-1"]
    part = parts[1]
    assert (part.id, part.state, part.group, part.job_type) == (f"{sweep_id}-0002-2", "finished", "cv", "fold")
    assert part.config == {"epochs": 2, "x": 2, "fold": 1}
    assert part.summary == {"loss": 3, "acc": 1, "note": "well"}
    rows = part.history(pandas=False)
    assert [(row["_step"], row["loss"], row["acc"]) for row in rows] == [(0, 3, 0), (1, 3, 1)]
    assert part.history(keys=["acc"], pandas=False)[-1] == {"_step": 1, "acc": 1}
    assert part.run.id == sweep.runs[1].id
    assert part.sweep is None
    assert "run.json" in [file.name for file in part.files()]
    assert repr(part).endswith("(finished)>")
    found = api.runs(filters={"group": "cv", "config.fold": 0}, order="-summary_metrics.loss")
    assert [run.id for run in found] == [f"{sweep_id}-0002-1", f"{sweep_id}-0001-1"]
    assert [run.id for run in api.runs(filters={"sweep": sweep_id})] == [run.id for run in sweep.runs]
    assert len(api.runs()) == 6


def test_the_history_as_a_table(sweep: str) -> None:
    pandas = pytest.importorskip("pandas")
    table = wandb.Api().run(f"{sweep}-0001").history()
    assert isinstance(table, pandas.DataFrame)
    assert list(table["loss"]) == [1, 1 / 2, 1 / 3, 1 / 4]
    assert list(table["acc"]) == [10, 11, 12, 13]
    runs = wandb.Api().sweep(sweep).runs
    assert runs.histories(keys=["loss"]).groupby("run_id")["loss"].min().to_dict() == {
        f"{sweep}-0001": 0.25,
        f"{sweep}-0002": 0.5,
    }


def test_the_files_of_a_run(sweep: str, tmp_path: Path) -> None:
    run = wandb.Api().run(f"{sweep}-0002")
    assert [file.name for file in run.files() if "model" in file.name] == ["out/model.txt"]
    assert "output.log" in {file.name for file in run.files()}
    assert [file.name for file in run.files(names=["out/model.txt"])] == ["out/model.txt"]
    assert [file.name for file in run.files(pattern="%.txt")] == ["out/model.txt"]
    file = run.file("out/model.txt")
    assert (file.size, file.mimetype) == (12, "text/plain")
    with file.download(root=tmp_path) as copy:
        assert copy.read() == "weights of 2"
    assert (tmp_path / "out" / "model.txt").read_text() == "weights of 2"
    with pytest.raises(ValueError, match="exists already; pass replace=True"):
        file.download(root=tmp_path)
    (tmp_path / "out" / "model.txt").write_text("mine")
    with file.download(root=tmp_path, exist_ok=True) as copy:
        assert copy.read() == "mine"
    with file.download(root=tmp_path, replace=True) as copy:
        assert copy.read() == "weights of 2"
    for absent in ("model.text", "../0001/output.log", "/etc/passwd"):
        with pytest.raises(NotFoundError, match="has no file"):
            run.file(absent)


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        (None, [1, 2, 3]),
        ({}, [1, 2, 3]),
        ({"state": "finished"}, [1, 2]),
        ({"config.x": 2}, [2]),
        ({"config.x.value": 2}, [2]),
        ({"config.model.hidden": 64, "config.x": {"$gte": 2}}, [2, 3]),
        ({"config.x": {"$gt": 1, "$lt": 3}}, [2]),
        ({"config.x": {"$in": [1, 3]}}, [1, 3]),
        ({"config.x": {"$nin": [1, 3]}}, [2]),
        ({"config.y": {"$exists": False}, "summary_metrics.loss": {"$exists": True}}, [1, 2]),
        ({"summary_metrics.loss": {"$lt": 0.3}}, [1]),
        ({"$or": [{"config.x": 1}, {"state": "failed"}]}, [1, 3]),
        ({"$and": [{"config.x": {"$ne": 1}}, {"state": {"$ne": "failed"}}]}, [2]),
        ({"$nor": [{"config.x": 1}, {"state": "failed"}]}, [2]),
        ({"display_name": {"$regex": "0003$"}}, [3]),
        ({"config.x": {"$not": {"$gt": 1}}}, [1]),
        ({"config.model.act": {"$gt": 3}}, []),
        ({"tags": "baseline"}, []),
        ({"tags": {"$in": ["baseline"]}}, []),
    ],
)
def test_filters(sweep: str, filters: dict[str, Any] | None, expected: list[int]) -> None:
    assert [run.config["x"] for run in wandb.Api().runs("me/digits", filters)] == expected
    assert [run.config["x"] for run in wandb.Api().runs("me/digits", {"sweep": sweep, **(filters or {})})] == expected


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("-created_at", [3, 2, 1]),
        ("-summary_metrics.loss", [2, 1, 3]),
        ("+summary_metrics.loss", [1, 2, 3]),
        ("config.x", [1, 2, 3]),
        ("-config.x", [3, 2, 1]),
        ("state, -config.x", [3, 2, 1]),
    ],
)
def test_orders(sweep: str, order: str, expected: list[int]) -> None:
    assert [run.config["x"] for run in wandb.Api().runs(order=order)] == expected


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"config.x": {"$gtt": 1}}, r"no operator '\$gtt'; did you mean '\$gt'\?"),
        ({"$xor": []}, r"no operator '\$xor' between keys; it has \$and, \$or and \$nor"),
        ({"colour": "red"}, "runs have no 'colour' to filter or order by; they have config.NAME"),
        ([("state", "finished")], "filters must be a dict"),
    ],
)
def test_filters_that_are_wrong(sweep: str, filters: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        wandb.Api().runs(filters=filters)


def test_a_path_leaves_out_sweeps_of_another_project(sweep: str) -> None:
    assert len(wandb.Api().runs("me/digits")) == len(wandb.Api().runs()) == 3
    assert len(wandb.Api().runs("me/letters")) == 0
    assert [each.id for each in wandb.Api().sweeps("me/digits")] == [sweep]


@pytest.mark.parametrize(
    ("of", "name", "words"),
    [
        ("api", "create_run", "has no 'create_run': start runs by `lightsweep agent ID`"),
        ("api", "report", r"has no 'report'\. It has: artifact, default_entity, flush, "),
        ("run", "delete", "has no 'delete': use `lightsweep rm`"),
        ("run", "update", "has no 'update': change it where it is made"),
        ("run", "sumary", r"has no 'sumary'; did you mean 'summary'\?"),
        ("sweep", "best_runs", r"has no 'best_runs'; did you mean 'best_run'\?"),
        ("file", "delete", "has no 'delete': use `lightsweep rm`"),
    ],
)
def test_a_name_that_is_missing_says_what_to_do(sweep: str, of: str, name: str, words: str) -> None:
    api = wandb.Api()
    run = api.run(f"{sweep}-0001")
    owner = {"api": api, "sweep": run.sweep, "run": run, "file": run.file("output.log")}[of]
    assert not hasattr(owner, name)
    with pytest.raises(AttributeError, match=words):
        getattr(owner, name)


def test_what_the_script_has_kept_of_itself(sweep: str, done: tuple[Path, str]) -> None:
    home = done[0] / "lightsweep_runs" / sweep / "0001"
    (home / "run.json").write_text(
        json.dumps(
            {
                "name": "first",
                "tags": ["baseline"],
                "config": {"seed": 7, "x": 0, "model": {"act": "gelu", "bias": True}},
            }
        )
    )
    (home / "summary.json").write_text(json.dumps({"loss": {"min": 0.25}, "note": "good"}))
    try:
        (run,) = wandb.Api().runs(filters={"tags": "baseline"})
        assert (run.name, run.tags, run.config["seed"], run.config["x"]) == ("first", ["baseline"], 7, 1)
        assert run.config["model"] == {"hidden": 64, "act": "relu", "bias": True}
        assert (run.summary["note"], run.summary["loss"], run.summary["acc"]) == ("good", {"min": 0.25}, 13)
    finally:
        (home / "run.json").unlink()
        (home / "summary.json").unlink()


def test_the_states_are_the_words_of_wandb(sandbox: Sandbox) -> None:
    """A run that was stopped early, one that a user may retry, and a sweep that waits."""
    early = {"type": "hyperband", "min_iter": 1}
    sweep_id = sandbox.sweep(parameters={"x": {"values": [1, 2, 3, 4]}}, early_terminate=early)

    def train() -> None:
        with wandb.init() as run:
            for _ in range(3):
                run.log({"loss": run.config.x})

    wandb.agent(sweep_id, function=train, count=3, storage=sandbox.storage)
    found = wandb.Api().sweep(sweep_id)
    assert (found.state, found.name) == ("RUNNING", sweep_id)
    assert [run.state for run in found.runs] == ["finished", "killed", "killed"]
    assert [str(run.state) for run in Sweep.load(sweep_id).runs] == ["finished", "pruned", "pruned"]
    Sweep.load(sweep_id).cancel()
    assert found.state == "CANCELED"


def test_an_empty_storage_says_so(sandbox: Sandbox) -> None:
    with pytest.raises(NotFoundError):
        wandb.Api().sweep("abcdefgh")


LABELLED = """
    import lightsweep as wandb
    run = wandb.init(config={"seed": 7, "opt": {"name": "adam"}}, tags=["baseline"], group="g", notes="n", name="first")
    run.config.x
    run.config.extra = (1, 2)
    run.tags += ("late",)
    run.log({"loss": run.config.x, "acc": 1})
    run.summary["best_acc"] = 3
    artifact = wandb.Artifact("weights", type="model")
    with artifact.new_file("w.txt") as file:
        file.write("w")
    run.log_artifact(artifact, aliases=["best"])
"""


def test_labels_config_and_artifacts_of_a_real_run(sandbox: Sandbox) -> None:
    parameters = {"x": {"values": [1]}, "unused": {"values": [1, 2]}}
    sweep_id = sandbox.sweep(LABELLED, parameters=parameters, method="random", run_cap=1)
    done = sandbox.call("agent", sweep_id)
    assert "run 0001 finished" in done.stdout, done.stdout
    (run,) = wandb.Api().runs(filters={"tags": {"$in": ["late"]}, "group": "g", "config.opt.name": "adam"})
    assert (run.name, run.notes, run.tags) == ("first", "n", ["baseline", "late"])
    assert (run.config["seed"], run.config["x"], run.config["extra"]) == (7, 1, [1, 2])
    assert (run.summary["best_acc"], run.summary["loss"]) == (3, 1)
    (artifact,) = run.logged_artifacts()
    assert (artifact.name, artifact.type, "best" in artifact.aliases) == ("weights:v0", "model", True)
    assert wandb.Api().artifact("me/digits/weights:best").get_entry("w.txt").size == 1
    (stored,) = Sweep.load(sweep_id).runs
    assert set(stored.unread) == {"unused"}  # keeping the config reads nothing of it


AFTERWARDS = """
    import wandb

    CONFIG = {
        "method": "grid",
        "metric": {"name": "loss", "goal": "minimize"},
        "parameters": {"x": {"values": [3, 1, 2]}},
    }

    def train():
        with wandb.init() as run:
            run.log({"loss": run.config.x})

    sweep_id = wandb.sweep(CONFIG, project="digits")
    wandb.agent(sweep_id, function=train)
    api = wandb.Api(overrides={"entity": "me"})
    sweep = api.sweep(f"me/digits/{sweep_id}")
    best = sweep.best_run()
    print("BEST", best.config, best.summary.get("loss"), best.state, sweep.state, len(sweep.runs))
    from wandb.apis.public import Api
    print("RUNS", sorted(run.config["x"] for run in Api().runs("me/digits", {"state": "finished"})))
"""


def test_a_script_that_sweeps_and_then_reads_the_results(sandbox: Sandbox) -> None:
    """Without a changed line, by the stand-in."""
    sandbox.write("search.py", AFTERWARDS)
    done = sandbox.call("exec", "--stand-in", "wandb", "--", sys.executable, "search.py")
    assert "BEST {'x': 1} 1.0 finished FINISHED 3\n" in done.stdout, done.stdout + done.stderr
    assert "RUNS [1, 2, 3]\n" in done.stdout
