"""The values of a boosting round, as the trainers give them; the trainers' own suites have the real ones."""

from __future__ import annotations

from lightsweep.client.rounds import latest, results, rounds_of


def test_xgboosts_latest_round() -> None:
    evaluated = {"eval": {"rmse": [3.0, 2.0]}, "test": {"auc": [(0.5, 0.1), (0.6, 0.2)]}}
    assert rounds_of(evaluated) == 2
    assert rounds_of({}) == 0
    assert list(latest(evaluated)) == [
        ("eval-rmse", 2.0, "rmse"),
        ("test-auc-mean", 0.6, "auc"),
        ("test-auc-std", 0.2, ""),
    ]


def test_a_round_of_lightgbm_also_of_older_versions() -> None:
    assert list(results(None)) == []
    assert list(results([("valid_0", "l2", 0.5, False)])) == [("valid_0_l2", 0.5, "l2")]
    for result in (("valid", "l2", 0.5, False, 0.1), ("cv_agg", "valid l2", 0.5, False, 0.1)):
        assert list(results([result])) == [("valid_l2-mean", 0.5, "l2"), ("valid_l2-stdv", 0.1, "")]
