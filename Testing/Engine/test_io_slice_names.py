"""The order of slices from their names: counted, measured, and what cannot be told."""

import random
from pathlib import Path

import pytest

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.io.slice_names import in_order

FOLDER = Path("slices")
NAMES_IN_ORDER = {
    "counted": ["s8", "s9", "s10", "s11"],
    "mixed padding": ["s008", "s009", "s10", "s011"],
    "decimals": ["z0.7", "z0.72", "z0.74", "z0.76", "z0.78", "z0.8", "z0.82"],
    "decimals over a whole number": ["z0.98", "z1", "z1.02", "z1.04"],
    "decimal comma": ["z0,9", "z0,95", "z1,0", "z1,05"],
    "rounded positions": ["z0.33", "z0.67", "z1.00", "z1.33"],
    "versions, no decimals": ["scan_2.7", "scan_2.8", "scan_2.9", "scan_2.10", "scan_2.11"],
    "signs": ["z-0.04", "z-0.02", "z0.00", "z0.02"],
    "both signs": ["z-1", "z+0", "z+1", "z+2"],
    "powers of ten": ["z2e-2", "z4e-2", "z6e-2", "z8e-2", "z1e-1"],
    "thousands": ["s998", "s999", "s1,000", "s1,001"],
    "thousands throughout": ["s1.998", "s1.999", "s2.000", "s2.001"],
    "a minus that is a dash": ["s-1", "s-2", "s-3"],
    "a counter and a position": ["s001_z0.20", "s002_z0.40", "s003_z0.60", "s004_z0.80"],
    "a counter and a position that falls": ["s1_z9.5", "s2_z9.25", "s3_z9.0", "s4_z8.75"],
    "a counter and a number without order": ["s1_872", "s2_15", "s3_411", "s4_412", "s5_7"],
    "a date that stays": ["2024-01-05_rec0008", "2024-01-05_rec0009", "2024-01-05_rec0010"],
    "a clock that runs on": ["r_120358_1", "r_120359_2", "r_120401_3"],
    "parts counted through": ["p1_s1", "p1_s2", "p2_s3", "p2_s4"],
}


@pytest.mark.parametrize("kind", NAMES_IN_ORDER)
def test_slices_come_in_the_order_of_the_number_that_tells_it(kind):
    names = [name + ".tif" for name in NAMES_IN_ORDER[kind]]
    for seed in range(5):
        shuffled = random.Random(seed).sample(names, len(names))
        assert in_order(shuffled, FOLDER) == names


@pytest.mark.parametrize(
    ("stems", "message"),
    [
        (["a1_s1", "a1_s2", "a2_s1", "a2_s2"], "2 numbers change"),
        (["s1", "s2", "s4", "s5"], r"s4\.tif after s2\.tif"),
        (["s1", "s2", "s3", "s3.5", "s4"], r"after s3\.tif"),
        (["z0.20", "z0.22", "z0.26", "z0.28"], r"z0\.26\.tif after z0\.22\.tif"),
        (["s1", "s01", "s2", "s3"], r"one number twice, s(01|1)\.tif and s(01|1)\.tif"),
        (["z0.5", "z0.50", "z0.6", "z0.7"], r"one number twice, z0\.50?\.tif and z0\.50?\.tif"),
        (["s1_t3", "s2_t1", "s3_t2"], "two ways to read them"),
        (["rec_1", "rec_2", "flat_1", "flat_2"], "2 × rec_#.tif, 2 × flat_#.tif"),
        (["1", "1_copy", "2", "3"], "several series"),
        (["a", "b"], "several series"),
        (["s1_872", "s1_15", "s1_411"], "without gaps"),
    ],
)
def test_names_that_do_not_tell_the_order_are_refused(stems, message):
    with pytest.raises(InputError, match=message):
        in_order([stem + ".tif" for stem in stems], FOLDER)


def test_a_step_of_more_than_one_is_told(caplog):
    assert in_order(["s2.tif", "s4.tif", "s6.tif"], FOLDER) == ["s2.tif", "s4.tif", "s6.tif"]
    assert "rise by 2" in caplog.text
