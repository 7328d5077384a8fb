"""Permutation tests of a difference of means: pairs are swapped, single ones change their group."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np

from MgImplantSegLib.study.numbers import NAN

MOST_EXACT, DRAWN, SEED = 20_000, 9_999, 0
ROUNDING = 1e-9


@dataclass(frozen=True)
class PermutationTest:
    """Its p, the number of arrangements, and whether these are all there are."""

    p: float = NAN
    arrangements: int = 0
    is_exact: bool = True


NO_TEST = PermutationTest()


@dataclass(frozen=True)
class Stratum:
    """Values of two groups within which they may be exchanged: of animals in one of the groups, and of those in both.

    `pairs` has shape (pairs, 2).
    """

    first: Sequence[float]
    second: Sequence[float]
    pairs: Sequence[tuple[float, float]] = ()
    weight: float = 1.0

    @property
    def arrangements(self) -> int:
        """How many there are."""
        return math.comb(len(self.first) + len(self.second), len(self.first)) * 2 ** len(self.pairs)


def permutation_test(strata: Sequence[Stratum]) -> PermutationTest:
    """Two-sided test of the weighted mean over strata of mean(second) − mean(first).

    All arrangements are counted if they are `MOST_EXACT` or fewer. Otherwise `DRAWN` are drawn with a fixed seed, and
    p is (as extreme + 1) / (drawn + 1).
    """
    if not strata or any(not _has_both(stratum) for stratum in strata):
        return NO_TEST
    count = math.prod(stratum.arrangements for stratum in strata)
    observed = sum(stratum.weight * _difference(stratum) for stratum in strata)
    scale = max(abs(value) for s in strata for value in (*s.first, *s.second, *(v for pair in s.pairs for v in pair)))
    edge = abs(observed) - ROUNDING * scale * sum(stratum.weight for stratum in strata)
    if count <= MOST_EXACT:
        sums = np.zeros(1)
        for stratum in strata:
            sums = np.add.outer(sums, stratum.weight * _all_differences(stratum)).ravel()
        return PermutationTest(float(np.mean(np.abs(sums) >= edge)), count, True)
    rng = np.random.default_rng(SEED)
    drawn = np.sum([stratum.weight * _drawn_differences(stratum, rng) for stratum in strata], axis=0)
    extreme = int((np.abs(drawn) >= edge).sum())
    return PermutationTest((extreme + 1) / (DRAWN + 1), DRAWN, False)


def _has_both(stratum: Stratum) -> bool:
    return len(stratum.first) + len(stratum.pairs) > 0 and len(stratum.second) + len(stratum.pairs) > 0


def _difference(stratum: Stratum) -> float:
    """mean(second) − mean(first), pairs included."""
    first = [*stratum.first, *(pair[0] for pair in stratum.pairs)]
    second = [*stratum.second, *(pair[1] for pair in stratum.pairs)]
    return math.fsum(second) / len(second) - math.fsum(first) / len(first)


def _all_differences(stratum: Stratum) -> np.ndarray:
    single = np.array([*stratum.first, *stratum.second], float)
    chosen = list(combinations(range(single.size), len(stratum.first)))
    sums_first = np.array([single[list(indices)].sum() for indices in chosen])
    signs = np.array(list(product((0, 1), repeat=len(stratum.pairs))), int).reshape(2 ** len(stratum.pairs), -1)
    return _differences(stratum, sums_first, single.sum(), signs)


def _drawn_differences(stratum: Stratum, rng: np.random.Generator) -> np.ndarray:
    single = np.array([*stratum.first, *stratum.second], float)
    mixed = rng.permuted(np.tile(single, (DRAWN, 1)), axis=1)
    signs = rng.integers(0, 2, (DRAWN, len(stratum.pairs)))
    pairs = np.array(stratum.pairs, float).reshape(-1, 2)
    sums_first = mixed[:, : len(stratum.first)].sum(axis=1)
    return _means(stratum, sums_first, single.sum(), *_pair_sums(pairs, signs))


def _differences(stratum: Stratum, sums_first: np.ndarray, total: float, signs: np.ndarray) -> np.ndarray:
    """The differences of all combinations of single ones and of swapped pairs."""
    of_pairs = _pair_sums(np.array(stratum.pairs, float).reshape(-1, 2), signs)
    first, pair_first = np.meshgrid(sums_first, of_pairs[0], indexing="ij")
    _, pair_second = np.meshgrid(sums_first, of_pairs[1], indexing="ij")
    return _means(stratum, first, total, pair_first, pair_second).ravel()


def _pair_sums(pairs: np.ndarray, signs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sums of what is in the first and in the second group after the pairs with sign 1 are swapped."""
    first = np.where(signs == 1, pairs[:, 1], pairs[:, 0]).sum(axis=1)
    return first, pairs.sum() - first


def _means(stratum: Stratum, first, total: float, pair_first, pair_second) -> np.ndarray:
    count_first, count_second = len(stratum.first) + len(stratum.pairs), len(stratum.second) + len(stratum.pairs)
    return (total - first + pair_second) / count_second - (first + pair_first) / count_first
