"""A PostgreSQL server for sweeps, run as a child of this process, with its data in a directory of the project.

The directory holds ``data/`` (PostgreSQL's own), ``url`` (the URL with its password, mode 0600), ``server.log`` and
``lock``. The lock is held by this process and by the server, so a free lock means that no server uses the data.
"""

from __future__ import annotations

import errno
import fcntl
import importlib.util
import os
import secrets
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import sqlalchemy

from lightsweep.errors import StorageError
from lightsweep.storage.opening import open_storage
from lightsweep.storage.postgresql import Programs, account_for, check_access, find_programs, make_directory
from lightsweep.storage.url import DRIVERS, FILE_VARIABLE, parse, read_url, write_url

_OWN_HOST = "127.0.0.1"
_ROLE = "lightsweep"
_DATABASE = "sweeps"
_USUAL_PORT = 5432
_MYSQL_PORT = 3306
_PAUSE_SECONDS = 0.05
_STOP_SECONDS = 60.0
_SHOWN_LINES = 5
_WAIT_SECONDS = 1.0
_REFUSALS = 10
_END_FILE = "end-when-unused"

UNUSED_SECONDS = 60.0
"""A server that was told to end does so once no program has been connected for this time."""

# A connection per agent and thread; no parallel query, since containers have a small /dev/shm.
_SETTINGS = """
# by lightsweep storage serve, once; change them here, then start the server again
max_connections = 2000
shared_buffers = 256MB
max_parallel_workers_per_gather = 0
jit = off
log_checkpoints = off
unix_socket_directories = ''
password_encryption = 'scram-sha-256'
"""
_ACCESS = f"host {_DATABASE} {_ROLE} all scram-sha-256\n"


def url_file(directory: Path) -> Path:
    """Return the file with the URL of the server in ``directory``."""
    return directory.absolute() / "url"


