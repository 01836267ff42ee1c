"""Suggest the closest known word for a misspelt one."""

from __future__ import annotations

import pytest

from lightsweep.schema.diagnostics import hint, one_edit_away

KNOWN = ["metric", "metrics", "parameters", "early_terminate", "value", "values", "s"]


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("metirc", "metric"),
        ("emtric", "metric"),
        ("metic", "metric"),
        ("meetric", "metric"),
        ("METRIC", "metric"),
        ("paramters", "parameters"),
        ("early-terminate", "early_terminate"),
        ("Early Terminate", "early_terminate"),
        ("early_terminate:", "early_terminate"),
        ("valuse", "values"),
        ("group", None),
        ("earlyterminates", None),
    ],
)
def test_one_edit(word: str, meant: str | None) -> None:
    assert one_edit_away(word, KNOWN) == meant


def test_a_hint_reaches_further_than_one_edit() -> None:
    assert hint("bayesian", ["grid", "random", "bayes"]) == "; did you mean 'bayes'?"
    assert hint("zzz", ["grid", "random", "bayes"]) == ""
