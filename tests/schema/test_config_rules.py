"""Every rule of a sweep config in a small case: the place, the line and the text of the error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from lightsweep.errors import ConfigError
from lightsweep.schema import SweepConfig

RANDOM = "method: random\n"
ONE = "parameters: {x: {value: 1}}\n"
LOSS = "metric: {name: loss}\n"
EARLY = "early_terminate: {type: hyperband, min_iter:"


def load(tmp_path: Path, text: str) -> SweepConfig:
    """The config in ``text``, read from a file."""
    path = tmp_path / "sweep.yaml"
    path.write_text(text, encoding="utf-8")
    return SweepConfig.load(path)


def refused(tmp_path: Path, text: str, where: str, line: int, *words: str) -> None:
    """Asserts that ``text`` has exactly one mistake, at that place, with these words."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    (fault,) = caught.value.faults
    assert fault.where == where
    assert fault.line == line
    assert fault.column
    for word in words:
        assert word in fault.message


@pytest.mark.parametrize(
    ("text", "where", "line", "words"),
    [
        (ONE, "method", 1, ["method"]),
        (f"{ONE}method: bayesian\n", "method", 2, ["bayesian", "did you mean 'bayes'?"]),
        (f"{ONE}method: [grid]\n", "method", 2, ["grid, random, bayes, custom"]),
        (RANDOM, "parameters", 1, ["parameters"]),
        (f"{RANDOM}parameters: {{}}\n", "parameters", 2, ["parameters is empty"]),
        (f"{RANDOM}parameters: [a]\n", "parameters", 2, ["mapping", "['a']"]),
        (f"{RANDOM}parameters:\n  42: {{value: 1}}\n", "parameters", 3, ["42", "quotes"]),
        (f"{RANDOM}parameters:\n  '': {{value: 1}}\n", "parameters.", 3, ["empty"]),
        (f"{RANDOM}{ONE}metirc: {{name: x}}\n", "metirc", 3, ["did you mean 'metric'?"]),
        (f"{RANDOM}paramters: {{x: {{value: 1}}}}\n", "paramters", 2, ["did you mean 'parameters'?"]),
        (f"{RANDOM}{ONE}run_cap: 0\n", "run_cap", 3, ["at least 1", "0"]),
        (f"{RANDOM}{ONE}run_cap: '10'\n", "run_cap", 3, ["without quotes"]),
        (f"{RANDOM}{ONE}run_cap: true\n", "run_cap", 3, ["must be a number", "True"]),
        (f"{RANDOM}{ONE}program: [train.py]\n", "program", 3, ["text"]),
        (f"method: bayes\n{ONE}", "metric", 1, ["bayes"]),
        (f"{RANDOM}{ONE}early_terminate: {{type: hyperband, min_iter: 3}}\n", "metric", 3, ["early_terminate"]),
        (f"{ONE}method: custom\n", "method", 2, ["scheduler"]),
    ],
)
def test_top_level(tmp_path: Path, text: str, where: str, line: int, words: list[str]) -> None:
    refused(tmp_path, text, where, line, *words)


@pytest.mark.parametrize(
    ("metric", "where", "line", "words"),
    [
        ("metric: loss", "metric", 3, ["mapping", "name"]),
        ("metric: {goal: minimize}", "metric", 3, ["'name'"]),
        ("metric:\n  name: ''", "metric.name", 4, ["not empty"]),
        ("metric:\n  name: x\n  goal: minimise", "metric.goal", 5, ["minimise", "did you mean 'minimize'?"]),
        ("metric:\n  name: x\n  goal: up", "metric.goal", 5, ["minimize, maximize"]),
        ("metric:\n  name: x\n  target: low", "metric.target", 5, ["number", "low"]),
        ("metric:\n  name: x\n  target: .inf", "metric.target", 5, ["finite"]),
        ("metric:\n  name: x\n  impute: wurst", "metric.impute", 5, ["did you mean 'worst'?"]),
        ("metric:\n  name: x\n  impute_while_running: 1", "metric.impute_while_running", 5, ["true or false", "worst"]),
        ("metric:\n  name: x\n  gaol: minimize", "metric.gaol", 5, ["did you mean 'goal'?"]),
        ("metrics: [{name: x}]", "metrics", 3, ["two"]),
        ("metrics:\n- name: x\n- name: y\n  goal: no way", "metrics[1].goal", 6, ["goal"]),
        ("metrics:\n- name: x\n- name: x", "metrics[1].name", 5, ["twice"]),
        ("metrics: [{name: x}, {name: y}]\nmetric: {name: x}", "metrics", 3, ["not both"]),
    ],
)
def test_metric(tmp_path: Path, metric: str, where: str, line: int, words: list[str]) -> None:
    refused(tmp_path, f"{RANDOM}{ONE}{metric}\n", where, line, *words)


