"""What the library logs: warnings reach the user as warnings, all else with ``--debug``."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.base.plain_text import one_line, terminal_text

LIBRARY = "MgImplantSegLib"


class WarningsToEvents(logging.Handler):
    """Passes log records from WARNING on to `Events.warning`."""

    def __init__(self, events: Events) -> None:
        super().__init__(logging.WARNING)
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        self._events.warning(record.getMessage())


class HarmlessFormatter(logging.Formatter):
    """Lines in which names of files steer no terminal and begin no line of their own."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = one_line(record.message)
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        return terminal_text(super().format(record))


@contextmanager
def log_to_user(events: Events, debug: bool) -> Iterator[None]:
    """Within the block the library's log goes to events, and in full to standard error with `debug`.

    So do the warnings of Python and its packages, which are not lines for users, with `debug` alone.
    """
    logger = logging.getLogger(LIBRARY)
    handlers: list[logging.Handler] = [WarningsToEvents(events)]
    level = logger.level
    if debug:
        handlers.append(logging.StreamHandler(sys.stderr))
        handlers[-1].setFormatter(HarmlessFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        logger.setLevel(logging.DEBUG)
    python_warnings = logging.getLogger("py.warnings")
    for handler in handlers:
        logger.addHandler(handler)
    for handler in handlers[1:]:
        python_warnings.addHandler(handler)
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logger.setLevel(level)
        for handler in handlers:
            logger.removeHandler(handler)
            python_warnings.removeHandler(handler)
