"""An environment's agent on another host, through OpenSSH's client; a connection that breaks is made again."""

from __future__ import annotations

import logging
import time
from typing import Any

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.jobs.connection import raise_error
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.ssh_errors import explain_failure
from MgImplantSegLib.jobs.ssh_process import SshProcess

SECONDS_BEFORE_RETRIES = (1, 2, 4, 8, 16, 32)

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
        self._process: SshProcess | None = None

    def __enter__(self) -> SshConnection:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def ask(self, operation: str, payload: bytes = b"", **arguments: Any) -> tuple[dict[str, Any], bytes]:
        """The agent's answer and its payload.

        Raises ConnectionFailed if the host cannot be reached, now or again; any MgImplantSegError that the agent
        answers with.
        """
        answer, found = self._ask_again_if_lost({"operation": operation, **arguments}, payload)
        if "error" in answer:
            raise_error(answer["error"])
        return answer, found

    def close(self) -> None:
        """End the connection; jobs continue."""
        if self._process is not None:
            self._process.end(is_polite=True)
            self._process = None

    def _ask_again_if_lost(self, request: dict[str, Any], payload: bytes) -> tuple[dict[str, Any], bytes]:
        was_open, tries = self._process is not None, iter(SECONDS_BEFORE_RETRIES)
        while True:
            process = self._process or SshProcess(self._environment)
            try:
                if self._process is None:
                    process.begin()
                    self._process, was_open = process, True
                return process.ask(request, payload)
            except (OSError, EOFError, ValueError) as error:
                failure = explain_failure(self._environment, process.ending(error))
                self._drop(process)
                seconds = next(tries, None)
                if seconds is None or not was_open or failure.is_permanent:
                    raise failure from error
                logger.warning("%s Trying again in %d s.", failure.message, seconds)
                time.sleep(seconds)
            except (MgImplantSegError, KeyboardInterrupt):
                self._drop(process)
                raise

    def _drop(self, process: SshProcess) -> None:
        process.end()
        self._process = None
