"""The table of names: homes that exist, docs that follow, refusals that help."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys

import pytest
from page import PAGE, with_tables

import lightsweep
from lightsweep.wandb import INTEGRATIONS, KINDS, NAMES, REFUSED, RUN_NAMES, find

COMPUTED = {"config", "run", "summary"}
TRAINERS = {"catboost", "keras", "lightgbm", "xgboost"}
"""Names that need the library of that name."""


def test_the_page_has_the_names_of_the_code():
    """If it fails: ``python tests/wandb_names/page.py`` writes the page anew."""
    assert PAGE.read_text() == with_tables(PAGE.read_text())


@pytest.mark.parametrize("name", [name for name, known in NAMES.items() if known.kind != REFUSED])
def test_each_name_is_found_in_its_home_and_in_the_package(name):
    known = NAMES[name]
    if name in TRAINERS:
        pytest.importorskip(name)
    module = importlib.import_module(known.home)
    if known.home == "lightsweep":
        assert name in module.__all__
        return
    if name == "summary":
        return
    if not known.home.endswith(f".{name}"):
        assert name in vars(module), f"{known.home} does not define {name}"
    assert getattr(lightsweep, name) is find(name)


@pytest.mark.parametrize("name", [name for name, known in NAMES.items() if known.kind == REFUSED])
def test_a_refused_name_says_what_to_do(name, monkeypatch):
    monkeypatch.delattr(lightsweep, name, raising=False)  # another test may have imported a room of that name
    with pytest.raises(AttributeError, match=re.escape(f"lightsweep has no {name!r}: {NAMES[name].says}")):
        find(name)
    # A room of lightsweep has one of the names, and is an attribute once another test has imported it.
    assert not hasattr(lightsweep, name) or name == "controller"


@pytest.mark.parametrize("name", [name for name, known in INTEGRATIONS.items() if known.kind == REFUSED])
def test_a_refused_integration_says_what_to_do(name):
    with pytest.raises(AttributeError, match=re.escape(f"no {name!r} in wandb.integration: {INTEGRATIONS[name].says}")):
        getattr(lightsweep.integration, name)


@pytest.mark.parametrize("name", [name for name, known in INTEGRATIONS.items() if known.kind != REFUSED])
def test_each_integration_is_found(name):
    if name in TRAINERS:
        pytest.importorskip(name)
    if name == "sb3":
        pytest.importorskip("stable_baselines3")
    assert getattr(lightsweep.integration, name) is not None


def test_each_sentence_is_short_and_has_a_known_kind():
    for names in (NAMES, RUN_NAMES, INTEGRATIONS):
        for name, known in names.items():
            assert known.kind in KINDS, name
            assert 5 < len(known.says) < 160, name
            assert not known.says.endswith("."), name
            assert "|" not in known.says, name


def test_a_run_has_each_name_of_a_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with lightsweep.init() as run:
        assert [name for name in RUN_NAMES if not hasattr(run, name)] == []


def test_an_unknown_name_is_no_attribute():
    with pytest.raises(AttributeError, match="lightsweep has no 'Imagee'"):
        _ = lightsweep.Imagee
    with pytest.raises(AttributeError, match="lightsweep has no 'nothing'"):
        find("nothing")


def test_all_names_load_nothing_heavy():
    """A value of numpy needs numpy, and no name does."""
    names = [
        name
        for name, known in NAMES.items()
        if known.kind != REFUSED and name not in {"Api", "agent", "sweep", "summary"} | TRAINERS
    ]
    code = f"import sys, lightsweep\nfor name in {names}: getattr(lightsweep, name)\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "lightsweep.wandb.media" in loaded
    assert loaded & {"numpy", "torch", "pandas", "PIL", "matplotlib", "plotly", "optuna", "yaml", "sqlalchemy"} == set()
