"""Artifacts: versions, aliases, and later runs that find them."""

from __future__ import annotations

import gc
import json
import shutil
import tempfile
import threading
from pathlib import Path

import numpy as np
import pytest

import lightsweep as wandb
from lightsweep.errors import NotFoundError, UsageError
from lightsweep.wandb.artifacts import find_artifact


def artifact(text: str, name: str = "data", kind: str = "dataset"):
    made = wandb.Artifact(name, kind, description="d", metadata={"rows": 3})
    with made.new_file("part/a.txt") as file:
        file.write(text)
    return made


def test_a_later_run_finds_what_an_earlier_one_has_logged():
    with wandb.init() as run:
        logged = run.log_artifact(artifact("one"), aliases=["best"])
        assert (logged.name, logged.version, logged.aliases) == ("data:v0", "v0", ["latest", "best"])
        assert logged.wait() is logged
        first = run.id
    with wandb.init() as run:
        for name in ("data", "data:latest", "data:v0", "data:best", "me/project/data:latest"):
            found = run.use_artifact(name, type="dataset")
            assert Path(found.download(), "part", "a.txt").read_text() == "one"
            assert (found.name, found.type, found.description, found.metadata) == (
                "data:v0",
                "dataset",
                "d",
                {"rows": 3},
            )
            assert found.logged_by() == first
    assert Path("lightsweep_runs", "local", first, "artifacts", "data-v0", "part", "a.txt").exists()


def test_versions_count_up_and_the_same_content_is_the_same_version():
    with wandb.init() as run:
        assert [run.log_artifact(artifact(text)).version for text in ("a", "b", "b", "a")] == ["v0", "v1", "v1", "v2"]
        run.log_artifact(artifact("a"), aliases=["again"])
        assert run.use_artifact("data:again").version == "v2"
        assert set(run.use_artifact("data").aliases) == {"latest", "again"}


def test_an_alias_belongs_to_the_version_that_got_it_last():
    with wandb.init() as run:
        run.log_artifact(artifact("a"), aliases=["best"])
        run.log_artifact(artifact("b"), aliases=["best"])
        assert run.use_artifact("data:best").version == "v1"
        old = run.use_artifact("data:v0")
        assert old.aliases == []
        old.aliases.append("best")
        old.save()
        assert run.use_artifact("data:best").version == "v0"
        assert run.use_artifact("data:v1").aliases == ["latest"]


def test_an_artifact_whose_run_was_removed_is_named_as_such():
    with wandb.init() as run:
        run.log_artifact(artifact("a"))
        run.log_artifact(artifact("b", "other"))
    shutil.rmtree(run.dir)  # as `lightsweep rm` does
    with wandb.init() as later:
        later.log_artifact(artifact("c", "third"))
        with pytest.raises(
            NotFoundError, match="the files of artifact 'data' were removed with the runs that logged it"
        ):
            later.use_artifact("data")
        with pytest.raises(NotFoundError, match=r"no artifact 'x' .*: third$"):
            later.use_artifact("x")


def test_what_is_not_there_is_named_with_what_there_is():
    with wandb.init() as run:
        with pytest.raises(NotFoundError, match=r"there is no artifact 'data' in .*: none"):
            run.use_artifact("data:latest")
        run.log_artifact(artifact("a"))
        with pytest.raises(NotFoundError, match=r"no artifact 'dta' .*; did you mean 'data'\? .*: data"):
            run.use_artifact("dta")
        with pytest.raises(NotFoundError, match="'data' has no version or alias 'v3'; it has: v0, latest"):
            run.use_artifact("data:v3")
        with pytest.raises(NotFoundError, match="is of type 'dataset', not 'model'"):
            run.use_artifact("data", type="model")
    assert issubclass(NotFoundError, wandb.CommError)


