"""Read ``lightsweep.stages``: the parameters that each stage searches, and the values that it keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from lightsweep.hyperband import Hyperband
from lightsweep.schema.diagnostics import Faults, KeyPath, hint
from lightsweep.schema.distributions import count, spelt
from lightsweep.schema.fields import check
from lightsweep.schema.parameters import Parameters, check_grid
from lightsweep.schema.sections import StageKeys, hyperband_text, read_early_terminate
from lightsweep.space import Distribution, Parameter, Space
from lightsweep.text import quoted

Method = Literal["grid", "random", "bayes"]


@dataclass(frozen=True)
class Stage:
    """A valid stage, or a whole flat sweep.

    Attributes:
        number: 1 for the first; 0 for a flat sweep.
        name: Unique among the stages; empty for a flat sweep.
        method: How its points are chosen.
        space: The parameters that it searches.
        run_cap: No more runs than this; ``None`` for no limit of its own.
        early_terminate: The hyperband by which its runs are stopped early.
        given: Of the parameters that neither this stage nor one before it searches: their values.
        kept: The names of the others: they keep the values of the best run of the stages before.
    """

    number: int
    name: str
    method: Literal["grid", "random", "bayes", "custom"]
    space: Space
    run_cap: int | None = None
    early_terminate: Hyperband | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    kept: tuple[str, ...] = ()

    @property
    def searched(self) -> tuple[str, ...]:
        """The names of the parameters that it searches."""
        return tuple(parameter.name for parameter in self.space.parameters)

    @property
    def most(self) -> int | None:
        """The greatest number of runs, by its cap and by its points; ``None`` without a limit."""
        return least(self.run_cap, self.space.size)

    def fixed(self, best: Mapping[str, Any] | None) -> dict[str, Any]:
        """Return the values of all parameters that it does not search, by name.

        Args:
            best: The values of the best run of the stages before; ``None`` for the first stage.
        """
        return {**self.given, **{name: best[name] for name in self.kept if best is not None}}


def least(*limits: int | None) -> int | None:
    """Return the smallest limit; ``None`` means no limit."""
    return min((limit for limit in limits if limit is not None), default=None)


def most_runs(stages: Sequence[Stage], run_cap: int | None = None) -> int | None:
    """Return the greatest number of runs in all stages, by the sweep's cap too; ``None`` without a limit."""
    limits = [stage.most for stage in stages]
    counted = [limit for limit in limits if limit is not None]
    return least(run_cap, sum(counted) if len(counted) == len(limits) else None)


PATH: KeyPath = ("lightsweep", "stages")


def has_stages(raw: Mapping[str, Any]) -> bool:
    """Return whether the config has the key ``lightsweep.stages``."""
    return _written(raw) is not None


def _written(raw: Mapping[str, Any]) -> Any:
    block = raw.get("lightsweep")
    return block.get("stages") if isinstance(block, Mapping) else None


def read_stages(
    raw: Mapping[str, Any], found: Parameters, early_terminate: Hyperband | None, metrics: int, faults: Faults
) -> tuple[Stage, ...]:
    """Return the stages of a config, if it has some; mistakes go to ``faults``.

    Args:
        raw: The config.
        found: Its parameters.
        early_terminate: Its hyperband.
        metrics: How many metrics it has.
        faults: Takes the mistakes.
    """
    value = _written(raw)
    if value is None:
        return ()
    _check_rest(raw, metrics, faults)
    if not isinstance(value, list) or not value:
        faults.error(
            PATH, f"stages must be a list of one stage or more, each with its parameters; got {quoted(value)}", key=True
        )
        return ()
    reader = _Reader(raw, found, early_terminate, faults)
    blocks = [check(StageKeys, item, faults.at(*PATH, index), "a stage") for index, item in enumerate(value)]
    stages = [reader.read(index, block) for index, block in enumerate(blocks) if block is not None]
    if len(stages) == len(value):
        _check_together(stages, raw, found, faults)
    return tuple(stages)


def _check_rest(raw: Mapping[str, Any], metrics: int, faults: Faults) -> None:
    scheduler = raw.get("scheduler")
    if raw.get("method") == "custom" or (isinstance(scheduler, Mapping) and scheduler.get("engine") != "wandb"):
        faults.error(
            PATH,
            "`stages` cannot be combined with `scheduler` or method custom; remove one of them",
            key=True,
        )
    if raw.get("metric") is None and raw.get("metrics") is None:
        faults.error(
            ("metric",),
            "stages need the key 'metric': each starts from the best run of the earlier ones",
            key=True,
            at=PATH,
        )
    if metrics > 1:
        faults.warn(PATH, "stages start from the best run by the first metric", key=True)


