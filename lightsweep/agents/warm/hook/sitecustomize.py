"""Turn this Python into a template process; found as it starts, since this folder is first in its PYTHONPATH."""

import sys

_here = __file__.rpartition("/")[0]
sys.path.remove(_here)
sys.path_importer_cache.pop(_here, None)
_template = type(sys)("lightsweep_template")
with open(_here + "/../template.py", encoding="utf-8") as _file:
    exec(compile(_file.read(), _file.name, "exec"), vars(_template))
if _template.main():  # true in the process of a run, where Python now starts the script
    raise ImportError("no other sitecustomize", name="sitecustomize")
