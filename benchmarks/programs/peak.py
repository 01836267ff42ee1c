"""Run a module or a script in this process, and write the most memory that it took, in MB, to a file.

Arguments: the file, then a module's name or a script's path, then its own arguments.
"""

import atexit
import resource
import runpy
import sys
from pathlib import Path


def peak() -> float:
    """Peak resident size in MB; ``ru_maxrss`` is no use on Linux, where it takes over what the parent had."""
    status = Path("/proc/self/status")
    if status.exists():
        return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


output = Path(sys.argv[1])
atexit.register(lambda: output.write_text(str(peak())))
sys.argv = sys.argv[2:]
if sys.argv[0].endswith(".py"):
    runpy.run_path(sys.argv[0], run_name="__main__")
else:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
