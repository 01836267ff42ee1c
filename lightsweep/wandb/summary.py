"""The summary of a run: the last value of each number, and what the script writes to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from lightsweep.errors import UsageError, closest

FILE = "summary.json"
"""The file in the run's directory; it is there if the script has written to the summary."""

LABELS = "run.json"
"""The file in the run's directory with its labels and its config, for ``Api``."""

_KINDS = ("min", "max", "mean", "first", "last", "best", "copy", "none")


class Summary(dict[str, Any]):
    """The summary, by item or by attribute; values are of any kind that JSON has.

    Args:
        changed: Called when the script has written to it; not for numbers that are logged.

    Attributes:
        written: The names that the script has written.
    """

    __slots__ = ("_changed", "written")

    written: set[str]

    def __init__(self, values: Mapping[str, Any] | None = None, changed: Callable[[], None] = lambda: None) -> None:
        object.__setattr__(self, "_changed", changed)
        object.__setattr__(self, "written", set())
        super().__init__(values or {})

    def take(self, values: Mapping[str, Any]) -> None:
        """Take values that were logged."""
        dict.update(self, values)

    def update(self, *others: Any, **values: Any) -> None:
        """Write several values; later ones win, also inside of groups that are written as a whole."""
        for name, value in dict(*others, **values).items():
            super().__setitem__(name, value)
            self.written.add(name)
        self._changed()

    def __setitem__(self, name: str, value: Any) -> None:
        super().__setitem__(name, value)
        self.written.add(name)
        self._changed()

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._changed()

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if isinstance(value, dict) and not isinstance(value, Summary):  # a value inside is written in the same way
            value = Summary(value, self._changed)
            super().__setitem__(name, value)
        return value

    def __missing__(self, name: str) -> Summary:
        """Return the numbers that were logged as a group, as a copy: their names are joined by dots."""
        group = {key.removeprefix(f"{name}."): value for key, value in self.items() if key.startswith(f"{name}.")}
        if not group:
            raise KeyError(name)
        return Summary(group)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in Summary.__slots__:
            raise AttributeError(name)
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the summary has no {name!r}{closest(name, self)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    __delattr__ = __delitem__

    def __reduce__(self) -> tuple[Any, ...]:
        return dict, (self._as_dict(),)

    def _as_dict(self) -> dict[str, Any]:
        """Return a plain copy, under W&B's name."""
        return {name: value._as_dict() if isinstance(value, Summary) else value for name, value in self.items()}


class MetricRules:
    """The rules of ``define_metric`` for the summary: it keeps ``{"val_acc": {"max": 0.9}}`` instead of the last value.

    Each of the values is also a number that is reported: ``val_acc.max``, so that a sweep may name it as its metric.
    """

    def __init__(self) -> None:
        self._rules: dict[str, tuple[str, ...]] = {}
        self._kept: dict[str, dict[str, float]] = {}
        self._counts: dict[str, int] = {}

    def define(self, name: str, summary: str | None, goal: str | None) -> None:
        """Add a rule.

        Args:
            name: The metric, or a pattern that ends in ``*``.
            summary: ``min``, ``max``, ``mean``, ``first``, ``last``, ``best``, ``copy`` or ``none``, or some of them.
            goal: ``minimize`` or ``maximize``, for ``best``.

        Raises:
            UsageError: ``summary`` is something else, or ``best`` lacks its goal.
        """
        if summary is None:
            return
        kinds = tuple(kind.strip() for kind in summary.split(","))
        for kind in kinds:
            if kind not in _KINDS:
                raise UsageError(f"define_metric: summary is {', '.join(_KINDS)}, got {kind!r}{closest(kind, _KINDS)}")
        if "best" in kinds and goal not in ("minimize", "maximize"):
            raise UsageError(f'define_metric: summary="best" needs goal="minimize" or "maximize", got {goal!r}')
        better = {"maximize": "max", "minimize": "min"}.get(goal or "", "")
        self._rules[name] = tuple(f"best:{better}" if kind == "best" else kind for kind in kinds)

    def derived(self, found: Mapping[str, float]) -> tuple[dict[str, Any], dict[str, float]]:
        """Return what the summary takes of logged numbers, and the numbers that are reported beside them."""
        summary: dict[str, Any] = dict(found)
        more: dict[str, float] = {}
        for name, value in found.items():
            kinds = self._kinds(name)
            if not kinds or "copy" in kinds:
                continue
            del summary[name]
            if "none" in kinds:
                continue
            summary[name] = self._take(name, value, kinds)
            more.update({f"{name}.{kind}": kept for kind, kept in summary[name].items()})
        return summary, more

    def _take(self, name: str, value: float, kinds: tuple[str, ...]) -> dict[str, float]:
        kept = self._kept.setdefault(name, {})
        count = self._counts[name] = self._counts.get(name, 0) + 1
        for kind in kinds:
            label, _, rule = kind.partition(":")
            before = kept.get(label)
            if before is None or (before != before and (rule or label) != "first"):
                kept[label] = value
            elif (rule or label) == "mean":
                kept[label] = before + (value - before) / count
            elif (rule or label) == "last":
                kept[label] = value
            elif (rule or label) in ("min", "max") and value == value:
                kept[label] = {"min": min, "max": max}[rule or label](before, value)
        return dict(kept)

    def _kinds(self, name: str) -> tuple[str, ...]:
        if name in self._rules:
            return self._rules[name]
        return next(
            (kinds for pattern, kinds in self._rules.items() if "*" in pattern and fnmatchcase(name, pattern)), ()
        )


def read_summary(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the summary that a run has left in its directory; empty if it wrote none, or only in part."""
    try:
        found = json.loads(Path(directory, FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_summary(directory: str | os.PathLike[str], summary: Mapping[str, Any]) -> None:
    """Write the summary, of values for JSON; raises ``OSError``."""
    write_json(Path(directory, FILE), summary)


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write values for JSON to a file, whole or not at all; raises ``OSError``."""
    new = path.with_suffix(".new")
    new.write_text(json.dumps(values, indent=1))
    new.replace(path)
