"""Storage URLs: the default one, and the drivers behind them."""

from __future__ import annotations

import importlib.util
import os
import re
from pathlib import Path
from urllib.parse import quote, quote_plus, unquote, unquote_plus

import sqlalchemy
from sqlalchemy.exc import ArgumentError

from lightsweep.errors import StorageError

__all__ = ["DEFAULT_URL", "conceal", "default_url", "mask", "parse", "shown"]

_HIDDEN = "***"
_KEY = r"\w*(?:password|passwd|pwd)"
# Of a URL: a value in its query, up to the next key, so that a "&" that should have been escaped does not end it.
_IN_QUERY = re.compile(rf"[?&]{_KEY}=((?:(?!&\w+=).)*)", re.IGNORECASE | re.DOTALL)
_START = re.compile(r"(?:postgres|mysql|mariadb|sqlite)[a-z0-9+]*(?::/*|//+)", re.IGNORECASE | re.ASCII)
_USER = re.compile(r"[^\s:/@]*:")
_FILE = re.compile(r"sqlite[\w+]*:///", re.IGNORECASE)
_PLAIN = re.compile(r"[^:/?@]*@?[^:/?@]*(?::\d*)?(?:/[^:?@]*)?\?")  # no password before the query
_PORT = re.compile(r"\d*(?:[/?]|\Z)")

# A secret shorter than this is looked for as a word of its own, or it would be found in every text.
_SHORT = 4


# The ways in which others write it: in the URL that SQLAlchemy makes of this one, in another's, in a Python message.
_WRITTEN = (lambda text: quote(text, safe=" +"), quote, quote_plus, lambda text: repr(text)[1:-1])


def mask(text: str) -> str:
    """``text`` with the password of every URL and of every ``password=`` in it replaced by ``***``.

    Of a text that is one URL show :func:`shown`, of what a driver says of a URL that is known :func:`conceal`: where a
    password ends in the middle of a text can only be guessed.
    """
    # A password may hold any character but "@", also those that should have been escaped: mask up to the last one.
    text = re.sub(r"(\w[\w+.-]*://[^\s:/@]*):[^\s]*@", rf"\1:{_HIDDEN}@", text)
    value = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s&'"]+"""
    return re.sub(rf"(?i)\b({_KEY})(\s*=\s*)({value})", rf"\1\2{_HIDDEN}", text)


def shown(url: str) -> str:
    """A storage URL as it may be shown, also one that was misspelt: too little of it rather than a password."""
    text, before = "", 0
    for start, end in _hidden(url):
        if end > before:
            text += url[before:start] + (_HIDDEN if start >= before else "")
            before = end
    return text + url[before:]


def conceal(text: str, url: str) -> str:
    """``text`` about the storage at ``url``, without its passwords in any form or part that may stand there."""
    text = text.replace(url, shown(url))
    for secret in sorted(_secrets(url), key=len, reverse=True):
        found = re.escape(secret)
        text = re.sub(rf"(?<!\w){found}(?!\w)" if len(secret) < _SHORT else found, _HIDDEN, text)
    return mask(text)


def _hidden(url: str) -> list[tuple[int, int]]:
    """Where passwords stand in ``url``, or may stand if it is misspelt; ascending by where they begin."""
    spans = [match.span(1) for match in _IN_QUERY.finditer(url)]
    authority = _authority(url)
    return sorted([*spans, authority] if authority else spans)


def _authority(url: str) -> tuple[int, int] | None:
    """The password before the host, up to the last "@"; all that stands before it where no user can be told apart."""
    if _FILE.match(url):
        return None
    scheme = _START.match(url)
    start = scheme.end() if scheme else 0
    proper = scheme is not None and scheme[0].endswith("://")
    user = _USER.match(url, start) if proper else None
    at = url.rfind("@")
    if at < start:
        # Without "@" a port that is no number may be the password of somebody who forgot the host.
        forgot = user and "[" not in user[0] and not _PORT.match(url, user.end())
        return (user.end(), len(url)) if user and forgot else None
    if user:
        return user.end(), at
    plain = proper and (re.fullmatch(r"[^:/?@]*", url[start:at]) or _PLAIN.match(url, start))
    return None if plain else (start, at)


def _secrets(url: str) -> set[str]:
    found: set[str] = set()
    for raw in (url[start:end] for start, end in _hidden(url)):
        found |= {raw, unquote(raw), unquote_plus(raw)}
        if re.search(r"[@&\s]", raw):
            # It may be taken apart there, so its pieces may be named as the host, the port, the database or a setting.
            found.update(re.findall(r"\w+", f"{raw} {unquote(raw)}"))
    found |= {form(secret) for secret in found for form in _WRITTEN}
    # Whoever is called as his password is: the URL that is shown says it anyway.
    return found - set(re.split(r"[:/@?&=]+", shown(url))) - {""}


DEFAULT_URL = "sqlite:///lightsweep.db"
"""A file in the working directory."""

_EXAMPLES = "sqlite:///sweeps.db or postgresql://user@host/database"

# The drivers that a bare scheme may mean, the first installed one wins.
_DRIVERS = {
    "postgresql": ("psycopg", "psycopg2"),
    "mysql": ("pymysql", "MySQLdb"),
    "mariadb": ("pymysql", "MySQLdb"),
}
_FILES = {".db", ".sqlite", ".sqlite3"}
_DIALECT_OF = {"MySQLdb": "mysqldb"}


def default_url() -> str:
    """``LIGHTSWEEP_STORAGE``, or the SQLite file ``lightsweep.db`` in the working directory."""
    return os.environ.get("LIGHTSWEEP_STORAGE") or DEFAULT_URL


def parse(url: str) -> sqlalchemy.URL:
    """The URL with an installed driver filled in.

    A path that ends in ``.db`` or ``.sqlite`` means the SQLite file there.

    Raises:
        StorageError: Not a URL, or one of a kind of database that Optuna's storage does not know.
    """
    if "://" not in url and Path(url).suffix in _FILES and not re.search(r"(?s):.*@", url):  # no user:password@host
        url = f"sqlite:///{url}"
    if url.startswith("postgres://"):
        url = "postgresql" + url.removeprefix("postgres")
    if not url.startswith("sqlite:///") and re.search(r"[\x00-\x1f\x7f]", url):
        raise StorageError(f"storage: {shown(url)!r} is no database URL, with a line break or the like in it")
    try:
        parsed = sqlalchemy.make_url(url)
    except (ArgumentError, ValueError):  # ValueError: a port that is no number
        raise StorageError(f"storage: {shown(url)!r} is no database URL; write one such as {_EXAMPLES}") from None
    backend = parsed.drivername.partition("+")[0]
    if backend == "sqlite":
        if parsed.database in (None, "", ":memory:"):
            raise StorageError(
                f"storage: {shown(url)!r} lives in the memory of one process, where no agent could find the sweep; "
                "name a file, such as sqlite:///lightsweep.db"
            )
    elif backend not in _DRIVERS:
        raise StorageError(f"storage: {backend!r} is not supported; write a URL such as {_EXAMPLES}")
    elif "@" in (parsed.host or ""):
        raise StorageError(f"storage: {shown(url)!r} has an '@' in its user or password; write it as %40")
    elif parsed.drivername == backend:
        driver = next((name for name in _DRIVERS[backend] if importlib.util.find_spec(name)), None)
        if driver is not None:
            parsed = parsed.set(drivername=f"{backend}+{_DIALECT_OF.get(driver, driver)}")
    return parsed
