"""The command line as a whole: exit codes, one-line errors, events, JSON, cancellation; run as users run it."""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from MgImplantSegLib.base.errors import InputError, MgImplantSegError, OutputError, ResourceError
from MgImplantSegLib.cli import application, main
from MgImplantSegLib.cli.registry import COMMANDS, Command, command
from MgImplantSegLib.cli.user_errors import as_user_error

CHECKOUT = Path(__file__).resolve().parents[2]


def run(*words: str, **options) -> subprocess.CompletedProcess:
    """`python -m MgImplantSegLib` from another folder than the checkout."""
    options.setdefault("cwd", Path(__file__).parent)
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command_line = [sys.executable, "-m", "MgImplantSegLib", *words]
    return subprocess.run(command_line, capture_output=True, text=True, env=env, check=False, **options)


def stand_in(run_function, report=None) -> Command:
    """A command with one optional argument that does what the function does."""

    def add_arguments(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--word")

    return Command("stand-in", "does what a test needs", add_arguments, run_function, report)


@pytest.fixture
def run_function(monkeypatch):
    """Runs a function as a command within this process."""

    def run_it(function, *words: str, report=None) -> int:
        monkeypatch.setattr(application, "command", lambda _name: stand_in(function, report))
        return main(["stand-in", *words])

    return run_it


def test_every_command_has_a_name_a_help_and_options_with_help(capsys):
    for name in COMMANDS:
        chosen = command(name)
        assert chosen.name == name and chosen.help
        assert main([name, "--help"]) == 0
        shown = capsys.readouterr().out
        assert "--events" in shown and "--json" in shown


def test_the_overview_lists_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown for name in COMMANDS)
    assert "research use only" in shown


def test_no_command_at_all_shows_the_overview_and_is_wrong_use(capsys):
    assert main([]) == 2
    assert "usage:" in capsys.readouterr().err


def test_the_module_runs_from_any_folder_and_says_its_version():
    done = run("--version")
    assert (done.returncode, done.stdout) == (0, "mgimplantseg 0.1.0\n")


@pytest.mark.parametrize(
    ("words", "part_of_the_line"),
    [
        (["docter"], "Did you mean doctor?"),
        (["simulate", "out", "--cuont", "3"], "Did you mean --count?"),
        (["simulate", "out", "--count=many"], "expected a whole number of 1 or more, got 'many'"),
        (["simulate", "out", "--kind", "scru"], "Did you mean screw?"),
        (["simulate", "out", "--spacing-um", "nan"], "expected a number above 0 in µm, got 'nan'"),
        (["simulate"], "OUTDIR"),
        (["simulate", "out", "--siz", "50"], "Did you mean --size?"),
        (["doctor", "--json", "-", "--events", "-"], "Expected standard output for one"),
        (["quantify", "a.seg.nrrd", "--roles", "1=bonne"], "expected VALUE=ROLE"),
    ],
)
def test_wrong_use_is_one_line_that_helps_and_exit_code_2(words, part_of_the_line, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and part_of_the_line in error
    assert list(tmp_path.iterdir()) == []


def test_an_input_error_is_one_line_without_traceback(run_function, capsys):
    def fail(_arguments, _events):
        raise InputError("Expected a volume,\n got a poem.", "Give a volume.")

    assert run_function(fail) == 2
    assert capsys.readouterr().err == "mgimplantseg stand-in: error: Expected a volume, got a poem. Give a volume.\n"


def test_an_internal_error_says_so_in_one_line_and_shows_more_only_with_debug(run_function, capsys):
    def fail(_arguments, _events):
        return {}["no such key"]

    assert run_function(fail) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "internal error: KeyError: 'no such key'" in error
    assert run_function(fail, "--debug") == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (MemoryError(), ResourceError),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"), ResourceError),
        (RuntimeError("Exception thrown in SimpleITK: Failed to allocate memory for image."), ResourceError),
        (OSError(28, "No space left on device"), OutputError),
        (FileNotFoundError(2, "No such file or directory", "scan.nrrd"), InputError),
    ],
)
def test_errors_of_the_computer_become_errors_that_help(error, kind):
    known = as_user_error(error)
    assert type(known) is kind and known.remedy


def test_a_fault_of_the_program_is_not_blamed_on_the_user():
    assert as_user_error(RuntimeError("matrix is singular")) is None
    assert as_user_error(ValueError("x")) is None


