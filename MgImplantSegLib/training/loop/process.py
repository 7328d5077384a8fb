"""A training process among others: its end with its parent, requests to stop, and what of its events is passed on."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from MgImplantSegLib.base.events import Events

STOP_FILE = "STOP"
PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Have Linux send SIGTERM when the parent ends: torchrun's workers would otherwise outlive a killed torchrun."""
    if sys.platform.startswith("linux"):
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def silent(events: Events) -> Events:
    """Events that go nowhere and are cancelled when `events` are."""
    return Events(is_cancelled=_cancelled_with(events))


def warnings_only(events: Events, about: str) -> Events:
    """Events of a small part of the work: of them `events` gets the warnings alone, with what they are about."""

    def pass_on(record: dict[str, Any]) -> None:
        if record["event"] == "warning":
            events.warning(f"{about}: {record['message']}", record["kind"])

    return Events(pass_on, is_cancelled=_cancelled_with(events))


def _cancelled_with(events: Events) -> Callable[[], bool]:
    def is_cancelled() -> bool:
        events.check_cancelled()
        return False

    return is_cancelled


class StopRequest:
    """Whether the run has been asked to write a checkpoint and end: by a signal or by a file STOP in its folder."""

    def __init__(self, run_folder: Path) -> None:
        self._file = run_folder / STOP_FILE
        self._asked = threading.Event()

    def __call__(self) -> bool:
        return self._asked.is_set() or self._file.exists()

    def ask(self, *_signal_and_frame: object) -> None:
        """Ask the run to end; also a signal handler."""
        self._asked.set()

    @contextmanager
    def on_signals(self) -> Iterator[StopRequest]:
        """Within the block SIGUSR1, and SIGTERM unless someone else handles it, ask the run to end."""
        before = {}
        if threading.current_thread() is threading.main_thread():
            for name in ("SIGUSR1", "SIGTERM"):
                number = getattr(signal, name, None)
                if number is not None and signal.getsignal(number) is signal.SIG_DFL:
                    before[number] = signal.signal(number, self.ask)
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
