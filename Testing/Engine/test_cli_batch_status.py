"""What is seen of a batch from outside: states, places, time left; from files that may be cut off or of anybody."""

from __future__ import annotations

import json
import threading
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from MgImplantSegLib.base.errors import Cancelled
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli import main
from MgImplantSegLib.cli.batch_board import Board, batch_lock
from MgImplantSegLib.cli.batch_progress import counts_of, time_left_s
from MgImplantSegLib.cli.batch_record import Record
from MgImplantSegLib.cli.batch_status import BatchStatus, follow_status
from MgImplantSegLib.cli.batch_table import DONE, FAILED, OVERVIEW, RUNNING, SKIPPED, STATES, WAITING, Row
from MgImplantSegLib.cli.stop_signals import word_of

MEASURE = {"symbol": "BIC", "unit": "%", "region": "implant", "value": 12.5}


def rows(*names: str) -> list[Row]:
    return [Row(name, f"/scans/{name}.nrrd") for name in names]


def finish(folder: Path, name: str, seconds: float = 4.0) -> None:
    """Leave what a batch leaves of a finished sample."""
    (folder / name).mkdir()
    Record("key", f"/scans/{name}.nrrd", seconds, [MEASURE], {}).write(folder / name)


def states(status: BatchStatus) -> dict[str, str]:
    return {row.sample: row.seen_as for row in status.rows}


def overview(folder: Path) -> list[dict]:
    return json.loads((folder / OVERVIEW).read_text("utf-8"))["samples"]


@pytest.fixture
def running(tmp_path):
    """A batch of five that runs: one is done, one skipped, one has failed, one is in a cluster, one waits."""
    told: list[dict] = []
    with batch_lock(tmp_path), Board(rows(*"abcde"), tmp_path, "batch scans out", Events(told.append)) as board:
        finish(tmp_path, "a")
        finish(tmp_path, "b")
        board.mark(["a"], RUNNING, "lab-pc")
        board.set(replace(board.row("a"), state=DONE, seconds=4.0))
        board.set(replace(board.row("b"), state=DONE, seconds=4.0, is_skipped=True))
        board.set(replace(board.row("c"), state=FAILED, problem="Expected an image."))
        board.mark(["d"], RUNNING, "cluster")
        wait_for(lambda: [row["state"] for row in overview(tmp_path)][3] == RUNNING)
        yield tmp_path, board, told


def test_every_state_has_a_name_and_a_definition_and_is_counted(running):
    folder, _board, told = running
    status = BatchStatus(folder)
    assert len(status.look()) == 5 and status.is_running
    assert states(status) == {"a": DONE, "b": SKIPPED, "c": FAILED, "d": RUNNING, "e": WAITING}
    assert counts_of(status.rows) == dict.fromkeys(STATES, 1) == told[-1]["counts"]
    assert all(state.name and state.definition for state in STATES.values())


def test_it_is_seen_where_a_sample_runs_since_when_and_why_one_failed(running):
    status = BatchStatus(running[0])
    status.look()
    found = {row.sample: row for row in status.rows}
    assert (found["a"].where, found["a"].began, found["a"].measures) == ("lab-pc", None, [MEASURE])
    assert found["d"].where == "cluster" and 0 <= time.time() - found["d"].began < 60
    assert found["c"].problem == "Expected an image." and found["e"].where == ""


def test_each_change_is_told_alone(running):
    folder, board, told = running
    status, seen = BatchStatus(folder), []
    ended = threading.Event()

    def follow() -> None:
        with suppress(Cancelled):
            follow_status(status, Events(seen.append, is_cancelled=ended.is_set))

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        wait_for(lambda: sum(event["event"] == "sample" for event in seen) == 5)
        del told[:]
        board.mark(["e"], RUNNING, "lab-pc")
        wait_for(lambda: [event["sample"] for event in seen if event["event"] == "sample"][5:] == ["e"])
    finally:
        ended.set()
        follower.join()
    assert [(event["sample"], event["state"]) for event in told if event["event"] == "sample"] == [("e", RUNNING)]


