"""``lightsweep init`` and ``lightsweep demo``: a script and a sweep file that run as they are."""

from __future__ import annotations

import importlib.util
import os
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from lightsweep.cli.output import say, write_whole
from lightsweep.errors import UsageError

_FILES = ("train.py", "sweep.yaml")
_SCHEMA = "sweep.schema.json"  # for editors; the sweep files name it
_DEMO = "lightsweep-demo"
_PACKAGES = {"lightning": "lightning", "transformers": "transformers", "plain": ""}
"""The package that each kind of script needs, and the extra of its name."""


def init(
    plain: Annotated[bool, typer.Option("--plain", help="A loop in NumPy; the default.")] = False,
    lightning: Annotated[bool, typer.Option("--lightning", help="A Lightning Trainer with a callback.")] = False,
    transformers: Annotated[bool, typer.Option("--transformers", help="A Hugging Face Trainer.")] = False,
) -> None:
    """Write train.py and sweep.yaml to begin with.

    They are written to this directory and run as they are. Existing files are left alone.

    With sweep.schema.json beside it, an editor completes and checks sweep.yaml.

    For example: lightsweep init --lightning
    """
    asked = [
        name for name, given in [("plain", plain), ("lightning", lightning), ("transformers", transformers)] if given
    ]
    if len(asked) > 1:
        raise UsageError(f"choose one kind of script: --{' or --'.join(asked)}")
    kind = asked[0] if asked else "plain"
    write_starter(kind, Path())
    package = _PACKAGES[kind]
    if package and importlib.util.find_spec(package) is None:
        say(f"it needs {package}: pip install 'lightsweep[{package}]'")
    say("check it: lightsweep check sweep.yaml --smoke")
    say("run it:   lightsweep run sweep.yaml")


def demo() -> None:
    """Run a small sweep of a real training, in some seconds.

    It needs no other package, and ends with a report if the extra `analysis` is installed. Its files are in a new
    folder of this directory.

    For example: lightsweep demo
    """
    from lightsweep.cli.agent import work_on
    from lightsweep.cli.sweep import create

    folder = _new_folder()
    folder.mkdir()
    write_starter("plain", folder)
    os.chdir(folder)
    sweep = create("sweep.yaml", "sqlite:///lightsweep.db", runnable=True)
    code = 0
    try:
        work_on(sweep, jobs=2)
    except typer.Exit as ended:
        code = ended.exit_code
    if code == 0 and all(map(importlib.util.find_spec, ("pandas", "plotly", "sklearn"))):
        from lightsweep.cli.report import report

        report(sweep.id, storage="sqlite:///lightsweep.db")
        say(f"open the report: {Path(f'report-{sweep.id}.html').absolute()}")
    elif code == 0:
        say(f"for a report: pip install 'lightsweep[analysis]', then in {folder}: lightsweep report {sweep.id}")
    say(f"the script, the sweep file and the results are in {folder}")
    raise typer.Exit(code)


def write_starter(kind: str, folder: Path) -> None:
    """Write the script and the sweep file of this kind, with the schema of sweep files, and say so.

    Raises:
        UsageError: One of them exists; nothing is written.
    """
    existing = [name for name in _FILES if (folder / name).exists()]
    if existing:
        raise UsageError(
            f"this directory already has {' and '.join(existing)}; nothing was written; run it in an empty one"
        )
    for name in _FILES:
        write_whole(folder / name, (files("lightsweep") / "starters" / kind / name).read_text(encoding="utf-8"))
        say(f"wrote {folder / name}")
    write_whole(folder / _SCHEMA, (files("lightsweep") / _SCHEMA).read_text(encoding="utf-8"))
    say(f"wrote {folder / _SCHEMA}, for editors")


def _new_folder() -> Path:
    names = (_DEMO if number == 1 else f"{_DEMO}-{number}" for number in count(1))
    return next(path for path in map(Path, names) if not path.exists())
