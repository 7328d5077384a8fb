"""The statistics of a study, against hand values, published values and scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from MgImplantSegLib.study.correlation import correlation
from MgImplantSegLib.study.difference import INDEPENDENT, OVERLAPPING, PAIRED, difference, pooled_difference
from MgImplantSegLib.study.effect_size import small_sample_factor
from MgImplantSegLib.study.numbers import deviation, holm, mean_interval
from MgImplantSegLib.study.permutation import Stratum, permutation_test

# Student, Biometrika 6:1 (1908): hours of sleep gained with two drugs by ten patients; R's dataset `sleep`
DRUG_1 = [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0]
DRUG_2 = [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4]


def animals(values, first: int = 0) -> dict[str, float]:
    return {f"animal {first + index}": value for index, value in enumerate(values)}


def test_different_animals_are_compared_as_students_sleep_data_by_welch():
    found = difference(animals(DRUG_1), animals(DRUG_2, 100))
    assert found.method == INDEPENDENT
    assert found.t == pytest.approx(1.8608, abs=5e-5)  # R: t.test(extra ~ group, data = sleep)
    assert found.degrees_of_freedom == pytest.approx(17.776, abs=5e-4)
    assert found.p == pytest.approx(0.07939, abs=5e-6)
    assert (found.interval.low, found.interval.high) == pytest.approx((-0.2054832, 3.3654832), abs=5e-7)


def test_the_same_animals_are_pairs_as_in_students_sleep_data():
    found = difference(animals(DRUG_1), animals(DRUG_2))
    assert (found.method, found.animals_both) == (PAIRED, 10)
    assert found.t == pytest.approx(4.0621, abs=5e-5)  # R: t.test(..., paired = TRUE)
    assert found.degrees_of_freedom == 9
    assert found.p == pytest.approx(0.002833, abs=5e-7)
    assert (found.interval.low, found.interval.high) == pytest.approx((0.7001142, 2.4598858), abs=5e-7)


def test_the_order_of_the_animals_does_not_matter_and_their_names_pair_them():
    shuffled = dict(reversed(animals(DRUG_2).items()))
    assert difference(animals(DRUG_1), shuffled).t == pytest.approx(4.0621, abs=5e-5)


def test_some_animals_in_both_groups_lie_between_the_two_tests():
    found = difference(animals(DRUG_1), animals(DRUG_2, 4))  # six animals are in both
    a, b = np.array(DRUG_1), np.array(DRUG_2)
    r = np.corrcoef(a[4:], b[:6])[0, 1]
    squares = a.var(ddof=1) / 10, b.var(ddof=1) / 10
    error = math.sqrt(sum(squares) - 2 * r * a.std(ddof=1) * b.std(ddof=1) * 6 / 100)
    welch = sum(squares) ** 2 / (squares[0] ** 2 / 9 + squares[1] ** 2 / 9)
    assert (found.method, found.animals_both) == (OVERLAPPING, 6)
    assert found.t == pytest.approx((b.mean() - a.mean()) / error)
    assert found.degrees_of_freedom == pytest.approx(5 + (welch - 5) / 20 * 8)  # Derrick et al. 2017


def test_two_animals_in_both_are_too_few_and_this_is_said():
    found = difference(animals(DRUG_1), animals(DRUG_2, 8))
    assert found.method == INDEPENDENT and "2 animals are in both" in found.note


def test_unequal_counts_agree_with_scipy():
    a, b = [1.0, 2.5, 3.0], [2.0, 4.0, 4.5, 7.0, 5.5]
    expected = stats.ttest_ind(b, a, equal_var=False)
    found = difference(animals(a), animals(b, 10))
    assert (found.t, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (found.animals_first, found.animals_second) == (3, 5)


@pytest.mark.parametrize("count", [4, 20])
def test_hedges_factor_is_that_of_the_tables(count):
    expected = {4: 0.7979, 20: 0.9619}[count]  # Hedges & Olkin 1985, Table of J(m)
    assert small_sample_factor(count) == pytest.approx(expected, abs=5e-5)


def test_the_effect_size_of_equal_groups_is_hedges_g_with_the_exact_interval():
    a, b = [1.0, 2.0, 3.0, 4.0, 5.0], [3.0, 4.0, 5.0, 6.0, 7.0]
    found = difference(animals(a), animals(b, 10))
    factor = math.exp(math.lgamma(4) - math.lgamma(3.5)) / 2  # 8 degrees of freedom, equal spreads
    assert found.effect_size == pytest.approx(factor * 2 / math.sqrt(2.5))
    scale = factor * math.sqrt(2 / 5)
    low, high = found.effect_interval.low / scale, found.effect_interval.high / scale
    assert stats.nct.sf(2.0, 8, low) == pytest.approx(0.025, abs=1e-8)
    assert stats.nct.cdf(2.0, 8, high) == pytest.approx(0.025, abs=1e-8)


def test_exact_permutations_are_counted_by_hand():
    found = permutation_test([Stratum([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])])
    assert (found.p, found.arrangements, found.is_exact) == (2 / 20, 20, True)  # this one and its mirror image
    pairs = permutation_test([Stratum([], [], [(0.0, 1.0), (0.0, 2.0), (0.0, 3.0)])])
    assert (pairs.p, pairs.arrangements) == (2 / 8, 8)


def test_exact_permutations_agree_with_scipy():
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=6), rng.normal(1.0, size=6)
    expected = stats.permutation_test((b, a), lambda x, y: np.mean(x) - np.mean(y), n_resamples=np.inf)
    assert permutation_test([Stratum(list(a), list(b))]).p == pytest.approx(expected.pvalue)
    d = list(zip(a, b, strict=True))
    expected = stats.permutation_test(
        (b, a), lambda x, y: np.mean(x) - np.mean(y), n_resamples=np.inf, permutation_type="samples"
    )
    assert permutation_test([Stratum([], [], d)]).p == pytest.approx(expected.pvalue)


def test_many_animals_are_permuted_at_random_but_the_same_way_each_time():
    rng = np.random.default_rng(0)
    a, b = list(rng.normal(size=12)), list(rng.normal(1.2, size=14))
    first, second = (permutation_test([Stratum(a, b)]) for _ in range(2))
    assert first == second and not first.is_exact
    assert first.p == pytest.approx(stats.ttest_ind(a, b).pvalue, abs=0.01)


def test_two_strata_are_permuted_each_in_itself():
    strata = [Stratum([0.0, 1.0], [10.0, 11.0]), Stratum([100.0, 101.0], [110.0, 111.0])]
    found = permutation_test(strata)
    assert (found.p, found.arrangements) == (2 / 36, 36)


@pytest.mark.parametrize(
    ("first", "second", "note"),
    [
        ([], [1.0, 2.0], "has no value"),
        ([1.0], [2.0, 3.0], "Fewer than two animals"),
        ([2.0, 2.0, 2.0], [5.0, 5.0, 5.0], "No spread"),
        ([2.0, 2.0], [2.0, 2.0], "No spread"),
    ],
)
def test_what_cannot_be_tested_is_undefined_with_a_reason(first, second, note):
    found = difference(animals(first), animals(second, 10))
    assert note in found.note
    assert all(math.isnan(value) for value in (found.t, found.p, found.effect_size, found.interval.low))


def test_equal_values_in_both_groups_have_the_difference_zero_and_p_one_by_permutation():
    found = difference(animals([0.1] * 3), animals([0.1] * 3, 10))
    assert (found.difference, found.permutation.p) == (0.0, 1.0)


def test_no_spread_in_one_group_alone_is_no_obstacle():
    found = difference(animals([2.0, 2.0, 2.0]), animals([3.0, 4.0, 5.0], 10))
    assert found.t == pytest.approx(2 / math.sqrt(1 / 3)) and found.degrees_of_freedom == pytest.approx(2)


def test_two_pairs_have_an_interval_but_no_corrected_effect_size():
    found = difference(animals([1.0, 2.0]), animals([2.0, 4.0]))
    assert found.t == pytest.approx(3.0) and math.isnan(found.effect_size)


def test_one_time_point_pooled_is_welchs_test():
    a, b = animals(DRUG_1), animals(DRUG_2, 100)
    pooled, single = pooled_difference([(a, b)]), difference(a, b)
    assert (pooled.t, pooled.degrees_of_freedom, pooled.p) == pytest.approx(
        (single.t, single.degrees_of_freedom, single.p)
    )


def test_a_shift_between_time_points_does_not_hide_a_difference_of_groups():
    early = animals([1.0, 1.2, 0.8]), animals([2.0, 2.2, 1.8], 10)
    late = animals([11.0, 11.2, 10.8], 20), animals([12.0, 12.2, 11.8], 30)
    found = pooled_difference([early, late])
    assert found.difference == pytest.approx(1.0)
    assert found.t == pytest.approx(1 / math.sqrt(0.5 * 2 * 0.04 / 3))
    assert found.degrees_of_freedom == pytest.approx(8)
    assert (
        found.p < 1e-4 < stats.ttest_ind([*early[0].values(), *late[0].values()], [2, 2.2, 1.8, 12, 12.2, 11.8]).pvalue
    )


def test_holm_is_as_in_his_paper_and_undefined_ones_do_not_count():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])  # R: p.adjust(p, "holm")
    adjusted = holm([0.02, float("nan"), 0.04])
    assert adjusted[0] == pytest.approx(0.04) and math.isnan(adjusted[1]) and adjusted[2] == pytest.approx(0.04)


def test_spread_of_equal_values_is_exactly_zero_and_of_one_undefined():
    assert deviation([0.1] * 7) == 0.0 and math.isnan(deviation([0.1]))
    assert math.isnan(mean_interval([0.1] * 7).low)
    interval = mean_interval(DRUG_1)
    assert (interval.low, interval.high) == pytest.approx(stats.t.interval(0.95, 9, np.mean(DRUG_1), stats.sem(DRUG_1)))


def test_correlation_agrees_with_scipy():
    x, y = [1.0, 2.0, 3.0, 4.0, 5.5, 6.0], [1.1, 1.9, 3.5, 3.0, 6.0, 5.0]
    expected = stats.pearsonr(x, y)
    found = correlation(x, y)
    assert (found.r, found.p) == pytest.approx((expected.statistic, expected.pvalue))
    assert (found.interval.low, found.interval.high) == pytest.approx(tuple(expected.confidence_interval()))
    assert found.rho == pytest.approx(stats.spearmanr(x, y).statistic)


def test_a_correlation_that_two_groups_make_alone_is_gone_within_them():
    x, y = [1.0, 2.0, 3.0, 11.0, 12.0, 13.0], [2.0, 1.0, 2.0, 12.0, 11.0, 12.0]
    assert correlation(x, y).r > 0.95
    within = correlation(x, y, ["a"] * 3 + ["b"] * 3)
    assert within.r == pytest.approx(0.0, abs=1e-12)
    assert within.p == pytest.approx(1.0)


def test_the_correlation_within_groups_is_the_partial_one_of_a_regression():
    rng = np.random.default_rng(5)
    group = np.array([0] * 6 + [1] * 7)
    x, y = rng.normal(size=13) + group, rng.normal(size=13) + 2 * group
    x[:] += 0.5 * y
    design = np.column_stack([np.ones(13), group, x])
    beta, rest, *_ = np.linalg.lstsq(design, y, rcond=None)
    error = math.sqrt(rest[0] / 10 * np.linalg.inv(design.T @ design)[2, 2])
    assert correlation(list(x), list(y), list(group)).p == pytest.approx(2 * stats.t.sf(abs(beta[2] / error), 10))


@pytest.mark.parametrize(("x", "y"), [([1.0, 2.0], [1.0, 2.0]), ([1.0] * 5, [1.0, 2.0, 3.0, 4.0, 5.0]), ([], [])])
def test_a_correlation_of_too_few_or_equal_values_is_undefined_with_a_reason(x, y):
    found = correlation(x, y)
    assert math.isnan(found.r) and found.note