def test_files_folders_references_tables_and_images(tmp_path):
    (tmp_path / "folder" / "deep").mkdir(parents=True)
    (tmp_path / "folder" / "deep" / "b.txt").write_text("b")
    (tmp_path / "big.bin").write_bytes(b"123")
    made = wandb.Artifact("mixed", "dataset")
    made.add_file("big.bin")
    made.add_file("big.bin", name="again/small.bin")
    made.add_dir("folder")
    made.add_dir("folder", name="inside")
    made.add_reference("s3://bucket/key.csv")
    made.add_reference((tmp_path / "big.bin").as_uri(), name="local.bin")
    made.add(wandb.Table(columns=["a"], data=[[1], [2]]), "table")
    made["image"] = wandb.Image(np.zeros((2, 2)))
    (tmp_path / "big.bin").write_bytes(b"changed")  # it was copied when it was added
    with wandb.init() as run:
        found = run.use_artifact(run.log_artifact(made))
        assert found.version == "v0"
        assert {"big.bin", "again/small.bin", "deep/b.txt", "inside/deep/b.txt", "key.csv", "local.bin"} <= set(
            found.manifest.entries
        )
        assert Path(found.get_entry("big.bin").download()).read_bytes() == b"123"
        assert found.get("table").data == [[1], [2]]
        assert Path(found.get("image")).read_bytes().startswith(b"\x89PNG")
        assert found.get("nothing") is None
        copy = Path(found.download(root="copy"))
        assert (copy / "inside" / "deep" / "b.txt").read_text() == "b"
        assert (copy / "local.bin").read_bytes() == b"changed"
        with pytest.raises(NotFoundError, match=r"has no 'big.bi'; did you mean 'big.bin'\?"):
            found.get_entry("big.bi")
        with pytest.raises(UsageError, match="has been logged, so it cannot change"):
            found.add_file("big.bin")
        with pytest.raises(UsageError, match=r"has \d+ files; use download"):
            found.file()


def test_a_reference_that_is_not_on_this_machine_is_named_and_not_fetched(capsys):
    made = wandb.Artifact("far", "dataset")
    made.add_reference("https://example.org/x.csv")
    with wandb.init() as run:
        found = run.log_artifact(made)
        found.download()
        assert (
            "far:v0 has x.csv by reference, which is not fetched: https://example.org/x.csv" in capsys.readouterr().err
        )
        assert found.get_entry("x.csv").ref == "https://example.org/x.csv"


def test_a_path_becomes_an_artifact_and_a_model_is_found_by_its_name(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"weights")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").write_text("{}")
    (tmp_path / "out" / "model.bin").write_text("w")
    with wandb.init() as run:
        assert run.log_artifact("model.pt").name == f"run-{run.id}-model.pt:v0"
        run.log_model("model.pt", name="net", aliases=["best"])
        run.log_model("out", name="folder")
        assert Path(run.use_model("net:best")).read_bytes() == b"weights"
        assert sorted(path.name for path in Path(wandb.use_model("folder")).iterdir()) == ["config.json", "model.bin"]
        linked = run.link_model("model.pt", "registered", name="other")
        assert Path(run.use_model("registered")).name == "model.pt"
        assert linked.name == "other:v0"
        run.link_artifact(run.use_artifact("net"), "me/registry/second", aliases=["production"])
        assert run.use_artifact("second:production").file() == run.use_artifact("net").file()
        run.log_artifact(artifact("a"))
        with pytest.raises(UsageError, match="is of type 'dataset', not 'model'"):
            run.use_model("data")


def test_an_artifact_without_a_run_is_saved_in_the_current_directory():
    made = artifact("alone")
    made.save()
    assert find_artifact("data:v0", [Path("lightsweep_runs").absolute()]).digest == made.digest
    made.delete()
    with pytest.raises(NotFoundError):
        find_artifact("data", [Path("lightsweep_runs").absolute()])


def test_an_artifact_that_is_never_logged_leaves_nothing(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "drafts"))
    (tmp_path / "drafts").mkdir()
    made = artifact("a")
    assert len(list((tmp_path / "drafts").iterdir())) == 1
    del made
    gc.collect()
    assert list((tmp_path / "drafts").iterdir()) == []


@pytest.mark.parametrize("name", ["", "a/b", "a:b", "../a", "a b"])
def test_names_that_would_be_no_file_are_refused(name):
    with pytest.raises(UsageError, match="the name of an artifact has letters"):
        wandb.Artifact(name, "dataset")


def test_several_runs_may_log_the_same_name_at_once(tmp_path):
    from lightsweep.wandb.artifacts import log_artifact

    versions = []

    def log(number: int) -> None:
        home = tmp_path / "lightsweep_runs" / "s" / f"{number}"
        versions.append(log_artifact(artifact(f"{number}"), home, f"{number}").version)

    threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(versions) == [f"v{number}" for number in range(8)]
    records = [
        json.loads(path.read_text()) for path in (tmp_path / "lightsweep_runs" / "artifacts" / "data").glob("v*.json")
    ]
    assert {record["version"] for record in records} == set(versions)
