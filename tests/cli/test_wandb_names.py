"""The names of W&B that ``lightsweep check`` finds in a program's source."""

from __future__ import annotations

import ast

import pytest
from sandboxes import Sandbox

from lightsweep.cli import main
from lightsweep.cli.wandb_names import reports_to_wandb_only, uses_of_wandb
from lightsweep.schema.source import Module
from lightsweep.wandb import FILE, NOTHING, REFUSED


def found(*texts: str, stand_in: bool = True) -> dict[str, tuple[str, int]]:
    """Each name with its kind and line; the modules are ``m0.py``, ``m1.py``, ..."""
    modules = [Module(f"m{index}.py", ast.parse(text)) for index, text in enumerate(texts)]
    uses = uses_of_wandb(modules, stand_in=stand_in)
    assert len({use.name for use in uses}) == len(uses)
    assert all(use.says for use in uses)
    return {use.name: (use.kind, use.line) for use in uses}


@pytest.mark.parametrize(
    "text",
    [
        "import wandb\nwandb.Image(x)",
        "import wandb as w\nw.Image(x)",
        "import lightsweep as wandb\nwandb.Image(x)",
        "import lightsweep\nlightsweep.Image(x)",
        "import json, wandb\ndef f():\n  class A:\n    def g(self): return [wandb.Image(y) for y in x]",
        "import wandb\nlog = lambda x: wandb.Image(x)",
        "import wandb\nw = wandb\nw.Image(x)",
        "def f():\n  import wandb\n  wandb.Image(x)",
        "try:\n  import wandb\nexcept ImportError:\n  wandb = None\nwandb.Image(x)",
        "from wandb import Image",
        "from wandb import init, Image as I",
        "from lightsweep import Image",
        "import wandb\n@wandb.Image\ndef f(): ...",
        "import wandb\ndef f(x=wandb.Image): ...",
    ],
)
def test_a_name_is_found_however_it_is_imported(text: str) -> None:
    assert {name: kind for name, (kind, _) in found(text).items()} == {"wandb.Image": FILE}


@pytest.mark.parametrize(
    "text",
    [
        "import wandb\nrun = wandb.init()\nrun.watch(m)",
        "import wandb\nwith wandb.init() as r:\n  r.watch(m)",
        "import wandb\nwandb.init().watch(m)",
        "import wandb\nwandb.init()\nwandb.run.watch(m)",
        "from wandb import init\nrun = init()\nrun.watch(m)",
        "import wandb\nr: object = wandb.init()\nr.watch(m)",
        "import wandb\nrun = None\nrun = wandb.init()\nrun.watch(m)",
        "import wandb\nrun = wandb.init()\ndef f():\n  run.watch(m)",
        "import wandb\nclass T:\n  def g(self): self.run.watch(m)\n  def __init__(self): self.run = wandb.init()",
        "import wandb\ndef setup():\n  global run\n  run = wandb.init()\ndef f(): run.watch(m)",
        "import wandb\ndef f(run: wandb.sdk.wandb_run.Run): run.watch(m)",
        "import wandb\ndef f(run: 'wandb.sdk.wandb_run.Run | None' = None): run.watch(m)",
        "import wandb\nfrom typing import Optional\ndef f(*, run: Optional[wandb.Run]): run.watch(m)",
        "import wandb\nrun = wandb.init() if main else None\nrun.watch(m)",
        "import wandb\nif (run := wandb.init()): run.watch(m)",
        "import wandb\nrun = wandb.init()\nr = run\nr.watch(m)",
        "import wandb\nr = wandb.run\nr.watch(m)",
    ],
)
def test_the_names_of_a_run_are_found(text: str) -> None:
    assert {name: kind for name, (kind, _) in found(text).items()} == {"run.watch": NOTHING}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "import wandb\nwandb.log({'loss': 1})\nwandb.config.watch.this",
        "import wandb\nclass A:\n  def f(self): self.api = wandb.Api()\n  def g(self): return self.api.runs()",
        "import wandb\nwandb.summary['x'] = 1\nwandb.summary.update({}); wandb.__version__; wandb.__file__",
        "import wandb\nrun = wandb.init()\nrun.log({}); run.config.Image; run.summary['x'] = 1",
        "import wandb\nrun = wandb.init()\nrun.metric; run.name = 'a'; run.mine = 1",
        "wandb.Image(x)",
        "import wandbx as wandb\nwandb.Image(x)",
        "from . import wandb\nwandb.Image(x)",
        "import wandb\ndef f(run): run.watch(m)",
        "import wandb\nrun = wandb.init()\ndef f():\n  run = open('x')\n  run.watch(m)",
        "import wandb\nrun = wandb.init()\nrun = other()\nrun.watch(m)",
        "import wandb\nfor run in others: run.watch(m)",
        "import wandb\nclass A:\n  def f(self): self.run = wandb.init()\nclass B:\n  def f(self): self.run.watch(m)",
        "from lightsweep.integrations.lightning import SweepCallback\nimport lightsweep.integrations.base",
        "from lightsweep import Sweep, integrations",
        "from wandb import *",
        "import wandb.sdk\nfrom wandb.sdk.wandb_run import Run",
    ],
)
def test_all_else_is_left_alone(text: str) -> None:
    assert found(text) == {}


