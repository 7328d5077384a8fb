"""Long work beside the GUI: a generator of events, moved on by a timer a few milliseconds at a time."""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

import qt

from MgImplantSegLib.base.errors import Cancelled

if TYPE_CHECKING:
    from MgImplantSegSections.engine.engineRun import CancelToken

INTERVAL_MS = 30
SLICE_SECONDS = 0.03


def weakly(method: Callable[[], Any]):
    """What calls a method as long as its object lives; a timer keeps what it is connected to, and so would the object.

    :param method: a bound method without arguments.
    """
    reference = weakref.WeakMethod(method)

    def call():
        living = reference()
        if living is not None:
            living()

    return call


class BackgroundTask:
    """Moves `steps` on while the application stays alive, and reports its end exactly once.

    :param steps: generator of events or None; its return value is the result.
    :param token: the `CancelToken` that `steps` looks at.
    :param onEvent: called with each event.
    :param onDone: called with the result; `onFailed` with the exception; `onCancelled` without arguments.
    """

    def __init__(
        self,
        steps: Generator[Any, None, Any],
        token: CancelToken,
        onEvent: Callable[[Any], Any],
        onDone: Callable[[Any], Any],
        onFailed: Callable[[Exception], Any],
        onCancelled: Callable[[], Any],
    ):
        self._steps, self._token = steps, token
        self._onEvent: Any = onEvent
        self._onDone: Any = onDone
        self._onFailed: Any = onFailed
        self._onCancelled: Any = onCancelled
        self.isRunning = True
        self._inStep = False
        self._timer = qt.QTimer()
        self._timer.setInterval(INTERVAL_MS)
        self._timer.connect("timeout()", weakly(self._tick))
        self._timer.start()

    def cancel(self, wish: str = ""):
        """Ask the work to stop; `onCancelled` is called once it has."""
        self._token.request(wish)

    def abandon(self):
        """Stop at once and wait for it, without any further call; for leaving Slicer or reloading the module."""
        if self.isRunning:
            self._token.request()
            self._stop()
            if not self._inStep:
                self._steps.close()

    def _tick(self):
        if self._inStep or not self.isRunning:
            return
        self._inStep = True
        try:
            self._advance()
        except StopIteration as end:
            self._finish(self._onDone, end.value)
        except Cancelled:
            self._finish(self._onCancelled)
        except Exception as error:
            logging.debug("background task", exc_info=error)
            self._finish(self._onFailed, error)
        finally:
            self._inStep = False

    def _advance(self):
        end = time.monotonic() + SLICE_SECONDS
        while self.isRunning and time.monotonic() < end:
            event = next(self._steps)
            if event is None:
                return
            self._onEvent(event)

    def _finish(self, report: Any, *arguments):
        wasRunning = self.isRunning
        self._stop()
        if wasRunning:
            report(*arguments)

    def _stop(self):
        self.isRunning = False
        self._timer.stop()
        self._onEvent = self._onDone = self._onFailed = self._onCancelled = None  # they may hold nodes
