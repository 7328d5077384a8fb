"""What the library logs: warnings reach the user as warnings, all else with ``--debug``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from MgImplantSegLib.events import Events

LIBRARY = "MgImplantSegLib"


class WarningsToEvents(logging.Handler):
    """Passes log records from WARNING on to `Events.warning`."""

    def __init__(self, events: Events) -> None:
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        self._events.warning(record.getMessage())


@contextmanager
def log_to_user(events: Events, debug: bool) -> Iterator[None]:
    """Within the block the library's log goes to events, and in full to standard error with `debug`."""
    logger, handlers = logging.getLogger(LIBRARY), [WarningsToEvents(events)]
    level = logger.level
    if debug:
        handlers.append(logging.StreamHandler(sys.stderr))
        handlers[-1].setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.setLevel(logging.DEBUG)
    for handler in handlers:
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(level)
        for handler in handlers:
            logger.removeHandler(handler)
