"""A child process that runs the engine's command line: its events, its log, and its certain end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

POLITE_SECONDS = 5.0
READ_BYTES = 1 << 16


class ChildProcess:
    """`program -m MgImplantSegLib COMMAND --events - arguments`, in a process group of its own.

    Standard output is read without waiting, as JSON lines; standard error goes into `logPath`. When Slicer dies, the
    pipe breaks and the child ends at its next event. `program` may be a launcher that starts the real program and
    passes no signals on, as PythonSlicer is: signals go to the whole group, and the end is the end of the output.

    :param command: words of the command line; it watches for `stopPath`.
    :param environment: environment variables of the child.
    :param workingFolder: the folder that has `MgImplantSegLib` in it.
    """

    def __init__(
        self,
        command: Sequence[Any],
        environment: Mapping[str, str],
        workingFolder: str | Path,
        logPath: str | Path,
        stopPath: str | Path,
    ):
        self.logPath, self._stopPath = Path(logPath), Path(stopPath)
        self._log = open(self.logPath, "ab")  # noqa: SIM115 - closed in `end`
        self._unfinished = b""
        self._atEnd = False
        try:
            self._process = subprocess.Popen(
                [str(word) for word in command],
                env=environment,
                cwd=str(workingFolder),
                bufsize=0,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=self._log,
                **_ownGroup(),
            )
        except OSError:
            self._log.close()
            raise
        self._output = cast(IO[bytes], self._process.stdout)
        if sys.platform != "win32":
            os.set_blocking(self._output.fileno(), False)

    def events(self):
        """The events that have come since the last call, as dictionaries; what is no event goes into the log."""
        lines = (self._unfinished + self._available()).split(b"\n")
        self._unfinished = lines.pop()
        found = []
        for line in lines:
            event = self._parsed(line)
            if event is not None:
                found.append(event)
        return found

    def exitCode(self):
        """The exit code once the process has ended and all of its output is read; None before."""
        return self._process.poll() if self._hasEnded() else None

    def askToStop(self, wish: str = ""):
        """The polite signal, which Windows has for consoles only, and the stop file; nothing half-written stays.

        :param wish: what the stop file says; the child may read it as soon as the file is there.
        """
        if self._hasEnded():
            return
        with contextlib.suppress(OSError):
            if wish:
                written = self._stopPath.with_name(f"{self._stopPath.name}.new")
                written.write_text(wish, "utf-8")
                written.replace(self._stopPath)
            else:
                self._stopPath.touch()
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGTERM)

    def kill(self):
        """End the process and all that it has started, at once."""
        if sys.platform == "win32":
            tree = ["taskkill", "/T", "/F", "/PID", str(self._process.pid)]
            subprocess.run(tree, capture_output=True, check=False, creationflags=subprocess.CREATE_NO_WINDOW)
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(POLITE_SECONDS)
        self._atEnd = True  # whoever still holds the pipe is none of ours

    def end(self, politeSeconds: float = POLITE_SECONDS):
        """Make sure that nothing runs any more: the polite signal, some seconds, then `kill`. Closes the files."""
        self.askToStop()
        deadline = time.monotonic() + politeSeconds
        while not self._hasEnded() and time.monotonic() < deadline:
            self._available()
            time.sleep(0.02)
        self.kill()
        self._output.close()
        self._log.close()

    def _hasEnded(self):
        """Whether the program, and what a launcher has started for it, is gone."""
        return self._atEnd and self._process.poll() is not None

    def _available(self):
        """All bytes that can be read without waiting."""
        parts = []
        while not self._atEnd:
            part = _readWindowsPipe(self._output) if sys.platform == "win32" else self._output.read(READ_BYTES)
            if part is None:
                break
            self._atEnd = part == b""
            parts.append(part)
        return b"".join(parts)

    def _parsed(self, line: Any):
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if isinstance(event, dict) and "event" in event:
            return event
        if line.strip():
            self._log.write(line + b"\n")
            self._log.flush()
        return None


def _ownGroup():
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _readWindowsPipe(pipe: Any):
    """What is in a pipe: None for nothing yet, empty bytes at its end."""
    if sys.platform != "win32":
        return None
    import _winapi
    import msvcrt

    try:
        available, _ = _winapi.PeekNamedPipe(msvcrt.get_osfhandle(pipe.fileno()), 0)
    except BrokenPipeError:
        return b""
    return os.read(pipe.fileno(), available) if available else None
