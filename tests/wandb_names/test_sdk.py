"""The functions and modules of ``wandb`` itself."""

from __future__ import annotations

import pytest

import lightsweep as wandb
from lightsweep.client import Run, RunConfig
from lightsweep.errors import LightsweepError, NotFoundError, UsageError


@pytest.mark.parametrize(
    "name", ["log_artifact", "use_artifact", "log_model", "use_model", "link_model", "restore", "mark_preempting"]
)
def test_what_needs_a_run_says_so(name):
    with pytest.raises(UsageError, match=rf"lightsweep\.{name} needs an active run: call lightsweep\.init\(\) first"):
        getattr(wandb, name)("x")


def test_the_summary_is_that_of_the_current_run():
    assert hasattr(wandb, "summary")
    for use in (lambda: wandb.summary["x"], lambda: wandb.summary.update({}), lambda: wandb.summary.get("x")):
        with pytest.raises(UsageError, match=r"lightsweep\.summary needs an active run"):
            use()
    with pytest.raises(UsageError, match=r"lightsweep\.summary needs an active run"):
        wandb.summary["x"] = 1
    for value in (1, 2):
        with wandb.init() as run:
            wandb.summary["x"] = value
            assert run.summary == {"x": value}


@pytest.mark.parametrize("end", ["join", "teardown", "finish"])
def test_names_that_end_the_run(end):
    run = wandb.init()
    getattr(wandb, end)()
    assert run.ended
    assert getattr(wandb, end)() is None
    run = wandb.init()
    run.join()
    assert run.ended


def test_what_needs_nothing_takes_anything():
    assert wandb.setup(settings=wandb.Settings()) is None
    assert wandb.require("core") is None
    assert wandb.sklearn.plot_confusion_matrix([0], [1], ["a"]) is None
    assert wandb.tensorboard.patch(root_logdir="x") is None
    with pytest.raises(AttributeError):
        _ = wandb.sklearn.__wrapped__


def test_settings_keep_what_they_are_given():
    settings = wandb.Settings(mode="offline", _disable_stats=True)
    settings.update({"silent": True}, start_method="thread")
    assert (settings.mode, settings.silent, settings.start_method, settings.anything) == (
        "offline",
        True,
        "thread",
        None,
    )
    assert "mode='offline'" in repr(settings)


def test_classes_and_modules_that_annotations_name():
    def train(run: wandb.sdk.wandb_run.Run, config: wandb.sdk.wandb_config.Config) -> None: ...

    assert train.__annotations__["run"] == "wandb.sdk.wandb_run.Run"
    assert wandb.sdk.wandb_settings.Settings is wandb.sdk.Settings is wandb.Settings
    assert wandb.sdk.wandb_run.Run is wandb.wandb_run.Run is wandb.Run is Run
    assert wandb.sdk.wandb_config.Config is wandb.Config is RunConfig
    assert wandb.sdk.data_types.image.Image is wandb.sdk.data_types.Image is wandb.data_types.Image is wandb.Image
    assert len({wandb.sdk.lib.runid.generate_id() for _ in range(99)}) == 99
    with wandb.sdk.lib.telemetry.context(run=None) as telemetry:
        telemetry.feature.keras = True
    assert wandb.errors.Error is wandb.Error is LightsweepError
    assert wandb.errors.CommError is wandb.CommError is NotFoundError
    assert wandb.data_types.Table is wandb.Table
    assert wandb.env.API_KEY == "WANDB_API_KEY"


def test_utilities():
    first, second = wandb.util.generate_id(), wandb.util.generate_id(12)
    assert (len(first), len(second)) == (8, 12)
    assert first.isalnum()
    assert wandb.util.make_artifact_name_safe("a b/c:d") == "a_b_c_d"
    assert wandb.util.json_friendly({1}) == ([1], True)
