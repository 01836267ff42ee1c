"""Text for people: its content, its length, and no control characters."""

from __future__ import annotations

import math
from typing import Any

import pytest

from lightsweep.text import aligned, counted, number, one_line, parameters, printable, quoted, shortened, value_text


def test_control_characters_become_blanks_and_letters_of_every_script_stay() -> None:
    assert printable("größe 学习率 …") == "größe 学习率 …"
    assert printable("a\tb\x9b\u2028c\n\x1b[31m") == "a b  c  [31m"


def test_a_long_text_is_cut_at_its_end_or_in_its_middle() -> None:
    assert (shortened("abcdef", 6), shortened("abcdef", 5), shortened("abc", 1)) == ("abcdef", "abcd…", "…")
    assert one_line("model.encoder.layer.0.dropout", 20) == "model.encoder…ropout"
    assert one_line("model.encoder.layer.0.dropout", 20, end=2) == "model.e…er.0.dropout"
    assert one_line("a\nb", 20) == "a b"
    assert all(len(one_line("x" * 100, width)) == width for width in range(1, 100))


def test_numbers_have_five_digits() -> None:
    numbers = (0.123456789, 1234567.0, 1e-05, 3.0, math.inf, math.nan)
    assert [number(one) for one in numbers] == ["0.12346", "1.2346e+06", "1e-05", "3", "inf", "nan"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("adam", "adam"),
        (0.1 + 0.2, "0.3"),
        (12345678, "12345678"),
        (True, "True"),
        (None, "None"),
        (["ä", 1], '["ä", 1]'),
        ({"a": None}, '{"a": null}'),
    ],
)
def test_values_of_parameters(value: Any, text: str) -> None:
    assert value_text(value) == text


def test_parameters_are_one_short_line() -> None:
    assert parameters({"lr": 0.123456789, "b": "x\ny", "c": 1}, ["b", "lr", "missing"]) == "b=x y, lr=0.12346"
    assert len(parameters({str(name): "v" * 30 for name in range(20)}, map(str, range(20)))) == 160


def test_counts_and_quotes() -> None:
    assert [counted(count, "run") for count in (0, 1, 2000)] == ["0 runs", "1 run", "2,000 runs"]
    assert quoted("a\n") == "'a\\n'"
    assert len(quoted(["x"] * 100)) == 80


def test_rows_are_aligned_by_their_widest_cells() -> None:
    rows = [["run", "best", "why"], ["0001", "0.5", ""], ["12", "10.25", "a b"]]
    assert aligned(rows) == ["run   best   why", "0001  0.5", "12    10.25  a b"]
    assert aligned(rows, right=[1]) == ["run    best  why", "0001    0.5", "12    10.25  a b"]
