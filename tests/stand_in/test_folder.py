"""The folder of the stand-in: where Python and other libraries find it, from the tree and from a wheel."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from lightsweep.errors import UsageError
from lightsweep.stand_in import folders, standing_in, variables
from lightsweep.wandb import MODULES as MODULE_HOMES

ROOT = Path(__file__).resolve().parent.parent.parent
(FOLDER,) = folders("wandb")
LOOK = """
import importlib.metadata, importlib.util, json, sys
found = {
    "spec": importlib.util.find_spec("wandb").origin,
    "sdk": importlib.util.find_spec("wandb.sdk").origin,
    "version": importlib.metadata.version("wandb"),
    "distributions": importlib.metadata.packages_distributions().get("wandb"),
}
import wandb
found["own"] = wandb.__version__
found["lazy"] = "lightsweep.client" not in sys.modules
print(json.dumps(found))
"""
WITH_LIGHTNING = """
from lightning_utilities.core.imports import RequirementCache
print(RequirementCache("wandb>=0.12.10"))
"""


def python(code: str, *, program: str = sys.executable, env: Mapping[str, str]) -> str:
    done = subprocess.run(
        [program, "-c", code], cwd="/", env=dict(env), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def check(found: Mapping[str, Any], folder: str) -> None:
    assert found["spec"] == f"{folder}/wandb/__init__.py"
    assert found["sdk"] == f"{folder}/wandb/__init__.py"
    assert found["version"] == found["own"]
    assert tuple(map(int, found["version"].split("."))) > (0, 12, 10)
    assert found["distributions"][0] == "wandb"
    assert found["lazy"]


def test_a_python_that_gets_the_variables_finds_package_and_metadata() -> None:
    check(json.loads(python(LOOK, env={**os.environ, **variables("wandb")})), FOLDER)


def test_an_installed_package_of_that_name_is_behind_it(tmp_path: Path) -> None:
    installed = tmp_path / "site"
    (installed / "wandb").mkdir(parents=True)
    (installed / "wandb" / "__init__.py").write_text("raise SystemExit('the installed one')")
    (installed / "wandb-0.1.dist-info").mkdir()
    (installed / "wandb-0.1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: wandb\nVersion: 0.1\n")
    before = {**os.environ, "PYTHONPATH": str(installed)}
    assert python("from importlib.metadata import version\nprint(version('wandb'))", env=before) == "0.1"
    check(json.loads(python(LOOK, env={**before, **variables("wandb", before)})), FOLDER)


def test_a_folder_of_old_runs_beside_the_script_is_not_taken_for_it(tmp_path: Path) -> None:
    """W&B leaves its files in a folder of its own name, which Python could take for a package without a file."""
    (tmp_path / "wandb" / "run-1").mkdir(parents=True)
    (tmp_path / "train.py").write_text("import wandb; print(wandb.__file__)")
    environment = {**os.environ, **variables("wandb")}
    done = subprocess.run(
        [sys.executable, "train.py"], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == f"{FOLDER}/wandb/__init__.py"


def test_libraries_that_ask_for_the_distribution_are_content() -> None:
    environment = {**os.environ, **variables("wandb")}
    assert python(WITH_LIGHTNING, env=environment) == "Requirement 'wandb>=0.12.10' met"
    code = "from {} import is_wandb_available as asks; print(asks())"
    assert python(code.format("accelerate.utils"), env=environment) == "True"
    assert python(code.format("transformers.integrations"), env=environment) == "True"


@pytest.mark.slow
def test_a_wheel_has_the_folder(tmp_path: Path) -> None:
    """In an environment that has nothing but the wheel."""
    tree = tmp_path / "tree"  # a build leaves files behind
    for name in ("lightsweep", "integrations", "docs"):
        shutil.copytree(ROOT / name, tree / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(tree)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    program = str(tmp_path / "bare" / "bin" / "python")
    bare = {"PATH": os.environ["PATH"]}
    site = python("import site; print(site.getsitepackages()[0])", program=program, env=bare)
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), site], check=True)
    folder = python("from lightsweep.stand_in import folders; print(*folders('wandb'))", program=program, env=bare)
    assert Path(folder).is_relative_to(site)
    environment = {**bare, "PYTHONPATH": folder}
    check(json.loads(python(LOOK, program=program, env=environment)), folder)
    code = "import wandb; wandb.init(config={'a': 1}).log({'loss': 1.0}); wandb.finish()"
    subprocess.run([program, "-c", code], cwd=tmp_path, env=environment, check=True)


def test_the_folder_comes_first_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert variables(None) == {}
    assert folders(None) == []
    assert variables("wandb", {}) == {"PYTHONPATH": FOLDER}
    assert variables("wandb", {"PYTHONPATH": f"a:{FOLDER}::b"}) == {"PYTHONPATH": f"{FOLDER}:a::b"}


def test_in_this_process_it_ends_with_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "wandb", raising=False)
    monkeypatch.setenv("PYTHONPATH", "before")
    path = list(sys.path)
    with standing_in("wandb"):
        import wandb

        assert wandb.__file__ == f"{FOLDER}/wandb/__init__.py"
        with standing_in("wandb"):  # an agent inside of one
            assert sys.path == [FOLDER, *path]
        assert os.environ["PYTHONPATH"] == f"{FOLDER}:before"
    assert sys.path == path
    assert os.environ["PYTHONPATH"] == "before"
    assert not [name for name in sys.modules if name.partition(".")[0] == "wandb"]
    assert not [each for each in sys.meta_path if getattr(each, "__module__", "") == "wandb"]
    with standing_in(None):
        assert sys.path == path


def test_a_process_that_has_imported_the_package_itself_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wandb", ModuleType("wandb"))
    words = r"has imported wandb already.*lightsweep exec --stand-in wandb"
    with pytest.raises(UsageError, match=words), standing_in("wandb"):
        pass
    assert FOLDER not in sys.path


def test_a_python_without_lightsweep_says_what_is_missing() -> None:
    environment = {"PATH": os.environ["PATH"], **variables("wandb", {})}
    done = subprocess.run(
        [sys.executable, "-S", "-c", "import wandb"],  # without installed packages
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "this Python has no lightsweep: install lightsweep in it, or leave out --stand-in" in done.stderr


def test_each_module_of_the_stand_in_can_be_imported() -> None:
    trainers = {"wandb.integration", "wandb.catboost", "wandb.keras", "wandb.lightgbm", "wandb.xgboost"}
    every = [f"wandb.{name}" for name in MODULE_HOMES]
    names = [name for name in every if not any(name == each or name.startswith(f"{each}.") for each in trainers)]
    assert {"wandb.errors", "wandb.sdk", "wandb.util", "wandb.apis"} <= set(names)
    code = f"import importlib\nfor name in {sorted(names)}: importlib.import_module(name)\n"
    code += "from wandb.errors import CommError, Error, UsageError\nimport wandb\n"
    code += "assert issubclass(CommError, wandb.Error) and issubclass(UsageError, Error)"
    assert python(code, env={**os.environ, **variables("wandb")}) == ""


MODULES = """
from importlib.util import find_spec
import wandb.sdk.lib.runid
import wandb.sdk.data_types.helper_types.classes
from wandb.sdk import wandb_run
from wandb.sdk.artifacts.artifact import Artifact
from wandb.sdk.data_types.histogram import Histogram
from wandb.sdk.lib import RunDisabled, telemetry
from wandb.sdk.wandb_summary import Summary
import wandb
assert len(wandb.sdk.lib.runid.generate_id()) == 8
assert (Artifact, Histogram, wandb_run.Run) == (wandb.Artifact, wandb.Histogram, wandb.Run)
assert find_spec("wandb.sdk.wandb_settings") is not None
"""


def test_the_modules_of_the_sdk_can_be_imported() -> None:
    assert python(MODULES, env={**os.environ, **variables("wandb")}) == ""


def test_a_module_that_is_missing_says_what_to_do() -> None:
    code = """
for name in ["integration.fastai", "integration.gym", "fastai", "sdk.launch", "integration.torch.wandb_torch"]:
    try:
        __import__("wandb." + name)
    except ImportError as error:
        print(error)
"""
    assert python(code, env={**os.environ, **variables("wandb")}).splitlines() == [
        "lightsweep has no module 'wandb.integration.fastai': fastai 2 has its own callback, which reports: "
        "`from fastai.callback.wandb import WandbCallback`",
        "lightsweep has no module 'wandb.integration.gym': record with gymnasium's `RecordVideo`, and log the file by "
        "`Video(path)`",
        "lightsweep has no module 'wandb.fastai': fastai 2 has its own callback, which reports: "
        "`from fastai.callback.wandb import WandbCallback`",
        "lightsweep has no module 'wandb.sdk.launch', for which lightsweep stands in here",
        "lightsweep has no module 'wandb.integration.torch': leave it out: gradients and parameters are not kept",
    ]