class _Reader:
    """Read the stages in order; each depends on the parameters that earlier ones search and give values."""

    def __init__(
        self, raw: Mapping[str, Any], found: Parameters, early_terminate: Hyperband | None, faults: Faults
    ) -> None:
        self._method = raw.get("method")
        self._early_terminate = early_terminate
        self._raw = _written(raw)
        self._places = found.places
        self._good = {parameter.name: parameter for parameter in found.good}
        self._faults = faults
        self._before = faults.count
        self._names: dict[str, int] = {}
        self._searched: dict[str, str] = {}  # name of a parameter -> the first stage that searches it
        self._given: dict[str, Any] = {
            parameter.name: parameter.distribution.value_at(0) for parameter in found.good if _has_one_value(parameter)
        }

    def read(self, index: int, block: StageKeys) -> Stage:
        path = (*PATH, index)
        name = block.name or f"stage {index + 1}"
        if name in self._names:
            self._faults.error(
                (*path, "name") if block.name else path, f"the name {name!r} is that of stage {self._names[name]} too"
            )
        self._names.setdefault(name, index + 1)
        chosen = self._chosen(block.parameters, (*path, "parameters"))
        method = self._method_of(block, chosen, path)
        self._take_defaults(block.defaults or {}, name, {parameter.name for parameter in chosen}, (*path, "defaults"))
        now = {parameter.name for parameter in chosen}
        kept = tuple(sorted(self._searched.keys() - now))
        stage = Stage(
            number=index + 1,
            name=name,
            method=method,
            space=Space(chosen),
            run_cap=block.run_cap,
            early_terminate=self._hyperband(block, index, path),
            given={key: value for key, value in self._given.items() if key not in now and key not in self._searched},
            kept=kept,
        )
        self._check_values(stage, path)
        for key in now:
            self._searched.setdefault(key, name)
        return stage

    def _chosen(self, names: Sequence[str], path: KeyPath) -> list[Parameter]:
        chosen: dict[str, Parameter] = {}
        for place, name in enumerate(names):
            below = self._meant(name)
            if not below:
                self._faults.error((*path, place), self._unknown(name))
            searchable = [each for each in below if each not in self._good or not _has_one_value(self._good[each])]
            if below and not searchable:
                self._faults.error(
                    (*path, place), f"{name!r} has one value only, so there is nothing to search; remove it"
                )
            if below and any(each in chosen for each in below):
                self._faults.error((*path, place), f"{name!r} is twice in the parameters of the stage; remove one")
            chosen.update({each: self._good[each] for each in searchable if each in self._good})
        return list(chosen.values())

    def _meant(self, name: str) -> list[str]:
        """Return the parameters that a name means: itself, or all that are nested below it."""
        if name in self._places:
            return [name]
        return [known for known, place in self._places.items() if known.startswith(f"{name}.") and len(place) > 2]

    def _unknown(self, name: str) -> str:
        parts = [known.split(".") for known, place in self._places.items() if len(place) > 2]
        groups = {".".join(part[:depth]) for part in parts for depth in range(1, len(part))}
        known = [*self._places, *sorted(groups)]
        return f"there is no parameter {name!r}{hint(name, known) or '; there are: ' + ', '.join(known)}"

    def _method_of(self, block: StageKeys, chosen: Sequence[Parameter], path: KeyPath) -> Method:
        method = block.method or self._method
        if method == "grid":
            cause = self._faults.at(*path, "method" if block.method else "parameters")
            for parameter in chosen:
                place = self._faults.at(*self._places[parameter.name])
                check_grid(parameter.name, parameter.distribution, place, cause)
        known: tuple[Method, ...] = get_args(Method)
        return next((each for each in known if each == method), "random")

    def _take_defaults(self, defaults: Mapping[str, Any], stage: str, now: Collection[str], path: KeyPath) -> None:
        for name, value in defaults.items():
            parameter = self._good.get(name)
            if name not in self._places:
                self._faults.error((*path, name), self._unknown(name), key=True)
            elif name in now:
                self._faults.error(
                    (*path, name), f"the stage {stage!r} searches {name!r}, so it has no default; remove one", key=True
                )
            elif name in self._searched:
                self._faults.error(
                    (*path, name),
                    f"{name!r} keeps the best value of the stages before, as {self._searched[name]!r} searches it; "
                    "drop the default",
                    key=True,
                )
            elif parameter is not None and _has_one_value(parameter):
                self._faults.error((*path, name), f"{name!r} has one value only; drop the default", key=True)
            elif parameter is not None:
                try:
                    self._given[name] = _value(parameter.distribution, value)
                except (ValueError, TypeError) as error:
                    self._faults.error((*path, name), f"the default of {name!r} must be one of its values: {error}")
                    self._given[name] = None

    def _hyperband(self, block: StageKeys, index: int, path: KeyPath) -> Hyperband | None:
        written = self._raw[index]
        if "early_terminate" not in written:
            return self._early_terminate
        if block.early_terminate is None:
            return None
        return read_early_terminate(block.early_terminate, self._faults.at(*path, "early_terminate"))

    def _check_values(self, stage: Stage, path: KeyPath) -> None:
        has = {*stage.searched, *stage.given, *stage.kept}
        missing = [name for name in self._good if name not in has]
        if missing and self._faults.count == self._before:  # else what is missing may be what was misspelt
            names = ", ".join(map(repr, missing))
            it, what = ("it", "a value") if len(missing) == 1 else ("them", "values")
            example = ", ".join(f"{name}: ..." for name in missing)
            self._faults.error(
                path,
                f"the stage {stage.name!r} does not search {names}, and no stage before has given {it} {what}; "
                f"search {it} here, or write defaults: {{{example}}}",
            )


