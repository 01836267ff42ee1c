"""The curves of all runs and the rules that judge them."""

from __future__ import annotations

import pytest

from lightsweep.hyperband import Verdict
from lightsweep.stopping import Curves, Expected, Halving, Median, Rule


def judged(curves: Curves, run: str, history: list[float]) -> Verdict:
    """The first verdict to stop of a run that reports one value after the other, or the last verdict."""
    verdict = Verdict()
    for count in range(1, len(history) + 1):
        verdict = curves.judge(run, history[:count])
        if verdict.stop:
            break
    return verdict


def test_bands_are_dense_at_first() -> None:
    assert Expected().first(13) == (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22)
    assert Median(min_iter=10).bands(upto=20) == (10, 12, 15, 18)
    assert Halving(min_iter=2, eta=3).first(4) == (2, 6, 18, 54)
    assert Expected().reached(11) == 10
    assert Expected(min_iter=4).reached(3) is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: Expected(miss=0),
        lambda: Expected(miss=1),
        lambda: Halving(eta=1),
        lambda: Median(min_runs=0),
        lambda: Expected(min_iter=0),
    ],
)
def test_settings_out_of_their_range_are_refused(make: type[Rule]) -> None:
    with pytest.raises(ValueError, match="must be"):
        make()


def test_a_curve_is_the_best_so_far_at_each_band_however_it_is_noted() -> None:
    at_once, one_by_one = Curves(Halving(min_iter=2, eta=2), "minimize"), Curves(Halving(min_iter=2, eta=2), "minimize")
    history = [5.0, 3.0, 4.0, 6.0, 2.0, 7.0]
    at_once.note("a", history)
    for count in range(len(history) + 1):
        one_by_one.note("a", history[:count])
    for curves in (at_once, one_by_one):
        assert not curves.behind("a", 6)
        assert curves.behind("a", 7)
        assert curves.judge("b", [1.0, 4.0]).reason.startswith(
            "passed band 2: best so far 1.000 <= cut-off 1.000 (the best of 2 runs"
        )
        assert judged(curves, "c", [9.0, 3.0, 3.0, 2.9]).reason.startswith("stopped at band 2")


def test_between_bands_no_run_is_stopped() -> None:
    curves = Curves(Halving(min_iter=2, eta=2), "maximize")
    curves.note("a", [5.0, 5.0, 5.0])
    verdict = curves.judge("b", [1.0, 1.0, 1.0])
    assert (verdict.stop, verdict.reason) == (False, "judged at band 2, and next at 4")
    assert curves.judge("c", [1.0]).reason == "no band reached after 1 iteration"


def test_the_median_needs_other_runs() -> None:
    curves = Curves(Median(min_runs=3), "minimize")
    for run, value in zip("abc", (1.0, 2.0, 3.0), strict=True):
        assert not curves.judge(run, [value]).stop
    assert (
        curves.judge("d", [2.5]).reason
        == "stopped at band 1: best so far 2.500 > cut-off 2.000 (the median of 3 other runs)"
    )
    assert not curves.judge("e", [2.25]).stop


def test_a_diverged_run_beside_others_that_came_back_is_judged() -> None:
    """Steps of 690 on the scale go on far below what a number can be."""
    curves = Curves(Expected(), "minimize")
    for name, end in (("a", 1e-5), ("b", 1e-4), ("c", 1e200)):
        curves.note(name, [1e300, *[end] * 40])
    assert curves.judge("d", [1e300]).band == 1


def test_rises_are_the_same_however_values_are_noted() -> None:
    history = [5.0, 3.0, 4.1, 6.3, 2.0, 2.7]
    for goal, total in (("minimize", 1.1 + 2.2 + 0.7), ("maximize", 2.0 + 4.3)):
        at_once, one_by_one = Curves(Expected(), goal), Curves(Expected(), goal)
        at_once.note("a", history)
        for count in range(len(history) + 1):
            one_by_one.note("a", history[:count])
            one_by_one.note("a", history[:count])
        progress = [curves._runs["a"].rises for curves in (at_once, one_by_one)]
        assert progress[0] == progress[1] == pytest.approx(total)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_run_a_little_behind_is_stopped_unless_noise_may_lift_it(sign: float) -> None:
    """Both sweeps have the same best values so far; in one of them the values in between jump."""
    for noise in (0.0, 1.0):
        curves = Curves(Expected(), "minimize" if sign > 0 else "maximize")
        for number in range(12):
            level = 1 + 0.05 * number
            values = [level + 1 / step + (noise if step % 2 == 0 else 0.0) for step in range(1, 42)]
            curves.note(str(number), [sign * value for value in values])
            curves.end(str(number))
        late = [1.4 + 1 / step + (noise if step % 2 == 0 else 0.0) for step in range(1, 40)]
        assert judged(curves, "late", [sign * value for value in late]).stop == (noise == 0.0)
