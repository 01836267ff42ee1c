"""``wandb.plot``: charts, each a table with the way that the report draws it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lightsweep.errors import UsageError
from lightsweep.wandb.table import Table

_MOST_POINTS = 2000


class Chart(Table):
    """A table that the report draws.

    Args:
        kind: ``line``, ``scatter``, ``bar``, ``histogram`` or ``matrix``.
        title: The title.
        columns: The columns.
        rows: The rows.
        axes: Names of the columns by role: ``x``, ``y``, ``group``.
    """

    def __init__(
        self, kind: str, title: str | None, columns: Sequence[str], rows: Sequence[Sequence[Any]], **axes: str
    ) -> None:
        super().__init__(columns=columns, data=rows)
        self.chart = {"kind": kind, "title": str(title or ""), **axes}

    @property
    def table(self) -> Table:
        """The table itself."""
        return self

    def facts(self) -> Mapping[str, Any]:
        """Return the number of rows, and the kind of chart."""
        return {**super().facts(), "chart": self.chart["kind"]}

    def _chart(self) -> dict[str, Any]:
        return {"chart": self.chart}


def _of_table(kind: str, table: Any, title: str | None, split_table: Any = False, **axes: str) -> Chart:
    del split_table
    if not isinstance(table, Table):
        raise UsageError(
            f"a chart takes a Table, got {type(table).__name__}; make it with Table(data=..., columns=...)"
        )
    for name in axes.values():
        table.get_column(name)
    return Chart(kind, title, table.columns, table.data, **axes)


def line(
    table: Table, x: str, y: str, stroke: str | None = None, title: str | None = None, split_table: Any = False
) -> Chart:
    """Draw column ``y`` over column ``x``, a line for each value of column ``stroke``."""
    return _of_table("line", table, title, split_table, x=x, y=y, **({"group": stroke} if stroke else {}))


def scatter(table: Table, x: str, y: str, title: str | None = None, split_table: Any = False) -> Chart:
    """Draw column ``y`` over column ``x`` as points."""
    return _of_table("scatter", table, title, split_table, x=x, y=y)


def bar(table: Table, label: str, value: str, title: str | None = None, split_table: Any = False) -> Chart:
    """Draw column ``value`` as a bar for each row, named by column ``label``."""
    return _of_table("bar", table, title, split_table, x=label, y=value)


def histogram(table: Table, value: str, title: str | None = None, split_table: Any = False) -> Chart:
    """Draw how the values of a column are distributed."""
    return _of_table("histogram", table, title, split_table, x=value)


def line_series(
    xs: Any,
    ys: Any,
    keys: Sequence[Any] | None = None,
    title: str | None = None,
    xname: str | None = None,
    split_table: Any = False,
) -> Chart:
    """Draw several lines.

    Args:
        xs: The x values of all lines, or a list of them for each line.
        ys: A list of y values for each line.
        keys: The names of the lines.
        title: The title.
        xname: The name of the x axis.
        split_table: Accepted and ignored.
    """
    del split_table
    lines = [_list(each) for each in ys]
    given = _list(xs)
    places = [_list(each) for each in given] if given and isinstance(given[0], (list, tuple)) else [given] * len(lines)
    names = [str(key) for key in keys] if keys is not None else [f"key_{number}" for number in range(len(lines))]
    if len(places) != len(lines) or len(names) != len(lines):
        raise UsageError(
            f"line_series takes as many xs and keys as ys, got {len(places)}, {len(names)} and {len(lines)}"
        )
    rows = [
        [at, name, value]
        for name, along, values in zip(names, places, lines, strict=True)
        for at, value in zip(along, values, strict=False)
    ]
    x = xname or "x"
    return Chart("line", title, [x, "lineKey", "lineVal"], rows, x=x, y="lineVal", group="lineKey")


def confusion_matrix(
    probs: Any = None,
    y_true: Any = None,
    preds: Any = None,
    class_names: Sequence[Any] | None = None,
    title: str | None = None,
    split_table: Any = False,
) -> Chart:
    """Count the pairs of true and predicted class.

    Args:
        probs: Scores (examples, classes), of which the largest is the prediction; or else ``preds``.
        y_true: The true class of each example: its number, or its name.
        preds: The predicted class of each example.
        class_names: The names of the classes, by number.
        title: The title.
        split_table: Accepted and ignored.
    """
    import numpy as np

    del split_table
    if (probs is None) == (preds is None):
        raise UsageError("confusion_matrix takes either probs or preds")
    found = _list(preds) if probs is None else [int(np.argmax(row)) for row in _list(probs)]
    truth = _list(y_true) if y_true is not None else []
    if len(truth) != len(found) or not truth:
        raise UsageError(
            f"confusion_matrix takes as many true classes as predictions, got {len(truth)} and {len(found)}"
        )
    classes = sorted({*truth, *found}, key=lambda each: (isinstance(each, str), each))
    if class_names is not None and not any(isinstance(each, str) for each in classes):
        names = [str(each) for each in class_names]
        number = {index: index for index in range(max(len(names), int(max(classes)) + 1))}
        names += [f"Class_{index}" for index in range(len(names), len(number))]
    else:
        names = [each if isinstance(each, str) else f"Class_{each}" for each in classes]
        number = {each: index for index, each in enumerate(classes)}
    counts = np.zeros((len(names), len(names)), dtype=int)
    for actual, predicted in zip(truth, found, strict=True):
        counts[number[actual], number[predicted]] += 1
    rows = [[names[i], names[j], int(counts[i, j])] for i in range(len(names)) for j in range(len(names))]
    columns = ["Actual", "Predicted", "nPredictions"]
    return Chart("matrix", title or "Confusion matrix", columns, rows, x="Predicted", y="Actual", value="nPredictions")


def roc_curve(
    y_true: Any = None,
    y_probas: Any = None,
    labels: Sequence[Any] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    title: str | None = None,
    split_table: Any = False,
) -> Chart:
    """Draw the share of true positives over that of false ones, a line for each class."""
    del split_table
    rows = []
    for name, hits, scores in _one_class_each(y_true, y_probas, labels, classes_to_plot):
        true, false, _ = _ranked(hits, scores)
        wins, losses = max(true[-1], 1), max(false[-1], 1)
        rows += [
            [name, round(f / losses, 5), round(t / wins, 5)] for t, f in _thinned(list(zip(true, false, strict=True)))
        ]
    return Chart("line", title or "ROC", ["class", "fpr", "tpr"], rows, x="fpr", y="tpr", group="class")


def pr_curve(
    y_true: Any = None,
    y_probas: Any = None,
    labels: Sequence[Any] | None = None,
    classes_to_plot: Sequence[Any] | None = None,
    interp_size: int = 21,
    title: str | None = None,
    split_table: Any = False,
) -> Chart:
    """Draw precision over recall, a line for each class."""
    del interp_size, split_table
    rows = []
    for name, hits, scores in _one_class_each(y_true, y_probas, labels, classes_to_plot):
        true, false, _ = _ranked(hits, scores)
        points = [(t / max(true[-1], 1), t / (t + f)) for t, f in zip(true, false, strict=True) if t + f]
        rows += [[name, round(precision, 5), round(recall, 5)] for recall, precision in _thinned(points)]
    return Chart(
        "line",
        title or "Precision and recall",
        ["class", "precision", "recall"],
        rows,
        x="recall",
        y="precision",
        group="class",
    )


def plot_table(
    vega_spec_name: str,
    data_table: Table,
    fields: Mapping[str, Any],
    string_fields: Mapping[str, Any] | None = None,
    split_table: Any = False,
) -> Chart:
    """Keep the table of a chart of the user's own; the report draws ``x`` and ``y`` as points if they are given."""
    del split_table
    title = str((string_fields or {}).get("title") or vega_spec_name)
    axes = {role: str(name) for role, name in fields.items() if role in ("x", "y") and str(name) in data_table.columns}
    return Chart("scatter" if len(axes) == 2 else "table", title, data_table.columns, data_table.data, **axes)


