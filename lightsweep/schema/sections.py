"""The sections of a sweep file beside its parameters: metric, early_terminate, scheduler and lightsweep."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from lightsweep.hyperband import Hyperband
from lightsweep.schema.diagnostics import Faults, KeyPath, hint, one_edit_away, shown
from lightsweep.schema.fields import (
    Block,
    Count,
    Label,
    Natural,
    Number,
    Positive,
    Text,
    Texts,
    Truth,
    between,
    check,
    given,
)
from lightsweep.space import Space

__all__ = [
    "BLOCKS",
    "LISTS",
    "SAMPLERS",
    "SERVICE_KEYS",
    "EarlyTerminate",
    "Metric",
    "Options",
    "Running",
    "Scheduler",
    "StageKeys",
    "TopLevel",
    "bands_text",
    "check_top_keys",
    "find_sampler",
    "hyperband_text",
    "read_early_terminate",
    "read_metrics",
    "read_options",
    "read_scheduler",
    "read_top_level",
    "sampler_names",
    "warn_of_last_bands",
]

Running = Literal["best", "latest", "worst"]
_RUNNING = ("best", "latest", "worst", "false")


def _running(value: object) -> object:
    if isinstance(value, bool):
        return value
    if value in _RUNNING:
        return False if value == "false" else value
    guess = hint(value, _RUNNING) if isinstance(value, str) else ""
    raise ValueError(f"must be true or false, or one of {', '.join(_RUNNING)}; got {shown(value)}{guess}")


class Metric(Block):
    """What a sweep improves."""

    name: Text
    """The name under which the training script logs it."""
    goal: Literal["minimize", "maximize"] = "minimize"
    """Whether smaller or larger values are better."""
    target: Number | None = None
    """The sweep finishes once any run reaches this value; of several metrics the first one's counts."""
    impute: Literal["worst", "best", "latest"] = "worst"
    """The value that a failed, crashed or killed run counts with in a bayes search."""
    impute_while_running: Annotated[
        bool | Running, BeforeValidator(_running), WithJsonSchema({"enum": [True, False, *_RUNNING]})
    ] = False
    """best, latest, worst: a running run counts with its own best value so far; true: with the value of impute."""


def read_metrics(raw: Mapping[str, Any], faults: Faults) -> tuple[Metric, ...]:
    """The metrics of a config: none, the one of ``metric``, or those of ``metrics`` in their order."""
    one, several = raw.get("metric"), raw.get("metrics")
    if several is None:
        metric = None if one is None else check(Metric, one, ("metric",), faults, "metric")
        return (metric,) if metric else ()
    if one is not None:
        faults.error(("metrics",), "give either metric or metrics, not both", key=True)
    if not isinstance(several, list) or len(several) < 2:
        faults.error(
            ("metrics",), f"metrics is a list of two metrics or more, got {shown(several)}; one goes into metric"
        )
        return ()
    read = [check(Metric, item, ("metrics", index), faults, "a metric") for index, item in enumerate(several)]
    metrics = tuple(metric for metric in read if metric)
    names: dict[str, int] = {}
    for index, metric in enumerate(read):
        if metric and metric.name in names:
            faults.error(("metrics", index, "name"), f"the metric {metric.name!r} stands twice in metrics")
        elif metric:
            names[metric.name] = index
    return metrics


EARLY_TERMINATE: KeyPath = ("early_terminate",)

MAX_ITERATIONS = 10**15
MAX_ETA = 10**6
MAX_BANDS = 1000

_LENGTH = re.compile(
    r"(?:max|num|n|total|training|(?:num_)?train)?_?(?:epochs?|steps|iters?|iterations)", re.IGNORECASE
)
"""Names of parameters that say how long training is."""


def _eta(value: object) -> object:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and not 1 < value <= MAX_ETA:
        raise ValueError(f"must be greater than 1 and at most {MAX_ETA}, got {shown(value)}")
    return value


Iterations = Annotated[Natural, between(1, MAX_ITERATIONS)]


