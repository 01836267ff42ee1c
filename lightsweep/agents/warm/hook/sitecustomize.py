"""Turn this Python into a template process; found as it starts, since this folder is first in its PYTHONPATH."""

import sys

_here = __file__.rpartition("/")[0]
sys.path.remove(_here)
sys.path_importer_cache.pop(_here, None)
with open(_here + "/../template.py", encoding="utf-8") as _file:  # noqa: PTH123 - as few imports as can be
    _names = {"__name__": "lightsweep_template"}
    exec(compile(_file.read(), _file.name, "exec"), _names)
if _names["main"](_here):  # true in the process of a run, where Python now starts the script
    raise ImportError("no other sitecustomize", name="sitecustomize")
