"""A stand-in for LSF, which cannot be installed here: one machine that really queues, runs and kills processes.

`LsfCluster(folder)` makes the programs bsub, bjobs, bkill, brequeue, bresume, bqueues and lsid in ``folder/bin``. They
speak as IBM documents LSF 10.1 (https://www.ibm.com/docs/en/spectrum-lsf/10.1.0): options, states, answers, exit codes.
Every job has a process that stands for LSF's daemon on the job's machine and keeps the job's record, a JSON file.

    python3 lsf.py PROGRAM WORDS...    with the folder in LSF_STAND_IN
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("bsub", "bjobs", "bkill", "brequeue", "bresume", "bqueues", "lsid")
QUEUES = ("normal", "gpu")
CORES = 8
OVER = ("DONE", "EXIT")
FAILED = 255
SECONDS_BETWEEN_SIGNALS = (0.0, 1.0, 10.0)  # INT, TERM, KILL: JOB_TERMINATE_INTERVAL is 10 s
FOLDER, MINUTE = "LSF_STAND_IN", "LSF_STAND_IN_MINUTE"


class LsfCluster:
    """The cluster of one folder.

    Parameters
    ----------
    folder : Path
        For its programs and records.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder, folder / "bin"
        for part in (folder, self.programs, folder / "jobs"):
            part.mkdir()
        for name in PROGRAMS:
            text = f'#!/bin/sh\nexec "{sys.executable}" "{Path(__file__).resolve()}" {name} "$@"\n'
            (self.programs / name).write_text(text)
            (self.programs / name).chmod(0o755)

    @property
    def variables(self) -> dict[str, str]:
        """What a program needs to find the cluster."""
        return {FOLDER: str(self.folder), "PATH": f"{self.programs}:{os.environ['PATH']}"}

    def run(self, *words: str) -> str:
        """Output of one of its programs."""
        return subprocess.run(words, env={**os.environ, **self.variables}, capture_output=True, text=True).stdout

    def stop(self) -> None:
        """End all jobs."""
        self.run("bkill", "0")
        end = time.monotonic() + 30
        while any(record["stat"] not in OVER for record in records(self.folder)) and time.monotonic() < end:
            time.sleep(0.2)


def records(folder: Path) -> list[dict]:
    """All jobs, oldest first."""
    found = [json.loads(path.read_text()) for path in (folder / "jobs").glob("*.json")]
    return sorted(found, key=lambda record: record["jobid"])


@contextmanager
def changing(folder: Path) -> Iterator[None]:
    """Hold the cluster's lock."""
    with open(folder / "lock", "w") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def change(folder: Path, number: int, **values) -> dict:
    """Change the record of a job."""
    with changing(folder):
        path = folder / "jobs" / f"{number}.json"
        record = {**(json.loads(path.read_text()) if path.exists() else {}), **values}
        path.with_suffix(".new").write_text(json.dumps(record))
        os.replace(path.with_suffix(".new"), path)
    return record


def fail(text: str) -> int:
    """What LSF's programs do when they refuse."""
    sys.stderr.write(text + "\n")
    return FAILED