class EarlyTerminate(Block):
    """Stops runs that fall behind. Needs ``min_iter``, or ``max_iter`` and ``s``."""

    type: Literal["hyperband"]
    """How runs are judged; hyperband is the only way."""
    min_iter: Iterations | None = None
    """The first band; the following ones are eta times as far, without end."""
    max_iter: Iterations | None = None
    """The bands are max_iter / eta, max_iter / eta^2, ...; max_iter itself is none. Wins over min_iter."""
    s: Annotated[Natural, between(1, MAX_BANDS)] | None = None
    """How many bands max_iter is divided into."""
    eta: Annotated[Number, BeforeValidator(_eta), WithJsonSchema({"type": "number", "exclusiveMinimum": 1})] = 3
    """At each band about one run in eta goes on. Greater than 1."""
    strict: Truth = True
    """true: a run is judged by its value at the band; false: by its best value so far."""


def read_early_terminate(value: Any, faults: Faults, path: KeyPath = EARLY_TERMINATE) -> Hyperband | None:
    """The hyperband at ``path``; ``None`` where there is none or where it is wrong, which ``faults`` then knows."""
    if value is None:
        return None
    before = faults.count
    if isinstance(value, dict):
        _check_keys(given(value), path, faults)
    block = check(EarlyTerminate, value, path, faults, "early_terminate")
    if block is None or faults.count > before:
        return None
    min_iter, max_iter = block.min_iter, block.max_iter
    if max_iter is not None and block.s is None:
        faults.warn((*path, "max_iter"), "max_iter does nothing without s: the bands follow from min_iter", key=True)
        max_iter = None
    elif max_iter is not None and min_iter is not None:
        faults.warn(
            (*path, "min_iter"), "min_iter does nothing beside max_iter and s: the bands follow from those", key=True
        )
        min_iter = None
    s = block.s
    if max_iter is None and s is not None:
        faults.warn((*path, "s"), "s does nothing without max_iter: with min_iter the bands have no end", key=True)
        s = None
    return Hyperband(min_iter=min_iter, max_iter=max_iter, s=s, eta=block.eta, strict=block.strict)


def warn_of_last_bands(space: Space, hyperbands: Iterable[Hyperband | None], faults: Faults) -> None:
    """Warn of each constant that looks like the length of training, such as ``epochs``, and equals a band."""
    for parameter in space.parameters:
        length = parameter.distribution.value_at(0) if parameter.distribution.size == 1 else None
        name = parameter.name.rpartition(".")[2].replace("-", "_")
        if not _LENGTH.fullmatch(name) or isinstance(length, bool) or not isinstance(length, (int, float)):
            continue
        for hyperband in dict.fromkeys(each for each in hyperbands if each is not None):
            bands = hyperband.bands(upto=int(length)) if 1 <= length <= MAX_ITERATIONS else ()
            if bands[-1:] != (length,):
                continue
            remedy = f"use max_iter: {length:g} with s: {len(bands) - 1}" if len(bands) > 1 else "use other bands"
            faults.warn(
                ("parameters", *[part for key in parameter.path for part in ("parameters", key)][1:]),
                f"{length:g} is a band: a run that is stopped by its last report has trained to its end, but skips "
                f"what the script does after training (test, save); {remedy}, so that the last band is earlier",
                key=True,
            )


def _check_keys(keys: dict[str, Any], path: KeyPath, faults: Faults) -> None:
    if keys.get("type", "hyperband") != "hyperband" or "min_iter" in keys or {"max_iter", "s"} <= keys.keys():
        return
    lack = "s is missing" if "max_iter" in keys else "max_iter is missing" if "s" in keys else "neither is given"
    faults.error(path, f"hyperband needs min_iter, or max_iter and s; {lack}", key=True)


SCHEDULER = ("scheduler",)


class Scheduler(Block):
    """Who proposes the runs."""

    engine: Literal["wandb", "optuna"] = "optuna"
    """wandb: the methods of this page; optuna: what source defines."""
    source: Text | None = None
    """A Python file."""
    optimizer: Text | None = None
    """The function in source that builds the Optuna study or sampler."""
    search_space: Text | None = None
    """The function in source that defines the space, by run."""


