"""Do groups change differently over time: against scipy, hand formulas, and studies in which nothing was put in."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from MgImplantSegLib.study.interaction import INTERACTION, NO_SPREAD, SHARED, TOO_FEW, interaction

RNG = np.random.default_rng(5)
A, B = RNG.normal((10, 12), 1, (5, 2)), RNG.normal((10, 15), (1, 2), (6, 2))


def animals(values, first: int) -> dict[str, float]:
    return {f"animal {first + index}": float(value) for index, value in enumerate(values)}


def seen_twice(values, first: int) -> tuple[dict[str, float], dict[str, float]]:
    return animals(values[:, 0], first), animals(values[:, 1], first)


def seen_once(values, first: int) -> tuple[dict[str, float], dict[str, float]]:
    return animals(values[:, 0], first), animals(values[:, 1], first + 50)


def test_animals_that_were_seen_at_both_times_are_compared_by_their_changes():
    found = interaction(seen_twice(A, 0), seen_twice(B, 100))
    changes = A[:, 1] - A[:, 0], B[:, 1] - B[:, 0]
    expected = stats.ttest_ind(changes[1], changes[0], equal_var=False)
    assert (found.t, found.p, found.degrees_of_freedom) == pytest.approx(
        (expected.statistic, expected.pvalue, expected.df)
    )
    limits = expected.confidence_interval()
    assert (found.interval.low, found.interval.high) == pytest.approx((limits.low, limits.high))
    permuted = stats.permutation_test(
        changes, lambda x, y: abs(np.mean(x) - np.mean(y)), n_resamples=np.inf, alternative="greater"
    )
    assert (found.permutation.p, found.permutation.is_exact) == (pytest.approx(permuted.pvalue), True)
    assert (found.method, found.animals_first, found.animals_second, found.animals_both) == (INTERACTION, 5, 6, 11)


def test_animals_that_were_seen_once_are_a_contrast_of_four_means():
    found = interaction(seen_once(A, 0), seen_once(B, 200))
    parts = [values.var(ddof=1) / len(values) for values in (*A.T, *B.T)]
    contrast = B[:, 1].mean() - B[:, 0].mean() - A[:, 1].mean() + A[:, 0].mean()
    freedoms = [len(values) - 1 for values in (*A.T, *B.T)]
    freedom = sum(parts) ** 2 / sum(part**2 / f for part, f in zip(parts, freedoms, strict=True))
    assert found.difference == pytest.approx(contrast)
    assert (found.t, found.degrees_of_freedom) == pytest.approx((contrast / sum(parts) ** 0.5, freedom))
    spread = (sum(f * v.var(ddof=1) for f, v in zip(freedoms, (*A.T, *B.T), strict=True)) / sum(freedoms)) ** 0.5
    assert found.effect_size == pytest.approx(contrast / spread * (1 - 3 / (4 * freedom - 1)), rel=0.005)
    assert np.isnan(found.permutation.p)
    assert found.effect_interval.low < found.effect_size < found.effect_interval.high


def test_groups_that_differ_by_the_same_at_both_times_do_not_interact():
    first = animals([1.0, 2.0, 3.0], 0), animals([11.0, 12.0, 13.0], 10)
    second = animals([101.0, 102.0, 103.0], 20), animals([111.0, 112.0, 113.0], 30)
    found = interaction(first, second)
    assert (found.difference, found.p) == (0, pytest.approx(1))


def test_a_difference_that_is_there_at_one_time_alone_is_found():
    first = animals([1.0, 2.0, 3.0, 4.0], 0), animals([1.0, 2.0, 3.0, 4.0], 10)
    second = animals([1.0, 2.0, 3.0, 4.0], 20), animals([21.0, 22.0, 23.0, 24.0], 30)
    found = interaction(first, second)
    assert found.difference == 20 and found.p < 1e-4


def test_where_nothing_was_put_in_one_study_in_twenty_finds_something():
    rng, p = np.random.default_rng(1), []
    for _ in range(400):
        values = [rng.normal(mean, 1, 4) for mean in (0, 5, 3, 8)]  # time and group have effects, but no interaction
        found = interaction(
            (animals(values[0], 0), animals(values[1], 10)), (animals(values[2], 20), animals(values[3], 30))
        )
        p.append(found.p)
    assert 0.02 < np.mean(np.array(p) < 0.05) < 0.08


@pytest.mark.parametrize(
    ("first", "second", "note"),
    [
        ((animals([1, 2], 0), animals([3, 4], 0)), (animals([1, 2], 0), animals([3, 5], 0)), SHARED),
        ((animals([1, 2], 0), animals([3], 0)), (animals([1, 2], 9), animals([3, 5], 9)), TOO_FEW),
        ((animals([1, 1], 0), animals([3, 3], 4)), (animals([1, 1], 9), animals([3, 3], 19)), NO_SPREAD),
        ((animals([1, 2], 0), {}), (animals([1, 2], 9), animals([3, 5], 9)), "no value at one"),
    ],
)
def test_what_cannot_be_tested_has_a_reason_and_no_p(first, second, note):
    found = interaction(first, second)
    assert note in found.note and np.isnan(found.p)


def test_some_animals_seen_twice_have_a_t_test_and_no_permutation_test():
    found = interaction(
        (animals(A[:, 0], 0), animals(A[:4, 1], 0) | animals([12.0], 70)),
        (animals(B[:, 0], 100), animals(B[:, 1], 100)),
    )
    assert 0 < found.p < 1 and np.isnan(found.permutation.p) and found.animals_both == 10
