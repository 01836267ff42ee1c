"""The checkpoints of a Hugging Face Trainer, and the one that the next attempt finds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
import transformers
from hf_line import Line, Model
from transformers import Trainer, TrainingArguments

import lightsweep
from lightsweep import client
from lightsweep.errors import UsageError
from lightsweep.integrations._checkpoints import Pace, link_to
from lightsweep.integrations.transformers import DEFAULT_OUTPUT_DIR, SweepCallback
from scripted import ScriptedHandler

pytestmark = pytest.mark.filterwarnings("ignore:.*pin_memory.*")


def train(home: Path, run: str = "0007", resume: Path | None = None, **arguments: Any) -> Trainer:
    """Five epochs of two steps, each with an evaluation, in a run that may be started again."""
    handler = ScriptedHandler(metric="eval_loss", id=run, dir=str(home / run), keep_checkpoint=True)
    fields = {"eval_strategy": "epoch", "num_train_epochs": 5, "per_device_train_batch_size": 4, "use_cpu": True}
    with client.serving(handler), lightsweep.init():
        trainer = Trainer(
            model=Model(),
            args=TrainingArguments(**{**fields, "report_to": "none", "disable_tqdm": True, **arguments}),
            train_dataset=Line(),
            eval_dataset=Line(),
            callbacks=[SweepCallback()],
        )
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    return trainer


def steps(directory: Path) -> set[int]:
    return {int(path.name.rpartition("-")[2]) for path in directory.glob("*checkpoint-*")}


def test_the_last_evaluation_is_kept_where_the_trainer_saves_rarely(tmp_path: Path) -> None:
    train(tmp_path, output_dir=str(tmp_path / "0007"), max_steps=9)
    found = (tmp_path / "0007" / "resume").resolve()
    assert found.parent in (tmp_path / "0007", tmp_path / "0007" / "resume-trainer")
    assert steps(tmp_path / "0007") | steps(tmp_path / "0007" / "resume-trainer") <= {8, 9}
    assert found.name in ("checkpoint-8", "checkpoint-9")
    assert (found / "trainer_state.json").exists()


def test_the_best_model_is_loaded_from_what_the_trainer_saves(tmp_path: Path) -> None:
    options = {"save_strategy": "epoch", "load_best_model_at_end": True, "save_total_limit": 2}
    trainer = train(tmp_path, output_dir=str(tmp_path / "0007"), **options)
    assert trainer.state.best_model_checkpoint
    assert Path(trainer.state.best_model_checkpoint).is_dir()
    assert (tmp_path / "0007" / "resume").resolve().is_dir()


def test_a_place_that_runs_share_is_copied_from_and_another_run_does_not_go_on_from_it(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    train(tmp_path, output_dir=str(shared), save_strategy="epoch")
    found = (tmp_path / "0007" / "resume").resolve()
    assert found == tmp_path / "0007" / "resume-checkpoint-10"
    assert steps(tmp_path / "0007") == {10}
    assert steps(shared) == {2, 4, 6, 8, 10}
    assert (found / "trainer_state.json").read_text() == (shared / "checkpoint-10" / "trainer_state.json").read_text()
    with pytest.raises(
        UsageError, match="from a checkpoint of run 0007, but this is run 0008: the runs share output_dir"
    ):
        train(tmp_path, "0008", shared / "checkpoint-4", output_dir=str(shared))


def test_the_link_leads_to_a_whole_checkpoint_while_the_next_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, made = tmp_path / "0007", tmp_path / "shared" / "checkpoint-4"
    run.mkdir()
    made.mkdir(parents=True)
    seen = []
    copy = shutil.copytree

    def watched(*arguments: Any) -> Any:
        seen.append((run / "resume" / "state").read_text() if (run / "resume").is_symlink() else "")
        return copy(*arguments)

    monkeypatch.setattr(shutil, "copytree", watched)
    for text in ("first", "second", "third"):  # all of one step
        (made / "state").write_text(text)
        link_to(run, made)
        assert (run / "resume" / "state").read_text() == text
    assert seen == ["", "first", "second"]
    assert len(list(run.glob("resume-*"))) == 1


@pytest.mark.parametrize("logger", ["none", "tensorboard"])
def test_an_output_directory_that_nobody_named_is_that_of_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, logger: str
) -> None:
    if int(transformers.__version__.partition(".")[0]) < 5:
        pytest.skip("transformers 4 wants a name")
    monkeypatch.chdir(tmp_path)
    assert TrainingArguments(use_cpu=True, report_to="none").output_dir == DEFAULT_OUTPUT_DIR
    trainer = train(tmp_path, save_strategy="epoch", report_to=logger)
    assert trainer.args.output_dir == str(tmp_path / "0007")
    assert {path.name for path in tmp_path.iterdir()} == {"0007"}


def test_checkpoints_take_a_small_part_of_the_time() -> None:
    now = [0.0]
    pace = Pace(clock=lambda: now[0])
    saves: list[float] = []

    def save() -> None:
        saves.append(now[0])
        now[0] += 2.0

    for _ in range(100):
        pace.save(save)
        now[0] += 1.0
    assert saves[0] == 0.0
    assert 2.0 * len(saves) / now[0] < 0.06
    assert len(saves) >= 3
