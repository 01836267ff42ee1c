"""Storage URLs: the default one, the drivers behind them, and how to show them without a password."""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, quote_plus

import sqlalchemy
from sqlalchemy.exc import ArgumentError

from lightsweep.errors import StorageError

_HIDDEN = "***"
_KEY = r"\w*(?:password|passwd|pwd)"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# The ways to write a secret: in the URL that SQLAlchemy makes of this one, in another's, in a Python message.
_FORMS = (lambda text: text, lambda text: quote(text, safe=" +"), quote, quote_plus, lambda text: repr(text)[1:-1])
# A shorter secret is replaced only as a whole word; it would be found in every text.
_SHORT = 4


def mask(text: str) -> str:
    """Return ``text`` with the password of every URL and of every ``password=`` in it replaced by ``***``.

    It guesses where a password ends. Show a URL by :func:`shown`, and the message of a driver about a URL that is known
    by :func:`conceal`.
    """
    # A password may hold any character but "@", also those that should have been escaped: mask up to the last one.
    text = re.sub(r"(\w[\w+.-]*://[^\s:/@]*):[^\s]*@", rf"\1:{_HIDDEN}@", text)
    value = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s&'"]+"""
    return re.sub(rf"(?i)\b({_KEY})(\s*=\s*)({value})", rf"\1\2{_HIDDEN}", text)


def shown(url: str) -> str:
    """Return a storage URL without its passwords; only the scheme if a password in it cannot be told apart."""
    if _is_path(url):
        return url
    parsed = _parsed(url)
    if parsed is None or _unescaped(parsed, url):
        scheme = re.match(r"[\w+]+://", url)
        return url if re.fullmatch(r"[^:@?]*", url) else (scheme[0] if scheme else "") + _HIDDEN
    if not _secrets(parsed):
        return url
    in_query = len(_secrets(parsed)) > (parsed.password is not None)
    text = (parsed.set(query={}) if in_query else parsed).render_as_string(hide_password=True)
    return f"{text}?{_HIDDEN}" if in_query else text


def conceal(text: str, url: str) -> str:
    """Return ``text``, a message about the storage at ``url``, without the passwords of the URL in any form."""
    text = text.replace(url, shown(url))
    parsed = _parsed(url)
    secrets = {form(secret) for secret in (_secrets(parsed) if parsed else ()) for form in _FORMS}
    # A password that is also the name of the user or of the database is visible in the URL anyway.
    for secret in sorted(secrets - set(re.split(r"[:/@?&=]+", shown(url))), key=len, reverse=True):
        found = re.escape(secret)
        text = re.sub(rf"(?<!\w){found}(?!\w)" if len(secret) < _SHORT else found, _HIDDEN, text)
    return mask(text)


def _parsed(url: str) -> sqlalchemy.URL | None:
    """Return the parts of a URL; ``None`` if it is none, or has control characters, at which parsing would end."""
    try:
        return None if _CONTROL.search(url) and not url.startswith("sqlite:///") else sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is not a number
        return None


def _secrets(url: sqlalchemy.URL) -> list[str]:
    """Return the password before the host, and those in the query."""
    given = [value for key, values in url.normalized_query.items() if re.fullmatch(_KEY, key, re.I) for value in values]
    return [secret for secret in (url.password, *given) if secret]


def _unescaped(url: sqlalchemy.URL, text: str) -> str:
    """Return a character that a password may hold unescaped, so that the rest of it is taken for another part."""
    if url.drivername.startswith("sqlite") and url.host is None:
        at = False
    elif url.password is None:
        at = "@" in f"{url.username}{url.host}{url.database}"
    else:
        at = text.count("@") > 1
    secret = any(re.fullmatch(_KEY, key, re.I) for key in url.query)
    cut = any("=" not in part for part in text.partition("?")[2].split("&"))
    return "@" if at else "&" if secret and cut else ""


_EXAMPLES = "sqlite:///sweeps.db or postgresql://user@host/database"

# The drivers that a bare scheme may mean, the first installed one wins.
DRIVERS = {
    "postgresql": ("psycopg", "psycopg2"),
    "mysql": ("pymysql", "MySQLdb"),
    "mariadb": ("pymysql", "MySQLdb"),
}
_FILES = {".db", ".sqlite", ".sqlite3"}


URL_VARIABLE = "LIGHTSWEEP_STORAGE"
FILE_VARIABLE = "LIGHTSWEEP_STORAGE_FILE"
VARIABLES = (URL_VARIABLE, FILE_VARIABLE)
"""The variables that lead to a storage, and so to its password."""

SERVED = Path("lightsweep_storage")
"""The directory of a server that `lightsweep storage serve` starts, in the working directory."""