@pytest.mark.parametrize(
    ("keys", "where", "line", "words"),
    [
        ("type: hyperband", "", 4, ["min_iter", "max_iter and s"]),
        ("type: hyperband\n  max_iter: 27", "", 4, ["s is missing"]),
        ("min_iter: 3", "", 4, ["'type'"]),
        ("type: envelope", ".type", 5, ["hyperband", "envelope"]),
        ("type: hyperband\n  min_iter: 0", ".min_iter", 6, ["a whole number between 1 and"]),
        ("type: hyperband\n  min_iter: 2.5", ".min_iter", 6, ["whole number"]),
        ("type: hyperband\n  min_iter: 3\n  eta: 1", ".eta", 7, ["greater than 1"]),
        ("type: hyperband\n  min_iter: 3\n  strict: maybe", ".strict", 7, ["true or false"]),
        ("type: hyperband\n  min_iter: 3\n  etta: 3", ".etta", 7, ["did you mean 'eta'?"]),
        ("type: hyperband\n  max_iter: 27\n  s: 100000", ".s", 7, ["between 1 and 1,000"]),
    ],
)
def test_early_terminate(tmp_path: Path, keys: str, where: str, line: int, words: list[str]) -> None:
    text = f"{RANDOM}{ONE}{LOSS}early_terminate:\n  {keys}\n"
    refused(tmp_path, text, f"early_terminate{where}", line, *words)


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ("lightsweep: fast", "lightsweep", ["mapping"]),
        ("lightsweep: {sampler: tpee}", "lightsweep.sampler", ["did you mean 'tpe'?"]),
        ("lightsweep: {seed: -1}", "lightsweep.seed", ["at least 0"]),
        ("lightsweep: {max_retries: 1.5}", "lightsweep.max_retries", ["whole number"]),
        ("lightsweep: {lease: 1e-9}", "lightsweep.lease", ["between 0.1 and 604,800", "1e-09"]),
        ("lightsweep: {max_preemptions: 1000001}", "lightsweep.max_preemptions", ["between 0 and 1,000,000"]),
        ("lightsweep: {seed: 1e21}", "lightsweep.seed", ["from -2^53 to 2^53"]),
        ("lightsweep: {prior_runs: 3}", "lightsweep.prior_runs", ["a list of texts", "3"]),
        ("lightsweep: {prior_runs: [k3v9x2ab, 7]}", "lightsweep.prior_runs", ["a list of texts"]),
        ("lightsweep: {samplr: tpe}", "lightsweep.samplr", ["did you mean 'sampler'?"]),
        ("scheduler: {engine: ax}", "scheduler.engine", ["ax is not supported", "use engine optuna"]),
        ("scheduler: {engine: optunna}", "scheduler.engine", ["did you mean 'optuna'?"]),
        ("scheduler: {search_space: f}", "scheduler.search_space", ["source"]),
        ("scheduler: {sources: f.py}", "scheduler.sources", ["did you mean 'source'?"]),
        ("command: python train.py", "command", ['command: ["python", "train.py"]']),
        ("command: []", "command", ["list"]),
        ("command: [python, null]", "command[1]", ["None"]),
        ("command: [python, {--a: 1}]", "command[1]", ["'--a: 1'"]),
        ("command: ['${progam}']", "command[0]", ["did you mean '${program}'?"]),
        ("command: ['--a=${args}']", "command[0]", ["'--a=${args}'", "a separate item"]),
        ("command: [run, '${program}']", "command[1]", ["the key 'program'", "add it"]),
        ("command: [run, '${env_var:HOME}']", "command[1]", ["did you mean '${envvar:HOME}'?"]),
    ],
)
def test_other_blocks(tmp_path: Path, text: str, where: str, words: list[str]) -> None:
    refused(tmp_path, f"{RANDOM}{ONE}{text}\n", where, 3, *words)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("{value: {lr: 1}}", "model.lr"),
        ("{values: [a, {opt: {lr: 1}}]}", "model.opt.lr"),
        ("{value: {opt: adam}}", "model.opt.lr"),
    ],
)
def test_a_parameter_inside_of_the_dict_of_another(tmp_path: Path, model: str, name: str) -> None:
    text = f"{RANDOM}parameters:\n  model: {model}\n  {name}: {{values: [3, 4]}}\n"
    inside = name.removeprefix("model.")
    refused(tmp_path, text, f"parameters.{name}", 4, f"{name!r} is also {inside!r} in the value of parameters.model;")


