"""An environment's agent on another host, through OpenSSH's client.

The remote command is one fixed text: no name, path or argument ever becomes part of it. Everything else, the
interpreter's path too, goes through standard input.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from MgImplantSegLib.errors import DependencyError
from MgImplantSegLib.jobs.agent.frames import read_frame, write_frame
from MgImplantSegLib.jobs.agent.programs import clean_variables
from MgImplantSegLib.jobs.connection import agent_settings, raise_error
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.greeting import Greeting
from MgImplantSegLib.jobs.ssh_errors import ConnectionFailed, Ending, explain_failure
from MgImplantSegLib.resources import PACKAGE

REMOTE_COMMAND = (
    "exec sh -c 'IFS= read -r p; case $p in python:*) p=${p#python:};; *) exit 122;; esac; "
    'case $p in "~/"*) p=$HOME/${p#??};; esac; '
    'exec "$p" -I -u -c "import sys; exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"\''
)
FIRST_PROGRAM = PACKAGE / "jobs" / "agent" / "far_start.py"
OLDEST_PYTHON = (3, 11)
SECONDS_TO_ANSWER, SECONDS_TO_ANSWER_A_PERSON = 30.0, 300.0
SECONDS_TO_END = 2.0
LAST_WORDS_BYTES = 16 << 10
SECONDS_BEFORE_RETRIES = (1, 2, 4, 8, 16, 32)
MODULES = ("__init__.py", "errors.py", "files.py", "machine.py", "jobs/__init__.py")

logger = logging.getLogger(__name__)


class SshConnection:
    """Asks the agent on a host; a connection that breaks is made again and the question repeated.

    Parameters
    ----------
    environment : Environment
        One with a host.
    """

    is_here = False

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._process: subprocess.Popen | None = None
        self._greeting: Greeting | None = None
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as this object)

    def __enter__(self) -> SshConnection:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def ask(self, operation: str, payload: bytes = b"", **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """The agent's answer and its payload.

        Raises
        ------
        ConnectionFailed
            If the host cannot be reached, now or again.
        MgImplantSegError
            What the agent answers with.
        """
        answer, found = self._ask_again_if_lost({"operation": operation, **arguments}, payload)
        if "error" in answer:
            raise_error(answer["error"])
        return answer, found

    def close(self) -> None:
        """End the connection; jobs go on."""
        if self._process is not None:
            with suppress(OSError):
                self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
            self._drop()

    def _ask_again_if_lost(self, request: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        was_open = self._process is not None
        for seconds in (*SECONDS_BEFORE_RETRIES, None):
            try:
                if self._process is None:
                    self._open()
                    was_open = True
                write_frame(self._process.stdin, request, payload)
                return read_frame(self._process.stdout)
            except (OSError, EOFError, ValueError) as error:
                failure = self._failure(error)
                self._drop()
                if seconds is None or not was_open or failure.is_permanent:
                    raise failure from error
                logger.warning("%s Trying again in %d s.", failure.message, seconds)
                time.sleep(seconds)
        raise AssertionError("unreachable")

    def _open(self) -> None:
        """Start OpenSSH's client and the agent behind it."""
        self._stderr.seek(0)
        self._stderr.truncate()
        try:
            self._process = subprocess.Popen(
                ssh_words(self._environment),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=clean_variables(os.environ),
                **_apart(self._environment.interactive),
            )
        except FileNotFoundError as error:
            raise DependencyError(
                "Expected OpenSSH's client `ssh`, got none on this computer.",
                "Install it: apt-get install openssh-client; on Windows it is an optional feature.",
            ) from error
        self._greeting = Greeting(self._process.stdout)
        settings, program = agent_settings(self._environment), FIRST_PROGRAM.read_bytes()
        with suppress(OSError):  # a host that has ended the connection may have said why
            self._send(b"python:" + os.fsencode(settings.python) + b"\n%d\n" % len(program) + program)
        self._greeting.wait(self._seconds_to_answer)
        self._require_python()
        start = {"settings": settings.to_dict(), "modules": agent_modules()}
        self._send(json.dumps(start, ensure_ascii=True).encode("ascii") + b"\n")

    def _send(self, content: bytes) -> None:
        self._process.stdin.write(content)
        self._process.stdin.flush()

    @property
    def _seconds_to_answer(self) -> float:
        return SECONDS_TO_ANSWER_A_PERSON if self._environment.interactive else SECONDS_TO_ANSWER

    def _require_python(self) -> None:
        """Raise EOFError if no Python has answered, DependencyError if one that is too old has."""
        python = self._greeting.python
        if python is None:
            raise EOFError
        if python[:2] < OLDEST_PYTHON:
            self._drop()
            raise DependencyError(
                f"Expected Python 3.11 or 3.12 on {self._environment.host}, got {python[0]}.{python[1]}{python[2]}.",
                "Name another `python` in the environment, or make one: jobs environments create",
            )

    def _failure(self, error: Exception) -> ConnectionFailed:
        """What is wrong with the connection, from all that is known of its end."""
        process, greeting = self._process, self._greeting
        if process is None or greeting is None:
            return explain_failure(self._environment, Ending(None, "", str(error)))
        is_silent = not greeting.is_over
        with suppress(subprocess.TimeoutExpired):
            process.wait(0 if is_silent else SECONDS_TO_END)
        said = greeting.said if greeting.python is None else ""
        seconds = self._seconds_to_answer if is_silent else None
        was_there = greeting.python is not None
        ending = Ending(process.poll(), self._last_words(), str(error), said, was_there, seconds)
        return explain_failure(self._environment, ending)

    def _last_words(self) -> str:
        """The end of what came on standard error."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - LAST_WORDS_BYTES))
        return self._stderr.read().decode("utf-8", "replace")

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if os.name != "nt" and not self._environment.interactive:  # it has a session of its own
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        process.kill()
        process.wait()
        self._greeting.wait(SECONDS_TO_END)
        streams = (process.stdin, process.stdout) if self._greeting.is_over else (process.stdin,)
        for stream in streams:
            with suppress(OSError):  # unsent bytes
                stream.close()


def ssh_words(environment: Environment) -> list[str]:
    """The command line of OpenSSH's client; unknown and changed host keys are refused."""
    options = {
        "BatchMode": "no" if environment.interactive else "yes",
        "StrictHostKeyChecking": "yes",
        "ConnectTimeout": "20",
        "ServerAliveInterval": "5",
        "ServerAliveCountMax": "3",
        "ClearAllForwardings": "yes",
        "ForwardAgent": "no",
        "ForwardX11": "no",
        "PermitLocalCommand": "no",
        "RequestTTY": "no",
        "RemoteCommand": "none",
    }
    words = ["ssh", *(word for name, value in options.items() for word in ("-o", f"{name}={value}"))]
    words += ["-F", os.path.expanduser(environment.ssh_config)] if environment.ssh_config else []
    words += ["-i", os.path.expanduser(environment.identity_file)] if environment.identity_file else []
    words += ["-p", str(environment.port)] if environment.port else []
    return [*words, "--", environment.host, REMOTE_COMMAND]


def agent_modules() -> dict[str, str]:
    """Names and texts of the modules that the agent consists of."""
    files = [PACKAGE / name for name in MODULES] + sorted((PACKAGE / "jobs" / "agent").rglob("*.py"))
    return {_module_name(path): path.read_text("utf-8") for path in files}


def _module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _apart(is_interactive: bool) -> dict[str, Any]:
    """Ctrl-C is for this program, not for ssh; ssh keeps the terminal only if it may ask there."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": not is_interactive}
