"""W&B's callbacks for trainers, with the real libraries: names, ends and what is kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sandboxes import Sandbox

import lightsweep
import lightsweep as wandb
from lightsweep.client import serving
from lightsweep.errors import RunPruned, UsageError
from lightsweep.stand_in import standing_in
from lightsweep.wandb import MODULES
from scripted import ScriptedHandler

catboost = pytest.importorskip("catboost")
gymnasium = pytest.importorskip("gymnasium")
keras = pytest.importorskip("keras")
lightgbm = pytest.importorskip("lightgbm")
stable_baselines3 = pytest.importorskip("stable_baselines3")
xgboost = pytest.importorskip("xgboost")

pytestmark = [
    # Keras with torch reads tensors into NumPy 2 in the old way.
    pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*You are saving your model as an HDF5 file:UserWarning"),
]

X = np.linspace(-1, 1, 64, dtype="float32").reshape(-1, 1)
Y = 3 * X[:, 0] + 0.5


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    lightsweep.finish()


def fit(*callbacks: Any, epochs: int = 3, **options: Any) -> Any:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.05), "mse")
    model.fit(X, Y, epochs=epochs, validation_data=(X, Y), verbose=0, callbacks=list(callbacks), **options)
    return model


def boost(*callbacks: Any, rounds: int = 4, **options: Any) -> Any:
    model = xgboost.XGBRegressor(n_estimators=rounds, n_jobs=1, max_depth=2, callbacks=list(callbacks), **options)
    return model.fit(X, Y, eval_set=[(X, Y)], verbose=False)


def light(*callbacks: Any, rounds: int = 4) -> Any:
    data = lightgbm.Dataset(X, Y)
    parameters = {"num_threads": 1, "verbose": -1, "min_data_in_leaf": 2, "lambda_l1": 0.0}
    valid = lightgbm.Dataset(X, Y, reference=data)
    return lightgbm.train(parameters, data, rounds, valid_sets=[valid], callbacks=list(callbacks))


def names(handler: ScriptedHandler) -> list[set[str]]:
    return [set(log["metrics"]) for log in handler.logs]


def states(handler: ScriptedHandler) -> list[str]:
    return [finish["state"] for finish in handler.finishes]


def test_each_callback_needs_a_run() -> None:
    calls: list[Any] = [
        wandb.keras.WandbMetricsLogger,
        wandb.keras.WandbCallback,
        lambda: wandb.keras.WandbModelCheckpoint("model.keras"),
        lambda: wandb.keras.WandbEvalCallback([], []),
        wandb.xgboost.WandbCallback,
        wandb.integration.lightgbm.wandb_callback,
        wandb.integration.catboost.WandbCallback,
        wandb.integration.sb3.WandbCallback,
        lambda: wandb.integration.lightgbm.log_summary(None),
    ]
    for call in calls:
        with pytest.raises(UsageError, match=r"needs an active run: call wandb\.init\(\) first"):
            call()
    with pytest.raises(
        AttributeError, match=r"no 'sb4' in wandb\.integration; it has catboost, keras, lightgbm, sb3, xgboost\."
    ):
        _ = wandb.integration.sb4


# Keras.


def test_the_metrics_logger_logs_epochs_and_the_learning_rate() -> None:
    handler = ScriptedHandler(metric="epoch/val_loss")
    with serving(handler), wandb.init():
        fit(wandb.integration.keras.WandbMetricsLogger())
    epoch = {"epoch/loss", "epoch/val_loss", "epoch/epoch", "epoch/learning_rate"}
    assert names(handler) == [epoch] * 3
    assert handler.logs[0]["metrics"]["epoch/learning_rate"] == pytest.approx(0.05)
    assert [log.get("last", False) for log in handler.logs] == [False, False, True]


@pytest.mark.parametrize("make", [wandb.keras.WandbMetricsLogger, wandb.keras.WandbCallback], ids=["new", "old"])
def test_a_stopped_fit_ends_inside_of_the_loop(make: Any) -> None:
    metric = "val_loss" if make is wandb.keras.WandbCallback else "epoch/val_loss"
    handler = ScriptedHandler(metric=metric, stop_at=2)
    with serving(handler), wandb.init():
        fit(make(), epochs=9)
    assert len(handler.logs) == 2
    assert states(handler) == ["pruned"]


def test_the_older_callback_keeps_the_best_model(tmp_path: Path) -> None:
    handler = ScriptedHandler(metric="val_loss", dir=str(tmp_path / "run"))
    with serving(handler), wandb.init() as run:
        callback = wandb.keras.WandbCallback(monitor="val_loss", log_weights=True, training_data=(X, Y), labels=["a"])
        fit(callback)
        assert names(handler) == [{"epoch", "loss", "val_loss"}] * 3
        assert run.summary["best_val_loss"] == min(log["metrics"]["val_loss"] for log in handler.logs)
        assert run.summary["best_epoch"] == 2
    assert (tmp_path / "run" / "model-best.h5").exists()


def test_checkpoints_are_artifacts(tmp_path: Path) -> None:
    handler = ScriptedHandler(metric="val_loss", dir=str(tmp_path / "runs" / "run"))
    with serving(handler), wandb.init() as run:
        fit(wandb.keras.WandbModelCheckpoint("model-{epoch:02d}.keras", save_best_only=True), epochs=2)
        found = run.use_artifact(f"run_{run.id}_model:best")
        (file,) = [path.name for path in Path(found.download()).iterdir()]
    assert file == "model-02.keras"
    assert (tmp_path / "model-01.keras").exists()


def test_predictions_are_tables(tmp_path: Path) -> None:
    class Predictions(wandb.keras.WandbEvalCallback):
        def add_ground_truth(self, logs: Any = None) -> None:
            for number, value in enumerate(Y[:3]):
                self.data_table.add_data(number, float(value))

        def add_model_predictions(self, epoch: int, logs: Any = None) -> None:
            found = self.model.predict(X[:3], verbose=0)
            for number in self.data_table_ref.get_index():
                self.pred_table.add_data(epoch, *self.data_table_ref.data[number], float(found[number, 0]))

    handler = ScriptedHandler(metric="val_loss", dir=str(tmp_path / "runs" / "run"))
    with serving(handler), wandb.init() as run:
        fit(Predictions(["idx", "truth"], ["epoch", "idx", "truth", "predicted"]), epochs=2)
        table = run.use_artifact(f"run_{run.id}_pred:latest").get("eval_data")
    assert [row[:2] for row in table.data] == [[1, 0], [1, 1], [1, 2]]


# XGBoost.


def test_xgboosts_callback_logs_rounds_the_config_and_the_importance(tmp_path: Path) -> None:
    handler = ScriptedHandler(metric="validation_0-rmse", dir=str(tmp_path / "runs" / "run"))
    with serving(handler), wandb.init() as run:
        boost(wandb.xgboost.WandbCallback(log_model=True), early_stopping_rounds=3)
        assert "learner" in run.config.as_dict()
        assert names(handler) == [{"validation_0-rmse", "validation_0-rmse.min", "epoch"}] * 4 + [
            {"best_score", "best_iteration"}
        ]
        assert run.summary["validation_0-rmse"]["min"] == run.summary["best_score"]
        assert Path(run.use_artifact(f"{run.id}_model.json:latest").file()).name == f"{run.id}_model.json"
        assert list(Path(run.dir).glob("media/**/Feature*Importance*"))
    assert [log.get("last", False) for log in handler.logs] == [False, False, False, True, True]
    assert states(handler) == ["finished"]


def test_a_stopped_xgboost_ends_inside_of_the_loop() -> None:
    handler = ScriptedHandler(metric="validation_0-rmse", stop_at=2)
    with serving(handler), wandb.init():
        boost(wandb.integration.xgboost.WandbCallback(), rounds=9)
    assert len(handler.logs) == 2
    assert states(handler) == ["pruned"]


# LightGBM.


def test_lightgbms_callback_logs_rounds_and_the_parameters(tmp_path: Path) -> None:
    handler = ScriptedHandler(
        {"lambda_l1": 0.0}, swept=("lambda_l1",), metric="valid_0_l2", dir=str(tmp_path / "a/run")
    )
    with serving(handler), wandb.init() as run:
        model = light(wandb.lightgbm.wandb_callback())
        assert run.config["min_data_in_leaf"] == 2
        wandb.lightgbm.log_summary(model, save_model_checkpoint=True)
        assert run.summary["best_iteration"] == model.best_iteration
        assert json.loads(json.dumps(run.summary["best_score"]))["valid_0"]["l2"] == run.summary["valid_0_l2"]["min"]
        assert run.use_artifact(f"model_{run.id}:best").file()
        assert list(Path(run.dir).glob("media/**/Feature*Importance*"))
        with pytest.raises(UsageError, match=r"pass model\.booster_"):
            wandb.lightgbm.log_summary(lightgbm.LGBMRegressor())
    *rounds, end = names(handler)
    assert rounds == [{"valid_0_l2", "valid_0_l2.min", "iteration"}] * 4
    assert "best_iteration" in end
    assert [log.get("last", False) for log in handler.logs[:4]] == [False, False, False, True]


# Both a SweepCallback and W&B's callback: the sweep counts each report once.


@pytest.mark.parametrize(
    ("metric", "train"),
    [
        ("epoch/val_loss", lambda ours: fit(wandb.keras.WandbMetricsLogger(), ours("keras"), epochs=4)),
        ("epoch/val_loss", lambda ours: fit(ours("keras"), wandb.keras.WandbMetricsLogger(), epochs=4)),
        ("validation_0-rmse", lambda ours: boost(wandb.xgboost.WandbCallback(), ours("xgboost"))),
        ("validation_0-rmse", lambda ours: boost(ours("xgboost"), wandb.xgboost.WandbCallback())),
        ("valid_0_l2", lambda ours: light(wandb.lightgbm.wandb_callback(), ours("lightgbm"))),
    ],
    ids=["keras-before", "keras-after", "xgboost-before", "xgboost-after", "lightgbm"],
)
def test_beside_a_sweep_callback_each_iteration_counts_once(metric: str, train: Any) -> None:
    def ours(name: str) -> Any:
        return import_module(f"lightsweep.integrations.{name}").SweepCallback(**options)

    options: dict[str, Any] = {}
    handler = ScriptedHandler(metric=metric)
    with serving(handler), wandb.init() as run:
        train(ours)
        assert run.summary
    assert sum(metric in found for found in names(handler)) == 4
    assert len(handler.logs) > 4, "W&B's callback still logs the rest"
    options["on_prune"] = "stop"
    handler = ScriptedHandler(metric=metric, stop_at=3)
    with serving(handler), wandb.init():
        train(ours)  # returns
    assert states(handler) == ["pruned"]


# CatBoost.


def cat(*callbacks: Any, rounds: int = 4) -> Any:
    model = catboost.CatBoostRegressor(
        iterations=rounds, depth=2, thread_count=1, verbose=0, allow_writing_files=False, use_best_model=True
    )
    return model.fit(X, Y, eval_set=(X, Y), callbacks=list(callbacks))


def test_catboosts_callback_logs_rounds_and_its_summary_the_best(tmp_path: Path) -> None:
    handler = ScriptedHandler({"depth": 2}, swept=("depth",), metric="validation-RMSE", dir=str(tmp_path / "a/run"))
    with serving(handler), wandb.init() as run:
        model = cat(wandb.integration.catboost.WandbCallback())
        wandb.catboost.log_summary(model, save_model_checkpoint=True)
        assert run.config["iterations"] == 4
        assert run.summary["best_iteration"] == model.get_best_iteration()
        assert run.use_artifact(f"model_{run.id}:best").file()
        assert list(Path(run.dir).glob("media/**/Feature*Importance*"))
        with pytest.raises(UsageError, match=r"takes a CatBoostClassifier or a CatBoostRegressor, got list"):
            wandb.catboost.log_summary([])
    assert names(handler)[:4] == [{"learn-RMSE", "validation-RMSE", "iteration@metric-period-1"}] * 4
    assert states(handler) == ["finished"]


def test_a_stopped_catboost_ends_its_training_and_the_next_log_the_run() -> None:
    handler = ScriptedHandler(metric="validation-RMSE", stop_at=2)
    with serving(handler), wandb.init() as run:
        model = cat(wandb.catboost.WandbCallback(), rounds=50)
        assert model.tree_count_ < 5
        with pytest.raises(RunPruned):
            run.log({"other": 1.0})
    assert states(handler) == ["pruned"]


# stable-baselines3.


class Line(gymnasium.Env):  # type: ignore[misc, unused-ignore]
    """Three steps, each with the action as its reward."""

    observation_space = gymnasium.spaces.Box(0.0, 1.0, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.left = 3
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> Any:
        self.left -= 1
        return self.observation_space.sample(), float(action), self.left == 0, False, {}


def act(callback: Any, steps: int) -> None:
    model = stable_baselines3.A2C("MlpPolicy", Line(), n_steps=5, seed=0, device="cpu", policy_kwargs={"net_arch": [2]})
    model.learn(steps, callback=callback, log_interval=2)


def test_the_callback_for_stable_baselines_logs_what_the_algorithm_logs(tmp_path: Path) -> None:
    handler = ScriptedHandler(metric="rollout/ep_rew_mean")
    with serving(handler), wandb.init(config={"gamma": 0.5}, sync_tensorboard=True) as run:
        act(wandb.integration.sb3.WandbCallback(model_save_path=str(tmp_path / "models")), 40)
        assert run.config["algo"] == "A2C"
        assert run.config["gamma"] == 0.5
    assert len(handler.logs) == 4
    assert {"rollout/ep_rew_mean", "train/policy_loss", "global_step"} <= names(handler)[0]
    assert [log["metrics"]["global_step"] for log in handler.logs] == [10, 20, 30, 40]
    assert (tmp_path / "models" / "model.zip").exists()
    assert states(handler) == ["finished"]


def test_a_stopped_stable_baselines_ends_inside_of_the_loop() -> None:
    handler = ScriptedHandler(metric="rollout/ep_rew_mean", stop_at=2)
    with serving(handler), wandb.init():
        act(wandb.integration.sb3.WandbCallback(), 90)
    assert len(handler.logs) == 2
    assert states(handler) == ["pruned"]


# The stand-in.


@pytest.mark.parametrize("name", ["catboost", "keras", "lightgbm", "sb3", "xgboost"])
def test_the_modules_of_the_stand_in_have_every_name(name: str) -> None:
    module = getattr(wandb.integration, name)
    places = [place for place, home in MODULES.items() if home == module.__name__]
    assert len(places) == {"keras": 3, "sb3": 1}.get(name, 2)
    with standing_in("wandb"):
        for place in places:
            found = import_module(f"wandb.{place}")
            assert [getattr(found, each) for each in module.__all__] == [
                getattr(module, each) for each in module.__all__
            ]


def test_check_knows_the_callbacks(sandbox: Sandbox) -> None:
    sandbox.write(
        "train.py",
        """
        import wandb
        from wandb.integration.keras import WandbMetricsLogger
        from wandb.integration.fastai import WandbCallback
        from wandb.integration.sb4 import Other
        import wandb.sdk.lib.runid
        from wandb.sdk.data_types.image import Image
        from wandb.sdk.data_types.trace_tree import Trace
        from wandb.integration.sb3 import WandbCallback as Another
        from wandb.xgboost import wandb_callback
        wandb.init().log({"val_loss": wandb.config.x})
        wandb.keras.WandbCallbak()
        """,
    )
    config = "program: train.py\nmethod: grid\nmetric: {name: val_loss}\nparameters: {x: {values: [1]}}\n"
    config += "lightsweep: {stand_in: wandb}\n"
    (sandbox.directory / "sweep.yaml").write_text(config)
    text = " ".join(sandbox.call("check", "sweep.yaml").stdout.split())
    assert "not found wandb.integration.fastai.WandbCallback (train.py:" in text
    assert "fastai 2 has its own callback" in text
    assert "wandb.integration.sb4.Other (train.py:5): lightsweep has no such name; did you mean 'sb3'?" in text
    assert "not found wandb.sdk.data_types.trace_tree.Trace (train.py:" in text
    assert "runid" not in text
    assert "image" not in text
    assert "Another" not in text
    assert "integration.sb3" not in text
    assert "wandb.keras.WandbCallbak (train.py:" in text
    assert "lightsweep has no such name; did you mean 'WandbCallback'?" in text
    assert "WandbMetricsLogger" not in text
    assert "wandb_callback" not in text
