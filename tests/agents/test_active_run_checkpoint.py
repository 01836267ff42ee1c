"""Checkpoints that an attempt at a run leaves for the next, and when they are written."""

from __future__ import annotations

from pathlib import Path

import pytest
from sandboxes import Sandbox

from lightsweep.agents.active_run import kept_checkpoint, may_be_preempted


def test_the_link_leads_to_the_checkpoint(tmp_path: Path) -> None:
    assert kept_checkpoint(tmp_path) is None
    (tmp_path / "resume-3.ckpt").touch()
    (tmp_path / "resume").symlink_to("resume-3.ckpt")
    assert kept_checkpoint(tmp_path) == str(tmp_path / "resume-3.ckpt")
    (tmp_path / "resume-3.ckpt").unlink()
    assert kept_checkpoint(tmp_path) is None


def test_a_job_of_a_scheduler_may_be_preempted() -> None:
    assert may_be_preempted({"SLURM_JOB_ID": "7"})
    assert not may_be_preempted({"HOME": "/"})


def ended(sandbox: Sandbox, end: str) -> tuple[str, set[str]]:
    """State of a run that leaves checkpoints and ends so, and the names of what is left of them."""
    script = """
        import os
        import lightsweep
        with lightsweep.init() as run:
            (run.dir / "resume-trainer" / "checkpoint-1").mkdir(parents=True)
            (run.dir / "resume-1.ckpt").write_text("ours")
            (run.dir / "checkpoint-1").mkdir()
            (run.dir / "resume").symlink_to("checkpoint-1")
            run.log({"loss": float(run.config.x)})
            if END == "failed":
                raise ValueError(END)
            if END == "lost":
                os._exit(75)
    """
    config = {"early_terminate": {"type": "hyperband", "min_iter": 1}} if end == "pruned" else {}
    values = [1, 2] if end == "pruned" else [1]
    options = {"max_preemptions": 0}
    sweep_id = sandbox.sweep(
        script.replace("END", repr(end)), parameters={"x": {"values": values}}, lightsweep=options, **config
    )
    sandbox.call("agent", sweep_id, "--storage", sandbox.storage)
    run = sandbox.runs(sweep_id)[-1]
    home = sandbox.directory / "lightsweep_runs" / sweep_id / run.id
    return run.state, {path.name for path in home.iterdir()} - {"history.jsonl", "output.log", "run.json"}


@pytest.mark.parametrize("end", ["finished", "pruned"])
def test_what_only_exists_to_resume_from_goes_once_the_run_has_a_result(sandbox: Sandbox, end: str) -> None:
    assert ended(sandbox, end) == (end, {"checkpoint-1"})


@pytest.mark.parametrize(("end", "state"), [("failed", "failed"), ("lost", "killed")])
def test_what_a_run_without_a_result_resumes_from_stays(sandbox: Sandbox, end: str, state: str) -> None:
    assert ended(sandbox, end) == (state, {"checkpoint-1", "resume", "resume-1.ckpt", "resume-trainer"})
