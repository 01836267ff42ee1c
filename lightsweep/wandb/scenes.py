"""Rarer media, each kept as one file: point clouds, molecules, figures of bokeh; also graphs and names of classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from lightsweep.wandb.files import Part, existing_file
from lightsweep.wandb.media import Media


class _Document(Media):
    """The file of a path or of an open file, else the JSON of the value; arrays become lists.

    Args:
        data_or_path: A path such as ``mesh.obj``, an open file, or a value: points, or a dict as W&B takes it.
        caption: A text to show with it.
        more: Accepted; ``file_type`` is the suffix of an open file.

    Raises:
        UsageError: There is no such file.
    """

    def __init__(self, data_or_path: Any, caption: str | None = None, **more: Any) -> None:
        self._caption = caption
        if isinstance(data_or_path, (str, PathLike)):
            path = existing_file(data_or_path)
            self._suffix, self._data = "".join(path.suffixes[-2:]).lower(), path.read_bytes()
        elif callable(getattr(data_or_path, "read", None)):
            content = data_or_path.read()
            self._data = content if isinstance(content, bytes) else str(content).encode()
            named = Path(str(getattr(data_or_path, "name", "")))
            self._suffix = named.suffix.lower() or f".{more.get('file_type') or 'txt'}"
        else:
            self._suffix, self._data = ".json", json.dumps(data_or_path, default=_plain).encode()

    def parts(self, stem: str) -> Sequence[Part]:
        """Return the file."""
        del stem
        return [(self._suffix, self._data)]


class Object3D(_Document):
    """A point cloud or a mesh."""

    kind = "object3D"

    @classmethod
    def from_numpy(cls, data: Any) -> Object3D:
        """Return the object of an array of points."""
        return cls(data)

    @classmethod
    def from_file(cls, data_or_path: Any, file_type: str = "obj") -> Object3D:
        """Return the object of a path or of an open file."""
        return cls(data_or_path, file_type=file_type)

    @classmethod
    def from_point_cloud(cls, points: Any, boxes: Any = (), vectors: Any = (), **more: Any) -> Object3D:
        """Return the object of points, boxes and vectors."""
        return cls({"points": points, "boxes": boxes, "vectors": vectors, **more})


class Molecule(_Document):
    """A molecule."""

    kind = "molecule"

    @classmethod
    def from_rdkit(cls, data_or_path: Any, caption: str | None = None, **_: Any) -> Molecule:
        """Return the molecule of a path, or of an object of RDKit in its own notation."""
        return cls(data_or_path, caption)


class Bokeh(_Document):
    """A figure of bokeh: the page of a path, or the JSON of a figure."""

    kind = "bokeh"

    def __init__(self, data_or_path: Any) -> None:
        if not isinstance(data_or_path, (str, PathLike)):
            from bokeh.embed import json_item

            data_or_path = json_item(data_or_path)
        super().__init__(data_or_path)


class Graph:
    """Takes the model of a script, and draws nothing."""

    def __init__(self, *_: Any, **__: Any) -> None:
        self.nodes: list[Any] = []
        self.edges: list[Any] = []

    @classmethod
    def from_keras(cls, *_: Any, **__: Any) -> Graph:
        """Return an empty graph."""
        return cls()

    def add_node(self, *_: Any, **__: Any) -> None:
        """Do nothing."""

    add_edge = add_node


class Classes:
    """The names of classes: ``[{"id": 0, "name": "cat"}, ...]``."""

    def __init__(self, class_set: Sequence[Mapping[str, Any]]) -> None:
        self.classes = [dict(each) for each in class_set]


def box3d(**facts: Any) -> dict[str, Any]:
    """Return a box for ``Object3D.from_point_cloud``: its centre, size, orientation and colour as they are."""
    return facts


def _plain(value: Any) -> Any:
    """Return a list of an array or a tensor; any other value as a text."""
    return value.tolist() if callable(getattr(value, "tolist", None)) else str(value)