@pytest.mark.parametrize("model", ["{value: resnet}", "{values: [{width: 1}, {depth: 2}]}", "{min: 0, max: 9}"])
def test_a_dotted_parameter_beside_its_prefix(tmp_path: Path, model: str) -> None:
    # As LightningCLI takes them: --model=resnet --model.lr=3
    load(tmp_path, f"{RANDOM}parameters:\n  model: {model}\n  model.lr: {{values: [3, 4]}}\n")


def test_every_item_of_a_command_that_cannot_run_is_named(tmp_path: Path) -> None:
    parameters = "parameters: {batch_size: {value: 1}, model: {parameters: {hidden: {value: 1}}}}\n"
    command = """command:
  - "${program}"
  - "--b=${bach_size}"
  - "--h=${model.hiden} ${modle}"
  - "--c=${args}"
  - "--right=${batch_size} ${model} ${model.hidden} ${envvar:NOT_SET_HERE} ${hydra:runtime.cwd} ${other} ${args_json}"
"""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, RANDOM + parameters + command)
    faults = caught.value.faults
    assert [(fault.line, fault.where) for fault in faults] == [
        (line, f"command[{line - 4}]") for line in (4, 5, 6, 6, 7)
    ]
    for fault, meant in zip(faults[1:4], ("batch_size", "model.hidden", "model"), strict=True):
        assert f"did you mean '${{{meant}}}'?" in fault.message


def test_a_program_that_is_wrong_itself_is_one_fault(tmp_path: Path) -> None:
    command = "command: ['${program}']\n"
    refused(tmp_path, f"{RANDOM}{ONE}progam: t.py\n{command}", "progam", 3, "did you mean 'program'?")
    refused(tmp_path, f"{RANDOM}{ONE}program: [t.py]\n{command}", "program", 3, "text")


