"""The positions of values on an axis, and the axis of a metric."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_helpers import sweep_config

from lightsweep.report.axis import Axis, label, make_axis, metric_axis
from lightsweep.text import one_line, value_text


def axis(values: list[Any], /, **parameter: Any) -> Axis:
    """The axis of a parameter that is declared like this."""
    (declared,) = sweep_config({"x": parameter}).space.parameters
    return make_axis("x", values, declared.distribution)


def test_a_uniform_parameter_is_linear_and_a_log_uniform_one_logarithmic() -> None:
    linear = axis([0.0, 4.0], min=0.0, max=5.0)
    assert (linear.kind, linear.low, linear.high, linear.position(2)) == ("linear", 0.0, 4.0, 2.0)
    log = axis([1e-4, 1e-1], distribution="log_uniform_values", min=1e-5, max=1.0)
    assert log.kind == "log"
    assert log.position(1e-3) == pytest.approx(-3.0)
    assert [text for _, text in log.ticks] == ["0.0001", "0.001", "0.01", "0.1"]


def test_numbers_from_a_list_are_in_order_and_evenly_apart() -> None:
    found = axis([64, 16], values=[128, 16, 64])
    assert (found.kind, [text for _, text in found.ticks]) == ("ordinal", ["16", "64", "128"])
    assert [found.position(value) for value in (16, 64.0, 128)] == [0.0, 1.0, 2.0]


def test_the_scale_of_a_parameter_that_is_defined_by_run_is_guessed() -> None:
    assert make_axis("x", [10.0**place for place in range(-6, 6)]).kind == "log"
    assert make_axis("x", list(range(20))).kind == "linear"
    assert make_axis("x", [1, 2, 3]).kind == "ordinal"
    assert make_axis("x", [*range(20), "text"]).kind == "ordinal"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.one_of(st.integers(), st.floats(), st.text(), st.booleans(), st.none(), st.lists(st.integers()))))
def test_any_values_have_an_axis(values: list[Any]) -> None:
    found = make_axis("x", [*values, 10**400])
    assert found.low < found.high
    assert all(math.isfinite(place) for place, _ in found.ticks)
    for value in values:
        place = found.position(value)
        assert place is not None
        assert found.low <= place <= found.high


@pytest.mark.parametrize("sign", [1, -1])
def test_values_that_went_astray_do_not_stretch_the_axis(sign: int) -> None:
    values = [sign * (1 + place / 100) - 50 * sign for place in range(100)]
    found, note = metric_axis([*values, sign * 1e9, math.nan, math.inf], sign, "loss")
    assert note == "The scale leaves out 1 far-off value; a double click shows it."
    low, high = found["range"]
    assert low < min(values)
    assert max(values) < high < 1e3


def test_positive_values_far_apart_are_shown_in_log_scale() -> None:
    found, _ = metric_axis([10.0**place for place in range(-3, 3)], 1, "loss")
    assert found["type"] == "log"
    assert "type" not in metric_axis([0.0, 1.0, 1000.0], 1, "loss")[0]


def test_labels_hold_nothing_that_plotly_reads() -> None:
    assert not set(label("<b>%{x}$a$&lt;</b>", 100)) & set("<>{}$")
    assert label("a&b") == "a&#38;b"
    assert one_line("a\nb\x1b[31m", 20) == "a b [31m"
    assert one_line(value_text([1, "ä"]), 40) == '[1, "ä"]'
    assert one_line(value_text("x" * 100), 10) == "xxxxxx…xxx"
