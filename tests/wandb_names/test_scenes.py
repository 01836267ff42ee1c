"""The rarer media."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

import lightsweep as wandb
from lightsweep.errors import UsageError


def test_point_clouds():
    points = np.arange(12).reshape(4, 3)
    ((suffix, data),) = wandb.Object3D(points).parts("x")
    assert suffix == ".pts.json"
    assert json.loads(data)["points"] == points.tolist()
    boxes = [wandb.box3d(center=(1, 2, 3), size=(2, 2, 2), orientation=(1, 0, 0, 0), color=(255, 0, 0), label="car")]
    cloud = wandb.Object3D.from_point_cloud(points=points, boxes=boxes)
    found = json.loads(cloud.parts("x")[0][1])
    assert found["boxes"][0]["corners"][0] == [0.0, 1.0, 2.0]
    assert found["boxes"][0]["label"] == "car"
    with pytest.raises(UsageError, match=r"Object3D takes points .*, got shape \(12,\)"):
        wandb.Object3D(points.ravel())


def test_meshes_and_molecules_are_files(tmp_path):
    (tmp_path / "mesh.obj").write_text("v 0 0 0")
    (tmp_path / "water.pdb").write_text("ATOM")
    assert wandb.Object3D("mesh.obj").parts("x") == [(".obj", b"v 0 0 0")]
    assert wandb.Object3D(io.StringIO("v")).parts("x") == [(".obj", b"v")]
    assert wandb.Molecule("water.pdb").parts("x") == [(".pdb", b"ATOM")]
    assert wandb.Molecule(io.StringIO("ATOM"), file_type="sdf").parts("x") == [(".sdf", b"ATOM")]
    with pytest.raises(UsageError, match=r"Molecule takes a path or an open file .* RDKit"):
        wandb.Molecule(object())


def test_a_box_is_turned_by_its_quaternion():
    half = 2**-0.5
    box = wandb.box3d(center=(0, 0, 0), size=(2, 4, 6), orientation=(half, 0, 0, half), color=(0, 0, 0))
    assert np.allclose(np.ptp(np.array(box["corners"]), axis=0), [4, 2, 6])


def test_a_graph_draws_nothing():
    graph = wandb.Graph.from_keras(object())
    assert graph.add_node("x") is None
    assert graph.nodes == []
