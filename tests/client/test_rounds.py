"""The values of a boosting round of LightGBM; the trainers' own suites have those of today's versions."""

from __future__ import annotations

from lightsweep.client.rounds import results


def test_a_round_of_lightgbm_also_of_older_versions() -> None:
    for result in (("valid", "l2", 0.5, False, 0.1), ("cv_agg", "valid l2", 0.5, False, 0.1)):
        assert list(results([result])) == [("valid_l2-mean", 0.5, "l2"), ("valid_l2-stdv", 0.1, "")]
