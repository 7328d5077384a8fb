"""What a person sees while a command runs."""

from __future__ import annotations

import io

import pytest

from MgImplantSegLib.cli import console
from MgImplantSegLib.cli.console import Console, bar, duration_text, progress_text
from MgImplantSegLib.cli.tables import text_table, value_text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(done: float, total: float, eta_s: float | None = None, stage: str = "plane 2/9") -> dict:
    return {"event": "progress", "stage": stage, "done": done, "total": total, "eta_s": eta_s}


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (41, "41 s"), (185, "3 min 05 s"), (3599.7, "1 h 00 min"), (7800, "2 h 10 min")]
)
def test_durations_read_as_people_say_them(seconds, text):
    assert duration_text(seconds) == text


def test_a_progress_line_has_stage_part_and_time_left():
    assert progress_text(progress(310, 820, 41.3)) == "plane 2/9: 38 %, 41 s left"
    assert progress_text(progress(0, 820)) == "plane 2/9: 0 %"
    assert progress_text(progress(820, 820, 0.0)) == "plane 2/9: 100 %"


def test_the_bar_is_filled_by_the_part_that_is_done():
    assert bar(progress(6, 12)) == "[" + "#" * 12 + "-" * 12 + "]"
    assert bar(progress(0, 0)) == "[" + "#" * 24 + "]"


def test_a_terminal_gets_a_bar_that_gives_way_to_lines(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    sink = Console(stream)
    sink(progress(1, 2, 3.0))
    sink({"event": "warning", "message": "mind the gap"})
    assert stream.getvalue() == "\r\x1b[K" + bar(progress(1, 2)) + " plane 2/9: 50 %, 3 s left" + (
        "\r\x1b[K" + "warning: mind the gap\n"
    )


def test_in_a_narrow_terminal_the_bar_stays_on_its_line(monkeypatch):
    monkeypatch.setenv("COLUMNS", "31")
    stream = Terminal()
    Console(stream)(progress(1, 2, 3.0))
    assert stream.getvalue() == "\r\x1b[K" + bar(progress(1, 2)) + " pla"


def test_a_file_gets_a_line_every_few_seconds_only(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    stream = io.StringIO()
    sink = Console(stream)
    for step in range(100):
        now[0] = 100.0 + 0.1 * step
        sink(progress(step, 100))
    assert stream.getvalue() == "plane 2/9: 50 %\n"


def test_tables_put_words_to_the_left_and_numbers_to_the_right():
    table = text_table(
        ("measure", "value", "unit"), [("DR", "0.25", "mm/year"), ("BV/TV", "–", "%"), ("V_r", "12.5", "mm³")]
    )
    assert table.splitlines() == [
        "measure  value  unit",
        "-----------------------",
        "DR        0.25  mm/year",
        "BV/TV        –  %",
        "V_r       12.5  mm³",
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.24987, "0.2499"),
        (12.34567, "12.35"),
        (1234.567, "1235"),
        (0.0, "0"),
        (3.2e-6, "3.200e-06"),
        (float("nan"), "–"),
        (None, "–"),
        (-49.94, "-49.94"),
        (9.99996, "10.000"),
    ],
)
def test_values_have_four_significant_digits(value, text):
    assert value_text(value) == text
