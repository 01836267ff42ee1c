"""The rarer media."""

from __future__ import annotations

import io
import json

import numpy as np

import lightsweep as wandb


def test_point_clouds_are_kept_as_json():
    points = np.arange(12).reshape(4, 3)
    ((suffix, data),) = wandb.Object3D(points).parts("x")
    assert suffix == ".json"
    assert json.loads(data) == points.tolist()
    boxes = [wandb.box3d(center=(1, 2, 3), size=(2, 2, 2), orientation=(1, 0, 0, 0), color=(255, 0, 0), label="car")]
    cloud = wandb.Object3D.from_point_cloud(points=points, boxes=boxes)
    found = json.loads(cloud.parts("x")[0][1])
    assert found["points"] == points.tolist()
    assert found["boxes"][0]["label"] == "car"


def test_meshes_and_molecules_are_files(tmp_path):
    (tmp_path / "mesh.obj").write_text("v 0 0 0")
    (tmp_path / "water.pdb").write_text("ATOM")
    assert wandb.Object3D("mesh.obj").parts("x") == [(".obj", b"v 0 0 0")]
    assert wandb.Object3D.from_file(io.StringIO("v")).parts("x") == [(".obj", b"v")]
    assert wandb.Molecule("water.pdb").parts("x") == [(".pdb", b"ATOM")]
    assert wandb.Molecule(io.StringIO("ATOM"), file_type="sdf").parts("x") == [(".sdf", b"ATOM")]
    assert wandb.Molecule.from_rdkit("water.pdb", caption="water").facts() == {"caption": "water"}


def test_a_graph_draws_nothing():
    graph = wandb.Graph.from_keras(object())
    assert graph.add_node("x") is None
    assert graph.nodes == []
