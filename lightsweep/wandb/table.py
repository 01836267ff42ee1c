"""Tables: rows under columns, kept as CSV and as JSON; and the media that any logged value is."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from lightsweep.errors import UsageError, closest
from lightsweep.wandb.files import Part
from lightsweep.wandb.media import Image, Media, Plotly, is_of

MOST_ROWS = 100_000
"""So many rows of a table are kept; those after them are left out, and the index says how many there were."""

_MOST_VALUES = 1000


class Table(Media):
    """Rows of values under named columns.

    Args:
        columns: The names; ``Input``, ``Output``, ``Expected`` by default, as in W&B.
        data: The rows; a table of pandas or an array too.
        rows: The same under an older name.
        dataframe: A table of pandas, instead of both.
        dtype: Accepted and ignored, as are ``optional``, ``allow_mixed_types`` and ``log_mode``: any value fits.

    Attributes:
        columns: The names of the columns.
        data: The rows, as lists; may be changed until the table is logged.

    Raises:
        UsageError: A row has another length than the columns.
    """

    kind = "table"

    def __init__(
        self,
        columns: Sequence[Any] | None = None,
        data: Any = None,
        rows: Any = None,
        dataframe: Any = None,
        dtype: Any = None,
        optional: Any = True,
        allow_mixed_types: bool = False,
        log_mode: str | None = None,
    ) -> None:
        del dtype, optional, allow_mixed_types, log_mode
        data = rows if data is None else data
        if dataframe is None and hasattr(data, "columns") and hasattr(data, "itertuples"):
            dataframe = data
        if dataframe is not None:
            self.columns = [str(name) for name in dataframe.columns]
            self.data: list[list[Any]] = [list(row) for row in dataframe.itertuples(index=False, name=None)]
            return
        self.columns = [str(name) for name in (("Input", "Output", "Expected") if columns is None else columns)]
        self.data = []
        for row in [] if data is None else data:
            self.add_data(*row)

    def add_data(self, *data: Any) -> None:
        """Add a row: a value for each column."""
        if len(data) != len(self.columns):
            raise UsageError(
                f"a row of this table has {len(self.columns)} values ({', '.join(self.columns)[:200]}), got {len(data)}"
            )
        self.data.append(list(data))

    def add_row(self, *row: Any) -> None:
        """Add a row: the older name of `add_data`, which also takes one list."""
        self.add_data(*(row[0] if len(row) == 1 and isinstance(row[0], (list, tuple)) else row))

    def add_column(self, name: str, data: Any, optional: bool = False) -> None:
        """Add a column: a value for each row; to an empty table without columns it gives the rows."""
        del optional
        values = list(data)
        if not self.columns:
            self.data = [[] for _ in values]
        if len(values) != len(self.data):
            raise UsageError(f"column {name!r} needs {len(self.data)} values, one for each row, got {len(values)}")
        self.columns.append(str(name))
        for row, value in zip(self.data, values, strict=True):
            row.append(value)

    def add_computed_columns(self, fn: Callable[[int, dict[str, Any]], Mapping[str, Any]]) -> None:
        """Add the columns that ``fn(number of the row, row as a dict)`` returns for each row."""
        found = [fn(index, dict(zip(self.columns, row, strict=True))) for index, row in enumerate(self.data)]
        for name in found[0] if found else ():
            self.add_column(name, [each[name] for each in found])

    def get_column(self, name: str, convert_to: str | None = None) -> Any:
        """Return the values of a column; as an array with ``convert_to="numpy"``."""
        values = [row[self._place(name)] for row in self.data]
        if convert_to != "numpy":
            return values
        import numpy as np

        return np.asarray(values)

    def get_index(self) -> list[int]:
        """Return the numbers of the rows."""
        return list(range(len(self.data)))

    def get_dataframe(self) -> Any:
        """Return the table as one of pandas."""
        import pandas

        return pandas.DataFrame(self.data, columns=self.columns)

    def iterrows(self) -> Iterator[tuple[int, list[Any]]]:
        """Yield number and values of each row."""
        yield from enumerate(self.data)

    def set_pk(self, *_: Any, **__: Any) -> None:
        """Do nothing: keys between tables are not kept."""

    set_fk = cast = set_pk

    def parts(self, stem: str) -> Sequence[Part]:
        """Return CSV, JSON and the files of the media in the cells, whose names are in the cells."""
        inside: list[Part] = []
        rows = [[_cell(value, stem, inside) for value in row] for row in self.data[:MOST_ROWS]]
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(self.columns)
        writer.writerows([["" if value is None else _text(value) for value in row] for row in rows])
        whole = json.dumps({**self._chart(), "columns": self.columns, "data": rows}, default=str)
        return [(".csv", text.getvalue().encode()), (".json", whole.encode()), *inside]

    def facts(self) -> Mapping[str, Any]:
        """Return the numbers of rows and columns."""
        return {"rows": len(self.data), "columns": len(self.columns)}

    def _chart(self) -> dict[str, Any]:
        """Return how the report draws it; nothing for a plain table."""
        return {}

    def _place(self, name: str) -> int:
        if name not in self.columns:
            raise UsageError(f"the table has no column {name!r}{closest(str(name), self.columns)}")
        return self.columns.index(name)

    def __len__(self) -> int:
        return len(self.data)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Table) and self.columns == other.columns and self.data == other.data

    __hash__ = None  # type: ignore[assignment]  # it may be changed

    def __repr__(self) -> str:
        return f"<Table of {len(self.data)} rows: {', '.join(self.columns)[:80]}>"


def _cell(value: Any, stem: str, inside: list[Part]) -> Any:
    """Return a value for JSON; media go to ``inside``, and their file's name is the cell's."""
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    for media in as_media(value)[:1]:
        first = len(inside)
        for suffix, content in media.parts(stem):
            inside.append((f"_cell_{first}{suffix}", content))
        return f"{stem}{inside[first][0]}"
    if isinstance(value, (list, tuple)):
        return [_cell(each, stem, inside) for each in value[:_MOST_VALUES]]
    if isinstance(value, Mapping):
        return {str(name): _cell(each, stem, inside) for name, each in value.items()}
    if callable(getattr(value, "tolist", None)) and getattr(value, "size", 0) != 0:
        return _cell(value.tolist(), stem, inside)
    return str(value)


def _text(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def as_media(value: Any) -> list[Media]:
    """Return the media that a logged value is: one, several of a list, or none.

    Figures of matplotlib and plotly, images of Pillow and tables of pandas count without a wrapper, as in W&B.
    """
    if isinstance(value, Media):
        return [value]
    if isinstance(value, (list, tuple)):
        found = value[:_MOST_VALUES] if _may_hold_media(value) else ()
        return [media for each in found for media in as_media(each)]
    if callable(getattr(value, "to_plotly_json", None)):
        return [Plotly(value)]
    pyplot = getattr(value, "__name__", "") in ("matplotlib.pyplot", "pylab")
    if pyplot or is_of(value, "PIL") or (is_of(value, "matplotlib") and _is_figure(value)):
        return [Image(value)]
    if is_of(value, "pandas") and hasattr(value, "columns"):
        return [Table(dataframe=value)]
    return []


def _is_figure(value: Any) -> bool:
    return callable(getattr(value, "savefig", None)) or callable(getattr(value, "get_figure", None))


def _may_hold_media(values: Iterable[Any]) -> bool:
    """Tell whether a list may hold media, by its first value: lists of numbers and texts are common."""
    first = next(iter(values), None)
    return first is not None and not isinstance(first, (bool, int, float, str, bytes, list, tuple, dict))
