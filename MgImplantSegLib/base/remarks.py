"""Warnings about a file that stay with the numbers that follow from it.

What a reader logs as a warning is kept in the `provenance` of the volume or label map, and comes from there into the
notes of its measures.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from MgImplantSegLib.base.errors import readable

LIBRARY = "MgImplantSegLib"
REMARKS = "warnings"


class _Collector(logging.Handler):
    """Keeps the warnings of one thread, each once, and passes them on to other listeners."""

    def __init__(self, said: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._said = said
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if record.thread == self._thread:
            add_remark(self._said, record.getMessage())
        if logging.lastResort and not _others_listen():
            logging.lastResort.handle(record)


@contextmanager
def remarks_of_reading() -> Iterator[list[str]]:
    """Within the block the library's warnings are also added to the list."""
    said: list[str] = []
    collector, logger = _Collector(said), logging.getLogger(LIBRARY)
    logger.addHandler(collector)
    try:
        yield said
    finally:
        logger.removeHandler(collector)


def add_remark(said: list[str], sentence: str) -> None:
    """Add a sentence, in one line, unless it is there already."""
    line = " ".join(readable(sentence).split())
    if line not in said:
        said.append(line)


def remarks_of(provenance: Mapping[str, Any]) -> tuple[str, ...]:
    """The warnings about the data that have this provenance."""
    said = provenance.get(REMARKS, ())
    return tuple(str(sentence) for sentence in said) if isinstance(said, (list, tuple)) else ()


def with_remarks(provenance: Mapping[str, Any], said: Iterable[str]) -> dict[str, Any]:
    """The provenance with further warnings, each once; as it is without any."""
    known = tuple(dict.fromkeys((*remarks_of(provenance), *said)))
    return {**provenance, **({REMARKS: known} if known else {})}


def _others_listen() -> bool:
    handlers = [*logging.getLogger(LIBRARY).handlers, *logging.getLogger().handlers]
    return any(not isinstance(handler, _Collector) for handler in handlers)
