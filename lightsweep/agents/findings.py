"""From what was seen of a smoke run to what is right and wrong with a script."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightsweep.agents.exit_status import logged_as
from lightsweep.agents.smoke import Observed
from lightsweep.client.run import BATCH_LOSS, STEP_LOSS
from lightsweep.errors import closest
from lightsweep.schema import SweepConfig

__all__ = ["Finding", "findings"]

_SHOWN = 20
_LOSSES = {BATCH_LOSS: "the loss on one batch", STEP_LOSS: "the training loss"}


@dataclass(frozen=True)
class Finding:
    """One sentence on a script.

    Attributes:
        right: Whether it is as it should be; ``None`` where that cannot be said.
        text: The sentence.
    """

    right: bool | None
    text: str


def findings(config: SweepConfig, seen: Observed, timeout: float) -> list[Finding]:
    """What a smoke run shows, the cause before its effects: its end, the connection, parameters, metric, loss.

    Args:
        config: The sweep's config.
        seen: The run.
        timeout: Its time limit in seconds, for the text.
    """
    found = [_end(seen, timeout), _connection(seen)]
    if seen.connected:
        found += [_parameters(config, seen), *_metrics(config, seen), _learning(config, seen)]
    return found + _files(seen)


def _end(seen: Observed, timeout: float) -> Finding:
    if seen.timed_out:
        return Finding(False, f"it did not end within {timeout:g} s and was ended; give it longer by --smoke-timeout")
    error = str(seen.said.get("error") or "")
    if seen.exit_code or seen.said.get("state") == "failed":
        how = f"ended by signal {-seen.exit_code}" if seen.exit_code < 0 else f"exit code {seen.exit_code}"
        return Finding(False, f"it failed ({how})" + (f": {error}" if error else ""))
    asked = ", asked to stop once it had reported enough" if seen.stopped else ""
    return Finding(True, f"it ended by itself after {seen.seconds:.1f} s{asked}")


def _connection(seen: Observed) -> Finding:
    if seen.connected:
        return Finding(True, "it connected: lightsweep.init() was called")
    return Finding(
        False, "it never connected: call lightsweep.init() in the script, or give its trainer SweepCallback()"
    )


def _parameters(config: SweepConfig, seen: Observed) -> Finding:
    swept = [parameter.name for parameter in config.space.searched]
    unread = seen.said.get("unread")
    if not swept:
        return Finding(None, "nothing is searched: every parameter has one value")
    if not seen.said:
        return Finding(None, "which parameters it reads cannot be said: it ended without a word")
    if unread is None:
        return Finding(None, "it took its parameters from the command line, so which it reads cannot be said")
    read = [name for name in swept if name not in unread]
    if unread:
        text = f"it never read {_names(unread)}, so searching that would be in vain"
        return Finding(False, f"{text}; it read {_names(read)}" if read else text)
    return Finding(True, f"it read every parameter that is searched: {_names(read)}")


def _metrics(config: SweepConfig, seen: Observed) -> list[Finding]:
    logged = {name: values for name, values in seen.logged.items() if name not in _LOSSES}
    if not config.metrics:
        return [Finding(None, f"the sweep has no metric; it logged {_names(logged) or 'nothing'}")]
    return [_metric(metric.name, logged, logged_as(metric.name, seen.said)) for metric in config.metrics]


def _metric(name: str, logged: Mapping[str, Sequence[float]], otherwise: str) -> Finding:
    if name not in logged and otherwise:
        return Finding(False, f"it logged the metric {name!r} as {otherwise}: log one number")
    if name not in logged:
        names = _names(logged)
        return Finding(
            False, f"it never logged the metric {name!r}; it logged {names or 'nothing'}{closest(name, logged)}"
        )
    count = len(logged[name])
    if not any(map(math.isfinite, logged[name])):
        return Finding(False, f"it logged the metric {name!r}, but never with a finite number")
    return Finding(True, f"it logged the metric {name!r}, {'once' if count == 1 else f'{count} times'}")


def _learning(config: SweepConfig, seen: Observed) -> Finding:
    """Whether the loss on one batch fell; without a callback a training loss, or else the metric in its direction."""
    name, maximize = _series(config, seen)
    values = seen.logged.get(name, [])
    if len(values) < 2:
        return Finding(None, "whether it learns cannot be said: it logged no loss, and no metric, twice")
    # Where each step is on another batch, single losses say little.
    span = max(1, len(values) // 4) if name == STEP_LOSS else 1
    first, last = sum(values[:span]) / span, sum(values[-span:]) / span
    shown = _LOSSES.get(name, repr(name))
    numbers = f"from {first:.5g} to {last:.5g} in {len(values)} {'steps' if name in _LOSSES else 'reports'}"
    if not math.isfinite(last):
        return Finding(False, f"{shown} went {numbers}: it diverges with these parameters")
    if (last > first) if maximize else (last < first):
        return Finding(True, f"{shown} {'rose' if maximize else 'fell'} {numbers}")
    return Finding(False, f"{shown} did not {'rise' if maximize else 'fall'}: {numbers}")


def _series(config: SweepConfig, seen: Observed) -> tuple[str, bool]:
    """The name to judge by, and whether more of it is better."""
    metric = config.metric
    for name, values in seen.logged.items():
        lower = name.lower()
        if name in _LOSSES or (len(values) > 1 and "loss" in lower and ("train" in lower or lower == "loss")):
            return name, metric is not None and metric.name == name and metric.goal == "maximize"
    return ("", False) if metric is None else (metric.name, metric.goal == "maximize")


def _files(seen: Observed) -> list[Finding]:
    """What the script itself wrote, which nobody can send elsewhere."""
    if seen.changed is None:
        return [Finding(None, "too many files here to say which of them it changed")]
    if not seen.changed:
        return []
    shown = ", ".join(seen.changed[:_SHOWN])
    if len(seen.changed) > _SHOWN:
        shown += f", and {len(seen.changed) - _SHOWN} more"
    text = f"it wrote outside of the smoke run's directory: {shown}; save below run.dir, or only `if not run.smoke`"
    return [Finding(None, text)]


def _names(names: Sequence[str] | Mapping[str, object]) -> str:
    shown = ", ".join(map(repr, list(names)[:_SHOWN]))
    return f"{shown}, ..." if len(names) > _SHOWN else shown
