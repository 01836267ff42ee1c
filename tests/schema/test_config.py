"""Valid configs: inference, defaults and the fields of ``SweepConfig``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lightsweep.hyperband import Hyperband
from lightsweep.schema import Metric, Options, Scheduler, SweepConfig
from lightsweep.space import Constant, Distribution
from lightsweep.space.continuous import Beta, InvLogUniform, LogNormal, LogUniform, Normal, Uniform
from lightsweep.space.discrete import Categorical, IntUniform, Quantized


def config(**keys: Any) -> SweepConfig:
    """A config with these keys; random over one constant where they say nothing else."""
    return SweepConfig.load({"method": "random", "parameters": {"x": {"value": 1}}, **keys})


@pytest.mark.parametrize(
    ("keys", "distribution"),
    [
        ({"value": [1, {"a": None}]}, Constant([1, {"a": None}])),
        ({"value": None}, Constant(None)),
        ({"value": 1, "values": None}, Constant(1)),
        ({"distribution": "constant", "value": None}, Constant(None)),
        ({"values": [1, "a", None, [2]]}, Categorical([1, "a", None, [2]])),
        ({"values": [1, 2], "probabilities": [0.3, 0.7]}, Categorical([1, 2], [0.3, 0.7])),
        ({"min": 1, "max": 5}, IntUniform(1, 5)),
        ({"min": 0, "max": 0.5}, Uniform(0, 0.5)),
        ({"min": 1, "max": 5, "q": None}, IntUniform(1, 5)),
        ({"distribution": "categorical", "values": [3]}, Categorical([3])),
        ({"distribution": "categorical_w_probabilities", "values": [1], "probabilities": [1]}, Categorical([1], [1])),
        ({"distribution": "int_uniform", "min": 1.0, "max": 5.0}, IntUniform(1, 5)),
        ({"distribution": "uniform", "min": 1, "max": 5}, Uniform(1, 5)),
        ({"distribution": "q_uniform", "min": 1, "max": 5}, Quantized(Uniform(1, 5), 1)),
        ({"distribution": "q_uniform", "min": 1, "max": 5, "q": 0.5}, Quantized(Uniform(1, 5), 0.5)),
        ({"distribution": "log_uniform", "min": -9, "max": -2}, LogUniform(-9, -2)),
        ({"distribution": "q_log_uniform", "min": 1, "max": 5, "q": 2}, Quantized(LogUniform(1, 5), 2)),
        ({"distribution": "log_uniform_values", "min": 1e-5, "max": 1}, LogUniform.from_values(1e-5, 1)),
        (
            {"distribution": "q_log_uniform_values", "min": 8, "max": 64, "q": 8},
            Quantized(LogUniform.from_values(8, 64), 8),
        ),
        ({"distribution": "inv_log_uniform", "min": 1, "max": 5}, InvLogUniform(1, 5)),
        ({"distribution": "normal"}, Normal(0, 1)),
        ({"distribution": "normal", "mu": 2, "sigma": 3}, Normal(2, 3)),
        ({"distribution": "log_normal"}, LogNormal(0, 1)),
        ({"distribution": "q_log_normal", "mu": 2}, Quantized(LogNormal(2, 1), 1)),
        ({"distribution": "beta"}, Beta(1, 1)),
        ({"distribution": "beta", "a": 2, "b": 5}, Beta(2, 5)),
        ({"distribution": "q_beta", "a": 2, "q": 0.1}, Quantized(Beta(2, 1), 0.1)),
    ],
)
def test_a_parameter_becomes_its_distribution(keys: dict[str, Any], distribution: Distribution) -> None:
    (parameter,) = config(parameters={"x": keys}).space.parameters
    assert parameter.distribution == distribution
    assert parameter.distribution.name == (keys.get("distribution") or distribution.name)


def test_nested_groups_and_flat_names_with_dots() -> None:
    found = config(
        parameters={
            "model": {"parameters": {"hidden": {"values": [1, 2]}, "deep": {"parameters": {"er": {"value": 3}}}}},
            "model.flat": {"value": 4},
        }
    ).space
    assert [(parameter.name, parameter.path) for parameter in found.parameters] == [
        ("model.deep.er", ("model", "deep", "er")),
        ("model.flat", ("model.flat",)),
        ("model.hidden", ("model", "hidden")),
    ]


def test_the_fields_of_a_small_config() -> None:
    found = config()
    assert (found.method, found.metrics, found.metric, found.rule) == ("random", (), None, None)
    assert (found.run_cap, found.program, found.command, found.scheduler) == (None, None, None, None)
    assert (found.name, found.description, found.project, found.entity) == (None, None, None, None)
    assert found.options == Options(sampler="auto", seed=None, max_retries=0, lease=60.0)
    assert found.warnings == ()
    assert SweepConfig.load(found) is found
    (metric,) = config(metric={"name": "loss"}).metrics
    assert metric == Metric(name="loss", goal="minimize", target=None, impute="worst", impute_while_running=False)


def test_the_fields_of_a_large_config() -> None:
    found = config(
        method="bayes",
        metric={"name": "acc", "goal": "maximize", "target": 1, "impute": "latest", "impute_while_running": True},
        early_terminate={"type": "hyperband", "min_iter": 3},
        run_cap=20.0,
        program="train.py",
        command=["${env}", "python", "${program}", "--x=${x}", "${envvar:HOME}", "${other}", 3, 0.5, True],
        name=2024,
        description="",
        project="p",
        entity="e",
        lightsweep={"sampler": "tpe", "seed": 0, "max_retries": 2, "lease": 5},
    )
    assert found.metric == Metric(name="acc", goal="maximize", target=1, impute="latest", impute_while_running=True)
    assert found.rule == Hyperband(min_iter=3, eta=3, strict=True)
    assert (found.run_cap, type(found.run_cap)) == (20, int)
    assert found.command is not None
    assert found.command[3:] == ("--x=${x}", "${envvar:HOME}", "${other}", "3", "0.5", "True")
    assert (found.name, found.description, found.project, found.entity) == ("2024", "", "p", "e")
    assert found.options == Options(sampler="tpe", seed=0, max_retries=2, lease=5)


@pytest.mark.parametrize(("written", "meant"), [(True, True), ("false", False), ("latest", "latest")])
def test_impute_while_running_takes_the_texts_of_wandb(written: object, meant: object) -> None:
    loaded = config(metric={"name": "loss", "impute_while_running": written})
    assert loaded.metric is not None
    assert loaded.metric.impute_while_running is meant
    assert SweepConfig.load(loaded.raw) == loaded


def test_several_metrics_work_with_every_method() -> None:
    for method in ("grid", "random", "bayes"):
        found = config(method=method, metrics=[{"name": "a"}, {"name": "b", "goal": "maximize"}])
        assert [metric.name for metric in found.metrics] == ["a", "b"]
        assert found.metric == found.metrics[0]


@pytest.mark.parametrize(
    ("keys", "hyperband"),
    [
        ({"max_iter": 27, "s": 2}, Hyperband(max_iter=27, s=2)),
        ({"min_iter": 5, "max_iter": 50}, Hyperband(min_iter=5)),
        ({"min_iter": 5, "s": 3, "eta": 2, "strict": False}, Hyperband(min_iter=5, eta=2, strict=False)),
        ({"min_iter": 20, "max_iter": 40, "s": 2}, Hyperband(max_iter=40, s=2)),
    ],
)
def test_the_keys_of_hyperband(keys: dict[str, Any], hyperband: Hyperband) -> None:
    found = config(metric={"name": "loss"}, early_terminate={"type": "hyperband", **keys})
    assert found.rule == hyperband


def test_a_scheduler_may_define_the_space() -> None:
    block = {"engine": "optuna", "source": "space.py", "search_space": "define"}
    found = SweepConfig.load({"method": "custom", "scheduler": block})
    assert found.scheduler == Scheduler(engine="optuna", source="space.py", search_space="define")
    assert found.space.parameters == ()
    assert found.ends is None


@pytest.mark.parametrize(
    ("keys", "ends"),
    [
        ({}, "space of 1"),
        ({"parameters": {"x": {"min": 0.0, "max": 1}}}, None),
        ({"parameters": {"x": {"min": 0.0, "max": 1}}, "run_cap": 20}, "run_cap 20"),
        ({"method": "grid", "parameters": {"x": {"min": 1, "max": 12}}}, "grid of 12"),
        ({"method": "grid", "parameters": {"x": {"min": 1, "max": 12}}, "run_cap": 20}, "grid of 12"),
        ({"method": "grid", "parameters": {"x": {"min": 1, "max": 12}}, "run_cap": 5}, "run_cap 5"),
        ({"method": "grid", "parameters": {"x": {"values": [1, 1.0, True]}}}, "grid of 2"),
        (
            {"parameters": {"x": {"min": 0.0, "max": 1}}, "metric": {"name": "acc", "goal": "maximize", "target": 0.9}},
            "acc >= 0.9",
        ),
        ({"metric": {"name": "loss", "target": 0.9}}, "space of 1 or loss <= 0.9"),
    ],
)
def test_what_ends_a_sweep(keys: dict[str, Any], ends: str | None) -> None:
    assert config(**keys).ends == ends


def test_labels_are_added_where_there_are_none() -> None:
    found = config(project="mine").labelled(project="other", entity="team")
    assert (found.project, found.entity) == ("mine", "team")
    assert found == SweepConfig.load(found.raw)


def test_raw_is_json_and_says_the_same() -> None:
    found = config(
        notes={1: "kept as it is", "when": (1, 2)},
        command=["a", 1],
        metric={"name": "loss", "target": None},
        parameters={"x": {"values": [float("inf"), 1e-5, None]}},
    )
    assert SweepConfig.load(json.loads(json.dumps(found.raw))) == found
    assert found.raw["notes"] == {"1": "kept as it is", "when": [1, 2]}
    assert found.raw["metric"] == {"name": "loss", "target": None}