def test_a_name_that_is_absent_or_refused_comes_first_and_says_what_to_do() -> None:
    lines = ["wandb.Image(x)", "run.watch(m)", "wandb.JoinedTable(a, b)", "wandb.Imge", "run.finnish()"]
    text = "\n".join(["import wandb", "run = wandb.init()", *lines])
    modules = [Module("train.py", ast.parse(text))]
    uses = uses_of_wandb(modules, stand_in=True)
    assert [(use.name, use.kind, use.line) for use in uses] == [
        ("wandb.JoinedTable", REFUSED, 5),
        ("wandb.Imge", REFUSED, 6),
        ("run.finnish", REFUSED, 7),
        ("run.watch", NOTHING, 4),
        ("wandb.Image", FILE, 3),
    ]
    assert "pandas.merge" in uses[0].says
    assert uses[1].says == "lightsweep has no such name; did you mean 'Image'?"
    assert uses[2].says == "lightsweep has no such name; did you mean 'finish'?"
    assert uses[3].says == "gradients and parameters are not kept"  # of wandb.watch, which the table refers to


def test_a_name_is_listed_once_where_it_is_used_first() -> None:
    one = "import wandb\n\nwandb.watch(m)\nwandb.watch(m)\n"
    assert found(one, "import wandb\nwandb.watch(m)\nwandb.Table()") == {
        "wandb.watch": (NOTHING, 3),
        "wandb.Table": (FILE, 3),
    }


def test_the_names_of_the_api() -> None:
    text = """
import wandb
api = wandb.Api()
for run in api.runs("me/digits"):
    run.summary.get("x"), run.config["x"].y, run.id, run.history(), run.created_at.endswith("Z"), run.sweep.id
    run.delete()
best = api.sweep("x").best_run()
best.file("a").download()
best.upload_file("x")
api.create_run()
api.sweep("x").runs
"""
    assert {name: line for name, (_, line) in found(text).items()} == {
        "wandb.Api().run().delete": 6,
        "wandb.Api().run().upload_file": 9,
        "wandb.Api().create_run": 10,
    }


def test_the_place_of_an_import_of_wandb_itself() -> None:
    def said(*texts: str) -> str:
        return reports_to_wandb_only(Module(f"m{index}.py", ast.parse(text)) for index, text in enumerate(texts))

    assert said("import os\nimport wandb").startswith(
        "m0.py:2 imports W&B itself, which reports nothing to the sweep; "
    )
    assert said("import other", "from wandb.sdk import x").startswith("m1.py:1 imports")
    assert said("import wandb", "import lightsweep") == ""
    assert said("from lightsweep.integrations.lightning import SweepCallback\nimport wandb") == ""
    assert said("from . import wandb") == ""


