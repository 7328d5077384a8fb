"""The set-up script: which Python it takes, when it makes the environment again, what it passes on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
import tomllib
from importlib import metadata, util
from pathlib import Path

import pytest
from packaging.requirements import Requirement

CHECKOUT = Path(__file__).resolve().parents[2]
RUN = CHECKOUT / "Testing" / "run.py"
EXTRAS = ("scene", "figures", "openvino", "test")


@pytest.fixture
def run_py():
    spec = util.spec_from_file_location("run_py", RUN)
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def finished_environment(run_py, tmp_path):
    """A folder that looks like a finished environment; its Python is the one of the tests."""
    folder = tmp_path / "environment with space"
    python = run_py.environment_python(folder)
    python.parent.mkdir(parents=True)
    if os.name == "nt":
        pytest.skip("an interpreter cannot be linked here")
    python.symlink_to(sys.executable)
    (folder / run_py.STAMP).write_text(run_py.environment_key(folder))
    return folder


def run_with(folder: Path, *words: str, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, str(RUN), "--venv", str(folder), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 9)])
def test_python_3_11_and_3_12_are_taken(run_py, version):
    run_py.require_supported_python(version)


@pytest.mark.parametrize("version", [(3, 10, 13), (3, 13, 0), (2, 7, 18)])
def test_another_python_is_refused_with_what_is_expected_and_what_to_do(run_py, version):
    with pytest.raises(run_py.SetupError) as caught:
        run_py.require_supported_python(version)
    assert "Expected Python 3.11 or 3.12" in str(caught.value)
    assert ".".join(map(str, version)) in str(caught.value)
    assert "python3.12 Testing/run.py" in str(caught.value)


def test_only_the_standard_library_is_imported(run_py):
    names = re.findall(r"(?m)^\s*(?:from|import) (\w+)", RUN.read_text("utf-8"))
    assert set(names) <= sys.stdlib_module_names


def test_every_package_that_a_requirement_brings_is_pinned():
    pinned = {line.split("==")[0] for line in pins()}
    assert {normal(name) for name in closure(required_by_the_project())} <= pinned


def test_every_pin_is_one_exact_version():
    assert [line for line in pins() if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []


def pins() -> list[str]:
    lines = (CHECKOUT / "Testing" / "constraints.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def required_by_the_project() -> list[str]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    return project["dependencies"] + [text for extra in EXTRAS for text in project["optional-dependencies"][extra]]


def closure(requirements: list[str]) -> set[str]:
    """Names of all packages that the requirements bring here, directly or not."""
    found = set()
    for requirement in map(Requirement, requirements):
        extras = requirement.extras or {""}
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            found |= {requirement.name} | closure(requirements_of(requirement.name))
    return found


def requirements_of(package: str) -> list[str]:
    """What an installed package requires; nothing for one that is not installed here."""
    try:
        return metadata.requires(package) or []
    except metadata.PackageNotFoundError:
        return []


def test_a_finished_environment_is_used_again_and_words_and_exit_code_pass_through(finished_environment):
    code = "import sys; print(sys.argv[1:]); sys.exit(7)"
    done = run_with(finished_environment, "python", "-c", code, "--venv", "a b", "--help")
    assert done.returncode == 7
    assert done.stdout == "['--venv', 'a b', '--help']\n"
    assert done.stderr == ""


def test_variables_that_lead_python_elsewhere_do_not_reach_the_command(finished_environment):
    env = {**os.environ, "PYTHONPATH": "/nowhere"}
    code = "import os; print(os.environ.get('PYTHONPATH'), os.environ['PYTHONNOUSERSITE'])"
    assert run_with(finished_environment, "python", "-c", code, env=env).stdout == "None 1\n"


def test_a_folder_that_run_py_has_not_made_is_never_removed(run_py, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("three years of work")
    done = run_with(tmp_path / "mine", "setup")
    assert done.returncode == 2
    assert "Expected" in done.stderr and "--venv DIR" in done.stderr
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "three years of work"


@pytest.fixture
def without_pip(run_py, monkeypatch):
    """Environments are made without pip, which takes seconds each, for tests that install nothing."""
    monkeypatch.setattr(run_py, "VENV", (*run_py.VENV, "--without-pip"))


@pytest.fixture
def stand_in_pip(run_py, without_pip, monkeypatch):
    """Records what pip would install, and installs nothing; the script's own code runs as it is."""
    calls = []

    def record(python, *arguments, capture_output=False):
        calls.append(arguments)
        return subprocess.CompletedProcess(arguments, 0, "", "")

    monkeypatch.setattr(run_py, "_pip", record)
    return calls


def test_a_missing_environment_is_made_in_three_steps_and_then_used_again(run_py, stand_in_pip, tmp_path):
    python = run_py.ensure_environment(tmp_path / "new")
    assert python.exists()
    assert [call[-1] for call in stand_in_pip if "--dry-run" not in call] == [
        f"setuptools=={run_py.pinned_version('setuptools')}",
        f"torch=={run_py.pinned_version('torch')}" + ("+cpu" if sys.platform == "linux" else ""),
        f"{CHECKOUT}[scene,figures,openvino,test]",
    ]
    stand_in_pip.clear()
    assert run_py.ensure_environment(tmp_path / "new") == python
    assert stand_in_pip == []


def test_a_new_environment_has_pip(run_py, tmp_path):
    run_py._make_empty_environment(tmp_path / "new")
    python = run_py.environment_python(tmp_path / "new")
    assert run_py._pip(python, "--version", capture_output=True).returncode == 0


