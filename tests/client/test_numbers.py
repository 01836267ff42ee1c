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
    assert found == {
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


def test_nan_and_infinities_stay():
    found = numbers({"nan": math.nan, "up": math.inf, "down": -math.inf})
    assert math.isnan(found.pop("nan"))
    assert found == {"up": math.inf, "down": -math.inf}


def test_what_is_no_number_is_left_out():
    torch = pytest.importorskip("torch")
    junk = ["0.3", b"1", None, [1.0], (1,), object(), 1j, torch.zeros(3), torch.empty((), device="meta"), 10**400]
    assert numbers({"loss": 1, **{f"junk{i}": item for i, item in enumerate(junk)}}) == {"loss": 1.0}
    assert numbers({}) == {}


def test_a_boolean_is_no_number():
    numpy, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    others = {}
    flags = {"python": False, "numpy": numpy.bool_(True), "array": numpy.array(False), "tensor": torch.tensor([True])}
    assert numbers({"loss": 1, **flags}, others) == {"loss": 1.0}
    assert others == {
        "python": "a boolean (False)",
        "numpy": "a boolean (True)",
        "array": "a boolean (False)",
        "tensor": "a boolean (True)",
    }


def test_what_is_no_number_is_described():
    numpy, torch = pytest.importorskip("numpy"), pytest.importorskip("torch")
    others = {}
    junk = {
        "text": "0.5",
        "long": "x" * 100,
        "tensor": torch.rand(4),
        "matrix": {"of": numpy.zeros((2, 3))},
        "list": [1.0],
        "none": None,
        "huge": 10**400,
        "object": object(),
    }
    assert numbers({"loss": 1, **junk}, others) == {"loss": 1.0}
    assert others == {
        "text": "text ('0.5')",
        "long": f"text ('{'x' * 40}'...)",
        "tensor": "a tensor of 4 elements",
        "matrix.of": "an array of 6 elements",
        "list": "a list of 1 element",
        "none": "None",
        "huge": "an integer beyond every float",
        "object": "an object",
    }


def test_few_of_those_that_are_no_number_are_kept_but_always_the_metric():
    others = {}
    for index in range(100):
        numbers({f"image{index}": "x", "x" * 10**6: "y"}, others, "loss")
    numbers({"loss": "0.5"}, others, "loss")
    assert len(others) == 21
    assert others["loss"] == "text ('0.5')"
    numbers({"loss": "0.6"}, others, "loss")
    assert others["loss"] == "text ('0.5')"


def test_nested_metrics_are_joined_with_a_dot():
    assert numbers({"val": {"loss": 1, "by": {"class": 2}}, "val/f1": 3}) == {
        "val.loss": 1.0,
        "val.by.class": 2.0,
        "val/f1": 3.0,
    }


@pytest.mark.parametrize("metrics", [3, "val_loss", [("a", 1)], None])
def test_anything_but_a_mapping_is_refused(metrics):
    with pytest.raises(UsageError, match=r"log takes a dict of names and numbers .* got "):
        numbers(metrics)


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
