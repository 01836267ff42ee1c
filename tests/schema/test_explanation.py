"""The text of ``lightsweep check``."""

from __future__ import annotations

from typing import Any

import pytest

from lightsweep.schema import SweepConfig, explain
from lightsweep.schema.distributions import count, spelt
from lightsweep.space import Constant
from lightsweep.space.continuous import Beta, LogNormal, LogUniform, Normal, Uniform
from lightsweep.space.discrete import Categorical, IntUniform, Quantized

CONFIG: dict[str, Any] = {
    "name": "digits",
    "method": "bayes",
    "metric": {"name": "val_loss", "target": 0.1},
    "early_terminate": {"type": "hyperband", "min_iter": 3},
    "run_cap": 20,
    "notes": "x",
    "parameters": {
        "lr": {"distribution": "log_uniform_values", "min": 1e-5, "max": 0.1},
        "model": {"parameters": {"hidden": {"values": [64, 128]}}},
        "epochs": {"value": 20},
    },
}


def test_the_whole_text() -> None:
    assert explain(SweepConfig.load(CONFIG)).split("\n") == [
        "sweep     digits",
        "method    bayes, sampler auto",
        "metric    minimize val_loss; the target is 0.1",
        "space     2 parameters to search and 1 fixed: unlimited points",
        "",
        "  parameter     distribution  range            values",
        "  epochs        fixed         20                    1",
        "  lr            log-uniform   1e-05 to 0.1  unlimited",
        "  model.hidden  one of        64, 128               2",
        "",
        "stopping  hyperband after 3, 9, 27, 81, 243, ... reports of the metric. About 1",
        "          in 3 runs survives each band, judged by its value there",
        "ends      run_cap 20 or val_loss <= 0.1",
        "warning   notes: unknown key 'notes'; it is ignored",
    ]


def text(**keys: Any) -> str:
    """The explanation of ``CONFIG`` with other keys, on one line."""
    return " ".join(explain(SweepConfig.load({**CONFIG, **keys})).split())


def test_a_grid_says_its_number_of_points() -> None:
    found = text(method="grid", parameters={"a": {"min": 1, "max": 1000}, "b": {"values": [1, 2]}}, run_cap=None)
    assert "2,000 grid points" in found
    assert "ends grid of 2,000" in found


def test_max_iter_is_no_band() -> None:
    found = text(early_terminate={"type": "hyperband", "max_iter": 27, "s": 2, "strict": False})
    assert "Runs that reach 27 (max_iter) are complete; they are not compared at their end" in found
    assert "its best value so far" in found
    assert "at no band" in text(early_terminate={"type": "hyperband", "max_iter": 2, "s": 2})


@pytest.mark.parametrize("name", ["num_train_epochs", "max-steps", "train.epochs"])
def test_a_band_at_the_end_of_training_is_warned_of(name: str) -> None:
    early = {"type": "hyperband", "min_iter": 1}
    parameters = {"lr": {"values": [1, 2]}, name: {"value": 9}}
    found = SweepConfig.load({**CONFIG, "notes": None, "early_terminate": early, "parameters": parameters})
    (warning,) = found.warnings
    assert (warning.where, warning.message[:11]) == (f"parameters.{name}", "9 is a band")
    assert "use max_iter: 9 with s: 2" in warning.message
    better = {"type": "hyperband", "max_iter": 9, "s": 2}
    assert SweepConfig.load({**found.raw, "early_terminate": better}).warnings == ()


def test_a_band_elsewhere_is_not_warned_of() -> None:
    early = {"type": "hyperband", "min_iter": 1}
    for parameter in ({"epochs": 10}, {"epochs": True}, {"epochs": "9"}, {"warmup_epochs": 9}, {"eval_steps": 9}):
        values = {name: {"value": value} for name, value in parameter.items()}
        found = SweepConfig.load({**CONFIG, "notes": None, "early_terminate": early, "parameters": values})
        assert found.warnings == ()


def test_the_band_of_a_stage_at_the_end_of_training_is_warned_of() -> None:
    stage = {"parameters": ["a"], "run_cap": 3, "early_terminate": {"type": "hyperband", "min_iter": 3}}
    found = SweepConfig.load(
        {
            "method": "random",
            "metric": {"name": "loss"},
            "parameters": {"a": {"min": 0.0, "max": 1.0}, "model": {"parameters": {"epochs": {"value": 3.0}}}},
            "lightsweep": {"stages": [stage]},
        }
    )
    (warning,) = found.warnings
    assert warning.where == "parameters.model.parameters.epochs"
    assert "use other bands" in warning.message


def test_the_meaning_of_a_band_at_the_first_report() -> None:
    meaning = "Band 1 compares the first report of each run, which may be an evaluation before training"
    assert meaning in text(early_terminate={"type": "hyperband", "min_iter": 1})
    assert meaning in text(early_terminate={"type": "hyperband", "max_iter": 9, "s": 2})
    assert meaning not in text(early_terminate={"type": "hyperband", "min_iter": 2})


def test_a_sweep_that_never_ends_says_so() -> None:
    assert "never by itself; set run_cap" in text(run_cap=None, metric={"name": "val_loss"})
    assert "if no run reaches it, the sweep never ends" in text(run_cap=None)


