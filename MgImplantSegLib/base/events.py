"""Progress, time left, cancellation and JSON-lines events for everything that takes long.

Library code gets an `Events` object and calls `started`, `task`, `metric`, `result`, `warning`; where the events
go is decided by the sinks. `Events()` without sinks is silent and never cancelled.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any

from MgImplantSegLib.base.errors import LONE_SURROGATE, Cancelled, MgImplantSegError, readable

Sink = Callable[[dict[str, Any]], None]
EVENTS_VERSION = 1
SECONDS_BETWEEN_PROGRESS = 0.1


class Events:
    """Passes events on to sinks and says when the user has asked to stop.

    Parameters
    ----------
    *sinks : callable
        Each is called with one dictionary per event.
    is_cancelled : callable
        Returns True once the work has to stop; asked at every step of a task.
    """

    def __init__(self, *sinks: Sink, is_cancelled: Callable[[], bool] = lambda: False) -> None:
        self._sinks = sinks
        self._is_cancelled = is_cancelled

    def emit(self, event: str, **fields: Any) -> None:
        """Pass one event with its fields to every sink."""
        record = {"version": EVENTS_VERSION, "time": round(time.time(), 3), "event": event, **fields}
        for sink in self._sinks:
            sink(record)

    def started(self, command: str, **fields: Any) -> None:
        """The work begins; fields say on what."""
        self.emit("started", command=command, **fields)

    def metric(self, **values: Any) -> None:
        """Numbers measured during the work, such as a loss."""
        self.emit("metric", **values)

    def result(self, **fields: Any) -> None:
        """The work has ended well; fields name its files and numbers."""
        self.emit("result", **fields)

    def warning(self, message: str, kind: str = "warning") -> None:
        """Something the user has to know that does not stop the work."""
        self.emit("warning", kind=kind, message=" ".join(readable(message).split()))

    @contextmanager
    def warnings_into(self, said: list[str]) -> Iterator[None]:
        """Within the block the messages of warnings are also added to the list, each once."""

        def collect(record: dict[str, Any]) -> None:
            if record["event"] == "warning" and record["message"] not in said:
                said.append(record["message"])

        before = self._sinks
        self._sinks = (*before, collect)
        try:
            yield
        finally:
            self._sinks = before

    def error(self, error: MgImplantSegError) -> None:
        """The work has failed; says why and what to do, `template` with marks where an option is named."""
        self.emit("error", kind=error.kind, message=error.message, remedy=error.remedy, template=error.template)

    def check_cancelled(self) -> None:
        """Raise `Cancelled` if the user has asked to stop."""
        if self._is_cancelled():
            raise Cancelled

    @contextmanager
    def task(self, stage: str, total: float) -> Iterator[Task]:
        """A piece of work of `total` equal steps, whose progress and time left are reported."""
        task = Task(self, stage, total)
        yield task
        task.finish()


class Task:
    """Counts the steps of one piece of work; made by `Events.task`."""

    def __init__(self, events: Events, stage: str, total: float) -> None:
        self._events = events
        self.stage = stage
        self.total = total
        self.done: float = 0
        self._start = self._last_sent = time.monotonic()
        self._sent_done = -1.0
        events.check_cancelled()
        self._send()

    def advance(self, steps: float = 1, stage: str | None = None) -> None:
        """Count `steps` as done, and name the stage if it has changed.

        Raises Cancelled if the user has asked to stop.
        """
        self._events.check_cancelled()
        self.done += steps
        stage_is_new = stage is not None and stage != self.stage
        self.stage = stage or self.stage
        if stage_is_new or self.done >= self.total or time.monotonic() - self._last_sent >= SECONDS_BETWEEN_PROGRESS:
            self._send()

    def finish(self) -> None:
        """Report the end once, whatever was counted."""
        self.done = self.total
        if self._sent_done != self.done:
            self._send()

    def _send(self) -> None:
        elapsed_s = time.monotonic() - self._start
        eta_s = elapsed_s / self.done * (self.total - self.done) if self.done > 0 else None
        self._last_sent, self._sent_done = time.monotonic(), self.done
        self._events.emit(
            "progress",
            stage=self.stage,
            done=self.done,
            total=self.total,
            eta_s=None if eta_s is None else round(max(0.0, eta_s), 1),
        )


def json_ready(value: Any) -> Any:
    """The same data with NaN and infinity as None, NumPy scalars and arrays as plain Python, text as UTF-8 can hold."""
    if isinstance(value, dict):
        return {readable(str(key)): json_ready(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [json_ready(entry) for entry in value]
    if hasattr(value, "tolist"):
        return json_ready(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int)) else readable(str(value))


def json_text(value: Any, indent: int | None = None) -> str:
    """The data of `json_ready` as JSON; letters stay letters, unless a name of a file is not valid Unicode."""
    data = json_ready(value)
    text = json.dumps(data, indent=indent, ensure_ascii=False)
    return json.dumps(data, indent=indent) if LONE_SURROGATE.search(text) else text


class JsonLinesSink:
    """Writes every event as one line of JSON to an open text stream."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __call__(self, record: dict[str, Any]) -> None:
        self._stream.write(json_text(record) + "\n")
        self._stream.flush()
