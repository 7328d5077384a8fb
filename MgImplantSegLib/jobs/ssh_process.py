"""OpenSSH's client with an agent behind it: one connection from its beginning to its end.

The remote command is one fixed text: no name, path or argument ever becomes part of it. Everything else, the
interpreter's path too, goes through standard input.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from io import BufferedReader
from typing import IO, Any, cast

from MgImplantSegLib.base.errors import DependencyError
from MgImplantSegLib.base.resources import PACKAGE
from MgImplantSegLib.jobs.agent.frames import read_frame, write_frame
from MgImplantSegLib.jobs.agent.programs import clean_variables
from MgImplantSegLib.jobs.connection import agent_settings
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.greeting import PYTHON_MARK, SHELL_MARK, Greeting
from MgImplantSegLib.jobs.ssh_errors import Ending

REMOTE_COMMAND = (
    "exec sh -c 'IFS= read -r p; case $p in python:*) p=${p#python:};; *) exit 122;; esac; IFS= read -r q; "
    'case $p in "~/"*) p=$HOME/${p#??};; esac; echo MGIMPLANTSEG-SHELL 1; '
    'exec "$p" -I -u -c "import sys; exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"\''
)
FIRST_PROGRAM = PACKAGE / "jobs" / "agent" / "far_start.py"
OF_BASE = ("__init__", "choices", "errors", "files", "leftovers", "machine", "protected_files")
MODULES = (  # all that the agent imports, and what these import
    "__init__.py",
    "jobs/__init__.py",
    *(f"base/{name}.py" for name in OF_BASE),
)
OLDEST_PYTHON = (3, 11)
SECONDS_FOR_A_PERSON = 300.0
SECONDS_TO_END, SECONDS_TO_END_POLITELY = 2.0, 5.0
LAST_WORDS_BYTES = 16 << 10


class SshProcess:
    """A running client; what its host prints is read from the first moment on.

    Raises DependencyError if there is no OpenSSH client here.

    Parameters
    ----------
    environment : Environment
        One with a host.
    """

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (lives as long as this object)
        self._process = _start(environment, self._errors)
        self._stdin = cast(IO[bytes], self._process.stdin)
        self._stdout = cast(BufferedReader, self._process.stdout)
        self._greeting = Greeting(self._stdout, SHELL_MARK)
        self._has_shell = self._has_python = False

    def begin(self) -> None:
        """Start the agent on the host.

        Raises EOFError or OSError if it does not start; `ending` says why; DependencyError if the Python there is too
        old.
        """
        settings, program = agent_settings(self._environment), FIRST_PROGRAM.read_bytes()
        end = time.monotonic() + self.seconds_to_answer
        # nothing but these two lines is sent before the shell answers: another one would take it for commands
        self._await_mark(b"python:" + os.fsencode(settings.python) + b"\nnow\n", end)
        self._has_shell, self._greeting = True, Greeting(self._stdout, PYTHON_MARK, self._greeting.rest)
        mark = self._await_mark(b"%d\n" % len(program) + program, end)
        self._has_python = True
        self._require_version(int(mark[1]), int(mark[2]), mark[3].decode("ascii"))
        start = {"settings": settings.to_dict(), "modules": agent_modules()}
        self._send(json.dumps(start, ensure_ascii=True).encode("ascii") + b"\n")

    def ask(self, request: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        """The agent's answer to a request, with its payload."""
        write_frame(self._stdin, request, payload)
        return read_frame(self._stdout)

    @property
    def seconds_to_answer(self) -> float:
        """How long the host may take until the agent runs there; a person has to be asked first, perhaps."""
        return max(self._environment.answer_s, SECONDS_FOR_A_PERSON if self._environment.interactive else 0.0)

    def ending(self, error: Exception) -> Ending:
        """All that is known of why there is no answer; `error` is what was noticed here."""
        greeting, is_silent = self._greeting, not self._greeting.is_over
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(0 if is_silent else SECONDS_TO_END)
        return Ending(
            self._process.poll(),
            self._last_words(),
            str(error),
            "" if self._has_python else greeting.said,
            self._has_shell,
            self._has_python,
            self.seconds_to_answer if is_silent else None,
        )

    def end(self, *, is_polite: bool = False) -> None:
        """End the client; if `is_polite`, the end of its input asks the agent to end."""
        if is_polite:
            with suppress(OSError):
                self._stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(SECONDS_TO_END_POLITELY)
        if self._process.poll() is None or not self._greeting.is_over:
            self._kill()
        self._greeting.wait(SECONDS_TO_END)
        for stream in (self._stdin, self._stdout) if self._greeting.is_over else (self._stdin,):
            with suppress(OSError):  # unsent bytes
                stream.close()
        self._errors.close()

    def _send(self, content: bytes) -> None:
        self._stdin.write(content)
        self._stdin.flush()

    def _await_mark(self, content: bytes, end: float) -> re.Match[bytes]:
        """Send, and wait for the mark that answers it; EOFError if none comes."""
        with suppress(OSError):  # a host that has ended the connection may have said why
            self._send(content)
        self._greeting.wait(end - time.monotonic())
        mark = self._greeting.mark
        if mark is None:
            raise EOFError
        return mark

    def _require_version(self, major: int, minor: int, rest: str) -> None:
        if (major, minor) < OLDEST_PYTHON:
            raise DependencyError(
                f"Expected Python 3.11 or 3.12 on {self._environment.host}, got {major}.{minor}{rest}.",
                "Name another `python` in the environment, or create one: jobs environments create",
            )

    def _last_words(self) -> str:
        """The end of what came on standard error."""
        size = self._errors.seek(0, os.SEEK_END)
        self._errors.seek(max(0, size - LAST_WORDS_BYTES))
        return self._errors.read().decode("utf-8", "replace")

    def _kill(self) -> None:
        if os.name != "nt" and not self._environment.interactive:  # it has a session of its own
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()


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
    names = (path.relative_to(PACKAGE.parent).with_suffix("").parts for path in files)
    return {
        ".".join(parts[:-1] if parts[-1] == "__init__" else parts): path.read_text("utf-8")
        for parts, path in zip(names, files, strict=True)
    }


def _start(environment: Environment, errors: IO[bytes]) -> subprocess.Popen[bytes]:
    """The client's process. Ctrl-C is for this program, not for ssh, which keeps the terminal only if it may ask."""
    apart: dict[str, Any] = {"start_new_session": not environment.interactive}
    if sys.platform == "win32":
        apart = {"creationflags": subprocess.CREATE_NO_WINDOW}
    try:
        return subprocess.Popen(
            ssh_words(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=clean_variables(os.environ),
            **apart,
        )
    except FileNotFoundError as error:
        raise DependencyError(
            "Expected OpenSSH's client `ssh`, got none on this computer.",
            "Install it: apt-get install openssh-client; on Windows it is an optional feature.",
        ) from error
