"""Build the source distribution and the wheel into ``dist/``, reproducibly, and check them: ``make release-check``.

The same commit gives the same bytes: times are that of the commit (``SOURCE_DATE_EPOCH`` overrides it), and the archive
of the sources is packed again without the names and rights of the user who builds it.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from email.parser import HeaderParser
from pathlib import Path

__all__ = ["build", "faults"]

ROOT = Path(__file__).resolve().parent.parent
LARGEST_WHEEL = 2_000_000


def main() -> None:
    """Build and check; exit with 1 and a line for each fault."""
    sdist, wheel = build(ROOT, ROOT / "dist")
    found = [*faults(sdist, wheel)]
    done = subprocess.run([sys.executable, "-m", "twine", "check", "--strict", str(sdist), str(wheel)])
    if found or done.returncode:
        sys.exit("\n".join(found) or 1)
    for path in (sdist, wheel):
        print(f"{path.relative_to(ROOT)}  {path.stat().st_size:,} bytes")


def build(tree: Path, target: Path) -> tuple[Path, Path]:
    """Build a tree and return the paths of the source distribution and of the wheel, which is built from the former."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH") or _time_of_commit(tree)
    environment = {**os.environ, "SOURCE_DATE_EPOCH": epoch}
    for old in (*target.glob("lightsweep-*.whl"), *target.glob("lightsweep-*.tar.gz")):
        old.unlink()
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(target), str(tree)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    (sdist,), (wheel,) = target.glob("lightsweep-*.tar.gz"), target.glob("lightsweep-*.whl")
    pack_again(sdist, int(epoch))
    return sdist, wheel


def _time_of_commit(tree: Path) -> str:
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=tree, capture_output=True, text=True)
    return done.stdout.strip() or "1735689600"  # without git: 2025-01-01


def pack_again(sdist: Path, epoch: int) -> None:
    """Write a source distribution anew: sorted, with one time, and without users and their rights."""
    packed = io.BytesIO()
    with tarfile.open(sdist) as before, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as after:
        for member in sorted(before.getmembers(), key=lambda each: each.name):
            content = before.extractfile(member)
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            after.addfile(member, content)
    with sdist.open("wb") as file, gzip.GzipFile("", "wb", 9, file, mtime=epoch) as compressed:
        compressed.write(packed.getvalue())


def faults(sdist: Path, wheel: Path) -> Iterator[str]:
    """Yield what is wrong with the content: a file that lacks, one that does not belong there, a wrong description."""
    with tarfile.open(sdist) as archive:
        sources = {name.partition("/")[2] for name in archive.getnames()}
    yield from (f"the source distribution lacks {name}" for name in sorted(_tracked() - sources))
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        description = archive.read(
            next(each for each in names if re.fullmatch(r"lightsweep-[\d.]+\.dist-info/METADATA", each))
        ).decode()
    wanted = {_in_wheel(name) for name in _tracked() if name.startswith(("lightsweep/", "integrations/"))}
    yield from (f"the wheel lacks {name}" for name in sorted(wanted - names))
    ours = re.compile(r"lightsweep/|lightsweep-[\d.]+\.dist-info/")
    yield from (f"the wheel has {name}, which does not belong there" for name in sorted(names) if not ours.match(name))
    if wheel.stat().st_size > LARGEST_WHEEL:
        yield f"the wheel has {wheel.stat().st_size:,} bytes, more than {LARGEST_WHEEL:,}"
    header = HeaderParser().parsestr(description)
    for key, value in [("Requires-Python", ">=3.10"), ("License-Expression", "Apache-2.0")]:
        if header[key] != value:
            yield f"the wheel says {key}: {header[key]}, and not {value}"


def _tracked() -> set[str]:
    """The files of the repository that a source distribution has; none outside of a checkout."""
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    names = [name for name in done.stdout.splitlines() if (ROOT / name).exists()]
    return {name for name in names if not name.startswith(".")}


def _in_wheel(name: str) -> str:
    return f"lightsweep/{name}" if name.startswith("integrations/") else name


if __name__ == "__main__":
    main()