def _list(values: Any) -> list[Any]:
    """Return a list of a list, an array or a tensor, with plain numbers in it."""
    if callable(getattr(values, "detach", None)):
        values = values.detach().cpu()
    if callable(getattr(values, "tolist", None)):
        return list(values.tolist())
    return [
        each.item() if callable(getattr(each, "item", None)) and not getattr(each, "ndim", 0) else each
        for each in values
    ]


def _one_class_each(
    y_true: Any, y_probas: Any, labels: Sequence[Any] | None, chosen: Sequence[Any] | None
) -> list[tuple[str, list[bool], list[float]]]:
    """Return for each class its name, which examples are of it, and their scores for it."""
    if y_true is None or y_probas is None:
        raise UsageError("the curve takes y_true and y_probas: the true classes, and a score for each class")
    truth, scores = _list(y_true), _list(y_probas)
    if len(truth) != len(scores) or not truth:
        raise UsageError(f"the curve takes as many scores as true classes, got {len(scores)} and {len(truth)}")
    if not isinstance(scores[0], (list, tuple)):
        scores = [[1 - score, score] for score in scores]
    known = sorted(set(truth), key=lambda each: (isinstance(each, str), each))
    classes = known if len(known) == len(scores[0]) else list(range(len(scores[0])))
    found = []
    for number, value in enumerate(classes):
        if chosen is None or value in chosen:
            name = str(labels[number]) if labels is not None and number < len(labels) else str(value)
            found.append((name, [each == value for each in truth], [float(row[number]) for row in scores]))
    return found


def _ranked(hits: Sequence[bool], scores: Sequence[float]) -> tuple[list[int], list[int], list[float]]:
    """Return, from the highest score down, how many hits and misses have it or a higher one, from (0, 0) on."""
    true, false, at = [0], [0], [float("inf")]
    for score, hit in sorted(zip(scores, hits, strict=True), key=lambda pair: -pair[0]):
        if score == at[-1]:
            true[-1] += hit
            false[-1] += not hit
        else:
            true.append(true[-1] + hit)
            false.append(false[-1] + (not hit))
            at.append(score)
    return true, false, at


def _thinned(points: list[Any]) -> list[Any]:
    """Return at most so many points, evenly, with the last."""
    step = max(1, -(-len(points) // _MOST_POINTS))
    return points if step == 1 else [*points[:-1:step], points[-1]]
