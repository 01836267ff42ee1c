"""No message about a storage contains its password, for any spelling of the URL."""

from __future__ import annotations

import re
from unittest import mock
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError

from lightsweep.errors import StorageError
from lightsweep.storage import open_storage, opening
from lightsweep.storage.url import conceal, mask, parse, shown

# Letters that are in no message, so that a part of a password is found as well as the whole.
LETTERS = "ΑΒΓΔ"
PASSWORDS = st.lists(st.sampled_from([*LETTERS, *"@:/ %\\'\"?#&=+\n", "//", "://", "%41"]), min_size=1).map("".join)
FORMS = (
    "postgresql://u:{}@127.0.0.1:1/db",
    "postgres://u:{}@h/db?sslmode=require",
    "mysql+pymysql://u:{}@h:port/db",
    "postgresql//u:{}@h",
    "postgresql:/u:{}@h",
    "postgresql:u:{}@h",
    "u:{}@h/db",
    "u:{}@h/sweeps.db",
    "oracle://u:{}@h/db",
    "sqlite://u:{}@",
)
IN_QUERY = (
    "postgresql://h/db?sslpassword={}&x=1",
    "postgresql://u@h:1/db?user=u&password={}",
    "mysql://h/db?passwd={}",
)


def said_of(url: str) -> str:
    """Return the message about a storage whose driver repeats everything that it was given."""

    def refuse(rendered: str, *_: object) -> None:
        given = parse(rendered)
        names = (given.host, given.port, given.database, given.username, given.password, dict(given.query), rendered)
        raise OperationalError("connect", {}, Exception(f"no {given.host} in {names}"))

    with mock.patch.object(opening, "_make", refuse), pytest.raises(StorageError) as caught:
        open_storage(url)
    return str(caught.value) + shown(url)


@given(form=st.sampled_from(FORMS), password=PASSWORDS)
@example(form=FORMS[0], password="Α@ΒΒ")
@example(form=FORMS[0], password="ΑΑ ΒΒ")
@example(form=FORMS[0], password="Α@ΒΒ/Γ")
@example(form=FORMS[0], password="Α?password=ΒΒ")
def test_a_password_is_never_in_a_message(form: str, password: str) -> None:
    for written in (password, quote(password, safe="")):
        said = said_of(form.format(written))
        assert not re.search(f"[{LETTERS}]|%CE", said), said


@given(form=st.sampled_from(IN_QUERY), password=PASSWORDS.map(lambda text: re.sub(r"(?s)&(?=.*=)", "", text)))
@example(form=IN_QUERY[0], password="Α@ΒΒ")
def test_a_password_in_the_query_is_never_in_a_message(form: str, password: str) -> None:
    for written in (password, quote(password, safe="")):
        said = said_of(form.format(written))
        assert not re.search(f"[{LETTERS}]|%CE", said), said


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me@host/db",
        "postgresql://host:5432/db?sslmode=require",
        "postgresql://[::1]:5432/db",
        "postgresql://me@host/db?options=a@b",
        "sqlite:///a:b@c/sweeps.db",
        "sweeps.db",
    ],
)
def test_a_url_without_a_password_is_shown_as_it_is(url: str) -> None:
    assert shown(url) == url


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u:p@SECRET@127.0.0.1:1/db", "postgresql://***"),
        ("postgresql://u:SEC RET@h/db", "postgresql://u:***@h/db"),
        ("postgresql//u:SECRET@h", "***"),
        ("postgresql:/u:SECRET@h", "***"),
        ("u:SECRET@h/db", "***"),
        ("postgresql://u:SECRET/db", "postgresql://***"),
        ("postgresql://u@h/db?sslpassword=SECRET&x=1", "postgresql://u@h/db?***"),
    ],
)
def test_what_is_shown_of_a_url(url: str, expected: str) -> None:
    assert shown(url) == expected


def test_a_message_keeps_what_the_url_shows_anyway() -> None:
    words = 'password authentication failed for user "postgres"'
    assert conceal(words, "postgresql://postgres:postgres@h/db") == words
    assert conceal("no host pw in power", "postgresql://u:pw@h/db") == "no host *** in power"


def test_keys_of_a_message_that_end_in_password() -> None:
    assert mask("sslpassword=SECRET host=h passwd = 'SEC RET'") == "sslpassword=*** host=h passwd = ***"
