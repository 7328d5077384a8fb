"""``jobs`` on the command line, from submit to clean."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest

from MgImplantSegLib.cli import main
from MgImplantSegLib.jobs.environment import Environment
from MgImplantSegLib.jobs.environment_file import save_environment


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Path:
    """A configuration with two environments that share their folder; the working directory is empty."""
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    for name in ("here", "also here"):
        save_environment(Environment(name, python=sys.executable, root=str(tmp_path / "root")))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def answer(capsys, *words: str) -> dict:
    """The result of a command as JSON."""
    capsys.readouterr()
    assert main(["jobs", *words, "--json", "-"]) == 0, capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def submitted(capsys, *words: str) -> dict:
    """The result of a submission that was watched to its end."""
    assert main(["jobs", "submit", "--watch", "--json", "result.json", "here", *words]) == 0, capsys.readouterr().err
    return json.loads(Path("result.json").read_text("utf-8"))


def test_a_job_from_submit_to_clean(capsys, place):
    job = submitted(capsys, "model", "list")
    assert (job["state"], job["environment"]) == ("done", "here")
    assert [entry["reference"] for entry in answer(capsys, "list", "here")["jobs"]] == [job["reference"]]
    assert [entry["reference"] for entry in answer(capsys, "list")["jobs"]].count(job["reference"]) == 1
    assert answer(capsys, "list", "also here")["jobs"] == []
    assert answer(capsys, "status", job["job"])["reference"] == job["reference"]
    assert answer(capsys, "status", f"also here/{job['job']}")["state"] == "done"
    assert answer(capsys, "log", job["reference"])["log"] != ""
    (place / "root" / "jobs" / job["job"] / "results" / "out.txt").write_text("result")
    assert answer(capsys, "fetch", job["reference"])["files"] == [str(Path.cwd() / job["job"] / "out.txt")]
    answer(capsys, "remove", job["reference"])
    assert answer(capsys, "list", "here")["jobs"] == []
    assert list((place / "root" / "engines").iterdir())
    (place / "root" / "cache" / "sample").mkdir(parents=True)
    (place / "root" / "cache" / "sample" / "image.npy").write_bytes(bytes(1000))
    assert answer(capsys, "clean", "here")["freed_bytes"] == 1000
    assert not list((place / "root" / "engines").iterdir())
    assert not (place / "root" / "cache").exists()


def test_the_same_words_are_the_same_job_unless_asked_again(capsys):
    first = submitted(capsys, "model", "list")
    assert submitted(capsys, "model", "list")["reference"] == first["reference"]
    assert main(["jobs", "submit", "--watch", "--again", "2", "--json", "other.json", "here", "model", "list"]) == 0
    assert json.loads(Path("other.json").read_text("utf-8"))["reference"] != first["reference"]


def test_a_watched_job_that_fails_gives_its_error_and_an_exit_code(capsys):
    Path("broken.mgmodel").write_text("no model")
    assert main(["jobs", "submit", "--watch", "here", "model", "info", "./broken.mgmodel"]) == 2
    error = capsys.readouterr().err
    assert "got failed" in error
    assert "broken.mgmodel" in error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["submit", "her", "model", "list"], "Expected one of the environments.*'here'"),
        (["submit", "here"], "Expected a command for the job"),
        (["submit", "here", "segmnt", "x"], "Did you mean segment"),
        (["submit", "here", "segment", "a.nrrd", "b.nrrd", "--plains", "9"], "Did you mean --planes"),
        (["status", "nothing"], "is in no environment that answers"),
        (["status", "here/nothing"], "Expected a job of this environment"),
        (["status", "here/../../x"], "Expected one of the environments"),
        (["fetch", "here/..%2f"], "Expected a job's name"),
    ],
)
def test_wrong_use_is_one_line_before_anything_is_sent(words, said, capsys, place):
    assert main(["jobs", *words]) == 2
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert re.search(said, error)
    assert not (place / "root" / "engines").exists()
