"""Set-up and entry: makes a Python environment from pinned versions, then runs a command in it.

    python3 Testing/run.py demo           simulate an explant, segment, measure and render it
    python3 Testing/run.py test           style checks and all tests
    python3 Testing/run.py test --fast    the same without slow tests, most tests of the panel, and servers of our own
    python3 Testing/run.py segment ...    any command of the engine's command line
    python3 Testing/run.py python ...     Python of the environment
    python3 Testing/run.py setup          the set-up alone

Needs Python 3.11 or 3.12 and the standard library only. The environment is `.venv` in the checkout; it is made
once and made again when the pinned versions (Testing/constraints.txt) change. Delete the folder to remove it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
CONSTRAINTS = CHECKOUT / "Testing" / "constraints.txt"
PYTHON_VERSIONS = ((3, 11), (3, 12))
EXTRAS = "scene,figures,openvino,test"
STAMP = "mgimplantseg-setup.txt"
UNFINISHED = "unfinished"
VENV = ("-m", "venv")
DOWNLOAD_MB = 680
DISK_GB = 3.2
CUDA_DOWNLOAD_GB = 3
STYLE_CHECKS = (
    ["ruff", "check", "--quiet", str(CHECKOUT)],
    ["ruff", "format", "--check", "--quiet", str(CHECKOUT)],
)
TYPE_CHECK = ["mypy", "--no-error-summary"]
FAST, FAST_LANE = "--fast", ["-m", "not slow and not services and not panel"]
PROCESSES, PROCESSES_OF_FAST_LANE = "4", "2"  # all tests wait for jobs and servers a part of the time
SIDE_BY_SIDE = ("--dist", "loadfile", "--no-loadscope-reorder", "-rR")
CUDA_DISK_GB = 9.0


class SetupError(Exception):
    """The set-up cannot be done; the text says what was expected, what came and what to do."""


def main(arguments: list[str] | None = None) -> int:
    """Make the environment if need be and run the command in it; returns the exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    if not words:
        _parser().print_help(sys.stderr)
        return 2
    options = _parser().parse_args(words)
    try:
        require_supported_python(sys.version_info[:3])
        python = ensure_environment(options.venv, options.torch_index, options.fresh)
    except SetupError as error:
        sys.stderr.write(f"run.py: {error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("\nrun.py: cancelled; the next run starts the set-up again.\n")
        return 130
    if options.command == "setup":
        return 0
    if options.command == "test":
        return run_tests(python, options.arguments)
    start = [str(python)] if options.command == "python" else [str(python), "-m", "MgImplantSegLib", options.command]
    return run_to_end([*start, *options.arguments])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="run.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--venv", type=Path, default=CHECKOUT / ".venv", metavar="DIR", help="environment's folder")
    parser.add_argument("--torch-index", metavar="URL", help="package index that has torch's CPU build (Linux)")
    parser.add_argument("--fresh", action="store_true", help="make the environment again")
    parser.add_argument("command", help="demo, test, python, setup, or a command of the engine (doctor, segment, ...)")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="passed on to the command")
    return parser


def say(text: str) -> None:
    """One line to the person who waits."""
    sys.stderr.write(f"run.py: {text}\n")
    sys.stderr.flush()


def require_supported_python(version: tuple[int, int, int]) -> None:
    """Raise `SetupError` unless the interpreter is one of PYTHON_VERSIONS with 64 bits."""
    if version[:2] in PYTHON_VERSIONS and sys.maxsize > 2**32:
        return
    bits = 64 if sys.maxsize > 2**32 else 32
    raise SetupError(
        f"Expected Python 3.11 or 3.12 (64 bit), got {'.'.join(map(str, version))} ({bits} bit) at {sys.executable}. "
        "Install one of them and start it by name, for example: python3.12 Testing/run.py demo"
    )


# --- the environment ---------------------------------------------------------------------------------------------


