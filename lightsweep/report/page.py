"""The report: one page with everything in it, that asks no other machine for anything.

Text of users reaches the page in two ways only: as JSON in a block that is never run, with ``<``, ``>`` and ``&`` as
escapes, from where the page's script puts it into place as text; and HTML-escaped, as the title. The page's policy
admits its own scripts by their hashes and no other, and no connection at all.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections import Counter
from datetime import datetime, timezone
from importlib.resources import files
from typing import Any

import plotly
import yaml
from plotly.offline import get_plotlyjs

from lightsweep.controller import Savings, SweepRun, SweepState, savings
from lightsweep.report.data import ReportData, stage_table
from lightsweep.report.gallery import figures
from lightsweep.report.theme import DARK, LIGHT, STATES
from lightsweep.text import number, one_line, value_text

__all__ = ["columns", "page", "page_data", "rows"]

_MOST_METRICS = 8
_REASON_WIDTH = 160
_VALUE_WIDTH = 80


def columns(view: ReportData) -> list[dict[str, str]]:
    """Name and kind (``text``, ``number``, ``time``, ``duration``, ``value``) of each column."""
    metric = [{"name": view.metric, "kind": "number"}] if view.metric else []
    return [
        {"name": "run", "kind": "text"},
        {"name": "state", "kind": "text"},
        *metric,
        *([{"name": "stage", "kind": "text"}] if view.config.stages else []),
        {"name": "iterations", "kind": "number"},
        *({"name": axis.name, "kind": "value"} for axis in view.axes),
        *({"name": f"last {name}", "kind": "number"} for name in _others(view)),
        {"name": "started (UTC)", "kind": "time"},
        {"name": "took", "kind": "duration"},
        {"name": "reason", "kind": "text"},
    ]


def rows(view: ReportData, now: datetime) -> list[list[Any]]:
    """One row a run in the order of the columns; numbers as numbers, ``None`` where there is nothing."""
    others = _others(view)
    return [
        [
            run.id,
            run.state,
            *([_number(run.best)] if view.metric else []),
            *([one_line(run.stage, _VALUE_WIDTH) if run.stage is not None else None] if view.config.stages else []),
            run.iterations,
            *(_cell(run.values[axis.name]) if axis.name in run.values else None for axis in view.axes),
            *(_number(run.metrics.get(name, {}).get("last")) for name in others),
            _time(run.started),
            _took(run, now),
            one_line(run.reason, _REASON_WIDTH),
        ]
        for run in view.runs
    ]


def _others(view: ReportData) -> list[str]:
    """The other numbers that runs logged, by name; the first of very many."""
    names = sorted({name for run in view.runs for name in run.metrics} - {view.metric})
    return names[:_MOST_METRICS]


def _number(value: float | None) -> float | None:
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None


def _cell(value: Any) -> Any:
    """A number that JSON and JavaScript hold as it is, else text."""
    if isinstance(value, float):
        return _number(value) if math.isfinite(value) else str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return value
    return one_line(value_text(value), _VALUE_WIDTH)


def _time(moment: datetime | None) -> str | None:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S") if moment else None


def _took(run: SweepRun, now: datetime) -> float | None:
    return round(((run.ended or now) - run.started).total_seconds(), 1) if run.started else None


def page(sweep_id: str, state: SweepState, view: ReportData, now: datetime) -> str:
    """The whole page as HTML.

    Args:
        sweep_id: The sweep's id.
        state: Where it stands.
        view: Its config and runs.
        now: The time of the report, with a time zone.
    """
    assets = files("lightsweep.report")
    data = json.dumps(page_data(sweep_id, state, view, now), allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        data = data.replace(character, f"\\u{ord(character):04x}")
    scripts = {name: (assets / f"{name}.js").read_text("utf-8") for name in ("table", "page", "figures")}
    scripts["plotly"] = get_plotlyjs()
    parts = {
        "policy": _policy(list(scripts.values())),
        "title": html.escape(f"{one_line(view.config.name or sweep_id, 120)} – lightsweep"),
        "style": (assets / "page.css").read_text("utf-8"),
        "data": data,
        **{f"script-{name}": text for name, text in scripts.items()},
    }
    # Split first, so that nothing which is put in is ever looked at for places again.
    pieces = (assets / "page.html").read_text("utf-8").split("@@")
    return "".join(parts[piece] if place % 2 else piece for place, piece in enumerate(pieces))


def page_data(sweep_id: str, state: SweepState, view: ReportData, now: datetime) -> dict[str, Any]:
    """What the page's script shows, JSON-able."""
    return {
        "headline": _headline(sweep_id, state, view, now),
        "columns": columns(view),
        "rows": rows(view, now),
        "stages": stage_table(view),
        "sort": _sort(view),
        "states": STATES,
        "figures": [
            {"name": named.name, "heading": named.heading, **_plain(named.figure)} for named in figures(view, now)
        ],
        "templates": {"light": _plain(LIGHT), "dark": _plain(DARK)},
        "plotly": plotly.__version__,
    }


def _plain(figure: Any) -> dict[str, Any]:
    found: dict[str, Any] = figure.to_plotly_json()
    if isinstance(found.get("layout"), dict) and "data" in found:
        # The page puts the template of light or dark in its place.
        found["layout"] = {key: value for key, value in found["layout"].items() if key != "template"}
    return found


def _headline(sweep_id: str, state: SweepState, view: ReportData, now: datetime) -> dict[str, Any]:
    config, best, metric = view.config, view.best, view.config.metric
    counts = Counter(run.state for run in view.runs)
    started = [run.started for run in view.runs if run.started]
    ended = [run.ended or now for run in view.runs if run.started]
    saved = savings(((run.state, run.iterations, run.stage) for run in view.runs), config)
    return {
        "title": one_line(config.name or f"Sweep {sweep_id}", 120),
        "description": one_line(config.description or "", 600),
        "id": sweep_id,
        "state": str(state),
        "method": f"{len(config.stages)} stages" if len(config.stages) > 1 else config.method,
        "metric": f"{metric.goal} {metric.name}" if metric else None,
        "metrics": [other.name for other in config.metrics[1:]],
        "best": {
            "run": best.id,
            "state": best.state,
            "value": number(best.best),
            "metric": metric.name,
            "config": yaml.safe_dump(best.config, sort_keys=False, allow_unicode=True),
        }
        if best is not None and best.best is not None and metric is not None
        else None,
        "no_best": view.without_values(),
        "counts": {name: counts[name] for name in STATES if counts[name]},
        "runs": len(view.runs),
        "priors": len(view.priors),
        "saved": {"share": f"{saved.share:.0%}", "text": _saved(saved)} if config.stops_early else None,
        "seconds": round((max(ended) - min(started)).total_seconds()) if started else None,
        "made": now.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _saved(saved: Savings) -> str:
    if not saved.stopped:
        return "nothing stopped early"
    runs = "1 run" if saved.stopped == 1 else f"{saved.stopped:,} runs"
    return f"{runs} stopped early: {saved.saved:,} of {saved.total:,} iterations"


def _sort(view: ReportData) -> dict[str, Any]:
    """The table's first order: by the metric, best first; by id where there is none."""
    return {"column": 2, "descending": view.sign < 0} if view.metric else {"column": 0, "descending": False}


def _policy(scripts: list[str]) -> str:
    # A browser hashes what it reads, in which a carriage return has become a line feed.
    texts = [script.replace("\r\n", "\n").replace("\r", "\n").encode() for script in scripts]
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in texts)
    # WebGL figures compile their shaders' interface with Function, which counts as eval.
    return (
        f"default-src 'none'; script-src {hashes} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
