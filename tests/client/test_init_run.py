"""``init()`` and the run in one process: plain runs, function mode, and an agent behind a socket in another thread."""

from __future__ import annotations

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest

import lightsweep
from lightsweep.client import rank, serving
from lightsweep.client.current import ConfigProxy, Scope
from lightsweep.client.init_run import WANDB_KEYWORDS
from lightsweep.errors import LightsweepError, RunPruned, UsageError
from lightsweep.hyperband import Verdict
from scripted import ScriptedHandler


@pytest.fixture(autouse=True)
def no_run_is_left():
    yield
    lightsweep.finish()


def test_a_plain_run_has_its_defaults_and_keeps_its_numbers():
    with lightsweep.init(config={"epochs": 10}, project="p") as run:
        assert lightsweep.run is run
        assert lightsweep.config.epochs == run.config.epochs == 10
        lightsweep.log({"loss": 0.5, "note": "text"}, step=1)
        run.log({"loss": 0.4}, commit=False)
        run.summary["best"] = 0.4
        assert run.summary == {"loss": 0.4, "best": 0.4, "note": "text"}
        assert (run.active, run.sweep_id, run.metric, run.goal, run.checkpoint) == (False, None, None, None, None)
        assert (run.resumed, run.smoke, run.iterations, run.swept) == (False, False, 0, ())
    assert lightsweep.run is None


def test_a_second_plain_run_finishes_the_first():
    first = lightsweep.init(config={"a": 1})
    second = lightsweep.init(config={"a": 2})
    assert first.ended
    assert lightsweep.run is second
    assert lightsweep.config.a == 2


def test_every_keyword_of_wandb_is_accepted_and_no_other():
    lightsweep.init(**dict.fromkeys(WANDB_KEYWORDS))
    with pytest.raises(TypeError, match=r"unexpected keyword argument 'projct'; did you mean 'project'\?"):
        lightsweep.init(projct="p")


def test_without_a_run_config_and_log_say_what_to_do_and_finish_is_quiet():
    assert lightsweep.run is None
    assert lightsweep.finish() is None
    with pytest.raises(UsageError, match=r"lightsweep\.log needs an active run: call lightsweep\.init\(\) first"):
        lightsweep.log({"a": 1})
    early = lightsweep.config
    for use in (lambda: early.lr, lambda: early["lr"], lambda: "lr" in early, lambda: dict(early), lambda: len(early)):
        with pytest.raises(UsageError, match=r"lightsweep\.config needs an active run"):
            use()
    assert "no run" in repr(early)


def test_a_config_that_was_imported_early_is_that_of_the_run():
    early = lightsweep.config
    assert isinstance(early, ConfigProxy)
    run = lightsweep.init(config={"lr": 0.1, "model": {"hidden": 8}})
    assert (early.lr, early["lr"], early.model.hidden, len(early), "lr" in early) == (0.1, 0.1, 8, 2, True)
    assert dict(early) == dict(**early) == run.config
    early.epochs = 3
    early["seed"] = 4
    assert (run.config.epochs, run.config.seed) == (3, 4)
    assert repr(early) == repr(run.config)


def test_in_function_mode_the_handler_answers():
    handler = ScriptedHandler(
        {"lr": 0.5, "model": {"hidden": 16}}, swept=("lr", "model.hidden"), resumed=True, checkpoint="/c/last.ckpt"
    )
    with serving(handler):
        run = lightsweep.init(config={"lr": 0.1, "epochs": 3, "model": {"hidden": 8, "depth": 2}})
        assert run.config == {"lr": 0.5, "epochs": 3, "model": {"hidden": 16, "depth": 2}}
        assert (run.id, run.name, run.sweep_id) == ("0007", "digits-ab12/0007", "digits-ab12")
        assert (run.metric, run.goal, run.early_terminate, run.active) == ("val_loss", "minimize", True, True)
        assert (run.resumed, run.checkpoint) == (True, "/c/last.ckpt")
        assert run.dir == Path("run-0007").absolute()
        assert run.dir.is_dir()
        assert run.config.lr
        run.log({"val_loss": 1, "image": object()}, step=4)
        assert run.iterations == 1
    assert handler.starts == [{"defaults": {"lr": 0.1, "epochs": 3, "model": {"hidden": 8, "depth": 2}}}]
    assert handler.logs == [{"metrics": {"val_loss": 1.0}}]
    assert handler.finishes == [
        {"state": "finished", "error": None, "unread": ["model.hidden"], "no_numbers": {"image": "an object"}}
    ]
    assert lightsweep.run is None


def test_a_pruned_function_goes_on_after_its_block_and_raises_without_one():
    handler = ScriptedHandler(stop_at=2)
    after = []
    with serving(handler):
        with lightsweep.init() as run:
            for _ in range(5):
                run.log({"val_loss": 1})
        after.append(lightsweep.run)
    assert after == [None]
    assert len(handler.logs) == 2
    assert [finish["state"] for finish in handler.finishes] == ["pruned"]

    handler = ScriptedHandler(stop_at=1)
    with pytest.raises(RunPruned) as caught, serving(handler):
        lightsweep.init().log({"val_loss": 1})
    assert caught.value.reason == "0.9 is worse than 0.5 at band 3"
    assert [finish["state"] for finish in handler.finishes] == ["pruned"]


