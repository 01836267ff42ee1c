"""The HTML page: one file with everything in it, which loads nothing from another machine.

Text of users reaches the page in two ways only: as JSON in a block that is never run, with ``<``, ``>`` and ``&``
escaped, which the page's script inserts as text; and HTML-escaped, as the title. The page's policy admits its own
scripts by their hashes, no other script, and no connection except that of a live page to its server.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import math
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from importlib.resources import files
from typing import Any

import plotly
import plotly.graph_objects as go
import yaml
from plotly.offline import get_plotlyjs

from lightsweep.controller import SweepRun, SweepState
from lightsweep.controller.ranking import pareto_front, scores
from lightsweep.controller.summary import PartView, savings
from lightsweep.report.axis import ACCENT, DARK, LIGHT, STATES
from lightsweep.report.data import ReportData, spread
from lightsweep.report.figures import figures
from lightsweep.text import number, one_line, value_text

_MOST_METRICS = 8
_MOST_POINTS = 80  # of the best run's small curve
_REASON_WIDTH = 160
_VALUE_WIDTH = 80
_VALUES_WIDTH = 400
_SMALL = {"scatter", "bar", "parcoords"}  # what the small bundle draws, and parallel.js


def columns(data: ReportData) -> list[tuple[str, str, Callable[[SweepRun], Any]]]:
    """Return the columns of the table of runs; of very many other metrics the first by name.

    A column has a heading, a kind (``text``, ``number``, ``time``, ``duration`` or ``value``), and a function that
    gives its cell for a run: numbers as numbers, ``None`` for no value.
    """
    others = sorted({name for run in data.runs for name in run.metrics} - {data.metric})[:_MOST_METRICS]
    return [
        ("run", "text", lambda run: run.id),
        ("state", "text", lambda run: run.state),
        *([(data.metric, "number", lambda run: _number(run.best))] if data.metric else []),
        *((name, "text", partial(_label, name)) for name in data.config.labels),
        ("iterations", "number", lambda run: run.iterations),
        *((axis.name, "value", partial(_value, axis.name)) for axis in data.axes),
        *((f"last {name}", "number", partial(_last, name)) for name in others),
        ("started (UTC)", "time", lambda run: _time(run.started)),
        ("took", "duration", partial(_took, data.now)),
        ("reason", "text", lambda run: one_line(run.reason, _REASON_WIDTH)),
    ]


def _doubt(data: ReportData, name: str, kind: str) -> str:
    return "never read" if kind == "value" and name in data.unread else ""


def _number(value: float | None) -> float | None:
    return float(f"{value:.8g}") if value is not None and math.isfinite(value) else None


def _value(name: str, run: SweepRun) -> Any:
    """The value of a parameter: a number that JSON and JavaScript hold exactly, else text."""
    if name not in run.values:
        return None
    value = run.values[name]
    if isinstance(value, float):
        return _number(value) if math.isfinite(value) else str(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return value
    return one_line(value_text(value), _VALUE_WIDTH)


def _label(name: str, run: SweepRun) -> str | None:
    return one_line(run.labels[name], _VALUE_WIDTH) if name in run.labels else None


def _last(name: str, run: SweepRun) -> float | None:
    return _number(run.metrics.get(name, {}).get("last"))


def _time(moment: datetime | None) -> str | None:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S") if moment else None


def _took(now: datetime, run: SweepRun) -> float | None:
    return round(((run.ended or now) - run.started).total_seconds(), 1) if run.started else None


def page(
    sweep_id: str,
    state: SweepState,
    data: ReportData,
    media: Sequence[Mapping[str, Any]] = (),
    logged: Mapping[str, Any] | None = None,
    parts: Mapping[str, Any] | None = None,
    details: Mapping[str, Any] | None = None,
) -> str:
    """Return the whole page as HTML.

    Args:
        sweep_id: The sweep's id.
        state: The sweep's state.
        data: Its config and runs, and the time of the report.
        media: Images, tables and charts of the best runs, see `run_media`.
        logged: The curves of all logged numbers, see `logged_curves`.
        parts: The parts of runs, see `run_parts`.
        details: What is known of each run, see `all_details`.
    """
    more = {"media": list(media), "logged": logged, "parts": parts}
    return html_page({**page_data(sweep_id, state, data), **more}, details or {})


def html_page(content: Mapping[str, Any], details: Mapping[str, Any]) -> str:
    """Return the page with this content, see `page_data`; with ``"live"`` in it one that follows its server.

    The details are apart, since a browser reads them only once they are asked for.
    """
    assets = files("lightsweep.report")
    names = ("table", "page", "hover", "parallel", "figures", "curves", "media", "details", "compare", "live")
    scripts = {name: (assets / f"{name}.js").read_text("utf-8") for name in names}
    scripts["plotly"] = _library(content)
    parts = {
        "policy": _policy(list(scripts.values()), live="live" in content),
        "title": html.escape(f"{content['headline']['title']} – lightsweep"),
        "style": (assets / "page.css").read_text("utf-8"),
        "style-details": (assets / "details.css").read_text("utf-8"),
        "data": _embedded(content),
        "known": _embedded(details),
        **{f"script-{name}": text for name, text in scripts.items()},
    }
    # Split before inserting, so that inserted text is never searched for placeholders.
    pieces = (assets / "page.html").read_text("utf-8").split("@@")
    return "".join(parts[piece] if place % 2 else piece for place, piece in enumerate(pieces))


def _library(content: Mapping[str, Any]) -> str:
    """Return the small bundle of plotly.js if it draws all figures of this page, else the whole library."""
    small = files("lightsweep.report") / "plotly-basic.min.js"
    whole: str = get_plotlyjs()
    # A live page gets figures later that nobody knows yet.
    if "live" in content or not small.is_file():
        return whole
    charts = [item["figure"] for run in content["media"] for item in run["items"] if "figure" in item]
    kinds = {trace["type"] for figure in [*content["figures"], *charts] for trace in figure["data"]}
    return small.read_text("utf-8") if kinds <= _SMALL else whole


def _embedded(content: Mapping[str, Any]) -> str:
    """Return JSON that no browser takes for tags."""
    text = json.dumps(content, allow_nan=False, separators=(",", ":"))
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def page_data(sweep_id: str, state: SweepState, data: ReportData) -> dict[str, Any]:
    """Return the content of the page for its script, as values that JSON can hold."""
    table = columns(data)
    return {
        "headline": _headline(sweep_id, state, data),
        "columns": [{"name": name, "kind": kind, "doubt": _doubt(data, name, kind)} for name, kind, _ in table],
        "rows": [[cell(run) for _, _, cell in table] for run in data.runs],
        "stages": _stage_table(data),
        "sort": {"column": 2 if data.metric else 0, "descending": data.sign < 0},  # the best first, else by id
        "states": STATES,
        "accent": ACCENT,
        "figures": [
            {"name": each.name, "heading": each.heading, "help": each.help, "small": each.small, **_plain(each.figure)}
            for each in figures(data)
        ],
        "templates": {"light": LIGHT.to_plotly_json(), "dark": DARK.to_plotly_json()},
        "plotly": plotly.__version__,
    }


def _plain(figure: go.Figure) -> dict[str, Any]:
    content: dict[str, Any] = figure.to_plotly_json()
    content["layout"].pop("template", None)  # the page inserts the one for light or dark
    return content


def _headline(sweep_id: str, state: SweepState, data: ReportData) -> dict[str, Any]:
    config, best, metric = data.config, data.best, data.config.metric
    score = scores(data.runs, config).get(best.group or "") if best is not None else None
    counts = Counter[str](run.state for run in data.runs)
    spans = [(run.started, run.ended or data.now) for run in data.runs if run.started]
    length = max(end for _, end in spans) - min(start for start, _ in spans) if spans else None
    saved = savings(data.runs, config)
    return {
        "title": one_line(config.name or f"Sweep {sweep_id}", 120),
        "description": one_line(config.description or "", 600),
        "id": sweep_id,
        "state": str(state),
        "method": config.method_text,
        "metric": f"{metric.goal} {metric.name}" if metric else None,
        "front": _front(data) if len(config.metrics) > 1 else None,
        "best": {
            "run": best.id,
            "group": None if score is None else best.group,
            "state": best.state,
            "value": number(best.best) if score is None else str(score),
            "metric": metric.name,
            "config": yaml.safe_dump(best.config, sort_keys=False, allow_unicode=True),
            "arguments": data.arguments,
            "parameters": [axis.name for axis in data.ranked if axis.name in best.values],
            "history": [_number(best.history[place]) for place in spread(range(len(best.history)), _MOST_POINTS)],
        }
        if best is not None and best.best is not None and metric is not None
        else None,
        "no_best": data.without_best(),
        "counts": {name: counts[name] for name in STATES if counts[name]},
        "runs": len(data.runs),
        "priors": len(data.priors),
        "saved": {"share": f"{saved.share:.0%}", "text": saved.text} if config.stops_early else None,
        "seconds": None if length is None else round(length.total_seconds()),
        "made": data.now.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
    }


def _front(data: ReportData) -> dict[str, Any]:
    found = pareto_front(data.runs, data.config)
    goals = ", ".join(f"{metric.goal} {metric.name}" for metric in data.config.metrics)
    return {"members": len(found.members), "runs": len(found.runs), "metrics": one_line(goals, 120)}


def _stage_table(data: ReportData) -> dict[str, Any] | None:
    """A row for each stage: its state, its best run and its fixed values; ``None`` for a sweep without stages."""
    if not data.parts:
        return None
    headings = ["stage", "state", "method", "runs", f"best {data.metric}", "searched", "fixed"]
    return {"columns": headings, "rows": [_stage_row(each, data.config.searched()) for each in data.parts]}


def _stage_row(view: PartView, searched: Collection[str]) -> list[str]:
    stage, best = view.part, view.best
    fixed = _values(view.fixed or {}, sorted(searched))
    base = f"; from run {view.base}" if view.base is not None else ""
    found = _values(best.values, stage.searched) if best else one_line(", ".join(stage.searched), _VALUES_WIDTH)
    return [
        one_line(stage.name, 60),
        view.state,
        stage.method,
        f"{view.runs:,} of {view.limit:,}" if view.limit is not None else f"{view.runs:,}",
        f"{number(best.best)} (run {best.id})" if best is not None and best.best is not None else "–",
        found,
        f"{fixed}{base}" if fixed else "–",
    ]


def _values(values: Mapping[str, Any], names: Collection[str]) -> str:
    texts = [f"{name}={one_line(value_text(values[name]), 40)}" for name in names if name in values]
    return one_line(", ".join(texts), _VALUES_WIDTH)


def _policy(scripts: list[str], *, live: bool) -> str:
    # A browser turns carriage returns into line feeds before it hashes a script.
    texts = [script.replace("\r\n", "\n").replace("\r", "\n").encode() for script in scripts]
    hashes = " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in texts)
    connect = "connect-src 'self'; " if live else ""
    # WebGL figures compile their shaders' interface with Function, which counts as eval.
    return (
        f"default-src 'none'; script-src {hashes} 'unsafe-eval'; style-src 'unsafe-inline'; img-src data: blob:; "
        f"{connect}base-uri 'none'; form-action 'none'"
    )
