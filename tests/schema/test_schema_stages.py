"""``lightsweep.stages``: valid stages, and every mistake with its line."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Any

import pytest

from lightsweep.errors import ConfigError
from lightsweep.schema import SweepConfig, explain

BEGIN = """\
method: bayes
metric: {name: loss}
parameters:
  optimizer: {values: [adam, sgd]}
  lr: {min: 0.0, max: 1.0}
  model:
    parameters:
      hidden: {values: [16, 32, 64]}
      layers: {min: 1, max: 3}
  epochs: {value: 27}
lightsweep:
  stages:
"""


def config(tmp_path: Path, stages: str, begin: str = BEGIN) -> SweepConfig:
    path = tmp_path / "sweep.yaml"
    path.write_text(begin + textwrap.indent(textwrap.dedent(stages), "  " * 2), encoding="utf-8")
    return SweepConfig.load(path)


def faults(tmp_path: Path, stages: str, begin: str = BEGIN) -> list[tuple[int | None, str]]:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, stages, begin)
    return [(fault.line, f"{fault.where}: {fault.message}") for fault in caught.value.faults]


def test_stages_are_read(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        """\
        - name: first
          parameters: [optimizer, lr]
          method: random
          run_cap: 5
          defaults: {model.hidden: 32, model.layers: 2.0}
        - parameters: [model]
          early_terminate: {type: hyperband, min_iter: 2}
        - parameters: [lr, model.layers]
        """,
    )
    first, second, third = found.stages
    assert (first.number, first.name, first.method, first.run_cap, first.most) == (1, "first", "random", 5, 5)
    assert first.searched == ("lr", "optimizer")
    assert first.fixed(None) == {"model.hidden": 32, "model.layers": 2, "epochs": 27}
    assert isinstance(first.given["model.layers"], int)
    assert (second.name, second.method, second.most) == ("stage 2", "bayes", 9)
    assert second.searched == ("model.hidden", "model.layers")
    best = {"lr": 0.5, "optimizer": "sgd", "model.hidden": 64, "model.layers": 3, "epochs": 27}
    assert second.fixed(best) == {"epochs": 27, "lr": 0.5, "optimizer": "sgd"}
    assert third.fixed(best) == {"epochs": 27, "optimizer": "sgd", "model.hidden": 64}
    assert (third.most, found.ends, found.warnings) == (None, None, ())
    assert [stage.rule is None for stage in found.stages] == [True, False, True]
    assert found.stops_early
    assert SweepConfig.load(found.raw) == found
    assert SweepConfig.load(found.raw).stages == found.stages


def test_a_stage_has_the_early_termination_of_the_sweep_its_own_or_none(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        """\
        - {parameters: [optimizer], defaults: {lr: 0.1, model.hidden: 16, model.layers: 1}}
        - {parameters: [model], early_terminate: null}
        - {parameters: [lr], early_terminate: {type: hyperband, max_iter: 9, s: 2}}
        """,
        "early_terminate: {type: hyperband, min_iter: 5}\n" + BEGIN,
    )
    kinds = [stage.rule and (stage.rule.min_iter, stage.rule.s) for stage in found.stages]
    assert kinds == [(5, None), None, (None, 2)]
    assert found.stopping("stage 2") is None
    assert found.stopping(None) == found.rule


def test_a_later_stage_may_give_another_default(tmp_path: Path) -> None:
    found = config(
        tmp_path,
        """\
        - {parameters: [optimizer], defaults: {lr: 0.1, model.hidden: 16, model.layers: 1}}
        - {parameters: [lr], run_cap: 3, defaults: {model.layers: 2}}
        - {parameters: [model]}
        """,
    )
    assert [stage.given.get("model.layers") for stage in found.stages] == [1, 2, None]
    assert [stage.given.get("model.hidden") for stage in found.stages] == [16, 16, None]


GIVEN = "defaults: {model.hidden: 16, model.layers: 1}"


@pytest.mark.parametrize(
    ("stages", "line", "words"),
    [
        (f"- {{parameters: [optimzer, lr], {GIVEN}}}", 13, "no parameter 'optimzer'; did you mean 'optimizer'?"),
        ("- {parameters: [modle, optimizer, lr]}", 13, "no parameter 'modle'; did you mean 'model'?"),
        (f"- {{parameters: [optimizer, lr, epochs], {GIVEN}}}", 13, "'epochs' has one value only"),
        ("- {parameters: [model, model.hidden, optimizer, lr]}", 13, "'model.hidden' is twice"),
        ("- {parameters: [optimizer, lr]}", 13, "does not search 'model.hidden', 'model.layers', and no stage before"),
        ("- {parameters: lr}", 13, "parameters must be a list of names of parameters or groups, got 'lr'"),
        ("- {name: x}", 13, "a stage needs the key 'parameters'"),
        ("- {parameters: [lr], paramters: 1}", 13, "'paramters' is not a key of a stage; did you mean 'parameters'?"),
        ("- {parameters: [lr], method: bayse}", 13, "must be one of grid, random, bayes; got 'bayse'"),
        ("- {parameters: [lr], run_cap: 0}", 13, "run_cap must be a whole number of at least 1"),
        (f"- {{parameters: [optimizer, lr], early_terminate: {{type: hyperband}}, {GIVEN}}}", 13, "hyperband needs"),
        (f"- {{parameters: [optimizer, lr], method: grid, {GIVEN}}}", 13, "method grid cannot list the values of 'lr'"),
        ("- {parameters: [optimizer, model], defaults: {lr: 2}}", 13, "the default of 'lr' must be one of its values"),
        ("- {parameters: [lr, model], defaults: {optimizer: adm}}", 13, "the default of 'optimizer' must be one of"),
        ("- {parameters: [optimizer, model], defaults: {rl: 1}}", 13, "no parameter 'rl'"),
        ("- {parameters: [optimizer, lr, model], defaults: {lr: 1}}", 13, "searches 'lr', so it has no default"),
        ("- 3", 13, "a stage must be a mapping with the keys parameters"),
        ("- {parameters: [optimizer, lr, model]}\n- {parameters: [lr]}", 13, "nothing ends the stage 'stage 1'"),
        (
            "- {parameters: [model, optimizer], defaults: {lr: 1}}\n- {parameters: [lr], defaults: {model.hidden: 16}}",
            14,
            "'model.hidden' keeps the best value of the stages before, as 'stage 1' searches it",
        ),
        (
            "- {name: a, parameters: [model, optimizer], defaults: {lr: 1}}\n- {name: a, parameters: [lr]}",
            14,
            "the name 'a' is that of stage 1 too",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_line(tmp_path: Path, stages: str, line: int, words: str) -> None:
    found = faults(tmp_path, stages)
    assert any(place == line and words in text for place, text in found), found


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    found = faults(tmp_path, "- {parameters: [lrr], run_cap: 0}\n- {parameters: [modle]}\n- {parameters: []}")
    assert [line for line, _ in found] == [13, 14, 15]


@pytest.mark.parametrize("value", ["[]", "{parameters: [lr]}", "3"])
def test_stages_are_a_list_of_one_or_more(tmp_path: Path, value: str) -> None:
    begin = BEGIN.replace("  stages:\n", f"  stages: {value}\n")
    ((line, text),) = faults(tmp_path, "", begin)
    assert line == 12
    assert "stages must be a list of one stage or more" in text


def test_what_stages_do_not_go_with(tmp_path: Path) -> None:
    stages = "- {parameters: [optimizer, lr, model]}"
    ((line, text),) = faults(tmp_path, stages, BEGIN.replace("metric: {name: loss}\n", "").replace("bayes", "random"))
    assert (line, "metric" in text) == (11, True)
    custom = BEGIN.replace("bayes", "custom").replace("metric:", "scheduler: {source: a.py, optimizer: f}\nmetric:")
    ((line, text),) = faults(tmp_path, stages, custom)
    assert (line, "cannot be combined with `scheduler`" in text) == (13, True)


def test_a_sweep_of_method_grid_may_search_a_range_by_another_method(tmp_path: Path) -> None:
    stages = """\
    - parameters: [lr]
      method: random
      run_cap: 2
      defaults: {optimizer: adam, model.hidden: 16, model.layers: 1}
    - parameters: [model, optimizer]
    """
    found = config(tmp_path, stages, BEGIN.replace("bayes", "grid"))
    assert [stage.method for stage in found.stages] == ["random", "grid"]


def test_warnings(tmp_path: Path) -> None:
    stages = f"- {{parameters: [optimizer, lr], run_cap: 5, {GIVEN}}}\n- {{parameters: [model.layers]}}"
    found = config(
        tmp_path, stages, "run_cap: 5\n" + BEGIN.replace("metric: {name: loss}", "metrics: [{name: a}, {name: b}]")
    )
    assert [warning.message for warning in found.warnings] == [
        "run_cap 5 is reached before the stage 'stage 2' begins, as those before have 5 runs",
        "stages start from the best run by the first metric",
        "no stage searches 'model.hidden': the values of defaults are all that is used",
    ]


def test_the_whole_text_of_check(tmp_path: Path) -> None:
    stages = """\
    - {name: first, parameters: [optimizer, lr], method: random, run_cap: 5,
       defaults: {model.hidden: 32, model.layers: 2}}
    - {parameters: [model], early_terminate: null}
    - {name: last, parameters: [lr], run_cap: 4, early_terminate: {type: hyperband, max_iter: 9, s: 1}}
    """
    found = config(tmp_path, stages, "early_terminate: {type: hyperband, min_iter: 5}\n" + BEGIN)
    assert explain(found).split("\n")[1:4] == [
        "method    random and bayes in 3 stages, sampler auto",
        "metric    minimize loss",
        "space     4 parameters to search and 1 fixed: unlimited points",
    ]
    text = explain(found)
    assert text[text.index("stage 1") :].split("\n") == [
        "stage 1   first: random, unlimited points, at most 5 runs",
        "          searches lr, optimizer",
        "          fixed: model.hidden 32, model.layers 2",
        "stage 2   bayes, 9 points, at most 9 runs",
        "          searches model.hidden, model.layers",
        "          keeps of the best run before: lr, optimizer",
        "          stops no run early",
        "stage 3   last: bayes, unlimited points, at most 4 runs",
        "          searches lr",
        "          keeps of the best run before: model.hidden, model.layers, optimizer",
        "          stopping: hyperband after 3 reports of the metric. About 1 in 3 runs",
        "          survives each band, judged by its value there. Runs that reach 9",
        "          (max_iter) are complete; they are not compared at their end",
        "ends      stages of at most 5 + 9 + 4 runs",
    ]


def test_what_ends_a_sweep_with_stages(tmp_path: Path) -> None:
    stages = "- {parameters: [optimizer, model], defaults: {lr: 0.5}}\n- {parameters: [lr]%s}"
    assert config(tmp_path, stages % "").ends is None
    assert "never by itself" in explain(config(tmp_path, stages % ""))
    assert config(tmp_path, stages % ", run_cap: 3").ends == "stages of at most 18 + 3 runs"
    assert (
        config(tmp_path, stages % ", run_cap: 3", "run_cap: 20\n" + BEGIN).ends
        == "stages of at most 18 + 3 runs or run_cap 20"
    )


@pytest.mark.parametrize(
    ("distribution", "good", "bad"),
    [
        ({"distribution": "normal"}, [0, -8, 2.5], [9, "x", True, None]),
        ({"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25}, [0, 0.75, 1], [0.3, 1.25]),
        ({"distribution": "log_uniform_values", "min": 1e-5, "max": 1e-1}, [1e-5, 1e-1, 0.01], [0, 1]),
        ({"distribution": "q_log_normal", "q": 2}, [2, 4.0], [3, -2]),
        ({"values": [1, "a", None, [2]]}, [1, 1.0, "a", None, [2]], [True, "b"]),
        ({"min": 1, "max": 5}, [1, 5.0], [0, 1.5]),
    ],
)  # fmt: skip
def test_a_default_is_one_of_the_values_that_come_up(distribution: Any, good: list[Any], bad: list[Any]) -> None:
    def load(value: Any) -> SweepConfig:
        parameters = {"x": distribution, "y": {"values": [1, 2]}}
        stages = [{"parameters": ["y"], "defaults": {"x": value}}, {"parameters": ["x"]}]
        return SweepConfig.load(
            {"method": "random", "metric": {"name": "m"}, "parameters": parameters, "lightsweep": {"stages": stages}}
        )

    for value in good:
        assert load(value).stages[0].given["x"] == value
    for value in bad:
        with pytest.raises(ConfigError, match="the default of 'x' must be one of its values"):
            load(value)
