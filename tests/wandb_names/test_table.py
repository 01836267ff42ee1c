"""Tables as CSV and JSON."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

import lightsweep as wandb
from lightsweep.errors import UsageError
from lightsweep.wandb import table as module
from lightsweep.wandb.table import as_media


def kept(value):
    files = dict(value.parts("3_0"))
    return list(csv.reader(io.StringIO(files[".csv"].decode()))), json.loads(files[".json"])


def test_rows_are_added_one_by_one_or_by_columns():
    made = wandb.Table(columns=["id", "text"])
    made.add_data(1, "a")
    made.add_row(2, "b")
    made.add_row([3, "c"])
    made.add_column("score", np.array([0.5, 0.25, 0.125]))
    made.add_computed_columns(lambda _, row: {"twice": row["score"] * 2})
    lines, whole = kept(made)
    assert lines == [
        ["id", "text", "score", "twice"],
        ["1", "a", "0.5", "1.0"],
        ["2", "b", "0.25", "0.5"],
        ["3", "c", "0.125", "0.25"],
    ]
    assert whole == {"columns": made.columns, "data": [[1, "a", 0.5, 1.0], [2, "b", 0.25, 0.5], [3, "c", 0.125, 0.25]]}
    assert made.facts() == {"rows": 3, "columns": 4}
    assert made.get_column("text") == ["a", "b", "c"]
    assert made.get_column("id", convert_to="numpy").sum() == 6
    assert [row for _, row in made.iterrows()] == made.data
    assert made.get_index() == [0, 1, 2]


def test_a_column_gives_an_empty_table_its_rows():
    made = wandb.Table(columns=[])
    made.add_column("a", [1, 2])
    assert made.data == [[1], [2]]


def test_rows_and_columns_of_another_length_are_refused():
    made = wandb.Table(columns=["a", "b"], data=[[1, 2]])
    with pytest.raises(UsageError, match=r"has 2 values \(a, b\), got 3"):
        made.add_data(1, 2, 3)
    with pytest.raises(UsageError, match="column 'c' needs 1 values, one for each row, got 2"):
        made.add_column("c", [1, 2])
    with pytest.raises(UsageError, match=r"the table has no column 'aa'; did you mean 'a'\?"):
        made.get_column("aa")


def test_tables_of_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", None]})
    for made in (wandb.Table(dataframe=frame), wandb.Table(data=frame), as_media(frame)[0]):
        assert made.columns == ["a", "b"]
        assert kept(made)[0] == [["a", "b"], ["1", "x"], ["2", "nan"]]
    assert wandb.Table(columns=["a"], data=[[1]]).get_dataframe().to_dict("list") == {"a": [1]}


def test_cells_take_any_value_and_media_become_files_beside_the_table():
    image = wandb.Image(np.zeros((2, 2)))
    row = [None, True, float("nan"), np.float32(0.5), np.arange(3), [1, {"a": 2}], image, object]
    made = wandb.Table(columns=list("abcdefgh"), data=[row])
    lines, whole = kept(made)
    assert whole["data"][0][:7] == [None, True, "nan", 0.5, [0, 1, 2], [1, {"a": 2}], "3_0_cell_0.png"]
    assert lines[1][6] == "3_0_cell_0.png"
    assert dict(made.parts("3_0"))["_cell_0.png"].startswith(b"\x89PNG")


def test_a_huge_table_is_cut(monkeypatch):
    monkeypatch.setattr(module, "MOST_ROWS", 2)
    made = wandb.Table(columns=["a"], data=[[1], [2], [3]])
    assert kept(made)[1]["data"] == [[1], [2]]
    assert made.facts()["rows"] == 3