def tell_to_end(directory: Path) -> None:
    """Let the server in ``directory``, if it has an idle time, end soon after the last program; raises ``OSError``."""
    file = os.open(directory / _END_FILE, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    os.utime(file)
    os.close(file)


def told_to_end(directory: Path, since: float) -> bool:
    """Return whether the server in ``directory`` was told to end since this time."""
    try:
        return (directory / _END_FILE).stat().st_mtime >= since
    except OSError:
        return False


def url_of(directory: Path) -> str:
    """Return the URL with its password.

    Raises:
        StorageError: No server has been started there yet, or other users may read the file.
    """
    file = url_file(directory)
    if not file.exists():
        raise StorageError(f"no server has been started in {directory}; start one with: lightsweep storage serve")
    return read_url(file)


def is_loopback(host: str) -> bool:
    """Return whether only programs on this machine reach a server at ``host``."""
    return host == "localhost" or host.startswith("127.") or host == "::1"


class Server:
    """A PostgreSQL server.

    Args:
        directory: Where its files are; it is made if it is missing, and permissions of folders that exist stay.
        host: The address to listen on: a name or address of this machine, or ``0.0.0.0`` for all of them; ``None`` for
            that of the last start, at first 127.0.0.1.
        port: ``None`` for the port of the last start, or at first 5432, or a free one; 0 for any that is free.
    """

    def __init__(self, directory: Path, host: str | None = None, port: int | None = None) -> None:
        self.directory = directory.absolute()
        self.host = host or ""
        self.url = ""
        self.version = ""
        self.log = self.directory / "server.log"
        self._port = port
        self._data = self.directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._stops = 0

    @property
    def stopping(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stops > 0

    def start(self) -> None:
        """Start the server, and return when it answers; at the first time, make the database.

        Raises:
            StorageError: Another server uses the directory, the address or port cannot be used, or PostgreSQL is
                missing, does not fit the data, or fails.
        """
        _check_driver()
        account = account_for(self.directory)
        check_access(self.directory, self._data, account)
        make_directory(self.directory, account)
        lock = self._lock()
        try:
            shutil.rmtree(self._new, ignore_errors=True)  # of a first start that was killed
            programs = find_programs(self._data, account)
            self.version = programs.version
            self.host = self.host or self._last_host() or _OWN_HOST
            self._free_port()  # a wrong one is refused before data is made
            # The lock is ours, so the process that wrote it has ended, whatever has its number now.
            programs.call(["rm", "-f", str(self._data / "postmaster.pid")])
            command = self._prepare(programs)
            if self.stopping:
                return
            self._run(programs, command, lock)
        finally:
            os.close(lock)  # the server holds it
        try:
            if not self.stopping:
                open_storage(self.url).close()
                write_url(url_file(self.directory), self.url, self.directory.stat().st_uid)
        except BaseException:
            self.stop()
            self.wait()
            raise

    def stop(self) -> None:
        """End the server by a fast shutdown: open transactions are rolled back. A second call ends it at once."""
        self._stops += 1
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT if self._stops == 1 else signal.SIGQUIT)

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for the end of the server; return its exit code, or ``None`` after ``timeout`` seconds."""
        if self._process is None:
            return 0  # stopped before it was started
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout)
        return None

    def connections(self) -> int:
        """Return how many connections other programs have to the server."""
        assert self._process is not None
        with suppress(psutil.Error):
            titles = [" ".join(_title(child)) for child in psutil.Process(self._process.pid).children()]
            return sum(title.startswith(f"postgres: {_ROLE} {_DATABASE} ") for title in titles)
        return 0

    def last_lines(self) -> str:
        """Return the end of the server's log."""
        with suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-_SHOWN_LINES:])
        return ""

    @property
    def _new(self) -> Path:
        return self.directory / "new"

    def _lock(self) -> int:
        """Take the lock of the directory, and end the server of a process that was killed."""
        lock = _open_plain(self.directory / "lock", os.O_RDWR)
        try:
            if not _try_lock(lock):
                self._end_orphan(lock)
            os.ftruncate(lock, 0)
            os.pwrite(lock, f"{os.getpid()} {_began(os.getpid())} {socket.gethostname()}\n".encode(), 0)
        except OSError as error:
            os.close(lock)
            raise StorageError(
                f"{self.directory} cannot be locked ({error.strerror}); name a directory on a local disk by --directory"
            ) from None
        except BaseException:
            os.close(lock)
            raise
        return lock

    def _end_orphan(self, lock: int) -> None:
        owner, began, host = [*os.pread(lock, 1000, 0).decode().strip().split(" ", 2), "", "", ""][:3]
        if host != socket.gethostname() or not owner.isdigit() or _began(int(owner)) == began:
            raise StorageError(
                f"{self.directory} has a server already: process {owner} on {host}\n"
                f"print its URL with: lightsweep storage serve --directory {self.directory} --show-url"
            )
        known: psutil.Process | None = None
        end = time.monotonic() + _STOP_SECONDS
        while not _try_lock(lock):
            if known is None:
                known = self._postmaster()
                if known is not None:
                    with suppress(psutil.Error):
                        known.send_signal(signal.SIGINT)
            if time.monotonic() > end:
                which = f", process {known.pid}," if known else ""
                raise StorageError(f"the server of {self.directory}{which} does not end; end it yourself")
            time.sleep(_PAUSE_SECONDS)

    def _postmaster(self) -> psutil.Process | None:
        """Return the server that uses the data; ``None`` if it has just begun, or has nearly ended."""
        with suppress(OSError, ValueError, IndexError, psutil.Error):
            process = psutil.Process(int((self._data / "postmaster.pid").read_text().split()[0]))
            if process.name().startswith("postgres") and process.uids().effective == self._data.stat().st_uid:
                return process
        return None

    def _free_port(self) -> int:
        known = self._known()
        last = known.port if known else None
        if self._port == 0 and last is None:
            return _any_port(self.host)
        wanted = self._port or last or _USUAL_PORT
        if _check_address(self.host, wanted):
            return wanted
        if self._port == 0 or (self._port is None and last is None):
            return _any_port(self.host)
        which = "" if self._port else ", as at the last start"
        raise StorageError(
            f"port {wanted} of {self.host} is in use{which}\n"
            "end the program that uses it, or choose another port by --port (0: any that is free)"
        )

    def _last_host(self) -> str:
        """Return the address of the last start, from PostgreSQL's own note of its options; empty if there is none."""
        with suppress(OSError, ValueError, IndexError):
            words = shlex.split((self._data / "postmaster.opts").read_text())
            return words[words.index("-h") + 1]
        return ""

    def _known(self) -> sqlalchemy.URL | None:
        """Return the URL of the last start; ``None`` if there is none, or its file was removed."""
        file = url_file(self.directory)
        return parse(read_url(file)) if file.exists() else None

    def _prepare(self, programs: Programs) -> list[str]:
        """Make the data at the first time, a new password if the file of the URL is missing; return the command."""
        known = self._known() if self._data.exists() else None
        password = str((known.password if known else None) or secrets.token_urlsafe(24))
        if not self._data.exists():
            self._make_data(programs, password)
        elif known is None:
            self._single(programs, self._data, [f"ALTER ROLE {_ROLE} PASSWORD '{password}'"], password)
        programs.write(self._data / "pg_hba.conf", _ACCESS)
        port = self._free_port()
        host = self.host if self.host not in ("0.0.0.0", "::", "*") else _name_for_others()
        url = sqlalchemy.URL.create("postgresql", _ROLE, password, host, port, _DATABASE)
        self.url = url.render_as_string(hide_password=False)
        return [str(programs.folder / "postgres"), "-D", str(self._data), "-h", self.host, "-p", str(port)]

    def _make_data(self, programs: Programs, password: str) -> None:
        """Make the data under another name first, so that data with its own name is complete."""
        self._new.mkdir(mode=0o700)
        made, secret = self._new / "data", self._new / "password"
        # By descriptors, as the owner of the directory may put links in their places at any time.
        new = os.open(self._new, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            file = os.open(secret.name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=new)
            with os.fdopen(file, "w") as opened:
                opened.write(secrets.token_urlsafe(24))  # of the superuser, whom nobody needs
                for each in (file, new) if os.geteuid() == 0 else ():
                    os.fchown(each, programs.uid, programs.gid)
            programs.run(
                "initdb", "-D", str(made), "--auth=scram-sha-256", f"--pwfile={secret}", "--username=postgres",
                "--encoding=UTF8", "--locale=C", "--data-checksums", "--no-instructions",
            )  # fmt: skip
            programs.write(made / "postgresql.conf", _SETTINGS, append=True)
            role = f"CREATE ROLE {_ROLE} LOGIN PASSWORD '{password}'"
            self._single(programs, made, [role, f"CREATE DATABASE {_DATABASE} OWNER {_ROLE}"], password)
            os.rename(made.name, self._data, src_dir_fd=new)
        finally:
            os.close(new)
        shutil.rmtree(self._new)

    def _single(self, programs: Programs, data: Path, statements: Sequence[str], secret: str) -> None:
        """Run statements without a server, as its superuser; they are not in any list of processes."""
        options = ["--single", "-D", str(data), "-c", "exit_on_error=true", "-c", "log_min_error_statement=panic"]
        programs.run("postgres", *options, "postgres", stdin="".join(f"{each}\n" for each in statements), secret=secret)

    def _run(self, programs: Programs, command: Sequence[str], lock: int) -> None:
        output = _open_plain(self.log, os.O_WRONLY | os.O_APPEND)
        # A session of its own: Ctrl-C reaches this process only, which then ends the server.
        self._process = programs.start(command, pass_fds=[lock], stdout=output, stderr=output)
        os.close(output)
        if self.stopping:
            self._process.send_signal(signal.SIGINT)
        while self._process.poll() is None:
            with suppress(OSError, IndexError):
                lines = (self._data / "postmaster.pid").read_text().splitlines()
                if int(lines[0]) == self._process.pid and lines[7].strip() == "ready":
                    return
            time.sleep(_PAUSE_SECONDS)
        if not self.stopping:
            raise StorageError(f"PostgreSQL does not start; the end of {self.log}:\n{self.last_lines()}")


# --- waiting for a server that a job starts


def wait_for_storage(find: Callable[[], str], tell: Callable[[str], None]) -> None:
    """Wait until a storage answers, such as one that a job starts; the wait has no end.

    Args:
        find: Returns the URL; raises ``StorageError`` as long as there is none.
        tell: Gets a line at the begin of the wait, and whenever its reason changes.

    Raises:
        StorageError: The server answers, but refuses again and again, for instance another password.
    """
    told, refusals = "", 0
    while True:
        try:
            url = find()
            reason = unreachable(parse(url))
            if not reason:
                open_storage(url).close()
                return
        except StorageError as error:
            file = os.environ.get(FILE_VARIABLE)
            if file and not Path(file).exists():
                reason = f"there is no {file} yet"
            else:
                refusals += 1
                if refusals == _REFUSALS:
                    raise
                reason = str(error)
        if reason != told:
            tell(f"waiting for the storage: {reason}")
            told = reason
        time.sleep(_WAIT_SECONDS)


def unreachable(url: sqlalchemy.URL) -> str:
    """Return why nothing answers at the address of a URL; an empty text if something does, or it is a file."""
    if url.host is None:
        return ""
    port = url.port or (_MYSQL_PORT if url.get_backend_name() in ("mysql", "mariadb") else _USUAL_PORT)
    try:
        socket.create_connection((url.host, port), timeout=_WAIT_SECONDS * 5).close()
    except OSError as error:
        return f"{url.host}:{port} does not answer ({error.strerror or error})"
    return ""


def _check_driver() -> None:
    """Raise ``StorageError`` if no program of this Python could use the server."""
    if not any(map(importlib.util.find_spec, DRIVERS["postgresql"])):
        raise StorageError(
            "no driver for PostgreSQL is installed, so no sweep could use a server\n"
            "pip install 'lightsweep[server]' brings one"
        )


# --- addresses


def _check_address(host: str, port: int) -> bool:
    """Return whether a server can listen on the port. Raises ``StorageError`` if it cannot on this address at all."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            return False
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise StorageError(
            f"no server can listen on {host}:{port} ({reason})\n"
            "--host is 127.0.0.1, a name or address of this machine, or 0.0.0.0 for all its addresses"
        ) from None
    return True


def _any_port(host: str) -> int:
    _check_address(host, 0)
    family, kind, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as probe:
        probe.bind(address)
        return int(probe.getsockname()[1])


def _name_for_others() -> str:
    """Return the name of this machine, or its address if other machines would take the name for their own."""
    name = socket.gethostname()
    with suppress(OSError):
        if not is_loopback(socket.gethostbyname(name)):
            return name
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # an address of no machine; nothing is sent, the system only chooses the way
        return str(probe.getsockname()[0])
    return "127.0.0.1"


def _open_plain(path: Path, flags: int) -> int:
    """Open a file of the directory, or make it with mode 0600.

    Raises:
        StorageError: It cannot be opened, or is a link: the owner of the directory may have no right to the file
            behind it, but root has.
    """
    try:
        opened = os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise StorageError(f"{path} cannot be opened ({error.strerror}); change its permissions") from None
    else:
        status = os.fstat(opened)
        if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
            return opened
        os.close(opened)
    raise StorageError(
        f"{path} is a link or no plain file, so nothing is written to it\nremove it, then start the server again"
    )


def _try_lock(lock: int) -> bool:
    with suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _began(process: int) -> str:
    """Return when a process was started, as its number may be another's later; an empty text if there is none."""
    with suppress(psutil.Error):
        return str(psutil.Process(process).create_time())
    return ""


def _title(process: psutil.Process) -> list[str]:
    with suppress(psutil.Error):
        return list(process.cmdline())
    return []
