"""Logged metrics as flat names and floats."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction

import pytest

from lightsweep.channel.messages import Numbers, encoded
from lightsweep.client.numbers import numbers
from lightsweep.errors import UsageError


def test_numbers_of_every_kind_become_floats():
    numpy, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    found = numbers(
        {
            "nan": math.nan,
            "down": -math.inf,
            "int": 3,
            "float": 0.5,
            "numpy": numpy.float32(0.25),
            "array": numpy.array(2),
            "tensor": torch.tensor(1.5, requires_grad=True),
            "half": torch.tensor([1.5], dtype=torch.bfloat16),
            "fraction": Fraction(1, 4),
            "decimal": Decimal("0.25"),
        }
    )
    assert math.isnan(found.pop("nan"))
    assert found == {
        "down": -math.inf,
        "int": 3.0,
        "float": 0.5,
        "numpy": 0.25,
        "array": 2.0,
        "tensor": 1.5,
        "half": 1.5,
        "fraction": 0.25,
        "decimal": 0.25,
    }
    assert {type(value) for value in found.values()} == {float}


def test_what_is_no_number_is_left_out_and_described():
    numpy, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    described = [
        ("0.5", "text ('0.5')"),
        ("x" * 100, f"text ('{'x' * 40}'...)"),
        (torch.rand(4), "a tensor of 4 elements"),
        (numpy.zeros((2, 3)), "an array of 6 elements"),
        ([1.0], "a list of 1 element"),
        (None, "None"),
        (10**400, "an integer beyond every float"),
        (object(), "an object"),
        (False, "a boolean (False)"),
        (numpy.bool_(True), "a boolean (True)"),
        (torch.tensor([True]), "a boolean (True)"),
    ]
    for value, text in described:
        others = {}
        assert numbers({"loss": 1, "of": {"junk": value}}, others) == {"loss": 1.0}
        assert others == {"of.junk": text}
    for value in (b"1", (1,), 1j, torch.empty((), device="meta")):
        assert numbers({"loss": 1, "junk": value}) == {"loss": 1.0}


def test_nested_metrics_are_joined_with_a_dot():
    assert numbers({"val": {"loss": 1, "by": {"class": 2}}, "val/f1": 3}) == {
        "val.loss": 1.0,
        "val.by.class": 2.0,
        "val/f1": 3.0,
    }


def test_anything_but_a_mapping_is_refused():
    with pytest.raises(UsageError, match=r"log takes a dict of names and numbers .* got "):
        numbers([("a", 1)])


def test_a_name_that_is_neither_text_nor_a_whole_number_is_refused():
    assert numbers({"val": {3: 1}, 0: 2}) == {"val.3": 1.0, "0": 2.0}
    for name in (0.5, True, None, ("val", 3)):
        with pytest.raises(UsageError, match=r"must be text, got "):
            numbers({"val": {name: 1}})


@pytest.mark.parametrize(
    "given",
    [
        {"a": 1.0, 'b"\u00e9\n\ud800': 1e-300, "c": 1e22, "d": -0.0, "e": 0.1},
        {"a": 1.0, "b": math.nan},
        {"x": -math.inf},
        {},
        {f"n{number}": number / 7 for number in range(30)},
    ],
)
def test_the_text_of_few_numbers_is_that_of_many(given: dict[str, float]) -> None:
    assert Numbers(given).text == encoded(given)
