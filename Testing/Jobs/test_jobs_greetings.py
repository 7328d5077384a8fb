"""Start-up files of a host: what they print is skipped; where they keep the agent from starting, it is said why.

A program named `ssh` stands for OpenSSH's client and the host behind it: it does what the start-up file says, then runs
the command by a shell of this computer, as sshd does.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import replace

import pytest

from MgImplantSegLib.base.errors import MgImplantSegError
from MgImplantSegLib.jobs.agent.frames import read_frame, write_frame
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.greeting import shown
from MgImplantSegLib.jobs.ssh_errors import ConnectionFailed, ConnectionRefused, Ending, explain_failure
from MgImplantSegLib.jobs.ssh_process import SshProcess

pytestmark = pytest.mark.skipif(os.name == "nt", reason="the host is played by a POSIX shell")
SSH = """#!/bin/sh
while [ "$1" != "--" ]; do shift; done; shift 2
{start_up}
exec sh -c "$*"
"""
LONGEST_MESSAGE = 1200


@pytest.fixture
def host(tmp_path, monkeypatch):
    """Makes an environment on a host whose start-up file has these lines."""
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def make(start_up: str, python: str = sys.executable, answer_s: float = 120.0) -> Environment:
        (tmp_path / "ssh").write_text(SSH.format(start_up=start_up))
        (tmp_path / "ssh").chmod(0o755)
        return Environment(
            "x", Kind.SSH, python=python, host="gpu-server", root=str(tmp_path / "root"), answer_s=answer_s
        )

    return make


@pytest.mark.parametrize(
    "start_up",
    [
        "echo Welcome; echo on standard error >&2",
        'printf "no end of line"',
        "seq 1 3000",
        'echo \'{"python": "2.7"}\'; echo "{}"; echo 42; echo \'{"payload_bytes": 3}\'',
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo; done",
        "head -c 5000000 /dev/zero",
        "echo 'MGIMPLANTSEG-AGENT 2 '; echo 'MGIMPLANTSEG-AGENT 1'",
        "printf '\\033[2J\\377\\376\\r'",
        "(sleep 0.2; echo late; echo 17; echo '[]') &",
    ],
)
def test_what_a_start_up_file_prints_is_skipped(host, start_up):
    with Backend(host(start_up)) as backend:
        for _ in range(3):
            assert backend.list() == []
            time.sleep(0.1)


@pytest.mark.parametrize(
    ("start_up", "words"),
    [
        ("exec cat > /dev/null", "the end of its output"),
        ("exec sh -i", "no answer in 1 s"),
        ("exec sleep 60", "no answer in 1 s and no output"),
        ("echo hello; sleep 60", "it said: hello"),
        ("printf 'New password: '; sleep 60", "it said: New password:"),
        ("exec cat", "no answer in 1 s"),
        ("exit 0", "an end with exit code 0. Run: ssh gpu-server echo ok"),
        ("exit 7", "exit code 7"),
        ("read line", "input was read by something else"),
        ('echo "This account is currently not available."; exit 1', "This account is currently not available. Log in"),
        (
            "exec >&2; echo 'Your password expired.'; echo 'Password change required but no TTY available.'; exit 1",
            "no TTY available. Log in with `ssh gpu-server`",
        ),
        ("exec no-such-shell", "an end with exit code 127; it said: .*no-such-shell.* start-up files"),
        ("head -c 3000000 /dev/zero | tr '\\0' x; exit 1", "x{200}. Run: ssh"),
        ("printf '\\033]0;title\\007\\033[31mred\\033[0m'; exit 1", "said: red. Run"),
    ],
)
def test_a_host_that_does_not_start_the_agent_is_told_with_what_it_said(host, start_up, words):
    begin, is_silent = time.monotonic(), "sleep" in start_up or "no answer" in words
    with (
        Backend(host(start_up, answer_s=1.0 if is_silent else 120.0)) as backend,
        pytest.raises(ConnectionFailed, match=words) as found,
    ):
        backend.list()
    assert time.monotonic() - begin < 20
    assert len(str(found.value)) < LONGEST_MESSAGE
    assert str(found.value).isprintable()


def test_a_host_that_never_stops_talking_is_left(host):
    with (
        Backend(host("exec yes hello", answer_s=1.0)) as backend,
        pytest.raises(ConnectionFailed, match=r"said: .*hello hello"),
    ):
        backend.list()


def test_a_shell_in_place_of_the_command_is_given_nothing_to_run(host, tmp_path):
    received = f"exec cat > '{tmp_path}/received'"
    with Backend(host(received, answer_s=1.0)) as backend, pytest.raises(ConnectionFailed):
        backend.list()
    assert (tmp_path / "received").read_text() == f"python:{sys.executable}\nnow\n"


def test_words_of_a_banner_are_not_taken_for_those_of_the_client(host):
    banner = "echo 'Idle sessions are timed out. Permission denied to others. Connection refused.' >&2"
    with (
        Backend(host(f"{banner}; exit 1")) as backend,
        pytest.raises(ConnectionFailed, match="exit code 1; it said: Idle"),
    ):
        backend.list()
    denied = f"{banner}; echo 'me@gpu-server: Permission denied (publickey).' >&2; exit 255"
    with Backend(host(denied)) as backend, pytest.raises(ConnectionRefused, match="got permission denied"):
        backend.list()


CLIENT_SAYS = {
    "ssh: Could not resolve hostname gpu-server: Name or service not known": "an unknown host name",
    "ssh: connect to host gpu-server port 22: Connection refused": "no SSH server that answers",
    "ssh: connect to host gpu-server port 22: Connection timed out": "no answer in time",
    "Connection timed out during banner exchange": "no answer in time",
    "ssh: connect to host gpu-server port 22: No route to host": "no route to host",
    "ssh: connect to host gpu-server port 22: Network is unreachable": "no route to host",
    "root@127.0.0.1: Permission denied (publickey,password).": "permission denied",
    "Host key verification failed.": "a host key that is not known here",
    "/home/me/c: line 3: Bad configuration option: hots": "an error in OpenSSH's configuration",
    "channel 0: open failed: connect failed: Connection refused\nstdio forwarding failed": "no SSH server",
}


@pytest.mark.parametrize("said", CLIENT_SAYS)
def test_what_openssh_says_is_explained(said):
    environment = Environment("x", Kind.SSH, python="p", host="gpu-server")
    error = explain_failure(environment, Ending(255, f"A banner.\r\n{said}\r\n", ""))
    assert CLIENT_SAYS[said] in error.message


def test_a_person_gets_more_time_to_answer_a_question_than_a_program(host):
    program = host("exit 1", answer_s=7.0)
    assert 20 < Environment.this_computer().answer_s <= 40
    for environment, shortest, longest in ((program, 7, 7), (replace(program, interactive=True), 120, 600)):
        process = SshProcess(environment)
        assert shortest <= process.seconds_to_answer <= longest
        process.end()


def test_python_that_is_not_there_is_told_with_the_shells_own_words(host):
    with Backend(host("", "/no/such python")) as backend, pytest.raises(ConnectionRefused, match=r"it said: .*no/such"):
        backend.list()


def test_something_that_is_no_python_is_told(host):
    with (
        Backend(host("", "/bin/echo")) as backend,
        pytest.raises(MgImplantSegError, match="to start as Python, got an end with exit code 0; it said: -I -u"),
    ):
        backend.list()


def test_lines_between_messages_are_skipped():
    import io

    stream = io.BytesIO()
    write_frame(stream, {"a": 1}, b"x")
    noise = b'42\n[]\n{}\n{"payload_bytes": "3"}\n{"payload_bytes": -1}\n' + b"[" * 50_000 + b"\n"
    assert read_frame(io.BytesIO(noise + stream.getvalue())) == ({"a": 1}, b"x")
    with pytest.raises(EOFError):
        read_frame(io.BytesIO(noise))


@pytest.mark.parametrize("text", ["", "a\n\n b", "\x1b[1mbold\x1b[0m", "x" * 10_000, "\ud800", "a\x00\x9b2Jb"])
def test_what_is_shown_is_one_short_line_without_control_characters(text):
    assert shown(text).isprintable()
    assert len(shown(text)) <= 301
    assert "\n" not in shown(text)
