"""Real Lightning Trainers on a tiny model; what all trainers have in common is in test_contract.py."""

from __future__ import annotations

import importlib.util
import pickle
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning.pytorch
import pytest
import pytorch_lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

import lightsweep
from lightsweep import client
from lightsweep.channel.messages import LogReply
from lightsweep.errors import AgentLostError, InputError, LightsweepError, RunPruned, UsageError
from lightsweep.integrations.lightning import MetricMissingError, SweepCallback
from scripted import ScriptedHandler

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.isinstance.treespec, LeafSpec.. is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:The number of training batches.*is smaller than the logging interval"),
    pytest.mark.filterwarnings("ignore:.*tensorboardX. has been removed as a dependency"),
    pytest.mark.filterwarnings("ignore:You defined a .validation_step. but have no .val_dataloader"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty"),
]


class Lost(ScriptedHandler):
    def log(self, _: Mapping[str, Any]) -> LogReply:
        raise AgentLostError("the agent is gone")


class Model(lightning.pytorch.LightningModule):  # type: ignore[misc, unused-ignore]
    """Its n-th validation logs n, and so does its n-th training epoch, in its steps or ``late``."""

    def __init__(self, *, late: bool = False) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)
        self.late = late
        self.rounds = 0
        self.batches = 0

    def configure_optimizers(self) -> Any:
        return torch.optim.SGD(self.parameters(), lr=0.01)

    def training_step(self, batch: Any, *_: Any) -> Any:
        self.batches += 1
        self.log("train_loss", 0.25)
        if not self.late:
            self.log("epoch_loss", float(self.current_epoch), on_step=False, on_epoch=True)
        return self.layer(batch[0]).square().mean()

    def validation_step(self, *_: Any) -> None:
        self.log("val_acc", 0.5)

    def test_step(self, *_: Any) -> None: ...

    def on_validation_epoch_end(self) -> None:
        if not self.trainer.sanity_checking:
            self.log("val_loss", float(self.rounds))
            self.rounds += 1

    def on_train_epoch_end(self) -> None:
        if self.late:
            self.log("epoch_loss", float(self.current_epoch))


def data() -> Any:
    return DataLoader(TensorDataset(torch.ones(8, 2)), batch_size=2)


def make_trainer(*callbacks: Any, **options: Any) -> Any:
    defaults = {
        "accelerator": "cpu",
        "enable_checkpointing": False,
        "enable_model_summary": False,
        "enable_progress_bar": False,
        "logger": False,
        "max_epochs": 5,
    }
    return lightning.pytorch.Trainer(callbacks=list(callbacks), **{**defaults, **options})


def fit(callback: SweepCallback | None = None, model: Model | None = None, **options: Any) -> Any:
    trainer = make_trainer(callback or SweepCallback(), **options)
    trainer.fit(model or Model(), data(), data())
    return trainer


