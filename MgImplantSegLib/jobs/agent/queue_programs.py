"""Programs of a cluster's queue: those that are missing, or get no answer, are the same error for all clusters."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence

from MgImplantSegLib.base.errors import DependencyError, InputError, MgImplantSegError
from MgImplantSegLib.jobs.agent.programs import run_program
from MgImplantSegLib.jobs.agent.scheduler import QueueDown

SECONDS_TO_ANSWER = 30.0


def run_queue_program(
    title: str, words: Sequence[str], seconds: float = SECONDS_TO_ANSWER, cwd: str | None = None
) -> subprocess.CompletedProcess[str]:
    """A program of the cluster that has ended; `title` is the cluster's kind, for display.

    Raises DependencyError if there is no such program here; QueueDown if it does not end in time.
    """
    try:
        return run_program(words, seconds, cwd)
    except FileNotFoundError as error:
        raise DependencyError(
            f"Expected {title}'s program {words[0]}, but it is not installed on this machine.",
            "Use an environment of another kind, or name the cluster's login node as host.",
        ) from error
    except subprocess.TimeoutExpired as error:
        raise queue_down(title, f"no answer in {seconds:g} s") from error


def queue_down(title: str, reason: str) -> QueueDown:
    """The error for a queue that does not answer."""
    return QueueDown(f"{title}'s controller does not answer: {reason}.", "Running jobs continue; try again later.")


def refusal(
    title: str,
    text: str,
    reason: str,
    no_answer: Sequence[str],
    advice: Mapping[str, str],
    choices: Callable[[], str],
) -> MgImplantSegError:
    """The error for what a program of the cluster has printed, `reason` in short.

    `no_answer` are words of a queue that does not answer; `advice` says what to do about others, where ``{choices}``
    stands for what can be chosen.
    """
    reason = reason.rstrip(".")
    if any(words in text for words in no_answer):
        return queue_down(title, reason)
    remedy = next((remedy for words, remedy in advice.items() if words.lower() in text.lower()), "")
    return InputError(f"{title} refused: {reason}.", remedy.format(choices=choices()) if "{" in remedy else remedy)
