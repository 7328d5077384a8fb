"""One command of the engine from start to end, as a generator of events that can be cancelled at any time.

Long work of the panel is a generator: it yields events (dictionaries) or None when there is nothing new, returns its
result, and leaves nothing behind when it is closed. The panel drives it by a timer (`BackgroundTask`), a script by
`runToEnd`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import Cancelled, MgImplantSegError
from MgImplantSegSections.engine.childProcess import POLITE_SECONDS, ChildProcess

if TYPE_CHECKING:
    from slicer import vtkMRMLNode

CANCELLED_EXIT_CODE = 130
LOG_TAIL_CHARACTERS = 4000


class EngineError(MgImplantSegError):
    """The engine has ended with an error; `kind` and `log` say more."""

    def __init__(self, message: str, remedy: str = "", kind: str = "error", log: str = ""):
        super().__init__(message, remedy)
        self.kind = kind
        self.log = log


@dataclass
class CancelToken:
    """Says whether the user has asked to stop, and with which wish, for commands that leave a choice."""

    requested: bool = False
    wish: str = ""

    def request(self, wish: str = ""):
        """Ask to stop."""
        self.requested, self.wish = True, wish

    def check(self):
        """Raise `Cancelled` if the user has asked to stop."""
        if self.requested:
            raise Cancelled


@dataclass(frozen=True)
class EnginePython:
    """A Python that can run the engine.

    :param words: the first words of the command line, up to the engine's command.
    :param environment: environment variables.
    :param folder: working folder, which has `MgImplantSegLib` in it.
    """

    words: tuple
    environment: dict = field(default_factory=dict)
    folder: Path = Path()


def runEngine(
    python: Any, arguments: Any, logPath: Any, token: CancelToken, politeSeconds: float | None = None, names: Any = None
):
    """Run `arguments` in a child process; yields events, returns the fields of its result event.

    :param politeSeconds: how long the child may take to stop before it is killed; `POLITE_SECONDS` without it.
    :param names: what people call the files among the arguments, by path; warnings and errors speak of these.
    :raises EngineError: if the engine reports an error or ends without a result.
    :raises Cancelled: if `token` was requested.
    """
    token.check()
    politeSeconds = politeSeconds or POLITE_SECONDS
    try:
        stopPath = Path(logPath).with_suffix(".stop")
        words = [*python.words, *arguments[:1], "--events", "-", "--stop-file", stopPath, *arguments[1:]]
        process = ChildProcess(words, python.environment, python.folder, logPath, stopPath)
    except OSError as error:
        raise EngineError(
            _("Expected to start {program}, got: {reason}.").format(program=python.words[0], reason=error.strerror),
            _("Choose another environment under Environments."),
            "dependency",
        ) from error
    try:
        result, failure = yield from _follow(process, token, politeSeconds, names or {})
    finally:
        process.end(politeSeconds)
    return _outcome(process, result, failure, token)


def _follow(process: Any, token: CancelToken, politeSeconds: float, names: Any):
    """Pass the events on until the process ends; returns its result and its error event."""
    result = failure = killAt = None
    while process.exitCode() is None:
        for event in (withNames(event, names) for event in process.events()):
            result = event if event["event"] == "result" else result
            failure = event if event["event"] == "error" else failure
            yield event
        if token.requested and killAt is None:
            process.askToStop(token.wish)
            killAt = time.monotonic() + politeSeconds
            yield {"event": "stopping"}
        if killAt is not None and time.monotonic() > killAt:
            process.kill()
        yield None
    return result, failure


def withNames(data: Any, names: Any):
    """The same data with the names of nodes in quotes where texts have the paths of their files.

    :param names: names by path.
    """
    if not names:
        return data
    if isinstance(data, dict):
        return {key: withNames(value, names) for key, value in data.items()}
    if isinstance(data, list):
        return [withNames(value, names) for value in data]
    if isinstance(data, str):
        for path, name in names.items():
            data = data.replace(str(path), f'"{name}"')
    return data


def _outcome(process: Any, result: Any, failure: Any, token: CancelToken):
    code = process.exitCode()
    if token.requested or code == CANCELLED_EXIT_CODE:
        raise Cancelled
    if code == 0 and result is not None:
        return {key: value for key, value in result.items() if key not in ("event", "version", "time")}
    log = process.logPath.read_text("utf-8", errors="replace")[-LOG_TAIL_CHARACTERS:]
    if failure is not None:
        remedy = failure.get("template") or failure.get("remedy", "")
        raise EngineError(failure.get("message", ""), remedy, failure.get("kind", "error"), log)
    raise EngineError(
        _("Expected the engine to end with a result, got exit code {code}.").format(code=code),
        _("See the log below for details; please report the problem if it does not help."),
        "crash",
        log,
    )


def sceneOf(node: vtkMRMLNode):
    """The scene of a node.

    :raises Cancelled: if the node has left it, as it may have before a task takes its first step.
    """
    scene = node.GetScene()
    if scene is None:
        raise Cancelled
    return scene


def whileWanted(steps: Any, isWanted: Callable[[], bool], token: CancelToken):
    """Pass on the events of `steps`, and ask it to stop once `isWanted()` is false; returns its result."""
    try:
        while True:
            if not isWanted():
                token.request()
            yield next(steps)
    except StopIteration as end:
        return end.value
    finally:
        steps.close()


def runToEnd(steps: Any, onEvent: Callable[[dict[str, Any]], Any] | None = None, idle: Any = None):
    """Drive a generator of events to its end; returns its result.

    :param onEvent: called with every event.
    :param idle: called when there is nothing new; waits a little by default.
    """
    idle = idle or (lambda: time.sleep(0.02))
    try:
        while True:
            event = next(steps)
            if event is None:
                idle()
            elif onEvent is not None:
                onEvent(event)
    except StopIteration as end:
        return end.value
    finally:
        steps.close()
