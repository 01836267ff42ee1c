"""Time to start: an import in a training script, a command in a terminal.

Each figure of an import is that of a whole interpreter less that of one that imports nothing, taken in turns.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.processes import environment
from benchmarks.sizes import Scale
from benchmarks.tables import Figure, Row, Table, comparison, interleaved
from lightsweep.stand_in import variables

__all__ = ["tables"]

_HEAVY = ("optuna", "numpy", "torch", "sqlalchemy", "scipy", "pydantic", "yaml", "typer", "rich")
_LOADED = f"""
import json, sys
import lightsweep
lightsweep.init, lightsweep.log, lightsweep.config
print(json.dumps([name for name in {_HEAVY!r} if name in sys.modules]))
"""


def tables(scale: Scale, directory: Path) -> Iterator[Table]:
    """Times, and what an import brings along."""
    samples = interleaved(
        scale.repeats,
        bare=_python(directory, "pass"),
        package=_python(directory, "import lightsweep"),
        client=_python(directory, "import lightsweep; lightsweep.init, lightsweep.log"),
        stand_in=_python(directory, "import wandb; wandb.init, wandb.log", variables("wandb")),
        optuna=_python(directory, "import optuna"),
        help=_call(directory, [sys.executable, "-m", "lightsweep", "--help"]),
        optuna_help=_call(directory, [str(Path(sys.executable).parent / "optuna"), "--help"]),
    )
    over = {
        name: Figure.of([taken - bare for taken, bare in zip(samples[name], samples["bare"], strict=True)])
        for name in ("package", "client", "stand_in", "optuna")
    }
    rows = [
        Row("import lightsweep", over["package"], over["optuna"], most=0.050),
        Row("and resolve lightsweep.init", over["client"], over["optuna"], most=0.050),
        Row("import wandb, for which it stands in", over["stand_in"], over["optuna"], most=0.050),
        Row("lightsweep --help", Figure.of(samples["help"]), Figure.of(samples["optuna_help"]), most=0.5),
    ]
    yield comparison("Startup", rows, "optuna")
    loaded = subprocess.run(
        [sys.executable, "-c", _LOADED], cwd=directory, env=environment(), check=True, capture_output=True
    )
    found = json.loads(loaded.stdout)
    yield Table(
        "Loaded by a training script",
        ["of", "found", ""],
        [[", ".join(_HEAVY), ", ".join(found) or "none", "over" if found else "ok"]],
    )


def _python(directory: Path, code: str, more: Mapping[str, str] | None = None) -> Callable[[], object]:
    return _call(directory, [sys.executable, "-c", code], more)


def _call(directory: Path, command: list[str], more: Mapping[str, str] | None = None) -> Callable[[], object]:
    whole = {**environment(), **(more or {})}
    return lambda: subprocess.run(command, cwd=directory, env=whole, check=True, stdout=subprocess.DEVNULL)