@pytest.mark.parametrize(
    ("parameter", "where", "words"),
    [
        ("", "", ["value: ..."]),
        ("0.1", "", ["value: 0.1"]),
        ("[1, 2]", "", ["values: [1, 2]"]),
        ("{}", "", ["value, values, or min and max"]),
        ("{distributon: uniform, min: 0, max: 1}", ".distributon", ["did you mean 'distribution'?"]),
        ("{distribution: unifrom, min: 0, max: 1}", ".distribution", ["did you mean 'uniform'?"]),
        ("{distribution: 3}", ".distribution", ["int_uniform"]),
        ("{valuse: [1]}", ".valuse", ["did you mean 'values'?"]),
        ("{values: 1.0}", ".values", ["list", "value: 1.0"]),
        ("{values: []}", ".values", ["at least one"]),
        ("{values: {0.1, 0.2}}", ".values", ["brackets, not braces: write [0.1, 0.2]"]),
        ("{values: [1, 2], probabilities: {0.4, 0.6}}", ".probabilities", ["write [0.4, 0.6]"]),
        (f"{{values: {list(range(10_001))}}}", ".values", ["at most 10,000 values, got 10,001", "min and max"]),
        ("{distribution: loguniform, min: 1e-5, max: 0.1}", ".distribution", ["did you mean 'log_uniform_values'?"]),
        ("{distribution: q_uniform, min: 0, max: 1e20, q: 1e-10}", "", ["q 1e-10 is too small", "2^53 steps"]),
        ("{min: 0, max: 9007199254740993}", ".max", ["from -2^53 to 2^53"]),
        ("{value: 1, values: [1]}", ".value", ["values"]),
        ("{value: 1, min: 0}", ".min", ["constant"]),
        ("{distribution: categorical, value: a}", ".value", ["values: ['a']"]),
        ("{distribution: constant, values: [a]}", ".values", ["categorical"]),
        ("{distribution: categorical, values: [1], probabilities: [1]}", ".probabilities", ["ical_w_probabilities"]),
        ("{values: [1, 2], probabilities: [0.5]}", "", ["2 values"]),
        ("{values: [1, 2], probabilities: [0.5, 0.6]}", "", ["1.1"]),
        ("{values: [1], probabilities: 1}", ".probabilities", ["list"]),
        ("{probabilities: [1]}", "", ["'values'"]),
        ("{min: 1}", "", ["'max'"]),
        ("{min: 1, max: 0}", ".min", ["min 1", "max 0"]),
        ("{min: 1, max: 1}", ".min", ["value: 1"]),
        ("{min: '0.1', max: 1}", ".min", ["'0.1'", "quotes"]),
        ("{min: true, max: 2}", ".min", ["True"]),
        ("{min: 0.0, max: .inf}", ".max", ["finite"]),
        ("{min: 0, max: 1, q: 0.1}", ".q", ["q_uniform"]),
        ("{mu: 0, sigma: 1}", "", ["normal"]),
        ("{distribution: uniform, min: 0, max: 1, q: 0.1}", ".q", ["q_uniform"]),
        ("{distribution: int_uniform, min: 0.5, max: 2}", ".min", ["whole"]),
        ("{distribution: normal, min: 0}", ".min", ["mu, sigma"]),
        ("{distribution: normal, sigma: -1}", ".sigma", ["at least 0"]),
        ("{distribution: q_normal, q: 0}", ".q", ["greater than 0"]),
        ("{distribution: beta, a: 0}", ".a", ["greater than 0"]),
        ("{distribution: q_uniform, min: 0.1, max: 0.2, q: 1}", "", ["no multiple"]),
        ("{distribution: log_uniform_values, min: 0, max: 1}", ".min", ["greater than 0"]),
        ("{distribution: log_uniform, min: 1, max: 1000}", ".max", ["log_uniform_values"]),
        ("{distribution: log_uniform, min: -800, max: 0}", ".min", ["log_uniform_values"]),
        ("{distribution: log_normal, mu: 5000}", "", ["mu"]),
        ("{hidden: {value: 3}}", ".hidden", ["parameters:"]),
        ("{values: {hidden: {value: 3}}}", ".values", ["parameters:"]),
        ("{parameters: {}}", ".parameters", ["parameters is empty"]),
        ("{parameters: [a]}", ".parameters", ["mapping"]),
        ("{parameters: {a: {value: 1}}, distribution: uniform}", ".distribution", ["nested group"]),
        ("{parameters: {a: {min: 2, max: 1}}}", ".parameters.a.min", ["min 2"]),
    ],
)
def test_parameter(tmp_path: Path, parameter: str, where: str, words: list[str]) -> None:
    refused(tmp_path, f"{RANDOM}parameters:\n  x: {parameter}\n", f"parameters.x{where}", 3, *words)


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ("{min: 0.0, max: 1.0}", ["uniform", "values: [...]", "q_uniform"]),
        ("{values: [1, 2], probabilities: [0.5, 0.5]}", ["drop probabilities"]),
        ("{distribution: q_normal}", ["q_normal"]),
        ("{distribution: log_uniform_values, min: 1, max: 2}", ["log_uniform_values"]),
    ],
)
def test_a_grid_needs_values_that_can_be_listed(tmp_path: Path, parameter: str, words: list[str]) -> None:
    refused(tmp_path, f"method: grid\nparameters:\n  x: {parameter}\n", "parameters.x", 3, "'x'", *words)


def test_a_flat_name_that_is_also_a_nested_one(tmp_path: Path) -> None:
    text = f"{RANDOM}parameters:\n  a.b: {{value: 1}}\n  a:\n    parameters:\n      b: {{value: 2}}\n"
    refused(tmp_path, text, "parameters.a.parameters.b", 6, "a.b")


def test_all_faults_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = "method: randm\nmetric: {goal: up}\nparameters:\n  a: {valuse: [1]}\nrun_cap: x\n"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    places = [f"{fault.line} {fault.where}" for fault in caught.value.faults]
    assert places == ["1 method", "2 metric", "2 metric.goal", "4 parameters.a.valuse", "5 run_cap"]


