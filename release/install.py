"""Install a wheel as users do, in fresh environments: on each Python here, with each extra, with the lowest versions.

Usage: ``python release/install.py WHEEL [--python 3.12] [--extra analysis] [--no-extras] [--lowest]``, with a network.
The lowest versions are those that ``pyproject.toml`` allows; the tests that need no other package run on them.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from uses import USES

ROOT = Path(__file__).resolve().parent.parent
VERSIONS = ("3.10", "3.11", "3.12", "3.13", "3.14")
BACKEND = ["torch"]
"""For Keras, which runs on an installed backend; the extra leaves it to the user."""

LIGHT = ["analysis", "cmaes", "dashboard", "postgres", "server"]
TESTS = ["tests/schema", "tests/space", "tests/sampler", "tests/controller", "tests/channel", "tests/client"]
TESTS += ["tests/agents/warm"]
WARNINGS = ["-W", "ignore::DeprecationWarning", "-W", "ignore::FutureWarning"]
"""Old versions of one package warn about new ones of another."""


def main() -> None:
    """Print a line for each environment; exit with 1 if one failed."""
    if sys.argv[1:] == ["--tests"]:  # for the workflow
        print(*TESTS)
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--python", action="append", choices=VERSIONS)
    parser.add_argument("--extra", action="append", choices=USES)
    parser.add_argument("--no-extras", action="store_true")
    parser.add_argument("--lowest", action="store_true", help="only the lowest versions")
    asked = parser.parse_args()
    wheel = asked.wheel.resolve()
    pythons = {version: path for version in asked.python or VERSIONS if (path := find_python(version))}
    failed = 0
    with tempfile.TemporaryDirectory(prefix="lightsweep-release-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # started by root, PostgreSQL runs as another user
        for version, python in pythons.items() if not asked.lowest else ():
            extras = [] if asked.no_extras else [[extra] for extra in asked.extra or USES]
            for wanted in [[], *extras]:
                failed += not tried(folder / f"{version}-{'-'.join(wanted)}", python, wheel, wanted)
        if asked.lowest or not (asked.extra or asked.no_extras):
            oldest = next(iter(pythons.values()))
            failed += not lowest(folder / "lowest", oldest, wheel)
    missing = sorted(set(asked.python or VERSIONS) - set(pythons))
    print(f"{failed} failed" + (f"; this machine has no Python {', '.join(missing)}" if missing else ""))
    sys.exit(bool(failed))


def find_python(version: str) -> str | None:
    """Return the path of an interpreter of this version, also of one of pyenv that is not active."""
    places = [shutil.which(f"python{version}"), *map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))]
    for path in filter(None, places):
        done = subprocess.run([path, "-c", "import sys; print(*sys.version_info[:2], sep='.')"], capture_output=True)
        if done.stdout.decode().strip() == version:
            return path
    return None


def tried(folder: Path, python: str, wheel: Path, extras: Sequence[str]) -> bool:
    """Install the wheel with extras into a fresh environment and use each of them; without extras run the demo."""
    begun = time.monotonic()
    program = _environment(folder, python)
    wanted = f"{wheel}[{','.join(extras)}]" if extras else str(wheel)
    backend = BACKEND if "keras" in extras else []
    steps = [[program, "-m", "pip", "install", "--quiet", wanted, *backend]]
    steps += [[program, str(ROOT / "release" / "uses.py"), extra] for extra in extras]
    if not extras:
        steps.append([program, "-m", "lightsweep", "demo"])
    said = _steps(steps, folder)
    print(
        f"{folder.name.rstrip('-'):<24} {'ok' if not said else 'FAILED'}  {time.monotonic() - begun:.0f} s", flush=True
    )
    print(said, end="")
    shutil.rmtree(folder, ignore_errors=True)
    return not said


def lowest(folder: Path, python: str, wheel: Path) -> bool:
    """Install the lowest version of each direct dependency, and run the tests that need no other package."""
    begun = time.monotonic()
    program = _environment(folder, python)
    tools = _environment(folder / "tools", sys.executable)
    resolved, direct = folder / "lowest.txt", ROOT / "pyproject.toml"
    uv = [tools, "-m", "uv", "pip", "compile", "--quiet", "--resolution", "lowest-direct", "--python", program]
    uv += [word for extra in LIGHT for word in ("--extra", extra)]
    steps = [
        [tools, "-m", "pip", "install", "--quiet", "uv"],
        [*uv, "--output-file", str(resolved), str(direct)],
        [program, "-m", "pip", "install", "--quiet", "-r", str(resolved)],
        [program, "-m", "pip", "install", "--quiet", "--no-deps", str(wheel)],
        [program, "-m", "pip", "install", "--quiet", "pytest", "pytest-timeout", "hypothesis", "jsonschema"],
        [program, "-m", "lightsweep", "demo"],
    ]
    said = _steps(steps, folder)
    if not said:
        # beside the tests, so that the installed package is the one that they import
        for name in ("tests", "docs", "examples", "pyproject.toml", "README.md"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, folder / name)
        said = _steps([[program, "-m", "pytest", "-q", "-m", "not slow", *WARNINGS, *TESTS]], folder)
    versions = dict(re.findall(r"^([\w-]+)==(\S+)", resolved.read_text(), re.MULTILINE)) if resolved.exists() else {}
    shown = ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
    print(f"{'lowest versions':<24} {'ok' if not said else 'FAILED'}  {time.monotonic() - begun:.0f} s\n  {shown}")
    print(said, end="")
    return not said


def _environment(folder: Path, python: str) -> str:
    subprocess.run([python, "-m", "venv", str(folder)], check=True)
    return str(folder / "bin" / "python")


def _steps(steps: Sequence[Sequence[str]], folder: Path) -> str:
    """Run commands in a folder, without what this shell has set; return the output of the first that fails."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("LIGHTSWEEP", "PYTHON", "VIRTUAL"))
    }
    for step in steps:
        done = subprocess.run(step, cwd=folder, env=kept, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode:
            lines = done.stdout.splitlines()[-25:]
            return (
                "\n".join(f"  {line}" for line in [f"{' '.join(step[1:])}: exit code {done.returncode}", *lines]) + "\n"
            )
    return ""


if __name__ == "__main__":
    main()
