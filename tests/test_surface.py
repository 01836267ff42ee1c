"""The public names of ``import lightsweep``, and the cost of that import."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import lightsweep

HEAVY = (
    "asyncio",
    "multiprocessing",
    "numpy",
    "optuna",
    "pandas",
    "pydantic",
    "rich",
    "sqlalchemy",
    "torch",
    "typer",
    "yaml",
)


def modules_after(code: str) -> set[str]:
    """The modules that a fresh interpreter holds after ``code``."""
    result = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}\nprint('\\n'.join(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    )
    return set(result.stdout.split())


def test_all_is_what_is_visible_and_sorted():
    assert dir(lightsweep) == sorted(lightsweep.__all__)
    assert list(lightsweep.__all__) == sorted(set(lightsweep.__all__))


def test_every_name_has_one_home_that_exports_it():
    computed = {"__version__", "config", "run"}
    assert set(lightsweep._HOME_OF) < set(lightsweep.__all__) - computed
    for name in set(lightsweep.__all__) - computed:
        module = importlib.import_module(lightsweep._HOME_OF.get(name, "lightsweep.errors"))
        assert name in getattr(module, "__all__", vars(module))
        assert getattr(lightsweep, name) is getattr(module, name)


@pytest.mark.parametrize("name", ["sweep", "agent", "config", "run", "log", "init"])
def test_no_module_bears_the_name_of_a_function(name):
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module(f"lightsweep.{name}")


def test_importing_costs_next_to_nothing():
    bare = modules_after("")
    added = modules_after("import lightsweep") - bare
    assert {name for name in added if name.startswith("lightsweep")} == {"lightsweep"}
    assert len(added) < 15


def test_init_loads_few_modules_and_none_that_only_classes_or_mistakes_need():
    """Of the start of each run; ``dataclasses`` alone would load ``inspect``, ``ast``, ``dis`` and ``tokenize``."""
    added = modules_after("import lightsweep; lightsweep.init, lightsweep.log") - modules_after("")
    unwanted = {
        "argparse",
        "ast",
        "asyncio",
        "copy",
        "dataclasses",
        "difflib",
        "dis",
        "email",
        "heapq",
        "http",
        "inspect",
    }
    unwanted |= {"logging", "pickle", "random", "shutil", "subprocess", "tempfile", "textwrap", "traceback", "uuid"}
    assert added & unwanted == set()
    assert len([name for name in added if name.startswith("lightsweep")]) <= 22
    assert len(added) < 90


@pytest.mark.parametrize(
    "code",
    [
        "import lightsweep",
        "import lightsweep.client",
        "import lightsweep; lightsweep.init(config={'lr': 1}).log({'loss': 1}); lightsweep.finish()",
        "import lightsweep; lightsweep.RunPruned, lightsweep.run, lightsweep.config, dir(lightsweep)",
    ],
)
def test_a_training_script_loads_nothing_heavy(code):
    loaded = modules_after(code)
    assert "lightsweep" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_an_unknown_name_is_answered_with_the_closest_and_with_what_there_is():
    with pytest.raises(AttributeError, match=r"^lightsweep has no 'swep'; did you mean 'sweep'\?$"):
        _ = lightsweep.swep
    with pytest.raises(AttributeError, match=r"lightsweep has no 'qqq'\. It is for sweeps only, and has: .*init"):
        _ = lightsweep.qqq
    with pytest.raises(AttributeError, match=r"lightsweep has no 'sync': nothing needs syncing"):
        _ = lightsweep.sync
    assert not hasattr(lightsweep, "_private")


def test_a_name_that_a_run_lacks_is_answered_in_the_same_way(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with lightsweep.init() as run:
        with pytest.raises(
            AttributeError, match=r"a run of lightsweep has no 'plot_it'\. It is for sweeps .*: .*, log,"
        ):
            _ = run.plot_it
        with pytest.raises(AttributeError, match=r"has no 'finsh'; did you mean 'finish'\?"):
            _ = run.finsh
        with pytest.raises(AttributeError, match="'Run' object has no attribute '_private'"):
            _ = run._private
        assert not hasattr(run, "mode")
        assert getattr(run, "mode", None) is None


def test_the_version_is_that_of_the_distribution():
    from importlib.metadata import version

    assert lightsweep.__version__ == version("lightsweep")


def test_the_run_and_its_config_are_those_of_the_moment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert lightsweep.run is None
    for lr in (1, 2):
        with lightsweep.init(config={"lr": lr}) as run:
            assert lightsweep.run is run
            assert lightsweep.config is run.config
            assert lightsweep.config.lr == lr
    assert lightsweep.run is None
