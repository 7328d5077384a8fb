"""Do groups change differently over time? The interaction of group and time point, a value an animal and condition.

It is the difference of the groups' changes, (second at the later − at the earlier time) − (the same of first). Each
change has the standard error of `difference`, which takes animals that were seen at both times as pairs; groups are
different animals, so that the squares of the errors add up, with Satterthwaite's degrees of freedom (Biometrics
Bulletin 2:110, 1946). Where every animal was seen at both times this is Welch's t-test of the animals' changes; with
equal variances that is the interaction in a mixed model with animals as random effect, exactly. Where no animal was
seen twice it is Welch's contrast of four means. A mixed model was not fitted: its usual tests (Wald's z) give too small
p for few animals, and statsmodels would be a dependency for nothing else.

The permutation test exchanges the changes of animals that were all seen at both times, which is exact. Otherwise there
is none: with differences between groups and times no exact one exists (Anderson & ter Braak, J. Stat. Comput. Simul.
73:85, 2003), and approximate ones find too much in as few animals.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from MgImplantSegLib.study.difference import NO_SPREAD, Difference, difference, tested
from MgImplantSegLib.study.effect_size import small_sample_factor
from MgImplantSegLib.study.numbers import NAN, deviation, t_limit
from MgImplantSegLib.study.permutation import NO_TEST, PermutationTest, Stratum, permutation_test

INTERACTION = "t-test of the groups' changes, Satterthwaite"
SHARED = "Animals are in both groups, so that their changes are not independent."
TOO_FEW = "Fewer than two animals in a group at a time point: nothing can be tested."
Values = Mapping[str, float]
Change = tuple[Values, Values]


def interaction(first: Change, second: Change) -> Difference:
    """How much more the second group changes than the first.

    Parameters
    ----------
    first, second : pair of mappings of str to float
        One finite value for each animal of the group at the earlier and at the later time point.

    Returns
    -------
    Difference
        `animals_both` are those seen at both times, in both groups together.
    """
    cells = [*first, *second]
    counts: dict[str, Any] = {
        "animals_first": len({*first[0], *first[1]}),
        "animals_second": len({*second[0], *second[1]}),
        "animals_both": sum(len(earlier.keys() & later.keys()) for earlier, later in (first, second)),
    }
    if not all(cells):
        return Difference(NAN, note="A group has no value at one of the time points.", **counts)
    changes = [difference(earlier, later) for earlier, later in (first, second)]
    found = changes[1].difference - changes[0].difference
    if {*first[0], *first[1]} & {*second[0], *second[1]}:
        return Difference(found, note=SHARED, **counts)
    if min(map(len, cells)) < 2:
        return Difference(found, note=TOO_FEW, **counts)
    permutation = _permuted(first, second)
    spread = _spread(cells)
    if any(not math.isfinite(change.t) for change in changes) or not spread > 0:
        return Difference(found, permutation=permutation, method=INTERACTION, note=NO_SPREAD, **counts)
    errors = [_error(change) for change in changes]
    error = math.hypot(*errors)
    freedom = error**4 / math.fsum(e**4 / c.degrees_of_freedom for e, c in zip(errors, changes, strict=True))
    scale = small_sample_factor(freedom) * error / spread
    note = " ".join(dict.fromkeys(change.note for change in changes if change.note))
    return tested(found, error, freedom, scale, permutation=permutation, method=INTERACTION, note=note, **counts)


def _error(change: Difference) -> float:
    """The standard error of a change, from its interval: its t may be 0 / 0 of a change of 0."""
    return (change.interval.high - change.interval.low) / 2 / t_limit(change.degrees_of_freedom)


def _spread(cells: list[Values]) -> float:
    """Standard deviation within the four conditions."""
    freedoms = [len(cell) - 1 for cell in cells]
    squares = [f * deviation(list(cell.values())) ** 2 for f, cell in zip(freedoms, cells, strict=True)]
    return math.sqrt(math.fsum(squares) / sum(freedoms))


def _permuted(first: Change, second: Change) -> PermutationTest:
    if any(earlier.keys() != later.keys() for earlier, later in (first, second)):
        return NO_TEST
    of_groups = [[later[animal] - earlier[animal] for animal in earlier] for earlier, later in (first, second)]
    return permutation_test([Stratum(of_groups[0], of_groups[1])])
