"""Charts: tables with the way that the report draws them."""

from __future__ import annotations

import json

import numpy as np
import pytest

import lightsweep as wandb
from lightsweep.errors import UsageError

TABLE = wandb.Table(columns=["epoch", "loss", "kind"], data=[[0, 1.0, "a"], [1, 0.5, "a"], [0, 2.0, "b"]])


@pytest.mark.parametrize(
    ("made", "chart"),
    [
        (
            lambda: wandb.plot.line(TABLE, "epoch", "loss", title="t"),
            {"kind": "line", "title": "t", "x": "epoch", "y": "loss"},
        ),
        (
            lambda: wandb.plot.line(TABLE, "epoch", "loss", stroke="kind"),
            {"kind": "line", "title": "", "x": "epoch", "y": "loss", "group": "kind"},
        ),
        (
            lambda: wandb.plot.scatter(TABLE, "epoch", "loss"),
            {"kind": "scatter", "title": "", "x": "epoch", "y": "loss"},
        ),
        (lambda: wandb.plot.bar(TABLE, "kind", "loss"), {"kind": "bar", "title": "", "x": "kind", "y": "loss"}),
        (lambda: wandb.plot.histogram(TABLE, "loss"), {"kind": "histogram", "title": "", "x": "loss"}),
    ],
)
def test_charts_of_a_table(made, chart):
    value = made()
    assert value.chart == chart
    whole = json.loads(dict(value.parts("0_0"))[".json"])
    assert (whole["chart"], whole["data"]) == (chart, TABLE.data)
    assert value.facts()["chart"] == chart["kind"]


def test_a_chart_of_a_column_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match=r"the table has no column 'los'; did you mean 'loss'\?"):
        wandb.plot.line(TABLE, "epoch", "los")
    with pytest.raises(UsageError, match="a chart takes a Table, got list"):
        wandb.plot.bar([[1]], "a", "b")


def test_several_lines_over_one_x_or_over_their_own():
    made = wandb.plot.line_series(xs=[0, 1], ys=[[1, 2], [3, 4]], keys=["a", "b"], xname="step")
    assert made.data == [[0, "a", 1], [1, "a", 2], [0, "b", 3], [1, "b", 4]]
    assert made.columns[0] == "step"
    made = wandb.plot.line_series(xs=[[0], [5, 6]], ys=[[1], [2, 3]])
    assert made.data == [[0, "key_0", 1], [5, "key_1", 2], [6, "key_1", 3]]
    with pytest.raises(UsageError, match="as many xs and keys as ys, got 2, 1 and 2"):
        wandb.plot.line_series(xs=[0], ys=[[1], [2]], keys=["a"])


def test_a_confusion_matrix_counts_pairs():
    made = wandb.plot.confusion_matrix(y_true=[0, 1, 1], preds=[0, 1, 0], class_names=["cat", "dog"])
    assert made.data == [["cat", "cat", 1], ["cat", "dog", 0], ["dog", "cat", 1], ["dog", "dog", 1]]
    scores = np.array([[0.9, 0.1], [0.2, 0.8], [0.7, 0.3]])
    again = wandb.plot.confusion_matrix(probs=scores, y_true=np.array([0, 1, 1]), class_names=["cat", "dog"])
    assert again.data == made.data
    named = wandb.plot.confusion_matrix(y_true=["x", "y"], preds=["x", "x"])
    assert named.data == [["x", "x", 1], ["x", "y", 0], ["y", "x", 1], ["y", "y", 0]]
    with pytest.raises(UsageError, match="either probs or preds"):
        wandb.plot.confusion_matrix(y_true=[0])
    with pytest.raises(UsageError, match="as many true classes as predictions, got 1 and 2"):
        wandb.plot.confusion_matrix(y_true=[0], preds=[0, 1])


def test_curves_are_those_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    random = np.random.default_rng(1)
    truth = random.integers(0, 2, 200)
    scores = np.round(random.random(200) * 0.5 + truth * 0.3, 2)
    both = np.stack([1 - scores, scores], axis=1)
    made = wandb.plot.roc_curve(truth, both, labels=["no", "yes"], classes_to_plot=[1])
    false, true, _ = metrics.roc_curve(truth, scores, drop_intermediate=False)
    assert np.allclose([[row[1], row[2]] for row in made.data], np.stack([false, true], axis=1), atol=1e-5)
    assert {row[0] for row in made.data} == {"yes"}
    made = wandb.plot.pr_curve(truth, both, classes_to_plot=[1])
    precision, recall, _ = metrics.precision_recall_curve(truth, scores, drop_intermediate=False)
    found = np.array([[row[1], row[2]] for row in made.data])
    assert np.allclose(found, np.stack([precision, recall], axis=1)[:-1][::-1], atol=1e-5)


def test_a_chart_of_the_users_own_is_a_table():
    made = wandb.plot_table("me/spec", TABLE, {"x": "epoch", "y": "loss"}, {"title": "mine"})
    assert made.chart == {"kind": "scatter", "title": "mine", "x": "epoch", "y": "loss"}
    assert wandb.plot.plot_table("me/spec", TABLE, {}).chart["kind"] == "table"
