"""Read ``lightsweep.stages``: the parameters that each stage searches, and the values that it keeps."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from lightsweep.hyperband import Rule
from lightsweep.schema.diagnostics import Faults, KeyPath, Spot
from lightsweep.schema.fields import check
from lightsweep.schema.parameters import Parameters, check_grid, value_in
from lightsweep.schema.sections import StageKeys
from lightsweep.schema.stopping import read_rule
from lightsweep.space import Parameter, Space
from lightsweep.text import quoted


@dataclass(frozen=True)
class Stage:
    """A valid stage, or a whole flat sweep.

    Attributes:
        number: 1 for the first; 0 for a flat sweep.
        name: Unique among the stages; empty for a flat sweep.
        method: How its points are chosen.
        space: The parameters that it searches.
        run_cap: No more runs than this; ``None`` for no limit of its own.
        rule: The rule by which its runs are stopped early; ``None`` if none are.
        given: Of the parameters that neither this stage nor one before it searches: their values.
        kept: The names of the others: they keep the values of the best run of the stages before.
    """

    number: int
    name: str
    method: Literal["grid", "random", "bayes", "custom"]
    space: Space
    run_cap: int | None = None
    rule: Rule | None = None
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


def written_stages(raw: Mapping[str, Any]) -> Any:
    """Return the value of ``lightsweep.stages``; ``None`` without it."""
    block = raw.get("lightsweep")
    return block.get("stages") if isinstance(block, Mapping) else None


def read_stages(
    raw: Mapping[str, Any], found: Parameters, rule: Rule | None, metrics: int, faults: Faults
) -> tuple[Stage, ...]:
    """Return the stages of a config, if it has some; mistakes go to ``faults``.

    Args:
        raw: The config.
        found: Its parameters.
        rule: The rule by which it stops runs early.
        metrics: How many metrics it has.
        faults: Takes the mistakes.
    """
    value, at = written_stages(raw), faults.at(*PATH)
    if value is None:
        return ()
    _check_rest(raw, metrics, at)
    if not isinstance(value, list) or not value:
        at.key_error(f"stages must be a list of one stage or more, each with its parameters; got {quoted(value)}")
        return ()
    reader = _Reader(raw.get("method"), rule, found, faults)
    blocks = [check(StageKeys, item, at[index], "a stage") for index, item in enumerate(value)]
    stages = [
        reader.read(index + 1, block, bool({"early_terminate", "stopping"} & value[index].keys()), at[index])
        for index, block in enumerate(blocks)
        if block is not None
    ]
    if len(stages) == len(value):
        _check_together(stages, raw.get("run_cap"), found, at)
    return tuple(stages)


def _check_rest(raw: Mapping[str, Any], metrics: int, at: Spot) -> None:
    scheduler = raw.get("scheduler")
    if raw.get("method") == "custom" or (isinstance(scheduler, Mapping) and scheduler.get("engine") != "wandb"):
        at.key_error("`stages` cannot be combined with `scheduler` or method custom; remove one of them")
    if raw.get("metric") is None and raw.get("metrics") is None:
        needs = "stages need the key 'metric': each starts from the best run of the earlier ones"
        at.faults.at("metric").key_error(needs, at=PATH)
    if raw["lightsweep"].get("repeats") not in (None, 1):
        at.key_error("`stages` cannot be combined with `repeats`; remove one of them")
    ending = raw["lightsweep"].get("stop_when")
    for key in ("no_better_in", "expected_gain"):
        if isinstance(ending, Mapping) and ending.get(key) is not None:
            remedy = f"a sweep with stages cannot have {key}; give each stage a run_cap"
            at.faults.at("lightsweep", "stop_when", key).key_error(remedy)
    if metrics > 1:
        at.key_warning("stages start from the best run by the first metric")


class _Reader:
    """Read the stages in order; each depends on the parameters that earlier ones search and give values."""

    def __init__(self, method: Any, rule: Rule | None, found: Parameters, faults: Faults) -> None:
        self._method = method
        self._rule = rule
        self._found = found
        self._places = found.places
        self._good = {parameter.name: parameter for parameter in found.good}
        self._faults = faults
        self._before = faults.count
        self._names: dict[str, int] = {}
        self._searched: dict[str, str] = {}  # name of a parameter -> the first stage that searches it
        self._given = {each.name: each.distribution.value_at(0) for each in found.good if each.is_fixed}

    def read(self, number: int, block: StageKeys, own_rule: bool, at: Spot) -> Stage:
        name = block.name or f"stage {number}"
        if name in self._names:
            here = at["name"] if block.name else at
            here.error(f"the name {name!r} is that of stage {self._names[name]} too")
        self._names.setdefault(name, number)
        chosen = self._chosen(block.parameters, at["parameters"])
        method = self._method_of(block, chosen, at)
        now = {parameter.name for parameter in chosen}
        self._take_defaults(block.defaults or {}, name, now, at["defaults"])
        rule = self._rule
        if own_rule:
            rule = read_rule(block.early_terminate, at["early_terminate"], block.stopping, at["stopping"])
        given = {key: value for key, value in self._given.items() if key not in now and key not in self._searched}
        kept = tuple(sorted(self._searched.keys() - now))
        self._check_values(name, {*now, *given, *kept}, at)
        self._searched = {**dict.fromkeys(now, name), **self._searched}
        return Stage(number, name, method, Space(chosen), block.run_cap, rule, given, kept)

    def _chosen(self, names: Sequence[str], at: Spot) -> list[Parameter]:
        chosen: dict[str, Parameter] = {}
        for place, name in enumerate(names):
            below = self._found.meant(name)
            searchable = [each for each in below if each not in self._good or not self._good[each].is_fixed]
            if not below:
                at[place].error(self._found.unknown(name))
            elif not searchable:
                at[place].error(f"{name!r} has one value only, so there is nothing to search; remove it")
            elif any(each in chosen for each in below):
                at[place].error(f"{name!r} is twice in the parameters of the stage; remove one")
            chosen.update({each: self._good[each] for each in searchable if each in self._good})
        return list(chosen.values())

    def _method_of(self, block: StageKeys, chosen: Sequence[Parameter], at: Spot) -> Any:
        method = block.method or self._method
        if method == "grid":
            cause = at["method" if block.method else "parameters"]
            for parameter in chosen:
                here = self._faults.at(*self._places[parameter.name])
                check_grid(parameter.name, parameter.distribution, here, cause)
        return method if method in ("grid", "random", "bayes") else "random"

    def _take_defaults(self, defaults: Mapping[str, Any], stage: str, now: Collection[str], at: Spot) -> None:
        for name, value in defaults.items():
            here, parameter = at[name], self._good.get(name)
            if name not in self._places:
                here.key_error(self._found.unknown(name))
            elif name in now:
                here.key_error(f"the stage {stage!r} searches {name!r}, so it has no default; remove one")
            elif first := self._searched.get(name):
                keeps = f"{name!r} keeps the best value of the stages before, as {first!r} searches it"
                here.key_error(f"{keeps}; drop the default")
            elif parameter is not None and parameter.is_fixed:
                here.key_error(f"{name!r} has one value only; drop the default")
            elif parameter is not None:
                try:
                    self._given[name] = value_in(parameter.distribution, value)
                except (ValueError, TypeError) as error:
                    self._given[name] = here.error(f"the default of {name!r} must be one of its values: {error}")

    def _check_values(self, stage: str, has: Collection[str], at: Spot) -> None:
        missing = [name for name in self._good if name not in has]
        if missing and self._faults.count == self._before:  # else what is missing may be what was misspelt
            names = ", ".join(map(repr, missing))
            it, what = ("it", "a value") if len(missing) == 1 else ("them", "values")
            example = ", ".join(f"{name}: ..." for name in missing)
            at.error(
                f"the stage {stage!r} does not search {names}, and no stage before has given {it} {what}; "
                f"search {it} here, or write defaults: {{{example}}}"
            )


def _check_together(stages: Sequence[Stage], cap: Any, found: Parameters, at: Spot) -> None:
    for stage in stages[:-1]:
        if stage.space.parameters and stage.most is None:
            endless = f"nothing ends the stage {stage.name!r}, so the next would never begin"
            at[stage.number - 1].error(f"{endless}; give it a run_cap")
    searched = {name for stage in stages for name in stage.searched}
    idle = [repr(each.name) for each in found.good if not each.is_fixed and each.name not in searched]
    if idle and not at.faults:
        at.key_warning(f"no stage searches {', '.join(idle)}: the values of defaults are all that is used")
    for stage in stages[1:]:
        before = most_runs(stages[: stage.number - 1])
        if isinstance(cap, int) and before is not None and cap <= before:
            early = f"run_cap {cap} is reached before the stage {stage.name!r} begins"
            at.faults.at("run_cap").key_warning(f"{early}, as those before have {before} runs")
            return
