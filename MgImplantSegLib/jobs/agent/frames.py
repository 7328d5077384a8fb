"""Messages over a pair of byte streams: one line of ASCII JSON that says how many bytes of payload follow."""

from __future__ import annotations

import json
from typing import Any, BinaryIO

LONGEST_HEAD = 64 << 20


def write_frame(stream: BinaryIO, message: dict[str, Any], payload: bytes = b"") -> None:
    """Write one message with its payload."""
    head = json.dumps({**message, "payload_bytes": len(payload)}, ensure_ascii=True).encode("ascii")
    stream.write(head + b"\n")
    stream.write(payload)
    stream.flush()


def read_frame(stream: BinaryIO) -> tuple[dict[str, Any], bytes]:
    """Read one message with its payload.

    Raises
    ------
    EOFError
        If the stream ends before the message does.
    ValueError
        If what comes is no message.
    """
    head = stream.readline(LONGEST_HEAD)
    if not head.endswith(b"\n"):
        raise EOFError("the connection ended")
    message = json.loads(head)
    size = message.pop("payload_bytes")
    payload = stream.read(size)
    if len(payload) != size:
        raise EOFError("the connection ended within a message")
    return message, payload
