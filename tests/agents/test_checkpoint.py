"""Checkpoints that one attempt at a run leaves for the next, and when they are worth their time."""

from __future__ import annotations

from pathlib import Path

import pytest

from lightsweep.agents.checkpoint import kept_checkpoint, may_be_preempted


def test_the_link_leads_to_the_checkpoint(tmp_path: Path) -> None:
    assert kept_checkpoint(tmp_path) is None
    (tmp_path / "resume-3.ckpt").touch()
    (tmp_path / "resume").symlink_to("resume-3.ckpt")
    assert kept_checkpoint(tmp_path) == str(tmp_path / "resume-3.ckpt")
    (tmp_path / "resume-3.ckpt").unlink()
    assert kept_checkpoint(tmp_path) is None


@pytest.mark.parametrize(("environ", "expected"), [({}, False), ({"SLURM_JOB_ID": "7"}, True), ({"HOME": "/"}, False)])
def test_a_job_of_a_scheduler_may_be_preempted(environ: dict[str, str], expected: bool) -> None:
    assert may_be_preempted(environ) is expected