def wait_for(holds, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_what_runs_waits_again_where_it_was_once_the_batch_has_ended_or_was_killed(tmp_path):
    with Board(rows("a", "b"), tmp_path, "", Events()) as board:
        board.mark(["a"], RUNNING, "cluster")
        wait_for(lambda: overview(tmp_path)[0]["state"] == RUNNING)
        killed = (tmp_path / OVERVIEW).read_bytes()
    status = BatchStatus(tmp_path)
    status.look()
    assert (states(status), status.rows[0].where, status.is_running) == (dict.fromkeys("ab", WAITING), "cluster", False)
    (tmp_path / OVERVIEW).write_bytes(killed)
    status.look()
    assert states(status) == dict.fromkeys("ab", WAITING) and not status.is_running


def test_the_time_left_is_that_of_the_samples_not_of_those_that_were_done_before():
    now = 1000.0
    done = [replace(row, state=DONE, seconds=20.0, is_skipped=True) for row in rows(*"abcd")]
    at_work = [replace(row, state=RUNNING, began=now - 5) for row in rows("e", "f")]
    assert time_left_s([*done, *at_work, *rows("g", "h")], now) == pytest.approx((2 * 20 + 2 * 15) / 2)
    assert time_left_s(done, now) == 0 and time_left_s(rows("a"), now) is None
    assert time_left_s([*done, *rows("e")], now) is None, "none runs, so nobody knows"


@pytest.mark.parametrize(
    "entry",
    [
        None,
        {"sample": "../../secret", "state": "done"},
        {"sample": "..", "state": "done"},
        {"sample": "", "state": "done"},
        {"sample": ["x"], "state": "done"},
        {"sample": "x\0", "state": "done"},
        {"sample": "x", "state": ["done"]},
        {"sample": "x", "state": "exploded"},
    ],
)
def test_entries_that_are_none_are_left_out(entry, tmp_path):
    sound = {"sample": "a", "state": "failed", "seconds": 1e400, "problem": {"x": 1}, "where": 5, "began": -1}
    sound |= {"study": [1], "warnings": ["w", 3], "is_skipped": "yes"}
    (tmp_path / OVERVIEW).write_text(json.dumps({"samples": [entry, sound, sound]}))
    status = BatchStatus(tmp_path)
    status.look()
    assert status.rows == [Row("a", "", FAILED, warnings=("w", ""))]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"samples": 5}', "[" * 100_000, "\xff"])
def test_an_overview_that_cannot_be_read_says_nothing_new(content, running):
    folder, _board, _told = running
    status = BatchStatus(folder)
    status.look()
    before = states(status)
    is_data = content in ("[]", '{"samples": 5}')
    (folder / OVERVIEW).write_text(content, "latin-1")
    status.look()
    assert states(status) == ({} if is_data else before)


def test_status_needs_the_folder_of_the_results_alone(running, capsys):
    folder = running[0]
    assert main(["batch", str(folder), "--status", "--json", str(folder / "s.json")]) == 0
    found = json.loads((folder / "s.json").read_text("utf-8"))
    assert [row["sample"] for row in found["samples"]] == list("abcde")
    assert found["is_running"] and found["counts"]["failed"] == 1 and found["eta_s"] > 0


def test_status_of_another_folder_and_a_batch_without_one_say_what_is_expected(tmp_path, capsys):
    assert main(["batch", str(tmp_path), "--status"]) == 2
    assert "Expected the results of a batch" in capsys.readouterr().err
    assert main(["batch", str(tmp_path)]) == 2
    assert "Give OUTDIR" in capsys.readouterr().err


def test_many_changes_are_written_together_and_the_last_one_soon(tmp_path, monkeypatch):
    names = [f"scan {number:03d}" for number in range(300)]
    measures = [{**MEASURE, "symbol": f"S{number}"} for number in range(30)]
    written = []
    monkeypatch.setattr("MgImplantSegLib.cli.batch_board.write_table", lambda *_words: written.append(time.sleep(0.02)))
    with Board(rows(*names), tmp_path, "", Events()) as board:
        for name in names:
            board.set(replace(board.row(name), state=DONE, seconds=1.0, measures=measures))
        assert len(written) < 100
        wait_for(lambda: overview(tmp_path)[-1]["state"] == DONE)


def test_a_stop_file_may_say_what_becomes_of_jobs_elsewhere(tmp_path):
    (tmp_path / "stop").write_text("leave\n")
    (tmp_path / "odd").write_bytes(b"\xff")
    words = [word_of(None), word_of(tmp_path / "none"), word_of(tmp_path / "odd"), word_of(tmp_path / "stop")]
    assert words == ["", "", "", "leave"]
