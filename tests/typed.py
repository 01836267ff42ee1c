"""Run strict mypy over the library as it is installed: ``integrations/`` is the package ``lightsweep.integrations``.

So are the snippets of what users write; a mistake in them that mypy no longer finds is an unused ``type: ignore``.

Usage: ``python tests/typed.py``, or ``make lint``. mypy does not follow the mapping in ``pyproject.toml``, so it
reads a temporary directory of links with the layout of a wheel.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["installed"]

ROOT = Path(__file__).resolve().parent.parent


@contextmanager
def installed() -> Iterator[Path]:
    """A directory that holds the package ``lightsweep`` as a wheel does, made of links into the repository."""
    with tempfile.TemporaryDirectory(prefix="lightsweep-typed-") as name:
        package = Path(name, "lightsweep")
        package.mkdir()
        for entry in (ROOT / "lightsweep").iterdir():
            if entry.name != "__pycache__":
                (package / entry.name).symlink_to(entry)
        (package / "integrations").symlink_to(ROOT / "integrations")
        Path(name, "snippets").symlink_to(ROOT / "tests" / "integrations" / "snippets")
        yield Path(name)


def main() -> int:
    """Print what mypy finds, under the repository's paths; its exit code."""
    with installed() as directory:
        options = ["--config-file", str(ROOT / "pyproject.toml"), "--cache-dir", str(ROOT / ".mypy_cache")]
        environment = {**os.environ, "FORCE_COLOR": ""}
        command = [sys.executable, "-m", "mypy", *options, *sys.argv[1:]]
        done = subprocess.run(
            command, cwd=directory, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
    print(done.stdout.replace("lightsweep/integrations/", "integrations/"), end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
