"""What OpenSSH's client means when it fails, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from MgImplantSegLib.errors import MgImplantSegError
from MgImplantSegLib.jobs.environment import Environment

PYTHON_NOT_FOUND, PYTHON_NOT_EXECUTABLE = 127, 126


class ConnectionFailed(MgImplantSegError):
    """A host that cannot be reached, or was lost; jobs on it go on."""

    kind = "connection"
    is_permanent = False


class ConnectionRefused(ConnectionFailed):
    """A failure that trying again does not help."""

    is_permanent = True


@dataclass(frozen=True)
class Explanation:
    """What is found in ssh's words, what that means, what to do."""

    words: str
    meaning: str
    remedy: str
    is_permanent: bool = True


EXPLANATIONS = (
    Explanation(
        "REMOTE HOST IDENTIFICATION HAS CHANGED",
        "a host key other than the known one",
        "Somebody may be listening in. Ask who runs the host for the new key's fingerprint before you "
        "replace the old one: ssh-keygen -R {host}",
    ),
    Explanation(
        "Host key verification failed",
        "a host key that is not known here",
        "Run `ssh {host}` once in a terminal, compare the fingerprint with the host's, and accept it.",
    ),
    Explanation(
        "Permission denied",
        "no right to log in",
        "Check user and key: `ssh {host}` has to work without a password (ssh-agent, ControlMaster).",
    ),
    Explanation("Could not resolve hostname", "a name that nobody knows", "Correct `host` of the environment."),
    Explanation("Connection refused", "no SSH server that answers", "Check host, port and whether it is up.", False),
    Explanation("timed out", "no answer in time", "Check network, VPN and host.", False),
    Explanation("No route to host", "no way to it", "Check network and VPN.", False),
    Explanation("Bad configuration option", "an error in OpenSSH's configuration", "Correct the file it names."),
    Explanation("no such identity", "no key file", "Correct `identity_file` of the environment."),
)


def explain_failure(environment: Environment, code: int | None, words: str, error: Exception) -> ConnectionFailed:
    """The error for a connection that ended with exit code `code` and these words on standard error."""
    host = environment.host
    if code in (PYTHON_NOT_FOUND, PYTHON_NOT_EXECUTABLE):
        return ConnectionRefused(
            f"Expected a Python at {environment.python} on {host}, got none that runs.",
            "Correct `python` of the environment, or make one: jobs environments create",
        )
    for known in EXPLANATIONS:
        if known.words.lower() in words.lower():
            kind = ConnectionRefused if known.is_permanent else ConnectionFailed
            return kind(f"Expected to reach {host}, got {known.meaning}.", known.remedy.format(host=host))
    lines = [line for line in words.splitlines() if line.strip()]
    reason = lines[-1].strip()[:200] if lines else str(error) or "the connection ended"
    return ConnectionFailed(f"The connection to {host} was lost: {reason}.", "Jobs there go on; try again.")
