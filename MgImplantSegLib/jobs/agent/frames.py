"""Messages over a pair of byte streams: one line of ASCII JSON that says how many bytes of payload follow."""

from __future__ import annotations

import json
from typing import IO, Any

LONGEST_HEAD = 64 << 20
LONGEST_PAYLOAD = 1 << 30
MOST_FOREIGN_LINES = 10_000


def write_frame(stream: IO[bytes], message: dict[str, Any], payload: bytes = b"") -> None:
    """Write one message with its payload."""
    head = json.dumps({**message, "payload_bytes": len(payload)}, ensure_ascii=True).encode("ascii")
    stream.write(head + b"\n")
    stream.write(payload)
    stream.flush()


def read_frame(stream: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read one message with its payload; lines that something else writes into the stream are skipped.

    Raises EOFError if the stream ends before the message does; ValueError if what comes is not a message.
    """
    for _ in range(MOST_FOREIGN_LINES):
        head = stream.readline(LONGEST_HEAD)
        if not head.endswith(b"\n"):
            raise EOFError("the connection ended")
        message = _message(head)
        if message is not None:
            size = message.pop("payload_bytes")
            payload = stream.read(size)
            if len(payload) != size:
                raise EOFError("the connection ended within a message")
            return message, payload
    raise ValueError("no message came")


def _message(line: bytes) -> dict[str, Any] | None:
    """The head of a message; None for a line that is none."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    size = found.get("payload_bytes") if isinstance(found, dict) else None
    return found if type(size) is int and 0 <= size <= LONGEST_PAYLOAD else None