def read_scheduler(value: Any, method: object, faults: Faults) -> Scheduler | None:
    """The scheduler of a config; ``None`` where there is none or where it is wrong."""
    if value is None:
        if method == "custom":
            faults.error(
                ("method",),
                "method custom needs a scheduler block that says what proposes the runs;"
                " without one write grid, random or bayes",
            )
        return None
    if isinstance(value, Mapping) and value.get("engine") == "ax":
        faults.error(
            (*SCHEDULER, "engine"),
            "the engine ax is not supported; use engine optuna, or method bayes without a scheduler",
        )
        check(Scheduler, {**value, "engine": None}, SCHEDULER, faults, "scheduler")
        return None
    block = check(Scheduler, value, SCHEDULER, faults, "scheduler")
    if block and not block.source:
        for key in ("optimizer", "search_space"):
            if key in given(value):
                faults.error(
                    (*SCHEDULER, key), f"{key} names a function in source, and scheduler has no source", key=True
                )
    if block and method == "custom" and block.engine == "wandb":
        faults.error(
            (*SCHEDULER, "engine"),
            "the engine wandb has the methods grid, random and bayes; method custom needs optuna",
        )
    return block


MAX_STARTS = 1_000_000
MIN_LEASE = 0.1
MAX_LEASE = 7 * 24 * 3600


SAMPLERS = ("auto", "gp", "tpe", "cmaes", "qmc", "random")
"""The names of the samplers in ``lightsweep.sampler.registry``, each a function there."""

_ENTRY_POINTS = "lightsweep.samplers"


def sampler_names() -> list[str]:
    """The names that ``sampler`` can have: those of ``SAMPLERS``, and those that installed packages add."""
    return [*SAMPLERS, *sorted(entry_points(group=_ENTRY_POINTS).names)]


def find_sampler(name: str) -> EntryPoint | None:
    """Return where the function of a sampler is, which is not imported yet; ``None`` if the name is unknown.

    Installed packages add samplers as entry points of the group ``lightsweep.samplers``.
    """
    if name in SAMPLERS:  # without reading the metadata of all packages
        return EntryPoint(name, f"lightsweep.sampler.registry:{name}", _ENTRY_POINTS)
    return next(iter(entry_points(group=_ENTRY_POINTS, name=name)), None)


def _sampler(value: object) -> str:
    if isinstance(value, str) and find_sampler(value):
        return value
    names = sampler_names()
    guess = hint(value, names) if isinstance(value, str) else ""
    raise ValueError(f"must be one of {', '.join(names)}; got {shown(value)}{guess}")


def _add_names(schema: dict[str, Any]) -> None:
    schema["enum"] = sampler_names()


def _names(value: object) -> list[str]:
    if isinstance(value, list) and value and all(isinstance(item, (str, int, float)) for item in value):
        return [str(item) for item in value]
    raise ValueError(f"must be a list of names of parameters or groups, got {shown(value)}")


def _mapping(value: object) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise ValueError(f"must be a mapping of names of parameters to values, got {shown(value)}")


Names = Annotated[
    list[str], BeforeValidator(_names), WithJsonSchema({"type": "array", "minItems": 1, "items": {"type": "string"}})
]
Values = Annotated[Mapping[str, Any], BeforeValidator(_mapping), WithJsonSchema({"type": "object"})]


class StageKeys(Block):
    """One stage of a sweep."""

    parameters: Names
    """What it searches: dotted names; the name of a group means everything below it."""
    name: Text | None = None
    """What it is called; its number by default."""
    method: Literal["grid", "random", "bayes"] | None = None
    """How its points are chosen; the sweep's method by default."""
    run_cap: Natural | None = None
    """No more runs than this in the stage."""
    early_terminate: Any = None
    """Its hyperband; the sweep's by default, and null for none."""
    defaults: Values | None = None
    """Values of parameters that no stage before has searched."""


class Options(Block):
    """What only lightsweep knows."""

    sampler: Annotated[str, BeforeValidator(_sampler), Field(json_schema_extra=_add_names)] = "auto"
    """The Optuna sampler behind method bayes; auto is gp, and tpe where that gets too slow."""
    seed: Count | None = None
    """Makes the proposals repeatable; without it each sweep draws a seed of its own."""
    max_retries: Annotated[Count, between(0, MAX_STARTS)] = 0
    """How often a run that failed is started again; at most 1,000,000."""
    max_preemptions: Annotated[Count, between(0, MAX_STARTS)] = 5
    """How often a run that was lost with its agent or machine, or preempted, is started again; at most 1,000,000."""
    lease: Annotated[Positive, between(MIN_LEASE, MAX_LEASE)] = 60.0
    """Seconds without a sign of life after which a run counts as lost; from 0.1 to 604,800, which is a week."""
    prior_runs: Texts = ()
    """Sweeps of the same storage, or runs of them as SWEEP/RUN, that bayes begins with."""
    stages: Any = None
    """Stages run in order; each searches some parameters and keeps the best values found so far."""