def reported(agent: ScriptedHandler, metric: str = "val_loss") -> list[float]:
    return [log["metrics"][metric] for log in agent.logs]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ScriptedHandler]]:
    """Begin a run served by a scripted agent, in a fresh working directory."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    contexts = []

    def begin(agent_class: type[ScriptedHandler] = ScriptedHandler, **options: Any) -> ScriptedHandler:
        values = {"lr": 0.1, "model": {"hidden": 4}}
        agent = agent_class(values, dir=str(tmp_path / "run"), **options)
        context = client.serving(agent)
        context.__enter__()
        contexts.append(context)
        return agent

    yield begin
    for context in reversed(contexts):
        lightsweep.finish()
        context.__exit__(None, None, None)


def test_a_package_that_the_script_has_not_imported_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """``lightning`` installs ``pytorch_lightning`` too, and a second import takes a second of each run."""
    monkeypatch.delitem(sys.modules, "pytorch_lightning")
    spec = importlib.util.spec_from_file_location("again", sys.modules[SweepCallback.__module__].__file__)
    assert spec is not None
    assert spec.loader is not None
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    assert issubclass(again.SweepCallback, lightning.pytorch.Callback)
    assert not issubclass(again.SweepCallback, pytorch_lightning.Callback)
    assert "pytorch_lightning" not in sys.modules


def test_several_validations_in_an_epoch_each_count(serve: Any) -> None:
    agent = serve(stop_at=3)
    model = Model()
    with pytest.raises(RunPruned):
        fit(model=model, val_check_interval=2)
    assert reported(agent) == [0.0, 1.0, 2.0]
    assert model.batches == 6


@pytest.mark.parametrize("late", [False, True])
def test_without_validation_each_training_epoch_is_one_report(serve: Any, late: bool) -> None:
    agent = serve(metric="epoch_loss", stop_at=2)
    model = Model(late=late)
    with pytest.raises(RunPruned):
        make_trainer(SweepCallback()).fit(model, data())
    assert reported(agent, "epoch_loss") == [0.0, 1.0]
    assert model.batches == 8


def test_on_prune_stop_keeps_the_last_checkpoint(serve: Any, tmp_path: Path) -> None:
    serve(stop_at=2)
    fit(SweepCallback(on_prune="stop"), enable_checkpointing=True)
    assert [path.name for path in tmp_path.rglob("*.ckpt")] == ["epoch=1-step=8.ckpt"]


def test_on_prune_stop_honours_min_epochs_and_reports_no_more(serve: Any) -> None:
    agent = serve(stop_at=1)
    model = Model()
    fit(SweepCallback(on_prune="stop"), model, min_epochs=3)
    assert reported(agent) == [0.0]
    assert model.batches == 12


def test_a_missing_metric_is_an_error_at_the_first_validation_with_what_exists(serve: Any) -> None:
    agent = serve(metric="val_los")
    model = Model()
    with pytest.raises(MetricMissingError) as caught:
        fit(model=model)
    message = str(caught.value)
    assert "'val_los'; did you mean 'val_loss'?" in message
    assert "'train_loss', 'val_acc', 'val_loss'" in message
    assert isinstance(caught.value, InputError)
    assert model.batches == 4
    assert agent.logs == []


def test_two_callbacks_are_an_error(serve: Any) -> None:
    serve()
    with pytest.raises(UsageError, match="two SweepCallbacks"):
        make_trainer(SweepCallback(), SweepCallback()).fit(Model(), data(), data())


def test_on_prune_is_raise_or_stop() -> None:
    with pytest.raises(UsageError, match=r"not 'stopp'; did you mean 'stop'\?"):
        SweepCallback(on_prune="stopp")  # type: ignore[arg-type]


def test_the_config_is_logged_as_hyperparameters(serve: Any, tmp_path: Path) -> None:
    serve()
    fit(max_epochs=1, logger=lightning.pytorch.loggers.CSVLogger(str(tmp_path / "logs")))
    (file,) = (tmp_path / "logs").rglob("hparams.yaml")
    assert "lr: 0.1" in file.read_text()
    assert "hidden: 4" in file.read_text()


@pytest.mark.parametrize("stop_at", [None, 1])
def test_logs_and_checkpoints_go_below_the_directory_of_the_run(
    serve: Any, tmp_path: Path, stop_at: int | None
) -> None:
    serve(stop_at=stop_at)
    trainer = make_trainer(SweepCallback(), max_epochs=2, enable_checkpointing=True, logger=None)
    with suppress(RunPruned):
        trainer.fit(Model(), data(), data())
    run = tmp_path / "run"
    assert type(trainer.logger).__name__ == "TensorBoardLogger"  # or what a CSVLogger leaves would be all that is seen
    assert Path(trainer.logger.log_dir).parent == run / "lightning_logs"
    assert trainer.default_root_dir == str(run)
    assert list(run.glob("lightning_logs/version_0/events.out.tfevents*"))
    assert list(Path.cwd().iterdir()) == []
    assert all(run in path.parents for path in tmp_path.rglob("*.ckpt"))
    assert bool(list(tmp_path.rglob("*.ckpt"))) == (stop_at is None)


def test_the_callback_travels_to_another_process_without_its_run(serve: Any) -> None:
    serve()
    callback = SweepCallback(run=lightsweep.init(), metric="val_loss", on_prune="stop")
    rank = Rank(callback, [], zero=True)
    assert rank.validate(times=1) is None
    copy = pickle.loads(pickle.dumps(callback))
    assert copy.__dict__ == {**callback.__dict__, "_given": None, "_run": None}


class Rank:
    """A Trainer as one rank sees it; ``wire`` holds the broadcasts of rank 0."""

    def __init__(self, callback: SweepCallback, wire: list[bytes], *, zero: bool) -> None:
        self.callbacks = [callback]
        self.loggers: list[object] = []
        self.wire = wire
        self.is_global_zero = zero
        self.strategy = self
        self.sanity_checking = False
        self.should_stop = False
        self.is_last_batch = True
        self.global_step = 1
        self.max_epochs = self.max_steps = -1
        self.broadcasts = 0
        self.callback_metrics = {"val_loss": torch.tensor(1.0 if zero else 2.0)}
        self.default_root_dir = "elsewhere"

    def broadcast(self, message: Any) -> Any:
        if self.is_global_zero:
            self.wire.append(pickle.dumps(message))
        self.broadcasts += 1
        return pickle.loads(self.wire[self.broadcasts - 1])

    def validate(self, times: int) -> BaseException | None:
        """Return the exception of a fit with this number of validations."""
        (callback,) = self.callbacks
        callback.setup(self, None, "fit")
        try:
            for _ in range(times):
                callback.on_validation_end(self, None)
        except LightsweepError as error:
            return error
        return None


@pytest.mark.parametrize("on_prune", ["raise", "stop"])
def test_every_rank_acts_on_the_verdict_of_rank_zero(serve: Any, on_prune: Any) -> None:
    agent = serve(stop_at=2)
    wire: list[bytes] = []
    ends = []
    for zero in (True, False):
        rank = Rank(SweepCallback(on_prune=on_prune), wire, zero=zero)
        error = rank.validate(times=2)
        ends.append((rank.should_stop, getattr(error, "reason", None), rank.broadcasts))
    assert reported(agent) == [1.0, 1.0]
    assert (
        ends[0]
        == ends[1]
        == ((False, "0.9 is worse than 0.5 at band 3", 2) if on_prune == "raise" else (True, None, 2))
    )


@pytest.mark.parametrize("agent_class", [ScriptedHandler, Lost])
def test_every_rank_raises_the_error_of_rank_zero(serve: Any, agent_class: Any) -> None:
    serve(agent_class, metric="val_acc")
    wire: list[bytes] = []
    errors = [Rank(SweepCallback(), wire, zero=zero).validate(times=1) for zero in (True, False)]
    assert type(errors[0]) is type(errors[1])
    assert isinstance(errors[0], LightsweepError)
    assert str(errors[0]) == str(errors[1])
