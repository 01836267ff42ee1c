"""``SweepConfig``: a sweep file, read and validated."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from lightsweep.errors import ConfigError, Fault
from lightsweep.hyperband import Rule
from lightsweep.schema import sections
from lightsweep.schema.command import read_command
from lightsweep.schema.diagnostics import Faults, plain
from lightsweep.schema.distributions import count, spelt
from lightsweep.schema.fields import check, given, keys_of
from lightsweep.schema.launching import check_settings
from lightsweep.schema.parameters import Parameters, read_parameters
from lightsweep.schema.points import check_command, read_first, read_when
from lightsweep.schema.results import read_constraints, read_repeats, read_stop_when
from lightsweep.schema.sections import Metric, Options, Scheduler, TopLevel
from lightsweep.schema.stages import Stage, most_runs, read_stages, written_stages
from lightsweep.schema.stopping import read_rule, warn_of_last_bands
from lightsweep.schema.yaml_file import read_file
from lightsweep.space import Space
from lightsweep.text import quoted

SINGLE = ("method", "program", "run_cap", "name", "description", "project", "entity")  # keys at the top with one value


@dataclass(frozen=True, eq=False)
class SweepConfig:
    """A valid sweep config. Two with the same content are equal, also from different files.

    Attributes:
        method: How points are chosen.
        space: The parameters.
        metrics: None, one, or several (multi-objective).
        rule: The rule by which runs are stopped early; ``None`` if none are.
        run_cap: The largest number of runs; ``None`` for no limit.
        program, command: How a run is started; ``command`` is ``None`` for the default one.
        name, description, project, entity: Labels.
        scheduler: An Optuna study or space that a Python file defines.
        options: The ``lightsweep:`` block, with its defaults.
        stages: The stages in order; empty if all parameters are searched at once.
        warnings: Accepted keys and values that may not be meant, in the order of the file.
        raw: The config as written, in the form of JSON with numbers read; loading it gives an equal config.
        source: The file; ``None`` for a dict.
    """

    method: Literal["grid", "random", "bayes", "custom"]
    space: Space
    metrics: tuple[Metric, ...]
    rule: Rule | None
    run_cap: int | None
    program: str | None
    command: tuple[str, ...] | None
    name: str | None
    description: str | None
    project: str | None
    entity: str | None
    scheduler: Scheduler | None
    options: Options
    stages: tuple[Stage, ...]
    warnings: tuple[Fault, ...] = field(repr=False)
    raw: dict[str, Any] = field(repr=False)
    source: str | None

    @classmethod
    def load(cls, source: SweepConfig | str | os.PathLike[str] | Mapping[str, Any]) -> SweepConfig:
        """Read and validate the config in a YAML file, or in a mapping of the same form.

        Args:
            source: The path of a YAML file, or a mapping; tuples, NumPy scalars and paths in it are converted.
                A loaded config is returned as it is.

        Raises:
            ConfigError: The file cannot be read, or the config has mistakes; the error holds all of them.
        """
        if isinstance(source, SweepConfig):
            return source
        if isinstance(source, Mapping):
            return _validate(source, Faults(), None)
        if not isinstance(source, (str, os.PathLike)):
            raise ConfigError([Fault(f"a sweep config is a path or a dict, got {quoted(source)}")])
        path = os.fspath(source)
        if not isinstance(path, str) or "\n" in path:
            raise ConfigError([Fault(f"give the path of a YAML file, or a dict, not {quoted(path)}")])
        value, faults = read_file(Path(path))
        return _validate(value, faults, path)

    @property
    def metric(self) -> Metric | None:
        """The first of ``metrics``; ``None`` if there is none."""
        return self.metrics[0] if self.metrics else None

    @property
    def defined_by_run(self) -> bool:
        """Return whether a function of the user's defines the parameters of each run, beside those of the config."""
        scheduler = self.scheduler
        return bool(scheduler and scheduler.engine == "optuna" and scheduler.source and scheduler.search_space)

    def names(self, runs: Iterable[Mapping[str, Any]] = ()) -> list[str]:
        """Return the names of all parameters.

        Args:
            runs: The flat values of runs. A function of the user's may define parameters that only they have; these
                follow those of the config, sorted.
        """
        declared = dict.fromkeys(parameter.name for parameter in self.space.parameters)
        return [*declared, *sorted({name for values in runs for name in values if name not in declared})]

    def searched(self, runs: Iterable[Mapping[str, Any]] = ()) -> list[str]:
        """Return the names of the parameters that are searched: of :meth:`names` all but fixed ones and the seed."""
        fixed = {parameter.name for parameter in self.space.parameters if parameter.is_fixed}
        fixed |= {self.options.repeats.seed} if self.options.repeats else set()
        return [name for name in self.names(runs) if name not in fixed]

    def searched_in(self, values: Mapping[str, Any]) -> list[str]:
        """Return the names of the searched parameters that exist in a run with these flat values."""
        return [name for name in self.searched([values]) if name in values or name not in self.space.when]

    @property
    def repeats(self) -> int:
        """The number of runs with the same values; 1 without repeats."""
        return self.options.repeats.count if self.options.repeats is not None else 1

    @property
    def ends(self) -> str | None:
        """The limits that end the sweep, such as ``"run_cap 20 or loss <= 0.1"``; ``None`` if nothing does."""
        size = None if self.stages or (self.scheduler and self.scheduler.search_space) else self.space.size
        parts = []
        if self.stages and most_runs(self.stages) is not None:
            parts.append(f"stages of at most {' + '.join(count(stage.most) for stage in self.stages)} runs")
        if size is not None and (self.run_cap is None or size * self.repeats <= self.run_cap):
            times = f", {self.repeats} runs of each" if self.repeats > 1 else ""
            parts.append(f"{'grid' if self.method == 'grid' else 'space'} of {count(size)}{times}")
        elif self.run_cap is not None:
            parts.append(f"run_cap {self.run_cap}")
        if self.metric is not None and self.metric.target is not None:
            sign = "<=" if self.metric.goal == "minimize" else ">="
            parts.append(f"{self.metric.name} {sign} {self.metric.target:g}")
        parts += self.options.stop_when.texts(several=len(self.metrics) > 1) if self.options.stop_when else []
        return " or ".join(parts) or None

    @property
    def is_flat(self) -> bool:
        """Return whether all parameters are searched at once."""
        return not self.stages

    @property
    def parts(self) -> tuple[Stage, ...]:
        """The stages; for a flat sweep the whole of it, without a name."""
        return self.stages or (Stage(0, "", self.method, self.space, self.run_cap, self.rule),)

    @property
    def labels(self) -> dict[str, list[str]]:
        """The names of the labels that runs have, each with its values in order, or none if they are not known before.

        Runs have the label ``stage`` in a sweep with stages, and ``group`` in one with repeats: the id of the first run
        with the same values.
        """
        if self.options.repeats is not None:
            return {"group": []}
        return {"stage": [stage.name for stage in self.stages]} if self.stages else {}

    @property
    def outline(self) -> Iterator[tuple[str, str]]:
        """A label and a text for each line on the stages; none for a flat sweep."""
        searched = {parameter.name for parameter in self.space.searched}
        for stage in self.stages:
            label, rule = f"stage {stage.number}", stage.rule
            most = "" if stage.most is None else f", at most {count(stage.most)} run{'' if stage.most == 1 else 's'}"
            name = "" if stage.name == label else f"{stage.name}: "
            yield label, f"{name}{stage.method}, {count(stage.space.size)} points{most}"
            yield "", f"searches {', '.join(stage.searched)}"
            if stage.kept:
                yield "", f"keeps of the best run before: {', '.join(stage.kept)}"
            fixed = [f"{name} {spelt(value)}" for name, value in sorted(stage.given.items()) if name in searched]
            if fixed:
                yield "", f"fixed: {', '.join(fixed)}"
            if rule != self.rule:
                yield "", f"stopping: {rule.text}" if rule else "stops no run early"

    @property
    def method_text(self) -> str:
        """The method, or that of each stage: ``random and bayes in 2 stages``."""
        if not self.stages:
            return self.method
        *first, last = dict.fromkeys(stage.method for stage in self.stages)
        number = "one stage" if len(self.stages) == 1 else f"{len(self.stages)} stages"
        methods = f"{', '.join(first)} and {last}" if first else last
        return f"{methods} in {number}"

    @property
    def most_runs(self) -> int | None:
        """The number of runs that end the sweep, by its cap or its points; ``None`` if nothing limits it."""
        points = None if self.defined_by_run else most_runs(self.parts)
        if points is not None and self.space.size is not None and self.is_flat:
            points = self.space.size * self.repeats
        return min((count for count in (points, self.run_cap) if count is not None), default=None)

    @property
    def endless(self) -> bool:
        """Return whether the number of runs is not limited."""
        return self.most_runs is None

    def alone(self, part: Stage) -> SweepConfig:
        """Return the flat config that searches one part by itself."""
        return replace(self, method=part.method, space=part.space, rule=part.rule, stages=())

    def stopping(self, stage: str | None = None) -> Rule | None:
        """Return the rule of the stage with this name; that of the sweep without a name."""
        return next((each.rule for each in self.stages if each.name == stage), self.rule)

    @property
    def stops_early(self) -> bool:
        """Return whether any run may be stopped early."""
        return any(part.rule is not None for part in self.parts)

    def labelled(
        self, *, name: str | None = None, entity: str | None = None, project: str | None = None
    ) -> SweepConfig:
        """Return this config with the given name, and with the other labels unless it has its own."""
        labels = given({"name": name, "entity": self.entity or entity, "project": self.project or project})
        return replace(self, **labels, raw={**self.raw, **labels})

    def standing_in(self, name: str | None) -> SweepConfig:
        """Return this config with lightsweep in place of the package ``name`` in its runs; unchanged for ``None``."""
        if name is None:
            return self
        raw = {**self.raw, "lightsweep": {**(self.raw.get("lightsweep") or {}), "stand_in": name}}
        return replace(self, options=replace(self.options, stand_in=name), raw=raw)

    def __eq__(self, other: object) -> bool:
        return self._content() == other._content() if isinstance(other, SweepConfig) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._content())

    def _content(self) -> str:
        return json.dumps(self.raw, sort_keys=True)