def test_a_wrong_key_of_the_block_hides_no_other_fault(tmp_path: Path) -> None:
    block = "lightsweep: {sampelr: gp, repeats: 0, stop_when: {hours: -1}}\n"
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, RANDOM + ONE + LOSS + block)
    places = [fault.where.removeprefix("lightsweep.") for fault in caught.value.faults]
    assert places == ["sampelr", "repeats", "stop_when.hours"]


def test_the_same_faults_in_a_dict_have_no_lines() -> None:
    with pytest.raises(ConfigError) as caught:
        SweepConfig.load({"method": "randm", "parameters": {"b": {"min": 2, "max": 1}}})
    assert [str(fault).split(":")[0] for fault in caught.value.faults] == ["method", "parameters.b.min"]
    assert {fault.line for fault in caught.value.faults} == {None}


@pytest.mark.parametrize(
    ("text", "where", "line", "words"),
    [
        ("notes: hi\n", "notes", 3, ["'notes'", "ignored"]),
        ("job: x\ncontroller: {type: local}\n", "job", 3, ["job, controller", "ignored"]),
        (f"{LOSS}{EARLY} 3, max_iter: 27}}\n", "early_terminate.max_iter", 4, ["without s"]),
        (f"{LOSS}{EARLY} 3, s: 2}}\n", "early_terminate.s", 4, ["without max_iter"]),
        (f"{LOSS}{EARLY} 3, max_iter: 9, s: 1}}\n", "early_terminate.min_iter", 4, ["max_iter and s"]),
        (f"metrics: [{{name: x}}, {{name: y}}]\n{EARLY} 3}}\n", "early_terminate", 4, ["'x'"]),
        ("metrics:\n- {name: x, target: 1}\n- name: y\n  target: 2\n", "metrics[1].target", 6, ["first", "'x'"]),
    ],
)
def test_what_is_accepted_with_a_warning(tmp_path: Path, text: str, where: str, line: int, words: list[str]) -> None:
    (warning,) = load(tmp_path, f"{RANDOM}{ONE}{text}").warnings
    assert (warning.where, warning.line) == (where, line)
    for word in words:
        assert word in warning.message


@pytest.mark.parametrize(
    ("parameter", "key", "words"),
    [
        ("{distribution: q_uniform, min: 1, max: 9, q: 2}", "min", "not a multiple of q 2, so the grid starts at 2"),
        ("{values: [1, 2, 1.0, a, a, a]}", "values", "1.0, 'a' are repeated in values: the grid tries each value once"),
    ],
)
def test_what_a_grid_does_not_take_as_written(tmp_path: Path, parameter: str, key: str, words: str) -> None:
    parameters = f"parameters:\n  x: {parameter}\n"
    stages = "lightsweep: {stages: [{method: grid, parameters: [x]}]}\n"
    for text in (f"method: grid\n{parameters}", f"method: random\n{parameters}{LOSS}{stages}"):
        (warning,) = load(tmp_path, text).warnings
        assert (warning.where, warning.line) == (f"parameters.x.{key}", 3)
        assert words in warning.message
    assert load(tmp_path, f"{RANDOM}{parameters}").warnings == ()


def test_a_grid_from_a_multiple_of_q_needs_no_word() -> None:
    parameters = {"x": {"distribution": "q_uniform", "min": 0.1, "max": 0.9, "q": 0.1}, "y": {"values": [1, True, "1"]}}
    assert SweepConfig.load({"method": "grid", "parameters": parameters}).warnings == ()


def test_a_constant_list_may_have_been_meant_as_values(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, f"{RANDOM}parameters:\n  x: {{value: [16, 32]}}\n").warnings
    assert (warning.where, warning.line) == ("parameters.x.value", 3)
    assert "did you mean values: [16, 32]?" in warning.message
    for meant in ("distribution: constant, value: [16, 32]", "value: [16]", "value: [[1, 2], [3]]", "value: 16"):
        assert load(tmp_path, f"{RANDOM}parameters:\n  x: {{{meant}}}\n").warnings == ()
    assert load(tmp_path, f"{RANDOM}parameters:\n  betas: {{value: [0.9, 0.99]}}\n").warnings == ()
    assert len(load(tmp_path, f"{RANDOM}parameters:\n  loss: {{value: [l1, l2]}}\n").warnings) == 1


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("~/train.py", "write '${envvar:HOME}/train.py'"),
        ("--data=~/data", "write '--data=${envvar:HOME}/data'"),
        ("$PWD/train.py", "${envvar:PWD}"),
        ("--out=${HOME}/out", "${envvar:HOME}"),
        ("$(date)", "bash -c"),
        ("--lr 0.1", '"--lr", "0.1"'),
        ("--a=1 --b=2", '"--a=1", "--b=2"'),
        ("${interpreter} ${program}", '"${interpreter}", "${program}"'),
        ("python train.py", '"python", "train.py"'),
    ],
)
def test_what_only_a_shell_would_read_warns(tmp_path: Path, item: str, words: str) -> None:
    head = f"{RANDOM}{ONE}program: t.py\ncommand:\n- run\n"
    (warning,) = load(tmp_path, f"{head}- '{item}'\n").warnings
    assert (warning.where, warning.line) == ("command[1]", 6)
    assert words in warning.message
    assert load(tmp_path, f"{head}- bash\n- -lc\n- '{item}'\n").warnings == ()


