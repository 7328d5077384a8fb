"""Text that comes from files steers no terminal, no browser and no spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import logging

import pytest

from MgImplantSegLib.base.events import Events, JsonLinesSink, json_text
from MgImplantSegLib.base.plain_text import csv_cell, html_text, one_line, terminal_text, write_csv
from MgImplantSegLib.cli.console import Console
from MgImplantSegLib.cli.log import log_to_user
from MgImplantSegLib.cli.tables import text_table
from MgImplantSegLib.cli.web_page import Heading, Lines, Links, Paragraph, Picture, Pictures, Table, WebPage

CLEARS_THE_SCREEN = "scan\x1b[2J.nrrd"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Schraube µm – 漢 🦴", "Schraube µm – 漢 🦴"),
        (CLEARS_THE_SCREEN, "scan\\x1b[2J.nrrd"),
        ("a\nb\rc\td", "a\\nb\\rc\\td"),
        ("\x9b31m", "\\x9b31m"),
        ("txt.\u202egpj", "txt.\\u202egpj"),
        ("\u2066x\u2069 \u2028", "\\u2066x\\u2069 \\u2028"),
        ("\x00\x7f", "\\x00\\x7f"),
        ("caf\udce9.nrrd", "caf\\xe9.nrrd"),
    ],
)
def test_what_is_neither_letter_nor_sign_is_shown_and_not_obeyed(text, shown):
    assert one_line(text) == shown
    assert one_line(text).encode("utf-8")


def test_lines_of_a_report_stay_lines():
    assert terminal_text("a\n\tb\x1b[31m\r") == "a\n\tb\\x1b[31m\\r"


def test_html_shows_tags_and_quotes_of_names():
    assert html_text('<script>"\x1b') == "&lt;script&gt;&quot;\\x1b"
    table, name = Table("t", ["<h>"], [["<c>\u202e"]]), '"><img onerror=x'
    further = (Heading(name, name), Heading("<h>"), Lines([name]), Links(name, [name]), Picture(b"", name, name))
    text = WebPage("<b>\x1b", [Paragraph("<i>"), table, *further, Pictures([Picture(b"", "image/png", name)])]).html()
    assert "\x1b" not in text and "\u202e" not in text
    assert not any(tag in text for tag in ("<b>", "<i>", "<h>", "<c>", "<img onerror"))


@pytest.mark.parametrize(
    "number", ["-3.5", "+2", "-1e-3", "-.5", "-0,5", "+3.2 %", "-", "–", "-inf", "12", "1.5e+05", "-50.0 %"]
)
def test_numbers_in_csv_stay_numbers(number):
    assert csv_cell(number) == number


@pytest.mark.parametrize("value", [-3.5, -2, 0, 1e-7, True])
def test_values_in_csv_are_written_as_they_are(value):
    assert csv_cell(value) == str(value)


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "＝1", "-x", '=HYPERLINK("x")', "-1-1"],
)
def test_formulas_in_csv_are_texts(tmp_path, text):
    write_csv(tmp_path / "table.csv", ["name", "value"], [[text, -1.5]])
    with open(tmp_path / "table.csv", newline="", encoding="utf-8") as stream:
        _header, row = csv.reader(stream)
    assert row[0].startswith("'") and row[0][1:] == one_line(text)
    assert row[1] == "-1.5"


def test_what_is_undefined_is_an_empty_cell():
    assert [csv_cell(value) for value in (None, float("nan"), "")] == ["", "", ""]


def test_a_table_shows_a_name_with_line_end_in_one_row():
    lines = text_table(("name", "value"), [("a\nb\x1b[0m", "1")]).splitlines()
    assert len(lines) == 3 and "a\\nb\\x1b[0m" in lines[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_warnings_and_stages_steer_no_terminal():
    stream = Terminal()
    console = Console(stream)
    console({"event": "warning", "message": CLEARS_THE_SCREEN})
    console({"event": "progress", "stage": CLEARS_THE_SCREEN, "done": 1, "total": 2})
    assert "\x1b[2J" not in stream.getvalue() and stream.getvalue().count("scan\\x1b[2J.nrrd") == 2


def test_the_log_holds_one_line_a_record(capsys):
    with log_to_user(Events(), debug=True):
        logging.getLogger("MgImplantSegLib.io").warning("%s", "a\nERROR forged\x1b[2J")
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "a\\nERROR forged\\x1b[2J" in error


def test_names_that_are_no_unicode_are_readable_in_events():
    stream = io.StringIO()
    JsonLinesSink(stream)({"event": "warning", "message": "caf\udce9 µ"})
    assert json.loads(stream.getvalue().encode("utf-8"))["message"] == "caf%E9 µ"
    assert json_text({"µ": 1}) == '{"µ": 1}'