def _validate(source: Mapping[Any, Any], faults: Faults, file: str | None) -> SweepConfig:
    raw = plain(source, faults.at())
    if not isinstance(raw, dict):
        faults.raise_if_any()
        raw = {}
    meant = sections.check_top_keys(raw, faults)
    known = {key: value for key, value in raw.items() if key in keys_of(TopLevel)}
    top = check(TopLevel, known, faults.at(), "a sweep config", absent=meant)
    scheduler = sections.read_scheduler(raw.get("scheduler"), raw.get("method"), faults)
    found = _parameters(raw, meant, scheduler, faults)
    space = None
    written = raw.get("lightsweep")
    block: Mapping[str, Any] = written if isinstance(written, Mapping) else {}
    by_run = "search_space" if scheduler is not None and scheduler.search_space else ""
    whole = "stages" if block.get("stages") is not None else by_run
    when = read_when(block.get("when"), found, whole, faults)
    if not faults:
        try:
            space = Space(found.good, when)
        except ValueError as error:
            faults.at("parameters").key_error(str(error))
    first = read_first(block.get("first"), found, space, raw.get("run_cap"), whole, faults)
    metrics = sections.read_metrics(raw, faults)
    early, stopping = raw.get("early_terminate"), block.get("stopping")
    rule = read_rule(early, faults.at("early_terminate"), stopping, faults.at("lightsweep", "stopping"))
    stops = {"early_terminate": early, "lightsweep.stopping": stopping}
    _check_metric(raw, meant, metrics, [name for name, value in stops.items() if value is not None], faults)
    has_program = raw.get("program") is not None or "program" in meant
    options = check(Options, {} if written is None else written, faults.at("lightsweep"), "lightsweep") or Options()
    repeats = read_repeats(block.get("repeats"), raw, found.names, faults)
    names = [*found.names, repeats.seed] if repeats else found.names
    command = read_command(raw.get("command"), names, has_program, faults.at("command"))
    launch = block.get("launch")
    if launch is not None:
        launch = check_settings(launch, faults.at("lightsweep", "launch"), "launch")
    check_command(command or (), when, faults.at("command"))
    constraints = read_constraints(block.get("constraints"), found.places, faults)
    stages = read_stages(raw, found, rule, len(metrics), faults)
    searched = sum(not parameter.is_fixed for parameter in found.good)
    stop_when = read_stop_when(block.get("stop_when"), raw, block.get("sampler") or "auto", searched, faults)
    if constraints and options.sampler == "cmaes":
        faults.at("lightsweep", "sampler").error("the sampler cmaes does not know of constraints; use auto, gp or tpe")
    if constraints and not metrics:
        faults.at("lightsweep", "constraints").key_error("constraints need a metric, by which runs are compared")
    if options.keep_checkpoints is not None and not metrics:
        faults.at("lightsweep", "keep_checkpoints").key_error(
            "keep_checkpoints needs a metric, which tells the best runs"
        )
    faults.raise_if_any()
    if top is None or space is None:
        raise ConfigError([Fault("the config is not valid", file=file)])
    warn_of_last_bands(space, [rule, *(stage.rule for stage in stages)], faults)
    sections.warn_of_shared_output(space, command or (), faults)
    return SweepConfig(
        **{key: getattr(top, key) for key in SINGLE},
        space=space,
        metrics=metrics,
        rule=rule,
        command=command,
        scheduler=scheduler,
        options=replace(
            options, launch=launch, first=first, constraints=constraints, stop_when=stop_when, repeats=repeats
        ),
        stages=stages,
        warnings=faults.warnings,
        raw=raw,
        source=file,
    )