def test_options_and_schedulers_are_shown() -> None:
    assert "bayes, sampler tpe, seed 3" in text(lightsweep={"sampler": "tpe", "seed": 3})
    scheduler = {"engine": "optuna", "source": "space.py", "search_space": "define"}
    assert "space defined by define in space.py" in text(method="custom", scheduler=scheduler)


def test_long_and_strange_names_keep_to_80_columns() -> None:
    names = {
        "x" * 200: {"values": ["y" * 300, "\x1b[31m", "ü"]},
        "a\nb": {"distribution": "q_log_uniform_values", "min": 1, "max": 9},
    }
    keys = {"parameters": names, "description": "long words " * 30, "name": "z" * 200 + "\x1b[2J"}
    shown = explain(SweepConfig.load({**CONFIG, **keys}))
    assert max(map(len, shown.split("\n"))) <= 80
    assert "\x1b" not in shown


def test_of_several_metrics_the_target_of_the_first_ends_the_sweep() -> None:
    metrics = [{"name": "a", "target": 1}, {"name": "b", "goal": "maximize", "target": 7}]
    found = text(metric=None, metrics=metrics, early_terminate=None)
    assert "metric minimize a; the target is 1 metric maximize b space" in found
    assert "ends run_cap 20 or a <= 1 warning" in found
    metrics[0].pop("target")
    assert "ends run_cap 20 warning" in text(metric=None, metrics=metrics, early_terminate=None)


def test_the_whole_of_a_long_range_takes_several_lines() -> None:
    values = [f"value-{n}" for n in range(100)]
    config = SweepConfig.load(
        {**CONFIG, "parameters": {"x" * 30: {"values": values}, "y" * 4: {"min": 0.5, "max": 1.5}}}
    )
    lines = explain(config, whole=True, width=120).splitlines()
    assert ", ".join(values) in " ".join(line.strip().removesuffix("100").strip() for line in lines)
    assert max(map(len, lines)) <= 120
    (row,) = [line for line in lines if line.startswith("  x")]
    assert row.split(maxsplit=1)[0] == "x" * 30
    (row,) = [line for line in lines if line.startswith("  y")]
    assert row.split() == ["yyyy", "uniform", "0.5", "to", "1.5", "unlimited"]
    (row,) = [line for line in explain(config).splitlines() if line.startswith("  x")]
    assert "…" in row


def test_names_use_the_width_and_are_shortened_in_the_middle() -> None:
    names = [f"model.encoder.layer.attention.{part}.dropout_{part}" for part in ("query", "key", "value")]
    config = SweepConfig.load({**CONFIG, "parameters": {name: {"min": 0.5, "max": 1.5} for name in names}})
    assert all(name in explain(config, width=120) for name in names)
    rows = [line.split()[0] for line in explain(config).splitlines() if line.startswith("  model.")]
    assert len(set(rows)) == 3
    assert all(row.startswith("model.") and "…" in row for row in rows)
    assert max(map(len, explain(config).splitlines())) <= 80


def test_a_text_that_looks_like_another_type_is_quoted() -> None:
    values = ["true", True, "1.0", 1.5, "1e-5", "null", None, "", " a", "b, c", "adam", "2001-01-01"]
    assert Categorical(values).describe(spelt) == (
        '"true", true, "1.0", 1.5, "1e-5", "null", null, "", " a", "b, c", adam, 2001-01-01'
    )


def test_numbers_in_words() -> None:
    assert (count(None), count(1234), count(10**5000)) == ("unlimited", "1,234", "about 10^5000")


@pytest.mark.parametrize(
    ("distribution", "words"),
    [
        (Constant({"a": [True, None]}), ("one of", '{"a": [true, null]}')),
        (Categorical(["a", 1, 0.1, None]), ("one of", "a, 1, 0.1, null")),
        (Categorical(["a", "b"], [0.25, 0.75]), ("one of, weighted", "a (25%), b (75%)")),
        (IntUniform(1, 5), ("integer", "1 to 5")),
        (Uniform(0, 1 / 3), ("uniform", "0 to 0.3333")),
        (Quantized(LogUniform.from_values(10, 100), 8), ("log-uniform, steps of 8", "16 to 96")),
        (LogNormal(0, 2), ("log-normal", "median 1, sigma 2")),
        (Quantized(Normal(3, 1), 0.5), ("normal, steps of 0.5", "mean 3, sigma 1")),
        (Normal(3, 0), ("normal", "3")),
        (Beta(2, 5), ("beta", "0 to 1, a 2, b 5")),
    ],
)  # fmt: skip
def test_distributions_in_words(distribution: Any, words: tuple[str, str]) -> None:
    assert (distribution.traits.kind, distribution.describe(spelt)) == words


@pytest.mark.parametrize("parameter", [{"value": 3}, {"distribution": "normal", "sigma": 0}, {"values": [2, 2.0]}])
def test_a_single_value_is_fixed(parameter: dict[str, Any]) -> None:
    shown = explain(SweepConfig.load({**CONFIG, "parameters": {"x": parameter, "lr": {"min": 0, "max": 0.5}}}))
    (row,) = [line for line in shown.splitlines() if line.startswith("  x ")]
    assert row.split()[1] == "fixed"
