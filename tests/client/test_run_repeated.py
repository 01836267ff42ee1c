"""A retried script that starts from the beginning repeats counted iterations; one that resumes does not."""

from __future__ import annotations

import math

import pytest

import lightsweep
from lightsweep import client
from scripted import ScriptedHandler


def reported(handler: ScriptedHandler) -> list[float]:
    return [log["metrics"]["val_loss"] for log in handler.logs if "val_loss" in log["metrics"]]


def second_attempt(**answer: object) -> ScriptedHandler:
    return ScriptedHandler(resumed=True, iterations=2, counted=2, **answer)


def test_a_script_that_begins_from_the_start_repeats_what_was_counted() -> None:
    handler = second_attempt()
    with client.serving(handler), lightsweep.init() as run:
        for value in (5.0, math.nan, 4.0, math.nan, 3.0):
            run.log({"val_loss": value, "epoch": 1})
    assert reported(handler)[-1] == 3.0
    assert math.isnan(reported(handler)[0])
    assert len(reported(handler)) == 2
    assert len(handler.logs) == 5


def test_the_verdict_comes_while_it_repeats() -> None:
    handler = second_attempt(stop_at=1)
    with client.serving(handler), lightsweep.init() as run:
        assert run.report({"val_loss": 5.0}).stop
    assert reported(handler) == []


@pytest.mark.parametrize("asks", ["iterations", "checkpoint"])
def test_a_script_that_asks_where_to_go_on_is_taken_to_go_on(asks: str) -> None:
    handler = second_attempt(checkpoint="last.ckpt")
    with client.serving(handler), lightsweep.init() as run:
        getattr(run, asks)
        run.log({"val_loss": 3.0})
    assert reported(handler) == [3.0]


def test_a_checkpoint_that_is_not_there_cannot_be_gone_on_from() -> None:
    handler = second_attempt()
    with client.serving(handler), lightsweep.init() as run:
        assert run.checkpoint is None
        for value in (5.0, 4.0, 3.0):
            run.log({"val_loss": value})
    assert reported(handler) == [3.0]