def _parameters(raw: Mapping[str, Any], meant: set[str], scheduler: Scheduler | None, faults: Faults) -> Parameters:
    at = faults.at("parameters")
    if raw.get("parameters") is not None:
        method = None if written_stages(raw) is not None else raw.get("method")  # each stage has a method of its own
        return read_parameters(raw["parameters"], method, at)
    if "parameters" not in meant and (scheduler is None or scheduler.search_space is None):
        at.key_error("a sweep config needs the key 'parameters'")
    return Parameters()


def _check_metric(
    raw: Mapping[str, Any], meant: set[str], metrics: tuple[Metric, ...], stops: list[str], faults: Faults
) -> None:
    needed = ["method bayes"] * (raw.get("method") == "bayes") + stops
    if needed and not meant & {"metric", "metrics"} and raw.get("metric") is None and raw.get("metrics") is None:
        verb, cause = "needs" if len(needed) == 1 else "need", needed[0].split()[0].split(".")
        message = f"{' and '.join(needed)} {verb} the key 'metric' with the name that the training script logs"
        faults.at("metric").key_error(message, at=tuple(cause))
    if len(metrics) > 1:
        first = f"the first metric only, which is {metrics[0].name!r}"
        for name in stops:
            faults.at(*name.split(".")).key_warning(f"runs are stopped early by {first}")
        for index, metric in enumerate(metrics[1:], start=1):
            if metric.target is not None:
                faults.at("metrics", index, "target").key_warning(f"the sweep ends by the target of {first}")
