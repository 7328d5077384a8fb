"""An environment's agent on another host, through OpenSSH's client.

The remote command is one fixed text: no name, path or argument ever becomes part of it. Everything else, the
interpreter's path too, goes through standard input.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

from MgImplantSegLib.errors import DependencyError
from MgImplantSegLib.jobs.agent.frames import read_frame, write_frame
from MgImplantSegLib.jobs.agent.process_scheduler import clean_variables
from MgImplantSegLib.jobs.connection import agent_settings, raise_error
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.ssh_errors import ConnectionFailed, explain_failure
from MgImplantSegLib.resources import PACKAGE

REMOTE_COMMAND = (
    'exec sh -c \'IFS= read -r p; case $p in "~/"*) p=$HOME/${p#??};; esac; '
    'exec "$p" -I -u -c "import sys; exec(sys.stdin.buffer.read(int(sys.stdin.buffer.readline())))"\''
)
FIRST_PROGRAM = PACKAGE / "jobs" / "agent" / "far_start.py"
MARK = b"MGIMPLANTSEG-AGENT 1\n"
LONGEST_GREETING_LINES = 2000
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
            self._process.stdin.close()
            try:
                self._process.wait(5)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process.stdout.close()
            self._process = None

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
                env=clean_variables(dict(os.environ)),
                **_apart(self._environment.interactive),
            )
        except FileNotFoundError as error:
            raise DependencyError(
                "Expected OpenSSH's client `ssh`, got none on this computer.",
                "Install it: apt-get install openssh-client; on Windows it is an optional feature.",
            ) from error
        stdin, program = self._process.stdin, FIRST_PROGRAM.read_bytes()
        stdin.write(os.fsencode(agent_settings(self._environment)["python"]) + b"\n%d\n" % len(program) + program)
        stdin.flush()
        self._read_greeting()
        start = {"settings": agent_settings(self._environment), "modules": agent_modules()}
        stdin.write(json.dumps(start, ensure_ascii=True).encode("ascii") + b"\n")
        stdin.flush()

    def _read_greeting(self) -> None:
        """Skip what start-up files of the host print, up to the agent's mark."""
        for _ in range(LONGEST_GREETING_LINES):
            line = self._process.stdout.readline()
            if line.endswith(MARK):
                break
            if not line:
                raise EOFError
        found = json.loads(self._process.stdout.readline() or b"{}")
        if "python" in found:
            raise DependencyError(
                f"Expected Python 3.11 or 3.12 on {self._environment.host}, got {found['python']}.",
                "Name another `python` in the environment, or make one: jobs environments create",
            )

    def _failure(self, error: Exception) -> ConnectionFailed:
        code = self._process.poll() if self._process else None
        if code is None and self._process is not None:
            try:
                code = self._process.wait(2)
            except subprocess.TimeoutExpired:
                code = None
        self._stderr.seek(0)
        return explain_failure(self._environment, code, self._stderr.read().decode("utf-8", "replace"), error)

    def _drop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                try:
                    stream.close()
                except OSError:
                    logger.debug("the broken connection's pipe was closed with unsent bytes")


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
    files = [PACKAGE / name for name in MODULES] + sorted((PACKAGE / "jobs" / "agent").glob("*.py"))
    return {_module_name(path): path.read_text("utf-8") for path in files}


def _module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _apart(is_interactive: bool) -> dict[str, Any]:
    """Ctrl-C is for this program, not for ssh; ssh keeps the terminal only if it may ask there."""
    if os.name == "nt":
        return {"creationflags": subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": not is_interactive}
