"""JSON and TOML of others: byte order marks are read, nesting and huge numbers are errors, what is written is read."""

from __future__ import annotations

import codecs
import json
import math
import tomllib

import pytest

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.settings import read_toml
from MgImplantSegLib.base.text_files import json_from, read_json, toml_from
from MgImplantSegLib.base.toml_writer import toml_text
from MgImplantSegLib.evaluation.comparison import COLUMNS
from MgImplantSegLib.evaluation.samples import read_comparisons
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.grids.regions import read_roi_markups

DEEP = 200_000
ODD = 'quote " back \\ slash \t tab \x7f del \x01 control # hash [x] = é 漢 🦴 \u2028 line \u0085 nel \r return\n'


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [
        (b"", "utf-8"),
        (codecs.BOM_UTF8, "utf-8"),
        (codecs.BOM_UTF16_LE, "utf-16-le"),
        (codecs.BOM_UTF16_BE, "utf-16-be"),
    ],
)
def test_byte_order_marks_are_read(mark, encoding, tmp_path):
    assert json_from(mark + '{"µ": 1}'.encode(encoding)) == {"µ": 1}
    assert toml_from(mark + 'a = "µ"'.encode(encoding)) == {"a": "µ"}
    (tmp_path / "a.json").write_bytes(mark + "[1]".encode(encoding))
    assert read_json(tmp_path / "a.json") == [1]


@pytest.mark.parametrize("text", ["[" * DEEP, '{"a":' * DEEP, "[" * DEEP + "]" * DEEP])
def test_deep_json_is_an_error_like_any_other(text):
    with pytest.raises(ValueError):
        json_from(text)


@pytest.mark.parametrize("text", ["a = " + "[" * DEEP, "a = " + "[" * 5000 + "]" * 5000, "a = " + "{a = " * DEEP])
def test_deep_toml_is_an_error_like_any_other(text, tmp_path):
    with pytest.raises(ValueError):
        toml_from(text)
    (tmp_path / "a.toml").write_text(text)
    with pytest.raises(InputError, match=r"Expected TOML in .*Correct this part"):
        read_toml(tmp_path / "a.toml")


def test_huge_numbers_end_no_computation():
    assert json_from("1" + "0" * 400) == math.inf
    assert json_from("9223372036854775807") == 2**63 - 1
    assert json_from("[-9223372036854775808, 9223372036854775808]") == [-(2**63), float(2**63)]
    assert json_from("1e999") == math.inf
    for text in ("a = 1" + "0" * 400, "a = 9223372036854775808", "a = " + "9" * 5000):
        with pytest.raises(ValueError):
            toml_from(text)
    assert toml_from("a = -9223372036854775808") == {"a": -(2**63)}


@pytest.mark.parametrize("number", ["1" + "0" * 400, "9" * 5000, "1e999", "-1e999"])
def test_a_region_with_a_huge_number_is_refused_in_one_line(number, tmp_path):
    markup = f'"type": "ROI", "center": [{number}, 0, 0], "size": [1, 1, 1]'
    (tmp_path / "r.mrk.json").write_text(f'{{"markups": [{{{markup}}}]}}')
    with pytest.raises(InputError):
        read_roi_markups(tmp_path / "r.mrk.json")


def test_a_region_nested_too_deeply_is_refused_in_one_line(tmp_path):
    (tmp_path / "r.mrk.json").write_text('{"markups": ' + "[" * DEEP)
    with pytest.raises(InputError, match="Expected a Slicer markups file"):
        read_roi_markups(tmp_path / "r.mrk.json")


def test_a_region_with_a_byte_order_mark_is_read(tmp_path):
    markup = {"type": "ROI", "center": [1, 2, 3], "size": [1, 1, 1], "coordinateSystem": "LPS"}
    (tmp_path / "r.mrk.json").write_bytes(codecs.BOM_UTF8 + json.dumps({"markups": [markup]}).encode())
    (roi,) = read_roi_markups(tmp_path / "r.mrk.json")
    assert roi.centre_lps_mm == pytest.approx((1, 2, 3))


def test_a_scheme_with_a_huge_value_is_an_input_error():
    data = LabelScheme().to_dict()
    data["labels"][1]["value"] = math.inf
    with pytest.raises(InputError, match="label scheme"):
        LabelScheme.from_dict(data)


def test_a_table_of_a_comparison_with_a_byte_order_mark_is_read(tmp_path):
    row = dict.fromkeys(COLUMNS, "") | {"sample": "a", "value": "-1.5"}
    (tmp_path / "t.csv").write_text(f"{','.join(row)}\n{','.join(row.values())}\n", "utf-8-sig")
    (comparison,) = read_comparisons([tmp_path / "t.csv"])
    assert comparison.values[0].sample == "a" and comparison.values[0].value == -1.5


def test_data_come_back_from_toml_as_they_were():
    data = {
        "text": ODD,
        ODD: "odd key",
        "": "empty key",
        "number": -0.1,
        "tiny": 5e-324,
        "whole": -(2**63),
        "truth": True,
        "infinite": math.inf,
        "less": -math.inf,
        "list": [1, 2.5, [ODD, []]],
        "mixed": [{"a": 1}, 2],
        "tuple": (1, 2),
        "table": {"x": 1, ODD: {"deep": {"er": ODD}}, "empty": {}},
        "samples": [{"name": "a", "roles": {"1": "bone"}, "inner": [{"x": 1}]}, {"name": ODD}, {}],
        "outer": {"inner": {"a": 1}, "next": {}},
    }
    assert tomllib.loads(toml_text(data)) == {**data, "tuple": [1, 2]}
    assert math.isnan(tomllib.loads(toml_text({"a": math.nan}))["a"])
    assert toml_text({}) == ""


@pytest.mark.parametrize("value", [None, object(), "\udcff"])
def test_what_toml_cannot_hold_is_an_input_error(value):
    with pytest.raises(InputError):
        toml_text({"a": {"b": [value]}})


def test_a_number_longer_than_python_reads_is_told_in_the_same_words():
    with pytest.raises(ValueError, match="more than 64") as told:
        toml_from("seed = " + "9" * 6000)
    assert "sys." not in str(told.value)