@pytest.mark.parametrize(("options", "warned"), [([], 1), (["--stand-in", "wandb"], 0)])
def test_a_new_sweep_of_a_script_that_reports_to_wandb_only_is_warned_of(
    sandbox: Sandbox, options: list[str], warned: int
) -> None:
    sandbox.write("train.py", "import wandb\n")
    sandbox.write("sweep.yaml", "program: train.py\nmethod: grid\nparameters: {x: {values: [1]}}\n")
    said = sandbox.ask("sweep", "sweep.yaml", *options).stderr
    assert said.count("warning: train.py:1 imports W&B itself") == warned
    assert said.count("`--stand-in wandb`") == warned


def test_check_lists_the_names_before_the_sample_commands(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    sandbox.write(
        "train.py",
        """
        import lightsweep as wandb
        from figures import draw
        run = wandb.init()
        run.watch(None)
        draw(wandb.JoinedTable)
        """,
    )
    sandbox.write("figures.py", "import lightsweep as wandb\n\ndef draw(x):\n    return wandb.Image(x)\n")
    sandbox.write(
        "sweep.yaml", "program: train.py\nmethod: random\nparameters: {x: {min: 0.0, max: 1.0}}\nrun_cap: 1\n"
    )
    assert main(["check", "sweep.yaml"]) == 0
    text = capsys.readouterr().out
    assert text.index("not found wandb.JoinedTable (train.py:6): join the tables yourself") < text.index("no effect")
    assert "no effect run.watch (train.py:5): gradients and parameters are not kept\n" in text
    assert "as files  wandb.Image (figures.py:4): PNG of" in text
    assert text.index("as files") < text.index("sample commands:")


def test_check_warns_of_a_script_that_reports_to_wandb_only(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    sandbox.write("train.py", "import wandb\nwandb.init()\n")
    sandbox.write(
        "sweep.yaml", "program: train.py\nmethod: random\nparameters: {x: {min: 0.0, max: 1.0}}\nrun_cap: 1\n"
    )
    assert main(["check", "sweep.yaml"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "warning train.py:1 imports W&B itself, which reports nothing to the sweep; give `--stand-in wandb`" in text


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from wandb.sdk.lib.disabled import RunDisabled\nimport wandb.sdk.wandb_run", {}),
        ("import wandb\nwandb.util.generate_id(); wandb.errors.CommError; wandb.sdk.wandb_run.Run", {}),
        ("import wandb.plot as p\np.line(t, 'x', 'y')", {"wandb.plot.line": (FILE, 2)}),
        ("from wandb.integration.keras import WandbMetricsLogger", {}),
        ("from wandb.keras import WandbCallback\nimport wandb.integration.xgboost", {}),
        ("from wandb.keras import WandbCalback", {"wandb.keras.WandbCalback": (REFUSED, 1)}),
        ("from wandb.integration.prodigy import X", {"wandb.integration.prodigy.X": (REFUSED, 1)}),
        ("import wandb\nwandb.plot.nothing_like_it()", {"wandb.plot.nothing_like_it": (REFUSED, 2)}),
        ("from wandb.sdk.wandb_run import Rnu", {"wandb.sdk.wandb_run.Rnu": (REFUSED, 1)}),
        ("from wandb.nowhere import X", {"wandb.nowhere.X": (REFUSED, 1)}),
        ("import wandb\nwandb.sklearn.plot_roc(a, b)", {"wandb.sklearn.plot_roc": (NOTHING, 2)}),
    ],
)
def test_names_of_modules_are_followed(text: str, expected: dict[str, tuple[str, int]]) -> None:
    assert found(text) == expected
