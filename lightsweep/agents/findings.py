"""Findings from a smoke run: what is right with a script, and what is wrong."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightsweep.agents.exit_status import logged_as, no_code_of_its_own
from lightsweep.agents.smoke import Observed
from lightsweep.client.loaders import BATCH_LOSS, STEP_LOSS
from lightsweep.controller import RunState
from lightsweep.errors import closest
from lightsweep.schema import SweepConfig

_SHOWN = 20
_LOSSES = {BATCH_LOSS: "the loss on one batch", STEP_LOSS: "the training loss"}


@dataclass(frozen=True)
class Finding:
    """One sentence on a script.

    Attributes:
        right: Whether it is as it should be; ``None`` if unknown.
        text: The sentence.
    """

    right: bool | None
    text: str


def findings(config: SweepConfig, seen: Observed, timeout: float) -> list[Finding]:
    """Return the findings, causes before effects: the end, the connection, parameters, metric, loss.

    Each cause is one fault: what a failed script would still have done is unknown.

    Args:
        config: The sweep's config.
        seen: The run.
        timeout: Its time limit in seconds, for the text.
    """
    end = _end(seen, timeout)
    cut_off = not end.right
    found = [end, _connection(seen, cut_off)]
    if seen.connected:
        found += [_parameters(config, seen, cut_off), *_metrics(config, seen, cut_off), _learning(config, seen)]
    return found + _files(seen)


def _end(seen: Observed, timeout: float) -> Finding:
    """Judge the end as an agent would: a script that was asked to stop has stopped, whatever its exit code."""
    if seen.timed_out:
        return Finding(False, f"it did not end within {timeout:g} s and was ended; raise the smoke timeout")
    state = seen.said.get("state")
    failed = state == RunState.FAILED or (
        seen.exit_code and not (state == RunState.FINISHED and no_code_of_its_own(seen.exit_code))
    )
    if failed and not seen.stopped:
        how = f"ended by signal {-seen.exit_code}" if seen.exit_code < 0 else f"exit code {seen.exit_code}"
        error = str(seen.said.get("error") or "") or "".join(seen.output[-1:])
        text = f"it failed ({how})" + (f": {error}" if error else "")
        if seen.said.get("cut"):
            text += "; its passes over a DataLoader were cut short: raise the number of steps"
        return Finding(False, text)
    how = "it stopped on request after enough reports" if seen.stopped else "it ended by itself"
    return Finding(True, f"{how} ({seen.seconds:.1f} s)")


def _connection(seen: Observed, cut_off: bool) -> Finding:
    if seen.connected:
        return Finding(True, "it connected: lightsweep.init() was called")
    if cut_off:
        return Finding(None, "it ended before it called lightsweep.init()")
    return Finding(
        False, "it never connected: call lightsweep.init() in the script, or give its trainer SweepCallback()"
    )


def _parameters(config: SweepConfig, seen: Observed, cut_off: bool) -> Finding:
    swept = config.searched_in(seen.values)
    unread = seen.said.get("unread")
    if not swept:
        return Finding(None, "nothing is searched: every parameter has one value")
    if not seen.said:
        return Finding(None, "cannot tell which parameters it reads: it ended without finish()")
    if unread is None:
        return Finding(
            None,
            f"it read nothing from run.config: right only if it takes {_names(swept)} from its command line",
        )
    read = [name for name in swept if name not in unread]
    if unread:
        others = seen.said.get("read") or ()
        text = f"it {'had not' if cut_off else 'never'} read {_names(unread)}"
        text += "" if cut_off else ", so varying that has no effect"
        hints = [f"{name!r}{closest(name, others)}" for name in unread if closest(name, others)]
        text += f" ({'; '.join(hints)})" if hints else ""
        return Finding(None if cut_off and not hints else False, f"{text}; it read {_names(read)}" if read else text)
    return Finding(True, f"it read every parameter that is searched: {_names(read)}")


def _metrics(config: SweepConfig, seen: Observed, cut_off: bool) -> list[Finding]:
    logged = {name: values for name, values in seen.logged.items() if name not in _LOSSES}
    if not config.metrics:
        return [Finding(None, f"the sweep has no metric; it logged {_names(logged) or 'nothing'}")]
    return [_metric(metric.name, logged, logged_as(metric.name, seen.said), cut_off) for metric in config.metrics]


def _metric(name: str, logged: Mapping[str, Sequence[float]], otherwise: str, cut_off: bool) -> Finding:
    if name not in logged and otherwise:
        return Finding(False, f"it logged the metric {name!r} as {otherwise}: log one number")
    if name not in logged:
        names, hint = _names(logged), closest(name, logged)
        never = "had not logged" if cut_off else "never logged"
        right = None if cut_off and not hint else False
        return Finding(right, f"it {never} the metric {name!r}; it logged {names or 'nothing'}{hint}")
    count = len(logged[name])
    if not any(map(math.isfinite, logged[name])):
        return Finding(False, f"it logged the metric {name!r}, but never with a finite number")
    return Finding(True, f"it logged the metric {name!r}, {'once' if count == 1 else f'{count} times'}")


def _learning(config: SweepConfig, seen: Observed) -> Finding:
    """Judge the loss on one batch; without a callback a training loss, or else the metric in its direction.

    Only on one batch must it fall: elsewhere a few reports may go the wrong way with good parameters.
    """
    name, maximize = _series(config, seen)
    values = seen.logged.get(name, [])
    if len(values) < 2:
        return Finding(None, "cannot tell whether it learns: it logged neither a loss nor the metric twice")
    # If each step is on another batch, single losses say little.
    span = max(1, len(values) // 4) if name == STEP_LOSS else 1
    first, last = sum(values[:span]) / span, sum(values[-span:]) / span
    shown = _LOSSES.get(name, repr(name))
    numbers = f"from {first:.5g} to {last:.5g} in {len(values)} {'steps' if name in _LOSSES else 'reports'}"
    wrong = False if name == BATCH_LOSS else None
    if not math.isfinite(last):
        return Finding(wrong, f"{shown} went {numbers}: it diverges with these parameters")
    if (last > first) if maximize else (last < first):
        return Finding(True, f"{shown} {'rose' if maximize else 'fell'} {numbers}")
    also = "" if name == BATCH_LOSS else ", which may be due to these parameters"
    return Finding(wrong, f"{shown} did not {'rise' if maximize else 'fall'}: {numbers}{also}")


def _series(config: SweepConfig, seen: Observed) -> tuple[str, bool]:
    """Return the name to judge by, and whether greater is better."""
    metric = config.metric
    for name, values in seen.logged.items():
        lower = name.lower()
        if name in _LOSSES or (len(values) > 1 and "loss" in lower and ("train" in lower or lower == "loss")):
            return name, metric is not None and metric.name == name and metric.goal == "maximize"
    if metric is None:
        return "", False
    alike = (name for name in seen.logged if closest(metric.name, [name]))
    return next(alike, "") if metric.name not in seen.logged else metric.name, metric.goal == "maximize"


def _files(seen: Observed) -> list[Finding]:
    """List what the script itself wrote, which cannot be redirected."""
    if seen.changed is None:
        return [Finding(None, "cannot tell which files it changed: there are too many here")]
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