def bsub(folder: Path, words: list[str]) -> int:
    """Queue a job: bsub [options] command [arguments]."""
    parser = argparse.ArgumentParser(prog="bsub", add_help=False, allow_abbrev=False)
    for name in ("-q", "-J", "-cwd", "-o", "-Q", "-P", "-gpu", "-W", "-wa", "-wt"):
        parser.add_argument(name)
    for name in ("-r", "-H", "-I"):
        parser.add_argument(name, action="store_true")
    parser.add_argument("-n", type=int, default=1)
    parser.add_argument("-R", action="append", default=[])
    parser.add_argument("command", nargs=argparse.REMAINDER)
    try:
        asked = vars(parser.parse_args(words))
    except SystemExit:
        return fail("bsub: illegal option. Job not submitted.")
    queue = asked["q"] or QUEUES[0]
    if queue not in QUEUES:
        return fail(f"{queue}: No such queue. Job not submitted.")
    if asked["n"] > CORES:
        return fail("Too many processors requested. Job not submitted.")
    if any(text.count("[") != text.count("]") for text in asked["R"]):
        return fail("Bad resource requirement syntax. Job not submitted.")
    with changing(folder):
        number = max((record["jobid"] for record in records(folder)), default=100) + 1
        (folder / "jobs" / f"{number}.json").write_text(json.dumps({"jobid": number, "stat": "PSUSP"}))
    output = str(folder / f"{number}.out") if asked["I"] else asked["o"] or os.devnull
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LSB_")}
    change(
        folder,
        number,
        **{**asked, "o": output, "queue": queue, "command": " ".join(asked["command"]), "environment": environment},
        job_name=asked["J"] or "",
        sub_cwd=asked["cwd"] or os.getcwd(),
        stat="PSUSP" if asked["H"] else "PEND",
        pend_reason="New job is waiting for scheduling;",
        signals=[],
    )
    daemon = [sys.executable, __file__, "daemon", str(number)]
    nothing = subprocess.DEVNULL
    subprocess.Popen(daemon, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    default = "" if asked["q"] else "default "
    sys.stdout.write(f"Job <{number}> is submitted to {default}queue <{queue}>.\n")
    return wait_for_output(folder, number, output) if asked["I"] else 0


def wait_for_output(folder: Path, number: int, output: str) -> int:
    """The end of an interactive job."""
    sys.stdout.write("<<Waiting for dispatch ...>>\n")
    while change(folder, number)["stat"] not in OVER:
        time.sleep(0.1)
    sys.stdout.write("<<Starting on host1>>\n" + Path(output).read_text())
    return int(change(folder, number).get("exit_code") or 0)


def bjobs(folder: Path, words: list[str]) -> int:
    """Show jobs: bjobs [-a] -noheader -o FIELDS [-J NAME] [NUMBER]."""
    parser = argparse.ArgumentParser(prog="bjobs", add_help=False)
    parser.add_argument("-a", action="store_true")
    parser.add_argument("-noheader", action="store_true", required=True)
    parser.add_argument("-o", required=True)
    parser.add_argument("-J")
    parser.add_argument("numbers", nargs="*")
    asked = parser.parse_args(words)
    fields, _, rest = asked.o.partition("delimiter=")
    chosen = selected(folder, asked.numbers, asked.J)
    found = [record for record in chosen if asked.a or asked.numbers or record["stat"] not in OVER]
    if not found:
        return fail(f"Job <{asked.J or ' '.join(asked.numbers)}> is not found")
    for record in found:
        shown = (str(record.get(name) or "-") for name in fields.split())
        sys.stdout.write(rest.strip("'").join(shown) + "\n")
    return 0


def selected(folder: Path, numbers: list[str], name: str | None) -> list[dict]:
    """The jobs of these numbers (0: all), or of a name."""
    wanted = [number for number in numbers if number != "0"]
    found = [record for record in records(folder) if not wanted or str(record["jobid"]) in wanted]
    return [record for record in found if name is None or record.get("job_name") == name]


def bkill(folder: Path, words: list[str]) -> int:
    """End jobs, or send them a signal: bkill [-s SIGNAL] [-J NAME] NUMBER|0."""
    parser = argparse.ArgumentParser(prog="bkill", add_help=False)
    parser.add_argument("-s")
    parser.add_argument("-J")
    parser.add_argument("numbers", nargs="*")
    asked = parser.parse_args(words)
    found = selected(folder, asked.numbers, asked.J)
    if not found:
        return fail(f"Job <{' '.join(asked.numbers)}>: No matching job found")
    code = 0
    for record in found:
        name = f"Job <{record['jobid']}>"
        if record["stat"] in OVER:
            code = fail(f"{name}: Job has already finished")
        elif asked.s and asked.s not in ("KILL", "9"):
            change(folder, record["jobid"], signals=[*record["signals"], asked.s])
            sys.stdout.write(f"{name} is being signaled\n")
        else:
            change(folder, record["jobid"], killed="TERM_OWNER: job killed by owner")
            sys.stdout.write(f"{name} is being terminated\n")
    return code


def brequeue(folder: Path, words: list[str]) -> int:
    """Kill a running job and queue it again."""
    change(folder, int(words[0]), killed="TERM_REQUEUE_OWNER: job killed and requeued by owner", again=True)
    sys.stdout.write(f"Job <{words[0]}> is being requeued\n")
    return 0


def bresume(folder: Path, words: list[str]) -> int:
    """Let a job that is held wait for its turn."""
    change(folder, int(words[0]), stat="PEND")
    sys.stdout.write(f"Job <{words[0]}> is being resumed\n")
    return 0


def bqueues(_folder: Path, words: list[str]) -> int:
    """Show queues, or one."""
    if words and not words[0].startswith("-"):
        return 0 if words[0] in QUEUES else fail(f"{words[0]}: No such queue.")
    sys.stdout.write("".join(f"{name}|Open:Active\n" for name in QUEUES))
    return 0


def lsid(_folder: Path, _words: list[str]) -> int:
    """Say who is here."""
    sys.stdout.write("IBM Spectrum LSF Standard 10.1.0.12, Oct 05 2021\n\nMy cluster name is test\n")
    return 0


class Daemon:
    """Looks after one job: waits for free cores, runs it, delivers signals, watches its time, notes its end."""

    def __init__(self, folder: Path, number: int) -> None:
        self.folder, self.number = folder, number
        self.minute_s = float(os.environ.get(MINUTE, "60"))

    def live(self) -> None:
        """From the queue to the end, again and again while the job is queued again."""
        while self._has_turn():
            code = self._run()
            record = change(self.folder, self.number)
            is_wanted_again = record.get("again") or str(code) in (record["Q"] or "").split()
            if not is_wanted_again:
                ended = record.get("killed") or ""
                stat = "DONE" if code == 0 and not ended else "EXIT"
                change(self.folder, self.number, stat=stat, exit_code=code, exit_reason=ended)
                return
            change(self.folder, self.number, stat="PEND", killed="", again=False, pend_reason="Requeued;")

    def _has_turn(self) -> bool:
        """Wait for cores; False for a job that is killed before."""
        while True:
            record = change(self.folder, self.number)
            if record.get("killed"):
                change(self.folder, self.number, stat="EXIT", exit_reason=record["killed"])
                return False
            used = sum(other["n"] for other in records(self.folder) if other["stat"] == "RUN")
            if record["stat"] == "PEND" and used + record["n"] <= CORES:
                change(self.folder, self.number, stat="RUN", started=time.time(), pend_reason="")
                return True
            time.sleep(0.1)

    def _run(self) -> int:
        record = change(self.folder, self.number)
        variables = {"LSB_JOBID": str(self.number), "LSB_MCPU_HOSTS": f"host1 {record['n']}", "LSB_HOSTS": "host1"}
        script = f"trap : 15 10 12 2 1\n{record['command']}\nended=$?\nwait\nexit $ended"  # as LSF's job file does
        with open(record["o"], "ab") as output:
            process = subprocess.Popen(
                ["/bin/sh", "-c", script],
                cwd=record["sub_cwd"],
                env={**record["environment"], **variables},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._watch(process, record)
        return process.returncode if process.returncode >= 0 else 128 - process.returncode

    def _watch(self, process: subprocess.Popen, record: dict) -> None:
        limit = float(record["W"] or "inf") * self.minute_s
        warning = limit - float(record["wt"] or 0) * self.minute_s
        begin, is_warned, is_late, ending = time.monotonic(), not record["wa"], False, None
        while process.poll() is None:
            now = time.monotonic() - begin
            record = change(self.folder, self.number)
            for name in [*record["signals"], *([record["wa"]] if now > warning and not is_warned else [])]:
                self._signal(process, f"SIG{name.removeprefix('SIG')}")
            is_warned = is_warned or now > warning
            if record["signals"]:
                change(self.folder, self.number, signals=[])
            if now > limit and not is_late:
                self._signal(process, "SIGUSR2")
                is_late = True
            if now > limit + 10 * self.minute_s and not record.get("killed"):
                change(self.folder, self.number, killed="TERM_RUNLIMIT: job killed after reaching LSF run time limit")
            if record.get("killed"):
                ending = ending or Ending(self, process)
                ending.go_on()
            time.sleep(0.05)

    def _signal(self, process: subprocess.Popen, name: str) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, getattr(signal, name))

    def kill_all(self) -> None:
        """Kill every process of the job, in whatever session, as control groups do."""
        wanted = {f"LSB_JOBID={self.number}".encode(), f"{FOLDER}={self.folder}".encode()}
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                if entry.name.isdigit() and wanted <= set((entry / "environ").read_bytes().split(b"\0")):
                    os.kill(int(entry.name), signal.SIGKILL)


class Ending:
    """INT, TERM and KILL, one after the other."""

    def __init__(self, daemon: Daemon, process: subprocess.Popen) -> None:
        self.daemon, self.process, self.begin, self.done = daemon, process, time.monotonic(), 0

    def go_on(self) -> None:
        """Send what is due."""
        while self.done < 3 and time.monotonic() - self.begin >= SECONDS_BETWEEN_SIGNALS[self.done]:
            if self.done == 2:
                self.daemon.kill_all()
            else:
                self.daemon._signal(self.process, ("SIGINT", "SIGTERM")[self.done])
            self.done += 1


def main(words: list[str]) -> int:
    """Be the program that the first word names."""
    folder = Path(os.environ[FOLDER])
    if words[0] == "daemon":
        Daemon(folder, int(words[1])).live()
        return 0
    if (folder / "down").exists():
        return fail("Failed in an LSF library call: LIM is down; try later")
    return globals()[words[0]](folder, words[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
