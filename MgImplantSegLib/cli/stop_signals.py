"""Ctrl-C, polite signals and a file become a question that the work asks; a second Ctrl-C stops at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

MOST_CHARACTERS = 100
POLITE_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")


@contextmanager
def stop_signals(stop_file: Path | None = None) -> Iterator[Callable[[], bool]]:
    """Within the block signals do not end the process; yields a function that says whether one came.

    `stop_file` does the same once it exists: a program without a console has no polite signal on Windows.

    A signal that is ignored already (as `nohup` does) stays ignored. Outside the main thread nothing is changed.
    A second SIGTERM is the same request once more: a cluster sends one to every process of a job, and torchrun
    sends its workers another.
    """
    asked = threading.Event()

    def on_signal(number: int, _frame: object) -> None:
        if asked.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked.set()

    before = {}
    if threading.current_thread() is threading.main_thread():
        for name in POLITE_SIGNALS:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, on_signal)
    try:
        yield lambda: asked.is_set() or (stop_file is not None and stop_file.exists())
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def word_of(stop_file: Path | None) -> str:
    """What a stop file says about the stop, for commands that leave a choice; empty if it says nothing."""
    if stop_file is None:
        return ""
    try:
        with open(stop_file, encoding="utf-8") as stream:
            return stream.read(MOST_CHARACTERS).strip()
    except (OSError, ValueError):
        return ""