def ensure_environment(folder: Path, torch_index: str | None = None, fresh: bool = False) -> Path:
    """The environment's Python, made first if it is missing, unfinished or of other versions."""
    folder = Path(os.path.abspath(folder))
    key = environment_key(folder)
    if not fresh and _read_stamp(folder) == key:
        return environment_python(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with only_one_set_up(folder):
        if not fresh and _read_stamp(folder) == key:
            return environment_python(folder)
        _make_environment(folder, key, torch_index)
    return environment_python(folder)


def environment_key(folder: Path) -> str:
    """Changes when the pinned versions, the project's requirements, the Python or the checkout's place change."""
    import tomllib  # since Python 3.11, which has been made sure of

    tables = tomllib.loads(_text("pyproject.toml"))
    project = json.dumps([tables["project"], tables["build-system"]], sort_keys=True)
    parts = (CONSTRAINTS.read_text("utf-8"), project, platform.python_version(), str(CHECKOUT), str(folder), EXTRAS)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def environment_python(folder: Path) -> Path:
    """The interpreter inside the environment, on Windows or elsewhere."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def pinned_version(package: str) -> str:
    """The version that the constraints file gives for a package."""
    match = re.search(rf"(?m)^{re.escape(package)}==(\S+)", CONSTRAINTS.read_text("utf-8"))
    if match is None:
        raise SetupError(f"Expected a line {package}==VERSION in {CONSTRAINTS}, got none.")
    return match.group(1)


def _make_environment(folder: Path, key: str, torch_index: str | None) -> None:
    start = time.monotonic()
    _remove_old(folder)
    _require_free_disk(folder, DISK_GB)
    say(f"making {folder} with Python {platform.python_version()} from {CONSTRAINTS.name}, once.")
    say(f"about {DOWNLOAD_MB} MB to download, {DISK_GB:g} GB on disk; delete that folder to remove all of it.")
    say("step 1 of 3: an empty environment")
    _make_empty_environment(folder)
    python = environment_python(folder)
    say(f"step 2 of 3: torch {pinned_version('torch')}, build for the CPU")
    _pip_install(python, f"setuptools=={pinned_version('setuptools')}")
    _install_torch(python, folder, torch_index)
    say("step 3 of 3: all other packages, and the engine in place")
    _pip_install(python, "--no-build-isolation", "--editable", f"{CHECKOUT}[{EXTRAS}]")
    (folder / STAMP).write_text(key, "utf-8")
    say(f"ready after {time.monotonic() - start:.0f} s.")


def _remove_old(folder: Path) -> None:
    if not folder.exists():
        return
    state = _read_stamp(folder)
    if state is None and (not folder.is_dir() or any(folder.iterdir())):
        raise SetupError(
            f"Expected {folder} to be missing or made by run.py, got another folder. "
            "Move it away, or name another place with --venv DIR"
        )
    if state is not None:
        reason = "an earlier set-up was not finished" if state == UNFINISHED else "other versions are wanted"
        say(f"{reason}: removing {folder} to make it again.")
    try:
        shutil.rmtree(folder)
    except OSError as error:
        raise SetupError(f"Expected to remove {folder}, got: {error}. Close what uses it and try again.") from error


def _make_empty_environment(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STAMP).write_text(UNFINISHED, "utf-8")
    command = [sys.executable, *VENV, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=clean_env())
    if done.returncode:
        raise SetupError(
            f"Expected `{sys.executable} -m venv` to work, got: {' '.join((done.stdout + done.stderr).split())[-300:]} "
            f"On Debian and Ubuntu: apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        )


def _install_torch(python: Path, folder: Path, torch_index: str | None) -> None:
    """The build for the CPU alone; where the index has none for Linux, say what comes instead."""
    index = ["--extra-index-url", torch_index] if torch_index else []
    if platform.system() != "Linux":
        _pip_install(python, *index, f"torch=={pinned_version('torch')}")
        return
    cpu_build = f"torch=={pinned_version('torch')}+cpu"
    probe = _pip(python, "install", "--dry-run", "--no-deps", "--quiet", *index, cpu_build, capture_output=True)
    if probe.returncode == 0:
        _pip_install(python, *index, cpu_build)
        return
    say(f"the package index has no {cpu_build} for this Python.")
    say(f"its default build works too but brings CUDA: about {CUDA_DOWNLOAD_GB} GB more to download.")
    say("to avoid that: Ctrl-C, then give the index of torch's CPU builds with --torch-index URL. Going on.")
    _require_free_disk(folder, CUDA_DISK_GB)
    _pip_install(python, f"torch=={pinned_version('torch')}")


def _pip_install(python: Path, *what: str) -> None:
    if _pip(python, "install", "--constraint", str(CONSTRAINTS), *what).returncode:
        raise SetupError(
            f"Expected pip to install {what[-1]}, got the error above. Check the network, or name a package index in "
            "pip's configuration (PIP_INDEX_URL, PIP_EXTRA_INDEX_URL), and start again"
        )


def _pip(python: Path, *arguments: str, capture_output: bool = False) -> subprocess.CompletedProcess:
    command = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-input", *arguments]
    stdout = {"capture_output": True} if capture_output else {"stdout": sys.stderr}
    return subprocess.run(command, env=clean_env(), check=False, cwd=CHECKOUT, **stdout)


def _require_free_disk(folder: Path, needed_gb: float) -> None:
    free_gb = shutil.disk_usage(folder.parent).free / 1e9
    if free_gb < needed_gb:
        raise SetupError(
            f"Expected {needed_gb:g} GB free in {folder.parent}, got {free_gb:.1f} GB. "
            "Make room, or name another place with --venv DIR"
        )


def _read_stamp(folder: Path) -> str | None:
    try:
        return (folder / STAMP).read_text("utf-8").strip()
    except OSError:
        return None


def _text(name: str) -> str:
    return (CHECKOUT / name).read_text("utf-8")


@contextmanager
def only_one_set_up(folder: Path):
    """Hold a lock beside the environment, so that two set-ups do not meet; freed when the process ends."""
    with open(folder.with_name(folder.name + ".lock"), "w", encoding="utf-8") as lock:
        if not _try_lock(lock):
            say(f"another set-up of {folder} is running; waiting for it.")
            while not _try_lock(lock):
                time.sleep(1)
        yield


def _try_lock(lock) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# --- running in it -----------------------------------------------------------------------------------------------


def clean_env() -> dict[str, str]:
    """The environment variables without those that lead Python to other packages."""
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONHOME", "PYTHONPATH", "PIP_USER")}
    return {**env, "PYTHONNOUSERSITE": "1"}


def run_tests(python: Path, pytest_arguments: list[str]) -> int:
    """Style checks, then pytest, whose closing line is the last; 0 only if all are content.

    All tests run in several processes, and types are checked meanwhile; chosen ones run in one, after that.
    """
    say("step 1 of 2: ruff, style and format, and mypy, types")
    chosen = [word for word in pytest_arguments if word != FAST]
    lane = FAST_LANE if FAST in pytest_arguments else []
    processes = PROCESSES_OF_FAST_LANE if lane else PROCESSES
    side_by_side = () if chosen else ("-n", processes, *SIDE_BY_SIDE)
    with ThreadPoolExecutor(max_workers=1) as beside:
        types = beside.submit(_check, python, TYPE_CHECK)
        style = max(_check(python, check) for check in STYLE_CHECKS)
        if chosen:
            types.result()
        say("step 2 of 2: pytest" + (" without what is slow" if lane else ""))
        tests = _run([str(python), "-m", "pytest", *side_by_side, *lane, *chosen])
        return tests or style or types.result()


def _check(python: Path, check: list[str]) -> int:
    """A check's exit code, said if it is not content."""
    code = _run([str(python), "-m", *check])
    if code:
        say(f"the check of {check[0]} has failed, see above; the tests run all the same.")
    return code


def _run(command: list[str]) -> int:
    # The networks of the tests are tiny: one thread is as fast as two, and ten times as fast on a busy machine.
    env = {"OMP_NUM_THREADS": "1", **clean_env()}
    return subprocess.run(command, cwd=CHECKOUT, env=env, check=False).returncode


def run_to_end(command: list[str]) -> int:
    """Become the command, so that signals reach it; where that cannot be, wait for it and leave Ctrl-C to it."""
    if os.name != "nt":
        os.execve(command[0], command, clean_env())
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return subprocess.run(command, env=clean_env(), check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
