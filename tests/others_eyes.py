"""What another user of this machine can read: lists of processes, their variables, and files."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


def seen_by_others(secret: str, *folders: Path) -> list[str]:
    """The processes of the machine, and the files below folders, in which another user can read a text.

    As root, another user looks; otherwise the permissions of what has the text decide.
    """
    root = os.geteuid() == 0
    processes = [f"{path}/{name}" for path in Path("/proc").glob("[0-9]*") for name in ("cmdline", "environ")]
    done = subprocess.run(
        ["grep", "--recursive", "-lsaF", "--devices=skip", "--file=-", *processes, *map(str, folders)],
        input=f"{secret}\n",
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        **({"user": "nobody", "group": "nogroup", "extra_groups": []} if root else {}),
    )
    found = done.stdout.splitlines()
    return found if root else [each for each in found if Path(each).stat().st_mode & 0o004]