def _check_together(stages: Sequence[Stage], raw: Mapping[str, Any], found: Parameters, faults: Faults) -> None:
    for stage in stages[:-1]:
        if stage.space.parameters and stage.most is None:
            faults.error(
                (*PATH, stage.number - 1),
                f"nothing ends the stage {stage.name!r}, so the next would never begin; give it a run_cap",
            )
    searched = {name for stage in stages for name in stage.searched}
    idle = [each.name for each in found.good if not _has_one_value(each) and each.name not in searched]
    if idle and not faults:
        faults.warn(
            PATH,
            f"no stage searches {', '.join(map(repr, idle))}: the values of defaults are all that is used",
            key=True,
        )
    cap = raw.get("run_cap")
    for stage in stages[1:]:
        before = most_runs(stages[: stage.number - 1])
        if isinstance(cap, int) and before is not None and cap <= before:
            faults.warn(
                ("run_cap",),
                f"run_cap {cap} is reached before the stage {stage.name!r} begins, as those before have {before} runs",
                key=True,
            )
            return


def _has_one_value(parameter: Parameter) -> bool:
    return parameter.distribution.size == 1


def _value(distribution: Distribution, value: Any) -> Any:
    """Return ``value`` as the distribution gives it.

    Raises:
        ValueError: It is none of the distribution's, or beyond the range that comes up.
    """
    distribution.inverse(value)
    if distribution.size is not None:
        return distribution.value_at(distribution.index_of(value))
    low, high = distribution.quantile(0.0), distribution.quantile(1.0)
    if not low <= value <= high:
        raise ValueError(f"{distribution.name} gives values from {low:g} to {high:g}, not {quoted(value)}")
    return type(low)(value)


def methods_text(stages: Sequence[Stage]) -> str:
    """Return the methods of the stages and their number: ``random and bayes in 2 stages``; empty without stages."""
    if not stages:
        return ""
    *first, last = dict.fromkeys(stage.method for stage in stages)
    methods = f"{', '.join(first)} and {last}" if first else last
    return f"{methods} in {'one stage' if len(stages) == 1 else f'{len(stages)} stages'}"


def describe(stages: Sequence[Stage], space: Space, early_terminate: Hyperband | None) -> list[tuple[str, str]]:
    """Return a label and a text for each line on the stages of a sweep with this space and hyperband."""
    lines = []
    searched = {parameter.name for parameter in space.searched}
    for stage in stages:
        size = "endless points" if stage.space.size is None else f"{count(stage.space.size)} points"
        most = "" if stage.most is None else f", at most {count(stage.most)} run{'' if stage.most == 1 else 's'}"
        label = f"stage {stage.number}"
        lines.append((label, f"{'' if stage.name == label else f'{stage.name}: '}{stage.method}, {size}{most}"))
        lines.append(("", f"searches {', '.join(stage.searched)}"))
        if stage.kept:
            lines.append(("", f"keeps of the best run before: {', '.join(stage.kept)}"))
        fixed = [f"{name} {spelt(given)}" for name, given in sorted(stage.given.items()) if name in searched]
        if fixed:
            lines.append(("", f"fixed: {', '.join(fixed)}"))
        if stage.early_terminate is None and early_terminate is not None:
            lines.append(("", "stops no run early"))
        elif stage.early_terminate is not None and stage.early_terminate != early_terminate:
            lines.append(("", f"stopping: {hyperband_text(stage.early_terminate)}"))
    return lines