def test_an_interrupted_set_up_is_done_again_from_the_start(run_py, stand_in_pip, tmp_path):
    folder = tmp_path / "half"
    folder.mkdir()
    (folder / run_py.STAMP).write_text(run_py.UNFINISHED)
    (folder / "rest of the first try").touch()
    run_py.ensure_environment(folder)
    assert not (folder / "rest of the first try").exists()
    assert (folder / run_py.STAMP).read_text() == run_py.environment_key(folder)


def test_a_failed_installation_leaves_no_stamp_of_success(run_py, without_pip, monkeypatch, tmp_path):
    failed = subprocess.CompletedProcess([], 1, "", "")
    monkeypatch.setattr(run_py, "_pip", lambda *_arguments, **_options: failed)
    with pytest.raises(run_py.SetupError, match="PIP_EXTRA_INDEX_URL"):
        run_py.ensure_environment(tmp_path / "bad")
    assert (tmp_path / "bad" / run_py.STAMP).read_text() == run_py.UNFINISHED


def test_changed_pins_make_the_environment_again(run_py, stand_in_pip, monkeypatch, tmp_path):
    run_py.ensure_environment(tmp_path / "old")
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(run_py.CONSTRAINTS.read_text("utf-8") + "new-package==1.0\n")
    monkeypatch.setattr(run_py, "CONSTRAINTS", constraints)
    stand_in_pip.clear()
    run_py.ensure_environment(tmp_path / "old")
    assert stand_in_pip != []


def test_changed_style_settings_do_not_make_the_environment_again(run_py, monkeypatch, tmp_path):
    before = run_py.environment_key(tmp_path)
    text = (CHECKOUT / "pyproject.toml").read_text("utf-8").replace("line-length = 120", "line-length = 100")
    monkeypatch.setattr(run_py, "_text", lambda _name: text)
    assert run_py.environment_key(tmp_path) == before
    monkeypatch.setattr(run_py, "_text", lambda _name: text.replace('"numpy', '"another", "numpy'))
    assert run_py.environment_key(tmp_path) != before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has a separate build for the CPU")
def test_where_the_index_has_no_cpu_build_the_size_of_cuda_is_said_before_it_is_installed(
    run_py, without_pip, monkeypatch, tmp_path, capsys
):
    said_before_torch = []

    def pip(_python, *arguments, capture_output=False):
        if arguments[-1] == f"torch=={run_py.pinned_version('torch')}":
            said_before_torch.append(capsys.readouterr().err)
        return subprocess.CompletedProcess(arguments, 1 if "--dry-run" in arguments else 0, "", "")

    monkeypatch.setattr(run_py, "_pip", pip)
    monkeypatch.setattr(run_py, "CUDA_DISK_GB", 0.0)
    run_py.ensure_environment(tmp_path / "new")
    assert len(said_before_torch) == 1
    assert "CUDA: about 3 GB more" in said_before_torch[0] and "--torch-index URL" in said_before_torch[0]


def test_a_second_set_up_waits_for_the_first(run_py, tmp_path, capsys):
    entered = threading.Event()

    def second():
        with run_py.only_one_set_up(tmp_path / "venv"):
            entered.set()

    with run_py.only_one_set_up(tmp_path / "venv"):
        thread = threading.Thread(target=second)
        thread.start()
        assert not entered.wait(0.5)
    thread.join(300)
    assert entered.is_set()
    assert "waiting" in capsys.readouterr().err


def test_too_little_disk_is_said_before_anything_is_made(run_py, monkeypatch, tmp_path):
    monkeypatch.setattr(run_py, "DISK_GB", 1e9)
    with pytest.raises(run_py.SetupError, match="Expected 1e\\+09 GB free"):
        run_py.ensure_environment(tmp_path / "new")
    assert not (tmp_path / "new").exists()


FAST_LANE = "not slow and not services and not panel"


@pytest.mark.parametrize(
    ("words", "pytest_words"),
    [
        (["-x"], ["-x"]),
        (
            ["--fast"],
            [
                "-n",
                "2",
                "--dist",
                "loadfile",
                "--no-loadscope-reorder",
                "-rR",
                "-m",
                "not slow and not services and not panel",
            ],
        ),
        (["--fast", "Testing/Engine"], ["-m", FAST_LANE, "Testing/Engine"]),
    ],
)
def test_the_fast_lane_leaves_out_what_is_slow_and_servers(run_py, monkeypatch, words, pytest_words):
    commands = []
    monkeypatch.setattr(run_py, "_run", lambda command: commands.append(command) or 0)
    assert run_py.run_tests(Path("python"), words) == 0
    assert ["python", "-m", "pytest", *pytest_words] in commands
    assert [command[2] for command in sorted(commands)] == ["mypy", "pytest", "ruff", "ruff"]


@pytest.mark.parametrize("failing", [["ruff", "check"], ["ruff", "format"], ["mypy"]])
def test_one_style_check_that_fails_makes_the_run_fail_though_the_tests_pass(run_py, monkeypatch, failing):
    monkeypatch.setattr(run_py, "_run", lambda command: int(command[2 : 2 + len(failing)] == failing))
    assert run_py.run_tests(Path("python"), []) == 1


WITHOUT_QT = "import sys; sys.modules['PySide6'] = None\nimport pytest; sys.exit(pytest.main(sys.argv[1:]))"


@pytest.mark.parametrize(
    ("ci", "code"), [("true", pytest.ExitCode.INTERRUPTED), ("", pytest.ExitCode.NO_TESTS_COLLECTED)]
)
def test_tests_that_cannot_run_fail_in_continuous_integration(ci, code):
    env = {**os.environ, "CI": ci, "PYTHONDONTWRITEBYTECODE": "1"}
    words = ["-q", "-p", "no:cacheprovider", "Testing/Module"]
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_QT, *words],
        cwd=CHECKOUT,
        env=env,
        capture_output=True,
        text=True,
    )
    assert done.returncode == code, done.stdout
    assert "PySide6" in done.stdout or not ci
