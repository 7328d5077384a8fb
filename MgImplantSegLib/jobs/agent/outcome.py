"""How an attempt ended: read from the command's own events first, from its exit code only where they are silent.

torchrun ends with 1 after a clean stop too, so its code alone says little.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from MgImplantSegLib.jobs.agent.job_folder import Ended, State

CODE_OF_CANCELLED = 130
MISSING_PACKAGE = "No module named"


@dataclass(frozen=True)
class Outcome:
    """State, reason and remedy; `is_provisional` while a scheduler may still start the job again."""

    state: State
    reason: str = ""
    remedy: str = ""
    is_provisional: bool = False

    @classmethod
    def recorded(cls, ended: Ended) -> Outcome:
        """The outcome in a record."""
        return cls(State(ended.state), ended.reason, ended.remedy, ended.is_provisional)

    def ended_now(self) -> Ended:
        """The record of an end with this outcome now."""
        return Ended(self.state.value, self.reason, self.remedy, time.time(), self.is_provisional)


STOPPED = Outcome(State.CANCELLED, "Stopped on request.")


def judge(events: Path, first_byte: int, code: int, last_words: str = "") -> Outcome:
    """The outcome of a command that ended with `code` and whose events begin at `first_byte` of the file.

    `last_words` is the last line of its log.
    """
    last = {record["event"]: record for record in read_events(events, first_byte)}
    result = last.get("result", {})
    if result.get("finished") is False and "missing" not in result:  # one fold of many is a job that is done
        return Outcome(State.CANCELLED, "The command was stopped before its work was finished.")
    if code == 0 or "result" in last:
        return Outcome(State.DONE)
    if code == CODE_OF_CANCELLED or ("cancelled" in last and "error" not in last):
        return Outcome(State.CANCELLED, "The command was stopped.")
    ended = f"The command ended with {exit_text(code)}"
    said = f": {last_words.rstrip('.')}" if last_words else ""
    reason, remedy = f"{ended}{said}.", "See the log: jobs log"
    if "error" in last:
        reason, remedy = (str(last["error"].get(name, "")) for name in ("message", "remedy"))
    is_package_missing = MISSING_PACKAGE in reason
    return Outcome(
        State.FAILED, reason, "Find out what is missing: jobs environments test" if is_package_missing else remedy
    )


def read_events(path: Path, first_byte: int) -> Iterator[dict[str, Any]]:
    """The events of a file from one byte on; lines that are not events are skipped."""
    with open(path, "rb") as stream:
        stream.seek(first_byte)
        yield from filter(None, map(event_in, stream))


def event_in(line: str | bytes) -> dict[str, Any] | None:
    """The event that a line of JSON holds; None if it holds something else."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and isinstance(record.get("event"), str) else None


def exit_text(code: int) -> str:
    """An exit code in words: ``exit code 1``, ``signal 9 (SIGKILL)``."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"signal {-code} ({signal.Signals(-code).name})"
    except ValueError:
        return f"signal {-code}"
