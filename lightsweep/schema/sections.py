"""The sections of a sweep file beside its parameters: metric, early_terminate, scheduler and lightsweep."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Literal

from lightsweep.schema import fields
from lightsweep.schema.diagnostics import Faults, hint, one_edit_away
from lightsweep.schema.launching import LaunchSettings
from lightsweep.schema.results import REPEATS, Repeats, StopWhen
from lightsweep.schema.stopping import EarlyTerminate
from lightsweep.space import Space
from lightsweep.stand_in import STAND_INS
from lightsweep.text import quoted

Running = Literal["best", "latest", "worst"]
_RUNNING = ("best", "latest", "worst", "false")


def _running(value: Any) -> Any:
    if isinstance(value, bool):
        return value
    if value in _RUNNING:
        return False if value == "false" else value
    words = ", ".join(_RUNNING)
    raise ValueError(f"must be true or false, or one of {words}; got {quoted(value)}{hint(value, _RUNNING)}")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The metric that a sweep improves.

    Attributes:
        name: The name under which the training script logs it.
        goal: Whether smaller or larger values are better.
        target: The sweep finishes once any run reaches this value; of several metrics the first one's counts.
        impute: The value that a failed, crashed or killed run counts with in a bayes search.
        impute_while_running: best, latest, worst: a running run counts with its own best value so far; true: with the
            value of impute.
    """

    name: fields.Text
    goal: Literal["minimize", "maximize"] = "minimize"
    target: fields.Number | None = None
    impute: Literal["worst", "best", "latest"] = "worst"
    impute_while_running: Annotated[bool | Running, fields.Rule(_running, {"enum": [True, False, *_RUNNING]})] = False


def read_metrics(raw: Mapping[str, Any], faults: Faults) -> tuple[Metric, ...]:
    """Return the metrics of a config: none, the one of ``metric``, or those of ``metrics`` in their order."""
    one, several, at = raw.get("metric"), raw.get("metrics"), faults.at("metrics")
    if several is None:
        metric = None if one is None else fields.check(Metric, one, faults.at("metric"), "metric")
        return (metric,) if metric else ()
    if one is not None:
        at.key_error("give either metric or metrics, not both")
    if not isinstance(several, list) or len(several) < 2:
        at.error(f"metrics is a list of two metrics or more, got {quoted(several)}; for one metric use the key metric")
        return ()
    found: dict[str, Metric] = {}
    for index, item in enumerate(several):
        metric = fields.check(Metric, item, at[index], "a metric")
        if metric and metric.name in found:
            at[index]["name"].error(f"the metric {metric.name!r} is listed twice in metrics")
        elif metric:
            found[metric.name] = metric
    return tuple(found.values())


_OUTPUT = re.compile(
    r"(?:\w+\.)*(?:(?:output|out|save|checkpoints?|ckpt)_?(?:dir|directory|path|folder)|default_root_dir|hydra\.run\.dir)",
    re.IGNORECASE,
)
"""Names of arguments that give a directory to write to."""

_ARGUMENT = re.compile(r"[-+]*([\w.-]+?)(?:=(.*))?", re.DOTALL)


def warn_of_shared_output(space: Space, command: Sequence[str], faults: Faults) -> None:
    """Warn of each constant, and each argument of the command, that gives all runs the same directory to write to."""
    for parameter in space.parameters:
        value = parameter.distribution.value_at(0) if parameter.distribution.size == 1 else None
        if isinstance(value, str) and value and _is_output(parameter.name):
            faults.at(*[part for name in parameter.path for part in ("parameters", name)]).key_warning(
                f"every run writes to {quoted(value)}, over the files of the runs before; leave {parameter.name} out "
                f"here, and write --{parameter.name}=${{run_dir}} in command"
            )
    for index, (item, following) in enumerate(zip(command, [*command[1:], "-"], strict=False)):
        found = _ARGUMENT.fullmatch(item)
        if found is None or not _is_output(found[1]) or (found[2] is None and not item.startswith("-")):
            continue
        value = following if found[2] is None else found[2]
        if not value.startswith("-") and not _DIFFERS.search(value):
            faults.at("command", index).warn(
                f"every run writes to {quoted(value)}, over the files of the runs before; write ${{run_dir}} for it"
            )


