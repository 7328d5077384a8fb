"""The agent's end of a connection: answers requests that come through a pair of byte streams until they end."""

from __future__ import annotations

from typing import Any, BinaryIO

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.jobs.agent.agent import Agent
from MgImplantSegLib.jobs.agent.frames import read_frame, write_frame
from MgImplantSegLib.jobs.agent.settings import AgentSettings


def serve(settings: dict[str, Any], requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer every request; an error is an answer too."""
    found: Agent | MgImplantSegError
    try:
        found = Agent(AgentSettings.from_dict(settings))
    except MgImplantSegError as error:
        found = error
    while True:
        try:
            request, payload = read_frame(requests)
        except EOFError:
            return
        try:
            if isinstance(found, MgImplantSegError):
                raise found
            answer, payload = found.answer(request, payload)
        except MgImplantSegError as error:
            answer, payload = {"error": {"kind": error.kind, "message": error.message, "remedy": error.remedy}}, b""
        except Exception as error:  # the caller gets it, whatever it is
            text = f"{type(error).__name__}: {error}"
            answer, payload = {"error": {"kind": "internal", "message": text, "remedy": "Please report this."}}, b""
        write_frame(answers, answer, payload)
