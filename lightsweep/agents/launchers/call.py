"""Call the function of a run in this process: the program that `IsolatedLauncher` starts.

It runs by its path, so that a run does not pay for the imports of an agent. Its argument is the path of a pickle of
``sys.path``, ``sys.argv``, name and path of the main script if it has to be run again, and the pickled function.
"""

from __future__ import annotations

import os
import pickle
import runpy
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType

IMPORTING = "LIGHTSWEEP_IMPORTS_MAIN"
"""The variable that is set while the main script runs again: it must not start another agent then."""


def main() -> None:
    """Read the function and call it; exceptions end the process, except that of a run that was stopped early."""
    path = Path(sys.argv[1])
    with path.open("rb") as file:
        sys.path[:], sys.argv[:], script, data = pickle.load(file)
    path.unlink()
    if script is not None:
        _import_main(*script)
    function = pickle.loads(data)
    from lightsweep.errors import RunPruned  # found by the path of the agent

    with suppress(RunPruned):
        function()


def _import_main(module: str | None, path: str) -> None:
    """Run the main script as ``multiprocessing`` does: its guarded part stays out, and its names can be pickled."""
    os.environ[IMPORTING] = "1"
    found = ModuleType("__mp_main__")
    sys.modules["__mp_main__"] = found
    if module is None:
        found.__file__ = path
        names = runpy.run_path(path, run_name="__mp_main__")
    else:
        names = runpy.run_module(module, run_name="__mp_main__", alter_sys=True)
    vars(found).update(names)
    sys.modules["__main__"] = found
    del os.environ[IMPORTING]


if __name__ == "__main__":
    main()