_DIFFERS = re.compile(r"\$\{(?!envvar:)")
"""A macro that may differ from run to run."""


def _is_output(name: str) -> bool:
    return bool(_OUTPUT.fullmatch(name.lstrip("-").replace("-", "_")))


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """The source of the runs' values.

    Attributes:
        engine: wandb: the methods grid, random and bayes; optuna: the functions in source.
        source: A Python file.
        optimizer: The function in source that builds the Optuna study or sampler.
        search_space: The function in source that defines the space, by run.
    """

    engine: Literal["wandb", "optuna"] = "optuna"
    source: fields.Text | None = None
    optimizer: fields.Text | None = None
    search_space: fields.Text | None = None


def read_scheduler(value: Any, method: object, faults: Faults) -> Scheduler | None:
    """Return the scheduler of a config; ``None`` if there is none or if it is wrong."""
    at = faults.at("scheduler")
    if value is None:
        if method == "custom":
            faults.at("method").error(
                "method custom needs a scheduler block that proposes the runs; without one write grid, random or bayes"
            )
        return None
    if isinstance(value, Mapping) and value.get("engine") == "ax":
        at["engine"].error("the engine ax is not supported; use engine optuna, or method bayes without a scheduler")
        fields.check(Scheduler, {**value, "engine": None}, at, "scheduler")
        return None
    block = fields.check(Scheduler, value, at, "scheduler")
    if block and not block.source:
        for key in fields.given({"optimizer": block.optimizer, "search_space": block.search_space}):
            at[key].key_error(f"{key} names a function in source, and scheduler has no source")
    if block and method == "custom" and block.engine == "wandb":
        at["engine"].error("the engine wandb has the methods grid, random and bayes; method custom needs optuna")
    return block


Starts = Annotated[int, fields.number(whole=True, least=0, most=1_000_000)]


SAMPLERS = ("auto", "gp", "tpe", "cmaes", "qmc", "random")
"""The names of the samplers in ``lightsweep.sampler.registry``, each a function there."""

_ENTRY_POINTS = "lightsweep.samplers"


def sampler_names() -> list[str]:
    """The names that ``sampler`` can have: those of ``SAMPLERS``, and those that installed packages add."""
    return [*SAMPLERS, *sorted(entry_points(group=_ENTRY_POINTS).names)]


def find_sampler(name: str) -> EntryPoint | None:
    """Return the entry point of a sampler, without importing it; ``None`` if the name is unknown.

    Installed packages add samplers as entry points of the group ``lightsweep.samplers``.
    """
    if name in SAMPLERS:  # without reading the metadata of all packages
        return EntryPoint(name, f"lightsweep.sampler.registry:{name}", _ENTRY_POINTS)
    return next(iter(entry_points(group=_ENTRY_POINTS, name=name)), None)


def _sampler(value: object) -> Any:
    return value if isinstance(value, str) and find_sampler(value) else fields.choice(*sampler_names()).read(value)


def _are_names(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, (str, int, float)) for item in value)


_LIST = {"type": "array", "minItems": 1, "items": {"type": "string"}}
_NAMES = fields.rule(_are_names, "a list of names of parameters or groups", _LIST, lambda names: [*map(str, names)])
_VALUES = fields.rule(
    lambda value: isinstance(value, Mapping), "a mapping of names of parameters to values", {"type": "object"}
)


