"""`main`: from the command line's words to an exit code. The one place that turns errors into lines for users."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, Any

import MgImplantSegLib
from MgImplantSegLib.base.errors import Cancelled, InputError, MgImplantSegError
from MgImplantSegLib.base.events import Events, JsonLinesSink, json_text
from MgImplantSegLib.base.files import atomic_output, output_errors
from MgImplantSegLib.base.plain_text import one_line, terminal_text
from MgImplantSegLib.base.protected_files import protected_files
from MgImplantSegLib.cli.console import Console
from MgImplantSegLib.cli.log import log_to_user
from MgImplantSegLib.cli.parser import Parser, flag_of
from MgImplantSegLib.cli.registry import PROGRAM, Command, command, overview
from MgImplantSegLib.cli.result_paths import (
    STANDARD_OUTPUT,
    input_files,
    require_places,
    require_separate_files,
)
from MgImplantSegLib.cli.stop_signals import stop_signals
from MgImplantSegLib.cli.user_errors import as_user_error

DONE, INTERNAL_ERROR, BAD_INPUT, CANCELLED = 0, 1, 2, 130
CANCELLED_LINE = "cancelled; no partial files were left."

logger = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns 0 when done, 2 for wrong use or bad input, 130 when cancelled, 1 for a fault."""
    words = list(sys.argv[1:] if argv is None else argv)
    _prepare_streams()
    try:
        if not words or words[0] in ("-h", "--help", "help"):
            (sys.stdout if words else sys.stderr).write(overview())
            return DONE if words else BAD_INPUT
        if words[0] in ("-V", "--version", "version"):
            sys.stdout.write(f"{PROGRAM} {MgImplantSegLib.__version__}\n")
            return DONE
        chosen = command(words[0])
        return _run(chosen, *_parse(chosen, words[1:]))
    except MgImplantSegError as error:
        _say_error(PROGRAM, error)
        return BAD_INPUT
    except SystemExit as leaving:
        return int(leaving.code or 0)
    except KeyboardInterrupt:
        sys.stderr.write(f"{PROGRAM}: {CANCELLED_LINE}\n")
        return CANCELLED
    except BrokenPipeError:
        sys.stderr.close()
        return DONE


def _prepare_streams() -> None:
    """Characters that a terminal lacks are replaced; what goes to files and pipes is UTF-8 everywhere."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding=None if stream.isatty() else "utf-8", errors="replace")


def _parse(chosen: Command, words: list[str]) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    parser = Parser(prog=f"{PROGRAM} {chosen.name}", description=chosen.help)
    chosen.add_arguments(parser)
    common = parser.add_argument_group("common")
    common.add_argument("--events", metavar="-|FILE", help="write events as JSON lines to standard output or a file")
    common.add_argument("--json", metavar="-|FILE", help="write the result as JSON to standard output or a file")
    common.add_argument(
        "--stop-file", metavar="FILE", type=Path, help="stop, as with Ctrl-C, as soon as this file exists"
    )
    common.add_argument(
        "--debug", action="store_true", help="log in detail and show the traceback of an internal error"
    )
    arguments = parser.parse_all(words)
    if arguments.events == arguments.json == STANDARD_OUTPUT:
        raise InputError(
            "Expected standard output for one of --events and --json, got both.", "Write one of them to a file."
        )
    require_separate_files(parser, arguments)
    return parser, arguments


def _run(chosen: Command, parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> int:
    console = Console(sys.stderr)
    warnings: list[str] = []
    prefix = f"{PROGRAM} {chosen.name}"
    with ExitStack() as stack:
        sinks = _event_sinks(arguments, console, stack) if _speaks() else []
        events = Events(*sinks, is_cancelled=stack.enter_context(stop_signals(arguments.stop_file)))
        stack.enter_context(events.warnings_into(warnings))
        stack.enter_context(log_to_user(events, arguments.debug))
        try:
            require_places(arguments)
            stack.enter_context(protected_files(input_files(arguments)))
            events.started(chosen.name, software_version=MgImplantSegLib.__version__)
            result = chosen.run(arguments, events) or {}
            events.check_cancelled()
            console.clear()
            if _speaks():
                _hand_over(chosen, arguments, {**result, **({"warnings": warnings} if warnings else {})}, events)
            return DONE
        except (Cancelled, KeyboardInterrupt, BrokenPipeError):
            console.line(f"{prefix}: {CANCELLED_LINE}")
            events.emit("cancelled")
            return CANCELLED
        except Exception as error:
            console.clear()
            return _fail(prefix, error, events, arguments.debug)


def _speaks() -> bool:
    """Whether events and results are this process's to give: of those that torchrun starts together the first one's."""
    return os.environ.get("RANK", "0") == "0"


def _event_sinks(arguments: argparse.Namespace, console: Console, stack: ExitStack) -> list:
    if arguments.events is None:
        return [console]
    if arguments.events == STANDARD_OUTPUT:
        return [JsonLinesSink(sys.stdout)]
    stream = _open_events_file(Path(arguments.events))
    stack.callback(_close, stream)
    return [console, JsonLinesSink(stream)]


def _open_events_file(path: Path) -> IO[str]:
    """The file opened at its end; a line that an earlier writer left unfinished is closed first."""
    with output_errors(path):
        with open(path, "a+b") as stream:
            if stream.tell() > 0:
                stream.seek(-1, 2)
                stream.write(b"" if stream.read(1) == b"\n" else b"\n")
        return open(path, "a", encoding="utf-8", newline="\n")


def _close(stream: IO[str]) -> None:
    with suppress(OSError):  # a full disk was told when it was written to
        stream.close()


def _hand_over(chosen: Command, arguments: argparse.Namespace, result: dict[str, Any], events: Events) -> None:
    """The result as event, as JSON and as text; text goes to standard output where nothing else does."""
    text = json_text(result, indent=2) + "\n"
    if arguments.json == STANDARD_OUTPUT:
        sys.stdout.write(text)
    elif arguments.json:
        with atomic_output(arguments.json) as temporary:
            temporary.write_text(text, "utf-8")
    elif chosen.report and arguments.events != STANDARD_OUTPUT:
        sys.stdout.write(terminal_text(chosen.report(result)).rstrip("\n") + "\n")
    sys.stdout.flush()
    events.result(**result)


def _fail(prefix: str, error: Exception, events: Events, debug: bool) -> int:
    if not isinstance(error, MgImplantSegError):
        logger.debug("where it arose", exc_info=error)
    known = as_user_error(error)
    if known is not None:
        _say_error(prefix, known)
        with suppress(OSError):  # the file of the events may be what fails
            events.error(known)
        return BAD_INPUT
    what = " ".join(f"{type(error).__name__}: {error}".split())
    remedy = (
        "Please report this line together with the output above."
        if debug
        else "Run it again with --debug and report the problem."
    )
    sys.stderr.write(one_line(f"{prefix}: internal error: {what}. {remedy}") + "\n")
    with suppress(OSError):
        events.emit("error", kind="internal", message=what, remedy=remedy)
    return INTERNAL_ERROR


def _say_error(prefix: str, error: MgImplantSegError) -> None:
    sys.stderr.write(one_line(f"{prefix}: error: {error.message} {error.advice(flag_of)}") + "\n")
    sys.stderr.flush()
