"""The Hydra macros against Hydra's own parser: every value comes back as it was, and plain words without quotes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import example, given, settings
from hypothesis import strategies as st

from lightsweep.schema.command import build_command

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12) | st.text(
    "\\\\'\",=()[]{}: ab\t\n", max_size=8
)
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
keys = st.from_regex(r"[a-z][a-z_ :,=(){}\[\]]{0,5}[a-z]", fullmatch=True).filter(
    lambda key: key not in {"null", "true", "false", "inf", "nan"}
)
trees = st.lists(
    st.recursive(scalars, lambda below: st.lists(below, max_size=3) | st.dictionaries(keys, below, max_size=3)),
    max_size=4,
)


def argument(macro: str, value: Any) -> str:
    (item,) = build_command(None, [f"${{{macro}}}"], {"x": value}, {"x": value}, json_path=Path("unused"))
    return item


def read(text: str) -> Any:
    return OverridesParser.create().parse_override(text).value()


@pytest.mark.parametrize(("macro", "sign"), [("args_append_hydra", "+"), ("args_override_hydra", "++")])
@pytest.mark.parametrize(
    ("value", "written"),
    [
        *[
            ("adam", "adam"),
            ("resnet-18/v1.0", "resnet-18/v1.0"),
            ("", ""),
            ("nullable", "nullable"),
            ("user@host", "user@host"),
        ],
        *[(None, "null"), (True, "True"), (False, "False"), (1e-05, "1e-05"), (3, "3")],
        *[("null", "'null'"), ("NULL", "'NULL'"), ("Null", "'Null'")],
        *[("two words", "'two words'"), ("it's", r"'it\'s'"), ("a\\", r"'a\\'"), (r"a\b", r"'a\b'"), ("a:b", "'a:b'")],
        *[([16, "a"], "[16,'a']"), ({"a": {"b": None}}, "{a:{b:null}}")],
    ],
)
def test_a_value_is_written_in_hydras_grammar(macro: str, sign: str, value: Any, written: str) -> None:
    assert argument(macro, value) == f"{sign}x={written}"


@settings(max_examples=100, deadline=None)
@given(texts)
@example("\\\\'")
@example("#!&;<>^~`é")
@example("null")
@example("NULL")
def test_any_text_comes_back_as_it_was(text: str) -> None:
    written = argument("args_append_hydra", text)
    if written == f"+x={text}":
        assert str(read(written)).lower() == text.lower() or float(text) == read(written)
    else:
        assert read(written) == text


@settings(max_examples=60, deadline=None)
@given(trees)
def test_any_list_comes_back_as_it_was(values: list[Any]) -> None:
    assert repr(read(argument("args_append_hydra", values))) == repr(values)
