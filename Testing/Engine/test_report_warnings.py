"""Warnings that differ in their numbers alone are one line of a report, with ranges."""

from pathlib import Path

from MgImplantSegLib.cli.report_samples import sample_remarks
from MgImplantSegLib.cli.report_warnings import warnings_of
from MgImplantSegLib.study.samples import StudySample


def test_numbers_that_differ_become_a_range_and_all_samples_are_named():
    said = [
        ("a", ["BV/TV: 44.7 % lies outside.", "Check it."]),
        ("b", ["BV/TV: 9 % lies outside."]),
        ("c", ["BV/TV: 57.10 % lies outside."]),
    ]
    assert warnings_of(said) == [("BV/TV: 9 to 57.10 % lies outside.", "a, b, c"), ("Check it.", "a")]


def test_equal_numbers_stay_as_they_are_and_a_number_may_end_a_sentence():
    said = [("a", ["mean 0.5 ± 0.10, below 0.835."]), ("b", ["mean 0.7 ± 0.10, below 0.835."])]
    assert warnings_of(said) == [("mean 0.5 to 0.7 ± 0.10, below 0.835.", "a, b")]


def test_numbers_in_names_make_different_warnings():
    said = [("a", ["scans/s-1.nrrd is odd.", "V_2 and Mg-5Gd"]), ("b", ["scans/s-2.nrrd is odd.", "V_2 and Mg-10Gd"])]
    assert [names for _, names in warnings_of(said)] == ["a", "a", "b", "b"]


def test_a_sample_that_says_it_twice_is_named_once():
    assert warnings_of([("a", ["1 of 3", "2 of 3"])]) == [("1 to 2 of 3", "a")]


def test_a_warning_of_all_of_many_samples_names_none():
    assert warnings_of([(name, ["odd"]) for name in "abcde"]) == [("odd", "all 5")]
    assert warnings_of([(name, ["odd"] if name != "b" else []) for name in "abcde"]) == [("odd", "a, c, d, e")]


def test_what_the_notes_of_measures_say_already_is_not_said_again_as_a_warning():
    unsure, cut = "Expected IoU: the model is unsure.", "The shell is cut."
    measures = [
        {"symbol": "BV/TV", "note": f"{cut} {unsure}"},
        {"symbol": "DR", "note": unsure},
        {"symbol": "V_r", "note": ""},
    ]
    warnings = [unsure, f"BV/TV: {cut}", "The scan is small."]
    sample = StudySample("s", "s.nrrd", Path("s"), measures=measures, warnings=warnings)
    assert sample_remarks(sample) == [f"BV/TV: {cut}", f"Warning: {unsure}", "Warning: The scan is small."]