LISTS: dict[str, tuple[str, type[Block]]] = {"stages": ("stage", StageKeys)}
"""Of each key that is a list of blocks the name of a block, and its keys."""


def read_options(value: Any, faults: Faults) -> Options:
    """The options of a config; the defaults where there are none or where they are wrong."""
    block = None if value is None else check(Options, value, ("lightsweep",), faults, "lightsweep")
    return block or Options()


BLOCKS = {
    "parameters": "What to search: names of parameters, each with its values or its distribution.",
    "metric": "What the sweep improves. Needed by method bayes and by early_terminate.",
    "metrics": "Two metrics or more, improved together.",
    "early_terminate": "Stops runs that fall behind, by hyperband.",
    "command": "The arguments that start a run; a list with macros such as ${program} and ${args}.",
    "scheduler": "An Optuna study or search space that a Python file defines.",
    "lightsweep": "What W&B does not have: sampler, seed, retries.",
}
SERVICE_KEYS = ("controller", "apiVersion", "kind", "job", "image_uri")


class TopLevel(Block):
    """The keys at the top that hold one value each."""

    method: Literal["grid", "random", "bayes", "custom"]
    """How points are chosen; custom needs a scheduler."""
    program: Text | None = None
    """The training script."""
    run_cap: Natural | None = None
    """No more runs than this, across any number of agents."""
    name: Label | None = None
    """The name of the sweep."""
    description: Label | None = None
    """What it is for."""
    project: Label | None = None
    """The project that it belongs to; a label."""
    entity: Label | None = None
    """Whose it is; a label."""


KNOWN = (*TopLevel.model_fields, *BLOCKS, *SERVICE_KEYS)


def check_top_keys(raw: Mapping[str, Any], faults: Faults) -> set[str]:
    """Notes keys that are misspelt (a fault), unknown or of the W&B service only (a warning each).

    Returns the keys that the misspelt ones were meant to be.
    """
    meant: set[str] = set()
    keys = given(raw)
    for key in keys:
        if key in KNOWN:
            continue
        near = one_edit_away(key, KNOWN)
        if near:
            faults.error((key,), f"there is no key {key!r}; did you mean {near!r}?", key=True)
            meant.add(near)
        else:
            faults.warn((key,), f"there is no key {key!r}, so it is ignored", key=True)
    service = [key for key in keys if key in SERVICE_KEYS]
    if service:
        verb = "means" if len(service) == 1 else "mean"
        are = "is" if len(service) == 1 else "are"
        faults.warn(
            (service[0],), f"{', '.join(service)} {verb} something to the W&B service only and {are} ignored", key=True
        )
    return meant


def read_top_level(raw: Mapping[str, Any], meant: set[str], faults: Faults) -> TopLevel | None:
    """The keys with one value each; ``None`` where one of them is wrong."""
    block = {key: value for key, value in raw.items() if key in TopLevel.model_fields}
    return check(TopLevel, block, (), faults, "a sweep config", absent=meant)


BANDS = 5  # how many are shown of more


def hyperband_text(hyperband: Hyperband) -> str:
    """Describe when runs are compared, and how many continue."""
    value = "its value at the band" if hyperband.strict else "its best value so far"
    bands = bands_text(hyperband)
    if hyperband.max_iter is None:
        which = f"after {bands} reports of the metric, without end"
    elif bands:
        which = f"after {bands} reports of the metric; max_iter {hyperband.max_iter} itself is no band"
    else:
        which = f"at no band: max_iter {hyperband.max_iter} is too small"
    if hyperband.first(1) == (1,):
        which += ". Band 1 compares the first report of each run, which may be an evaluation before training"
    return f"hyperband {which}. Beyond a band goes about one run in {hyperband.eta:g}, judged by {value}"


def bands_text(hyperband: Hyperband) -> str:
    """Return the lowest bands, ``"1, 3, 9, 27, 81, ..."``; empty if there are none."""
    bands = hyperband.first(BANDS + 1)
    return ", ".join(map(str, bands[:BANDS])) + (", ..." if len(bands) > BANDS else "")