@dataclass(frozen=True, kw_only=True)
class StageKeys:
    """One stage of a sweep.

    Attributes:
        parameters: The parameters that it searches: dotted names; a name of a group means all parameters below it.
        name: The name of the stage; its number by default.
        method: How its points are chosen; by default as the sweep's.
        run_cap: The largest number of runs in the stage.
        early_terminate: Its hyperband; the sweep's rule by default, and null for none.
        stopping: Its rule of lightsweep.stopping; the sweep's rule by default, and null for none.
        defaults: Values of parameters that no stage before has searched.
    """

    parameters: Annotated[list[str], _NAMES]
    name: fields.Text | None = None
    method: Literal["grid", "random", "bayes"] | None = None
    run_cap: fields.Natural | None = None
    early_terminate: Annotated[Any, fields.unread(fields.ref("early_terminate"))] = None
    stopping: Annotated[Any, fields.unread(fields.ref("stopping"))] = None
    defaults: Annotated[Mapping[str, Any], _VALUES] | None = None


_CONFIGURATIONS = {"type": "array", "minItems": 1, "items": {"type": "object", "minProperties": 1}}
_CONDITIONS = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {"type": "object", "minProperties": 1},
}
_BOUND = {"type": "string", "pattern": "[<>]=?\\s*[-+.0-9]"}
_CONSTRAINTS = {"anyOf": [{"type": "array", "minItems": 1, "items": _BOUND}, _BOUND]}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Keys that only lightsweep has.

    Attributes:
        sampler: The Optuna sampler behind method bayes; auto is gp, and tpe once gp gets too slow.
        seed: Makes the values of the runs repeatable; by default each sweep draws a seed of its own.
        max_retries: How often a failed run is retried; at most 1,000,000.
        max_preemptions: How often a run is retried that was preempted, or lost with its agent; at most 1,000,000.
        lease: Seconds without a heartbeat after which a run counts as lost; from 0.1 to 604,800, which is a week.
        keep_checkpoints: How many of the best runs keep the checkpoints in their directories; all by default.
        prior_runs: Sweeps of the same storage, or runs of them as SWEEP/RUN, from which bayes learns.
        nested: The form of nested groups in ${args}: dotted, as --model.hidden=64, or json, as --model={"hidden": 64}.
            By default json for a group of which the script's parser declares only the name, and else dotted.
        warm: Start runs as forks of a process that has made the script's imports, if that makes no difference to them.
        stand_in: wandb: runs that import wandb find lightsweep, whether or not W&B is installed.
        stopping: The rule that stops runs early, in place of early_terminate: expected, halving or median, by its name
            or as a mapping with type and settings.
        stages: Stages run in order; each searches some parameters and keeps the best values found so far.
        launch: How `lightsweep launch` starts the agents of the sweep.
        first: Configurations to begin with, each with some parameters or all; the method chooses the others.
        when: Conditional parameters: for each its parents, with the values that let it exist in a run.
        constraints: Bounds of numbers that runs log, such as latency_ms <= 20; a run that breaks one is never the best.
        stop_when: Conditions under which the sweep starts no further run; none by default.
        repeats: The number of runs with the same values and different seeds, scored by their mean; 1 by default.
    """

    sampler: Annotated[str, fields.Rule(_sampler, {"type": "string"})] = "auto"
    seed: Annotated[int, fields.number(whole=True, least=0)] | None = None
    max_retries: Starts = 0
    max_preemptions: Starts = 5
    lease: Annotated[float, fields.number(least=0.1, most=7 * 24 * 3600)] = 60.0
    keep_checkpoints: Annotated[int, fields.number(whole=True, least=0, most=1_000_000)] | None = None
    prior_runs: fields.Texts = ()
    nested: Literal["dotted", "json"] | None = None
    warm: fields.Truth = True
    stand_in: Annotated[str, fields.choice(*STAND_INS)] | None = None
    stopping: Annotated[Any, fields.unread(fields.ref("stopping"))] = None
    stages: Annotated[Any, fields.unread({"type": "array", "minItems": 1, "items": fields.ref("stage")})] = None
    launch: Annotated[Any, fields.unread(fields.ref("launch"))] = None
    first: Annotated[Any, fields.unread(_CONFIGURATIONS)] = ()
    when: Annotated[Any, fields.unread(_CONDITIONS)] = None
    constraints: Annotated[Any, fields.unread(_CONSTRAINTS)] = ()
    stop_when: Annotated[Any, fields.unread(fields.ref("stop_when"))] = None
    repeats: Annotated[Any, fields.unread(REPEATS)] = None


MODELS = {
    "metric": Metric,
    "early_terminate": EarlyTerminate,
    "scheduler": Scheduler,
    "lightsweep": Options,
    "stage": StageKeys,
    "launch": LaunchSettings,
    "stop_when": StopWhen,
    "repeats": Repeats,
}
"""The mappings of a sweep file that have fixed keys, by their names in the JSON Schema."""

SERVICE_KEYS = ("controller", "apiVersion", "kind", "job", "image_uri")
_ARGUMENTS = {"type": "array", "minItems": 1, "items": {"type": ["string", "number", "boolean"]}}


@dataclass(frozen=True, kw_only=True)
class TopLevel:
    """A sweep file; the blocks in it are read one by one.

    Attributes:
        method: How points are chosen; custom needs a scheduler.
        program: The training script.
        run_cap: The largest number of runs, across any number of agents.
        name: The name of the sweep.
        description: The purpose of the sweep.
        project: The project of the sweep; a label.
        entity: The owner of the sweep; a label.
        parameters: The names of the parameters, each with its values or its distribution.
        metric: The value that the sweep improves. Required by method bayes, early_terminate and stopping.
        metrics: Two metrics or more, improved together.
        early_terminate: Stops runs that fall behind, by hyperband; lightsweep.stopping has other rules.
        command: The arguments that start a run; a list with macros such as ${program} and ${args}.
        scheduler: An Optuna study or search space that a Python file defines.
        lightsweep: Keys that W&B does not have: sampler, seed, retries and so on.
    """

    method: Literal["grid", "random", "bayes", "custom"]
    program: fields.Text | None = None
    run_cap: fields.Natural | None = None
    name: fields.Label | None = None
    description: fields.Label | None = None
    project: fields.Label | None = None
    entity: fields.Label | None = None
    parameters: Annotated[Any, fields.unread(fields.ref("parameters"))] = None
    metric: Annotated[Any, fields.unread(fields.ref("metric"))] = None
    metrics: Annotated[Any, fields.unread({"type": "array", "minItems": 2, "items": fields.ref("metric")})] = None
    early_terminate: Annotated[Any, fields.unread(fields.ref("early_terminate"))] = None
    command: Annotated[Any, fields.unread(_ARGUMENTS)] = None
    scheduler: Annotated[Any, fields.unread(fields.ref("scheduler"))] = None
    lightsweep: Annotated[Any, fields.unread(fields.ref("lightsweep"))] = None


KNOWN = (*fields.keys_of(TopLevel), *SERVICE_KEYS)


def check_top_keys(raw: Mapping[str, Any], faults: Faults) -> set[str]:
    """Note keys that are misspelt (a fault), unknown or of the W&B service only (a warning each).

    Returns the keys that were meant by the misspelt ones.
    """
    meant: set[str] = set()
    keys = fields.given(raw)
    for key in keys:
        if key in KNOWN:
            continue
        if near := one_edit_away(key, KNOWN):
            faults.at(key).key_error(f"unknown key {key!r}; did you mean {near!r}?")
            meant.add(near)
        else:
            faults.at(key).key_warning(f"unknown key {key!r}; it is ignored")
    service = [key for key in keys if key in SERVICE_KEYS]
    if service:
        are = "is" if len(service) == 1 else "are"
        faults.at(service[0]).key_warning(f"{', '.join(service)} {are} for the W&B service only, and ignored")
    return meant