def test_events_go_to_standard_output_as_json_lines_and_nothing_else_does(run_function, capsys):
    def work(_arguments, events):
        with events.task("counting", 2) as task:
            task.advance()
        events.warning("mind the gap")
        return {"answer": float("nan")}

    assert run_function(work, "--events", "-", report=lambda _result: "text for people") == 0
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert records[0]["event"] == "started"
    assert records[-1]["event"] == "result" and records[-1]["answer"] is None
    assert records[-1]["warnings"] == ["mind the gap"]
    assert {"event", "stage", "done", "total", "eta_s"} <= set(records[1])


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (InputError("Expected a.", "Do b."), {"kind": "input", "message": "Expected a.", "remedy": "Do b."}),
        (MgImplantSegError("Expected c."), {"kind": "error", "message": "Expected c.", "remedy": ""}),
        (ZeroDivisionError("division by zero"), {"kind": "internal", "message": "ZeroDivisionError: division by zero"}),
    ],
)
def test_the_last_event_of_a_failure_is_an_error_with_kind_message_and_remedy(run_function, capsys, error, expected):
    def fail(_arguments, _events):
        raise error

    run_function(fail, "--events", "-")
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last["event"] == "error"
    assert expected.items() <= last.items()


def test_events_are_appended_to_a_file_whose_last_line_was_left_unfinished(run_function, tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_bytes(b'{"event":"started"}\n{"event":"pro')
    assert run_function(lambda _arguments, _events: None, "--events", str(path)) == 0
    lines = path.read_text("utf-8").splitlines()
    assert lines[1] == '{"event":"pro'
    assert json.loads(lines[-1])["event"] == "result"


def test_json_goes_to_a_file_or_alone_to_standard_output(run_function, tmp_path, capsys):
    def work(_arguments, _events):
        return {"DR": 0.25, "note": "µ"}

    assert run_function(work, "--json", str(tmp_path / "r.json"), report=lambda _result: "text for people") == 0
    assert json.loads((tmp_path / "r.json").read_text("utf-8")) == {"DR": 0.25, "note": "µ"}
    capsys.readouterr()
    assert run_function(work, "--json", "-", report=lambda _result: "text for people") == 0
    assert json.loads(capsys.readouterr().out) == {"DR": 0.25, "note": "µ"}


def test_a_json_file_that_cannot_be_written_stops_before_the_work_begins(run_function, tmp_path):
    begun = []
    assert run_function(lambda _a, _e: begun.append(1), "--json", str(tmp_path / "missing" / "r.json")) == 2
    assert begun == []


def test_warnings_of_the_library_reach_the_user_once(run_function, capsys):
    import logging

    def work(_arguments, _events):
        logging.getLogger("MgImplantSegLib.io").warning("spacing %s", "unset")

    assert run_function(work) == 0
    assert capsys.readouterr().err == "warning: spacing unset\n"


@pytest.mark.slow
def test_a_closed_standard_output_is_no_error():
    done = subprocess.run(
        f'"{sys.executable}" -m MgImplantSegLib --help | head -1',
        shell=True,
        capture_output=True,
        text=True,
        cwd=CHECKOUT,
        check=False,
    )
    assert done.returncode == 0 and done.stderr == ""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="signals are sent in another way")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, None])
def test_a_polite_signal_or_a_stop_file_cancels_with_130_and_leaves_nothing_behind(number, tmp_path):
    words = ["simulate", "out", "--size", "96", "--count", "500", "--events", "events.jsonl", "--stop-file", "stop"]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "MgImplantSegLib", *words],
        cwd=tmp_path,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    wait_for(lambda: (tmp_path / "events.jsonl").exists() and '"simulate explant"' in text_of(tmp_path))
    process.send_signal(number) if number else (tmp_path / "stop").touch()
    _, error = process.communicate(timeout=600)
    assert process.returncode == 130
    assert error.splitlines()[-1] == "mgimplantseg simulate: cancelled; no partial files were left."
    assert json.loads(text_of(tmp_path).splitlines()[-1])["event"] == "cancelled"
    assert [path for path in (tmp_path / "out").glob("*") if not path.name.startswith("explant_")] == []


def heed_interrupts() -> None:
    """Tests that were started in the background of a shell ignore Ctrl-C, and so would what they start."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for(condition, seconds: float = 600) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def text_of(folder: Path) -> str:
    return (folder / "events.jsonl").read_text("utf-8")
