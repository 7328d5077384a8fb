"""Fuzzing: damaged inputs for every reader, tried in child processes with limits of memory and time.

    python Testing/Fuzz/run.py --count 20000 --seed 1 [--targets nrrd,tiff] [--processes 2] [--keep FOLDER]

Prints a summary by signature: outcome, target, kind of error and place. The first input of each signature is kept as a
reproducer. Failures are ends by a signal, hangs, more memory than the limit, errors of the program itself (all that
are not for the user), valid inputs that are refused, and outputs that are left half-written or changed. The exit code
is 1 if there are any.
"""

from __future__ import annotations

import argparse
import json
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))
from targets import ALL
from worker import CHANGED, INTERNAL, LEFT_OVER, MEMORY, TARGETS, write_input

HERE = Path(__file__).resolve().parent
HANG, CRASH = "hang", "crash"
FAILURES = (CRASH, HANG, INTERNAL, MEMORY, LEFT_OVER, CHANGED)
MEMORY_MB, SECONDS, START_SECONDS = 1024, 20.0, 120.0
REPORTED_EVERY = 1000


@dataclass(frozen=True)
class Signature:
    """What inputs that fail, or are refused, in the same way have in common."""

    outcome: str
    target: str
    error: str
    place: str

    @property
    def is_failure(self) -> bool:
        """Whether the program did something wrong."""
        return self.outcome in FAILURES


@dataclass
class Summary:
    """How many inputs had each signature, and the first number and text of each."""

    seed: int
    counts: Counter[Signature] = field(default_factory=Counter)
    first: dict[Signature, tuple[int, str]] = field(default_factory=dict)

    def add(self, signature: Signature, number: int, text: str) -> None:
        """Count one input."""
        self.counts[signature] += 1
        if signature not in self.first or number < self.first[signature][0]:
            self.first[signature] = (number, text)

    @property
    def failures(self) -> list[Signature]:
        """The signatures that must not be, the most frequent first."""
        return [signature for signature, _ in self.counts.most_common() if signature.is_failure]

    def text(self) -> str:
        """A line for each outcome and for each failure."""
        outcomes: Counter[str] = Counter()
        for signature, count in self.counts.items():
            outcomes[signature.outcome] += count
        lines = [", ".join(f"{count} {outcome}" for outcome, count in outcomes.most_common())]
        for signature in self.failures:
            number, text = self.first[signature]
            where = f"{signature.error} at {signature.place}" if signature.place else signature.error
            shown = " ".join(text.split())[:160]
            lines.append(
                f"{self.counts[signature]:6} × {signature.outcome}: {signature.target}: {where}; "
                f"first: seed {self.seed}, number {number}: {shown}"
            )
        return "\n".join(lines)


class Child:
    """One worker, started again after each end."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._folder, self._seed = folder, seed
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[str] = queue.Queue()

    def ask(self, number: int, name: str) -> tuple[Signature, str]:
        """Try one input and return its signature and what the error said."""
        seconds = SECONDS
        if self._process is None:
            self._start()
            seconds = START_SECONDS
        try:
            self._process.stdin.write(f"{number} {name}\n")
            self._process.stdin.flush()
            line = self._answers.get(timeout=seconds)
        except queue.Empty:
            self.stop()
            return Signature(HANG, name, "", ""), f"longer than {seconds:.0f} s"
        except OSError:
            line = ""
        if not line:
            code = self._process.wait()
            self.stop()
            return Signature(CRASH, name, f"exit code {code}", ""), ""
        answer = json.loads(line)
        return Signature(answer["outcome"], name, answer["error"], answer["place"]), answer["text"]

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(HERE / "worker.py"), str(self._folder), str(self._seed), str(MEMORY_MB)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answers = queue.Queue()
        threading.Thread(target=_pass_on, args=(self._process.stdout, self._answers), daemon=True).start()

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process.stdin.close()
            self._process = None


def _pass_on(stream, answers: queue.Queue[str]) -> None:
    for line in stream:
        answers.put(line)
    answers.put("")
    stream.close()


def fuzz(count: int, seed: int, names: Sequence[str], processes: int = 2, first: int = 0) -> Summary:
    """Try `count` inputs, the targets by turns, in so many child processes."""
    summary, numbers, lock = Summary(seed), iter(range(first, first + count)), threading.Lock()

    def work(index: int, folder: Path) -> None:
        child = Child(folder / str(index), seed)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            name = names[number % len(names)]
            signature, text = child.ask(number, name)
            with lock:
                summary.add(signature, number, text)
                done = sum(summary.counts.values())
            if done % REPORTED_EVERY == 0:
                sys.stderr.write(f"{done} of {count} inputs, {len(summary.failures)} signatures of failures\n")
        child.stop()

    with tempfile.TemporaryDirectory() as folder:
        threads = [threading.Thread(target=work, args=(index, Path(folder))) for index in range(processes)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return summary


def keep_reproducers(summary: Summary, folder: Path) -> None:
    """Write the first input of each failure into a folder of its own, with what it did."""
    for signature in summary.failures:
        number, text = summary.first[signature]
        place = "-".join(filter(None, (signature.outcome, signature.target, signature.error, signature.place)))
        target = folder / "".join(
            character if character.isalnum() or character in "-._" else "_" for character in place
        )
        shutil.rmtree(target, ignore_errors=True)
        (target / "in").mkdir(parents=True)
        path = write_input(TARGETS[signature.target], summary.seed, number, target / "in")
        about = f"seed {summary.seed}\nnumber {number}\ninput {path.relative_to(target)}\n{signature}\n{text}\n"
        (target / "what.txt").write_text(about, "utf-8", "backslashreplace")


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=500, help="number of inputs (default: 500)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same inputs (default: 0)")
    parser.add_argument("--first", type=int, default=0, help="number of the first input (default: 0)")
    parser.add_argument("--targets", default="", help="names with commas (default: all)")
    parser.add_argument("--processes", type=int, default=2, help="child processes (default: 2)")
    parser.add_argument(
        "--keep", type=Path, default=Path(tempfile.gettempdir()) / "mgimplantseg-fuzz", help="for reproducers"
    )
    options = parser.parse_args()
    names = options.targets.split(",") if options.targets else [target.name for target in ALL]
    unknown = [name for name in names if name not in TARGETS]
    if unknown:
        parser.error(f"expected names of {', '.join(TARGETS)}, got {', '.join(unknown)}")
    summary = fuzz(options.count, options.seed, names, options.processes, options.first)
    sys.stdout.write(summary.text() + "\n")
    if summary.failures:
        keep_reproducers(summary, options.keep)
        sys.stdout.write(f"reproducers: {options.keep}\n")
    return int(bool(summary.failures))


if __name__ == "__main__":
    sys.exit(main())
