"""What OpenSSH's client means when it fails, and what to do about it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.greeting import shown

PYTHON_NOT_FOUND, PYTHON_NOT_EXECUTABLE, INPUT_WAS_TAKEN, SSH_FAILED = 127, 126, 122, 255
START_UP_FILES = (
    "Run: ssh {host} echo ok. Unless it prints ok and ends, correct the start-up files there (~/.bashrc, ~/.profile, "
    "~/.config/fish/config.fish): they must not start another shell, wait for input or exit when ssh runs a command."
)
SLOW_HOST = " If the host is slow, increase `answer_s` of the environment."
ACCOUNT = re.compile(r"(?i)account|passw|nologin|not (?:currently )?(?:available|allowed|permitted)")
ASK_ABOUT_THE_ACCOUNT = (
    "Log in with `ssh {host}` in a terminal and follow its instructions, or ask the host's administrator."
)


class ConnectionFailed(MgImplantSegError):
    """A host that cannot be reached, or was lost; jobs on it continue."""

    kind = "connection"
    is_permanent = False


class ConnectionRefused(ConnectionFailed):
    """A failure that trying again does not help."""

    is_permanent = True


@dataclass(frozen=True)
class Ending:
    """How a connection ended, or failed to begin.

    Parameters
    ----------
    code : int, optional
        Exit code of OpenSSH's client; None if it had to be ended.
    errors : str
        What came on standard error: words of the client, and of the host.
    reason : str
        What was noticed here.
    said : str
        What the host printed in place of the agent's answer.
    had_shell : bool
        Whether the host's shell had begun with the command.
    was_open : bool
        Whether the agent had answered before.
    seconds : float, optional
        How long there was no answer, if that is what happened.
    """

    code: int | None
    errors: str
    reason: str
    said: str = ""
    had_shell: bool = False
    was_open: bool = False
    seconds: float | None = None


@dataclass(frozen=True)
class Explanation:
    """A pattern of one line of ssh's words, what it means, what to do."""

    words: str
    meaning: str
    remedy: str
    is_permanent: bool = True


# Lines of the client itself: what a host's banner says may sound alike.
EXPLANATIONS = (
    Explanation(
        r"@ +WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! +@",
        "a host key other than the known one",
        "Someone may be intercepting the connection. Ask the host's administrator for the new key's fingerprint "
        "before you "
        "replace the old one: ssh-keygen -R {host}",
    ),
    Explanation(
        r"Host key verification failed\.",
        "a host key that is not known here",
        "Run `ssh {host}` once in a terminal, compare the fingerprint with the host's, and accept it.",
    ),
    Explanation(
        r"(\S+: )?Permission denied \(.*\)\.|Received disconnect from .*Too many authentication failures.*",
        "permission denied",
        "Check user and key: `ssh {host}` has to work without a password (ssh-agent, ControlMaster).",
    ),
    Explanation(r"ssh: Could not resolve hostname .*", "an unknown host name", "Correct `host` of the environment."),
    Explanation(
        r"(ssh|channel|connect|stdio|kex).*Connection refused.*",
        "no SSH server that answers",
        "Check the host name and port, and whether the host is up.",
        False,
    ),
    Explanation(
        r"(ssh: connect|connect|channel|Connection|Timeout|client_loop).*(timed out|not responding).*",
        "no answer in time",
        "Check network, VPN and host.",
        False,
    ),
    Explanation(
        r"(ssh|channel|connect).*(No route to host|Network is unreachable).*",
        "no route to host",
        "Check network and VPN.",
        False,
    ),
    Explanation(
        r".*Bad configuration option.*|.*terminating, \d+ bad configuration options.*",
        "an error in OpenSSH's configuration",
        "Correct the file it names.",
    ),
    Explanation(
        r"(no such identity|Identity file .* not accessible).*",
        "no key file",
        "Correct `identity_file` of the environment.",
    ),
)


def explain_failure(environment: Environment, ending: Ending) -> ConnectionFailed:
    """The error for a connection that failed to begin, or was lost."""
    is_no_python = ending.code in (PYTHON_NOT_FOUND, PYTHON_NOT_EXECUTABLE)
    if is_no_python and ending.had_shell and not ending.was_open:
        return ConnectionRefused(
            f"Expected a Python at {environment.python} on {environment.host}, got none that runs{_words(ending)}.",
            "Correct `python` of the environment, or create one: jobs environments create",
        )
    known = _known(ending) if ending.code in (SSH_FAILED, None) else None
    if known is not None:
        kind = ConnectionRefused if known.is_permanent else ConnectionFailed
        remedy = known.remedy.format(host=environment.host)
        return kind(f"Expected to reach {environment.host}, got {known.meaning}.", remedy)
    if ending.was_open:
        lines = [line for line in ending.errors.splitlines() if line.strip()]
        reason = shown(lines[-1]) if lines else ending.reason or "the connection ended"
        return ConnectionFailed(
            f"The connection to {environment.host} was lost: {reason.rstrip('.')}.", "Jobs there continue; try again."
        )
    return _not_begun(environment, ending)


def _not_begun(environment: Environment, ending: Ending) -> ConnectionFailed:
    """A host that was reached, or seemed to be, and did not run what it was asked to."""
    if ending.seconds is not None:
        found = f"no answer in {ending.seconds:g} s" + (
            "" if ending.said or ending.errors.strip() else " and no output"
        )
    elif ending.code == INPUT_WAS_TAKEN:
        found = "a command whose input was read by something else"
    else:
        found = "the end of its output" if ending.code is None else f"an end with exit code {ending.code}"
    if ending.had_shell:
        return ConnectionFailed(
            f"Expected {environment.python} on {environment.host} to start as Python, got {found}{_words(ending)}.",
            "Correct `python` of the environment, or create one: jobs environments create",
        )
    is_account = ACCOUNT.search(f"{ending.said} {ending.errors}") and ending.code != INPUT_WAS_TAKEN
    advice = ASK_ABOUT_THE_ACCOUNT if is_account else START_UP_FILES
    advice += SLOW_HOST if ending.seconds is not None and not is_account else ""
    return ConnectionFailed(
        f"Expected {environment.host} to start Python, got {found}{_words(ending)}.",
        advice.format(host=environment.host),
    )


def _known(ending: Ending) -> Explanation | None:
    lines = [line.strip() for line in ending.errors.splitlines()]
    return next((known for known in EXPLANATIONS if any(re.fullmatch(known.words, line) for line in lines)), None)


def _words(ending: Ending) -> str:
    """What was said, by the host and by the client, for the end of a sentence; empty if nothing was."""
    said = " / ".join(filter(None, (ending.said, shown(ending.errors))))
    return f"; it said: {said.rstrip('.')}" if said else ""
