"""``lightsweep importance``: which parameters mattered."""

from __future__ import annotations

import json
import math
import sys
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer

from lightsweep.cli.options import Storage, SweepId

if TYPE_CHECKING:
    from lightsweep.analysis import Importance, ParameterImportance

__all__ = ["importance"]

_WIDTH = 80
_NAME = 24
_BAR = 13


def importance(
    sweep_id: SweepId,
    metric: Annotated[
        str | None, typer.Option(metavar="NAME", help="Any number that was logged; the sweep's metric by default.")
    ] = None,
    at: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Compare the runs by their first N iterations only.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON.")] = False,
    storage: Storage = None,
) -> None:
    """Show which parameters mattered: random-forest importance, and correlation with the metric."""
    from lightsweep.analysis import importance
    from lightsweep.cli.output import looking
    from lightsweep.controller import Sweep

    sweep = Sweep.load(sweep_id, storage=looking(storage))
    found = importance(sweep.runs, sweep.config, metric, at)
    if as_json:
        print(json.dumps({"id": sweep.id, **found.document()}, indent=2, allow_nan=False))
    else:
        print(_text(found))


def _text(found: Importance) -> str:
    from lightsweep.text import counted, printable

    goal = f" ({found.goal})" if found.goal else ""
    lines = [f"what mattered for {printable(found.metric)}{goal}: {counted(found.runs, 'run')}"]
    lines += _wrapped("warning: ", found.warnings) + _wrapped("", found.notes)
    if found.parameters:
        lines += ["", *_table(found.parameters)]
    if found.fit is not None:
        explained = f"a random forest explains R² = {found.fit:.2f} of runs that it has not seen"
        lines += ["", *_wrapped("", [f"importance: the fall of R² when a parameter is shuffled; {explained}"])]
        lines += _wrapped("", ["linear, rank: Pearson's and Spearman's correlation; without a sign for categories"])
    return "\n".join(lines)


def _wrapped(label: str, texts: tuple[str, ...] | list[str]) -> list[str]:
    from lightsweep.text import printable

    return [line for text in texts for line in textwrap.wrap(label + printable(text), _WIDTH, subsequent_indent="  ")]


def _table(parameters: tuple[ParameterImportance, ...]) -> list[str]:
    from lightsweep.text import printable

    names = [_cut(printable(each.name)) for each in parameters]
    width = max(len("parameter"), *map(len, names))
    largest = max((each.importance or 0.0 for each in parameters), default=0.0)
    lines = [f"{'parameter':<{width}}  {'axis':<8}  {'importance':<{_BAR + 15}}  {'linear':>6}  {'rank':>6}".rstrip()]
    for name, each in zip(names, parameters, strict=True):
        share = max(each.importance or 0.0, 0.0) / largest if largest > 0 else 0.0
        spread = f"{_number(each.importance)} ±{_number(each.spread)}" if each.importance is not None else "     –"
        signed = each.scale != "category"
        lines.append(
            f"{name:<{width}}  {each.scale:<8}  {_bar(share):<{_BAR}} {spread:<14}"
            f"  {_correlation(each.correlation, signed)}  {_correlation(each.rank_correlation, signed)}".rstrip()
        )
    return lines


def _bar(share: float) -> str:
    """A bar of eighths of a character; of whole ones where the stream has no such characters."""
    if not str(sys.stdout.encoding).lower().startswith("utf"):
        return "#" * round(share * _BAR)
    eighths = round(share * _BAR * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _number(value: float | None) -> str:
    return f"{value:6.3f}".rstrip() if value is not None and math.isfinite(value) else "     –"


def _correlation(value: float | None, signed: bool) -> str:
    return f"{'–':>6}" if value is None else f"{value:>+6.2f}" if signed else f"{value:>6.2f}"


def _cut(name: str) -> str:
    return name if len(name) <= _NAME else f"{name[: _NAME - 1]}…"