def test_the_first_item_of_a_command_is_one_word(tmp_path: Path) -> None:
    (warning,) = load(tmp_path, f"{RANDOM}{ONE}command: [python -m package]\n").warnings
    assert '"python", "-m", "package"' in warning.message


@pytest.mark.parametrize(
    "item", ["two words", "--title=a b - c", "a~b", "s3://x/~y", "${hydra:runtime.cwd}", "5$", "-c"]
)
def test_what_needs_no_word_in_a_command(tmp_path: Path, item: str) -> None:
    assert load(tmp_path, f"{RANDOM}{ONE}command: [run, '{item}']\n").warnings == ()


def test_a_sweep_has_at_most_10_000_parameters() -> None:
    parameters = {f"p{number}": {"value": 1} for number in range(10_001)}
    with pytest.raises(ConfigError, match="at most 10,000 parameters"):
        SweepConfig.load({"method": "random", "parameters": parameters})


def test_a_name_has_at_most_500_characters() -> None:
    with pytest.raises(ConfigError, match="at most 500 characters"):
        SweepConfig.load({"method": "random", "parameters": {"x" * 501: {"value": 1}}})
    SweepConfig.load({"method": "random", "parameters": {"x" * 500: {"value": 1}}})


def test_exponents_that_look_like_values_warn(tmp_path: Path) -> None:
    text = f"{RANDOM}parameters:\n  x: {{distribution: log_uniform, min: 0.0001, max: 0.1}}\n"
    (warning,) = load(tmp_path, text).warnings
    assert (warning.where, warning.line) == ("parameters.x.min", 3)
    assert "log_uniform_values" in warning.message
    assert load(tmp_path, text.replace("0.0001", "-9.2").replace("0.1}", "-2.3}")).warnings == ()


def test_null_counts_as_not_given(tmp_path: Path) -> None:
    nulls = "entity:\nnotes:\nlightsweep:\nmetric:\nearly_terminate:\nrun_cap: ~\nmetirc:\n"
    config = load(tmp_path, f"{RANDOM}{ONE}{nulls}")
    assert config.warnings == ()
    assert (config.entity, config.metric, config.run_cap) == (None, None, None)


@pytest.mark.parametrize("name", ["train/lr", "++model.lr", "a-b", "ü", "with blank", "1", "model.x"])
def test_any_name_that_is_not_empty(name: str) -> None:
    config = SweepConfig.load({"method": "random", "parameters": {name: {"value": 1}}})
    assert config.space.at([]) == {name: 1}


def test_errors_do_not_depend_on_each_other() -> None:
    bad: dict[str, Any] = {"method": "bayes", "metirc": {"name": "x"}, "parameters": {"x": {"value": 1}}}
    with pytest.raises(ConfigError) as caught:
        SweepConfig.load(bad)
    assert [fault.where for fault in caught.value.faults] == ["metirc"]


def test_faults_of_a_dict_keep_its_order() -> None:
    unknown = {f"{letter}_key": 1 for letter in "qwertyuiop"}
    config = SweepConfig.load({"method": "random", "parameters": {"x": {"value": 1}}, **unknown})
    assert [warning.where for warning in config.warnings] == list(unknown)
    group = {"parameters": {"a": {"value": 1}}, **unknown}
    with pytest.raises(ConfigError) as caught:
        SweepConfig.load({"method": "random", "parameters": {"x": group}})
    assert [fault.where for fault in caught.value.faults] == [f"parameters.x.{key}" for key in unknown]