def default_url() -> str:
    """Return ``LIGHTSWEEP_STORAGE``, the URL in the file that ``LIGHTSWEEP_STORAGE_FILE`` names, or ``lightsweep.db``.

    Raises:
        StorageError: The file cannot be read, other users may read it, or it is empty.
    """
    if url := os.environ.get(URL_VARIABLE):
        return url
    file = os.environ.get(FILE_VARIABLE)
    return read_url(Path(file)) if file else "sqlite:///lightsweep.db"


def named_by_file(url: str) -> Path | None:
    """Return the file that ``LIGHTSWEEP_STORAGE_FILE`` names, if the default URL is this one and comes from it."""
    file = os.environ.get(FILE_VARIABLE)
    with suppress(StorageError):
        return Path(file) if file and default_url() == url != os.environ.get(URL_VARIABLE) else None
    return None


def server_here() -> str:
    """Return how to use the server with files in the working directory, on a line of its own; empty without one."""
    file = SERVED.absolute() / "url"
    known = file.exists() and os.environ.get(FILE_VARIABLE) != str(file)
    return f"\na server has its files here; to use it: export {FILE_VARIABLE}={shlex.quote(str(file))}" if known else ""


def server_ended(url: str) -> str:
    """Return how to start the server again whose URL a file names, on a line of its own; empty for other servers."""
    file = named_by_file(url)
    if file is None or not (file.parent / "data").is_dir():
        return ""
    again = f"lightsweep storage serve --directory {shlex.quote(str(file.parent))}"
    if any(file.parent.glob("job-*.out")):
        again = "lightsweep launch ID --on slurm --with-storage"
    return f"\nits server does not run, or not yet; start it, or wait for it, by: {again}"


def read_url(path: Path) -> str:
    """Return the storage URL in a file that only its owner may read; raises as :func:`default_url`."""
    try:
        with path.open(encoding="utf-8") as opened:
            mode = os.fstat(opened.fileno()).st_mode & 0o777
            url = opened.read().strip()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise StorageError(f"{FILE_VARIABLE}: the file {path} with the storage's URL cannot be read: {why}") from None
    if mode & 0o077:
        raise StorageError(
            f"{FILE_VARIABLE}: other users may read {path} (mode {mode:o}), which holds the storage's URL; "
            f"run: chmod 600 {path}"
        )
    if not url:
        raise StorageError(f"{FILE_VARIABLE}: the file {path} is empty; write the storage's URL into it")
    return url


def write_url(path: Path, url: str, owner: int | None = None) -> None:
    """Write a storage URL into a file of mode 0600, at once as a whole.

    Args:
        path: The file.
        url: The URL with its password.
        owner: The user id of the file's owner, if this process is root's.

    Raises:
        StorageError: The file cannot be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with suppress(FileNotFoundError):
            draft.unlink()
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as opened:
            if owner is not None and os.geteuid() == 0:
                os.fchown(opened.fileno(), owner, -1)
            opened.write(f"{url}\n")
        draft.replace(path)
    except OSError as error:
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from None


def has_secret(url: str) -> bool:
    """Return whether a storage URL holds a password."""
    return shown(url) != url


def _is_path(url: str) -> bool:
    """Return whether this is the path of an SQLite file, and not ``user:password@host``."""
    return "://" not in url and Path(url).suffix in _FILES and not re.search(r"(?s):.*@", url)


def parse(url: str) -> sqlalchemy.URL:
    """Parse a storage URL and fill in an installed driver.

    A path that ends in ``.db`` or ``.sqlite`` means the SQLite file there.

    Raises:
        StorageError: Not a URL, or one of a kind of database that Optuna's storage does not know.
    """
    if _is_path(url):
        url = f"sqlite:///{url}"
    if url.startswith("postgres://"):
        url = "postgresql" + url.removeprefix("postgres")
    parsed = _parsed(url)
    if parsed is None:
        broken = " (it has a line break or another control character)" if _CONTROL.search(url) else ""
        raise StorageError(f"storage: {shown(url)!r} is not a database URL{broken}; write one such as {_EXAMPLES}")
    if wrong := _unescaped(parsed, url):
        raise StorageError(
            f"storage: {shown(url)!r} has an {wrong!r} that may be part of a password; write it as {quote(wrong)}"
        )
    backend = parsed.drivername.partition("+")[0]
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise StorageError(
                f"storage: {shown(url)!r} lives in the memory of one process, where no agent could find the sweep; "
                "name a file, such as sqlite:///lightsweep.db"
            )
    elif backend not in DRIVERS:
        raise StorageError(f"storage: {backend!r} is not supported; write a URL such as {_EXAMPLES}")
    elif parsed.drivername == backend:
        driver = next((name for name in DRIVERS[backend] if importlib.util.find_spec(name)), None)
        if driver is not None:
            parsed = parsed.set(drivername=f"{backend}+{driver.lower()}")
    return parsed
