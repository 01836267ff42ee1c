"""Rarer media: point clouds and meshes, molecules, figures of bokeh, graphs of models, and names of classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from lightsweep.errors import UsageError
from lightsweep.wandb.files import Part, existing_file
from lightsweep.wandb.media import Media, as_array

_MOLECULES = (".pdb", ".pqr", ".mmcif", ".mcif", ".cif", ".sdf", ".sd", ".gro", ".mol2", ".mmtf")


class _Document(Media):
    """A value that is one file of bytes."""

    _data: bytes
    _suffix: str

    def parts(self, stem: str) -> Sequence[Part]:
        """Return the file."""
        del stem
        return [(self._suffix, self._data)]

    def _take(self, value: Any, suffix: str) -> bool:
        """Take the content of a path or an open file; False for any other value."""
        if isinstance(value, (str, PathLike)):
            path = existing_file(value)
            self._data, self._suffix = path.read_bytes(), "".join(path.suffixes[-2:]).lower() or suffix
        elif callable(getattr(value, "read", None)):
            content = value.read()
            self._data = content if isinstance(content, bytes) else str(content).encode()
            self._suffix = Path(str(getattr(value, "name", ""))).suffix.lower() or suffix
        else:
            return False
        return True


class Object3D(_Document):
    """A point cloud or a mesh.

    Args:
        data_or_path: An array of points (n, 3), (n, 4) with a class each or (n, 6) with a colour each; a dict with
            ``points``, ``boxes`` and the like, as W&B takes it; a path such as ``mesh.obj``; an open file.
        caption: A text to show with it.

    Raises:
        UsageError: The array has another shape, or there is no such file.
    """

    kind = "object3D"

    def __init__(self, data_or_path: Any, caption: str | None = None, **_: Any) -> None:
        self._caption = caption
        if self._take(data_or_path, ".obj"):
            return
        if isinstance(data_or_path, Mapping):
            scene = {str(name): _plain(value) for name, value in data_or_path.items()}
        else:
            points = as_array(data_or_path)
            if points.ndim != 2 or points.shape[1] not in (3, 4, 6):
                raise UsageError(f"Object3D takes points (n, 3), (n, 4) or (n, 6), got shape {points.shape}")
            scene = {"type": "lidar/beta", "points": points.tolist()}
        self._data, self._suffix = json.dumps(scene, default=str).encode(), ".pts.json"

    @classmethod
    def from_numpy(cls, data: Any) -> Object3D:
        """Return the object of an array of points."""
        return cls(data)

    @classmethod
    def from_file(cls, data_or_path: Any, file_type: str | None = None) -> Object3D:
        """Return the object of a file; ``file_type`` is accepted and ignored."""
        del file_type
        return cls(data_or_path)

    @classmethod
    def from_point_cloud(
        cls, points: Any, boxes: Any = (), vectors: Any = (), point_cloud_type: str = "lidar/beta"
    ) -> Object3D:
        """Return the object of points, boxes and vectors."""
        return cls({"type": point_cloud_type, "points": points, "boxes": boxes or [], "vectors": vectors or []})


class Molecule(_Document):
    """A molecule: the file of a path such as ``a.pdb``, or an open file with its ``file_type``."""

    kind = "molecule"

    def __init__(self, data_or_path: Any, caption: str | None = None, file_type: str | None = None, **_: Any) -> None:
        self._caption = caption
        if not self._take(data_or_path, f".{file_type or 'pdb'}"):
            raise UsageError(
                f"Molecule takes a path or an open file ({', '.join(_MOLECULES)}), got {type(data_or_path).__name__}; "
                "write an object of RDKit to a file first, for example with Chem.MolToPDBFile"
            )

    @classmethod
    def from_rdkit(cls, data_or_path: Any, caption: str | None = None, **_: Any) -> Molecule:
        """Return the molecule of a file; an object of RDKit is written as a text of a MOL file."""
        if isinstance(data_or_path, (str, PathLike)):
            return cls(data_or_path, caption)
        from rdkit import Chem

        made = cls.__new__(cls)
        made._caption, made._suffix = caption, ".mol"
        made._data = str(Chem.MolToMolBlock(data_or_path)).encode()
        return made


class Bokeh(_Document):
    """A figure of bokeh: the page of a path, or the JSON of a figure."""

    kind = "html"

    def __init__(self, data_or_path: Any) -> None:
        if not self._take(data_or_path, ".html"):
            from bokeh.embed import json_item

            self.kind = "bokeh"
            self._data, self._suffix = json.dumps(json_item(data_or_path)).encode(), ".bokeh.json"


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


def box3d(
    *, center: Sequence[float], size: Sequence[float], orientation: Sequence[float], color: Sequence[int], **more: Any
) -> dict[str, Any]:
    """Return a box for ``Object3D.from_point_cloud``, from its centre, its size and a quaternion."""
    signs = [(x, y, z) for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)]
    corners = [
        _turned([sign * length for sign, length in zip(corner, size, strict=True)], orientation) for corner in signs
    ]
    moved = [[place + start for place, start in zip(corner, center, strict=True)] for corner in corners]
    return {"corners": moved, "color": list(color), **more}


def _turned(vector: Sequence[float], quaternion: Sequence[float]) -> list[float]:
    """Rotate a vector by a unit quaternion (w, x, y, z)."""
    w, x, y, z = quaternion
    a, b, c = vector
    return [
        (1 - 2 * (y * y + z * z)) * a + 2 * (x * y - w * z) * b + 2 * (x * z + w * y) * c,
        2 * (x * y + w * z) * a + (1 - 2 * (x * x + z * z)) * b + 2 * (y * z - w * x) * c,
        2 * (x * z - w * y) * a + 2 * (y * z + w * x) * b + (1 - 2 * (x * x + y * y)) * c,
    ]


def _plain(value: Any) -> Any:
    return value.tolist() if callable(getattr(value, "tolist", None)) else value
