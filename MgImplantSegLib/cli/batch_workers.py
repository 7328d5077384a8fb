"""A batch by several processes of this computer: each asks for one sample after the other and returns its row."""

from __future__ import annotations

import json
import os
import platform
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import IO, Any, cast

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli.batch_board import Board
from MgImplantSegLib.cli.batch_table import DONE, FAILED, RUNNING, Row
from MgImplantSegLib.jobs.agent.outcome import event_in, exit_text
from MgImplantSegLib.jobs.agent.processes import ask_to_end, kill_tree, own_session

SECONDS_TO_END, SECONDS_BETWEEN_LOOKS = 10.0, 0.2
THREADS = "OMP_NUM_THREADS"
LOOSE_ROW = ("sample", "image", "state", "seconds", "problem", "measures", "warnings", "study", "is_skipped")
Message = tuple["Worker", dict[str, Any] | None]


def names_from(stream: IO[str]) -> Iterator[str]:
    """The names that a batch sends to its worker, one a line, until it sends no more."""
    for line in stream:
        yield json.loads(line)


class Worker:
    """One process, with the sample that it works on; its events go into `messages`, None when it has ended.

    Parameters
    ----------
    words : sequence of str
        Module and words of its command.
    threads : int
        How many it may use for computing.
    lock : int
        Descriptor of the folder's lock, which it holds too.
    messages : queue
        Shared by all workers.
    """

    def __init__(self, words: Sequence[str], threads: int, lock: int, messages: queue.SimpleQueue[Message]) -> None:
        self.sample, self.problem = "", ""
        inherited: dict[str, Any] = {} if sys.platform == "win32" else {"pass_fds": (lock,)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", *words, "--worker", "--events", "-"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="backslashreplace",
            env={THREADS: str(threads), **os.environ, "PYTHONUNBUFFERED": "1"},
            **own_session(),
            **inherited,
        )
        self._messages, self._input = messages, cast(IO[str], self.process.stdin)
        threading.Thread(target=self._read, daemon=True).start()

    def give(self, sample: str) -> None:
        """Send a sample to work on."""
        self.sample = sample
        with suppress(OSError):  # one that has just ended is seen by its last message
            self._input.write(json.dumps(sample) + "\n")
            self._input.flush()

    def dismiss(self) -> None:
        """Send no more; it ends by itself."""
        with suppress(OSError):
            self._input.close()

    def _read(self) -> None:
        for line in cast(IO[str], self.process.stdout):
            if record := event_in(line):
                self._messages.put((self, record))
        self._messages.put((self, None))


def run_workers(
    words: Sequence[str], board: Board, at_once: int, lock: int, events: Events, stop_at_error: bool
) -> None:
    """Work on all samples of the board by `at_once` processes.

    A process that ends by itself or is killed costs the sample that it worked on; another one takes its place. Raises
    Cancelled if `events` are cancelled; all processes have ended then.
    """
    waiting = deque(row.sample for row in board.rows)
    messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
    threads = max(1, (os.cpu_count() or 1) // at_once)
    workers: list[Worker] = []
    try:
        while True:
            while waiting and len(workers) < at_once:
                workers.append(Worker(words, threads, lock, messages))
                _give_next(workers[-1], waiting, board)
            if not workers:
                return
            events.check_cancelled()
            with suppress(queue.Empty):
                worker, record = messages.get(timeout=SECONDS_BETWEEN_LOOKS)
                row = _row_from(worker, record, board, events)
                if row is not None:
                    board.set(row)
                    if row.state == FAILED and stop_at_error:
                        waiting.clear()
                if record is None:
                    workers.remove(worker)
                elif row is not None:
                    _give_next(worker, waiting, board)
    finally:
        _end(workers)


def _give_next(worker: Worker, waiting: deque[str], board: Board) -> None:
    worker.sample = ""
    if waiting:
        name = waiting.popleft()
        board.mark([name], RUNNING, platform.node())
        worker.give(name)
    else:
        worker.dismiss()


def _row_from(worker: Worker, record: dict[str, Any] | None, board: Board, events: Events) -> Row | None:
    """The row of the sample that a worker has finished, or lost; None for any other message."""
    if record is None:
        if not worker.sample:
            return None
        ended = f"Its process ended with {exit_text(worker.process.wait())} before it was done. Start again to do it."
        problem = worker.problem or ended
        events.warning(f"{worker.sample}: {problem}")
        return replace(board.row(worker.sample), state=FAILED, problem=problem)
    if record.get("event") == "warning":
        events.warning(str(record.get("message")), str(record.get("kind", "warning")))
    if record.get("event") == "error":
        worker.problem = str(record.get("message"))
    if record.get("event") != "sample" or record.get("sample") != worker.sample:
        return None
    return row_of(record)


def row_of(record: dict[str, Any]) -> Row | None:
    """The row in an event; None if there is none."""
    if record.get("state") not in (DONE, FAILED) or not isinstance(record.get("measures"), list):
        return None
    return Row(**{name: record[name] for name in LOOSE_ROW if name in record})


def _end(workers: Sequence[Worker]) -> None:
    """End all processes: politely, and after some seconds with all that they have started."""
    for worker in workers:
        ask_to_end(worker.process)
        worker.dismiss()
    deadline = time.monotonic() + SECONDS_TO_END
    for worker in workers:
        with suppress(subprocess.TimeoutExpired):
            worker.process.wait(max(0.0, deadline - time.monotonic()))
        if worker.process.poll() is None:
            kill_tree(worker.process)
            worker.process.wait()