def test_a_verdict_is_remembered_and_the_numbers_after_it_are_kept_here_only():
    handler = ScriptedHandler(stop_at=1)
    with serving(handler):
        run = lightsweep.init()
        assert run.report({"val_loss": 1}) == Verdict(True, "0.9 is worse than 0.5 at band 3")
        for _ in range(3):
            with pytest.raises(RunPruned, match="band 3"):
                run.log({"val_loss": 2})
        assert run.summary == {"val_loss": 2.0}
    assert len(handler.logs) == 1
    assert handler.finishes[0]["state"] == "pruned"


def test_a_function_that_fails_is_a_failed_run():
    def train() -> None:
        lightsweep.init()
        raise ValueError("no data")

    handler = ScriptedHandler()
    with pytest.raises(ValueError, match="no data"), serving(handler):
        train()
    assert handler.finishes[0]["state"] == "failed"
    assert handler.finishes[0]["error"].startswith("ValueError: no data (test_init_run.py:")


def test_calls_in_several_threads_do_not_disturb_each_other():
    handlers = [ScriptedHandler({"number": number}) for number in range(6)]
    barrier = threading.Barrier(len(handlers))

    def train(number: int) -> int:
        wrong = 0
        with serving(handlers[number]):
            barrier.wait()
            run = lightsweep.init()
            barrier.wait()
            for _ in range(50):
                lightsweep.log({"number": number})
                wrong += lightsweep.config.number != number or lightsweep.run is not run
            barrier.wait()
        return wrong

    with ThreadPoolExecutor(len(handlers)) as pool:
        assert sum(pool.map(train, range(len(handlers)))) == 0
    for number, handler in enumerate(handlers):
        assert [log["metrics"] for log in handler.logs] == [{"number": number}] * 50


def warned(logs, capsys, **answer):
    """The output while a script logs this, with val_loss as the sweep's metric."""
    with serving(ScriptedHandler(**answer)), lightsweep.init() as run:
        for metrics in logs:
            run.log(metrics)
    return capsys.readouterr().err


def test_a_metric_under_another_name_is_told_at_its_first_log(capsys):
    assert warned([{"valid_loss": 2, "lr": 0.1}, {"valid_loss": 1}], capsys) == (
        "lightsweep: this log has no 'val_loss', the metric of the sweep; it has 'valid_loss', 'lr'; "
        "did you mean 'valid_loss'?\nlightsweep: a run that never logs 'val_loss' fails\n"
    )


@pytest.mark.parametrize(
    ("logs", "answer"),
    [
        ([{"train_loss": 1, "loss": 1}, {"val_loss": 2}], {}),
        ([{"val_loss": 2}, {"valid_loss": 1}], {}),
        ([{"val_loss": 2, "valid_loss": 1}], {}),
        ([{"valid_loss": 1}], {"iterations": 2}),
        ([{"valid_loss": 1}], {"metric": None}),
    ],
)
def test_other_names_are_no_mistake_beside_the_metric_or_without_one(logs, answer, capsys):
    assert warned(logs, capsys, **answer) == ""


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # from Python 3.12 on
def test_a_forked_child_does_not_touch_the_handler_of_its_parent():
    handler = ScriptedHandler()
    with serving(handler):
        run = lightsweep.init()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                run.log({"a": 1})
            except UsageError:
                code = 42
            os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


def test_an_error_of_the_handler_is_raised_with_its_message(caplog):
    class Broken(ScriptedHandler):
        def log(self, _):
            raise ZeroDivisionError("inside")

        def finish(self, _):
            raise LightsweepError("the metric 'val_loss' was never logged")

    def train() -> None:
        run = lightsweep.init()
        with pytest.raises(LightsweepError, match="the agent failed on 'log': ZeroDivisionError: inside"):
            run.log({"a": 1})

    with pytest.raises(LightsweepError, match="never logged"), serving(Broken()):
        train()
    assert "ZeroDivisionError" in caplog.text


def test_under_an_agent_the_socket_answers(server, monkeypatch):
    handler = ScriptedHandler({"lr": 0.5}, swept=("lr",))
    for name, value in server.register("0007", handler).items():
        monkeypatch.setenv(name, value)
    hook = sys.excepthook
    monkeypatch.setattr(sys, "excepthook", hook)
    monkeypatch.setattr(sys, "argv", ["train.py"])
    monkeypatch.setattr("lightsweep.client.current._process", Scope())
    with lightsweep.init(config={"lr": 0.1, "path": Path("/x")}) as run:
        assert dict(run.config) == {"lr": 0.5, "path": Path("/x")}
        assert lightsweep.init() is run
        run.log({"val_loss": float("nan")})
        assert "lightsweep-watch" in [thread.name for thread in threading.enumerate()]
    assert "lightsweep-watch" not in [thread.name for thread in threading.enumerate()]
    assert repr(handler.logs) == "[{'metrics': {'val_loss': nan}}]"
    assert handler.finishes == [{"state": "finished", "error": None, "unread": []}]
    with lightsweep.init() as part:
        part.log({"val_loss": 1})
    assert len(handler.logs) == 1


def test_the_rank_comes_from_torch_distributed_before_the_environment(monkeypatch):
    monkeypatch.delitem(sys.modules, "torch.distributed", raising=False)
    assert rank({}) == 0
    assert rank({"RANK": "3", "LOCAL_RANK": "1"}) == 3
    assert rank({"LOCAL_RANK": "1"}) == 1
    assert rank({"RANK": "", "SLURM_PROCID": "4"}) == 0
    fake = SimpleNamespace(is_available=lambda: True, is_initialized=lambda: True, get_rank=lambda: 5)
    monkeypatch.setitem(sys.modules, "torch.distributed", fake)
    assert rank({"RANK": "3"}) == 5
    fake.is_initialized = lambda: False
    assert rank({"RANK": "3"}) == 3
