"""Damaged records of jobs and a damaged list of environments: told with their path, and they hide nothing else."""

from __future__ import annotations

import io
import json
import os
import random
import stat
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

import pytest
from job_cases import a_description

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli import main
from MgImplantSegLib.cli.console import Console
from MgImplantSegLib.jobs.agent.agent import Agent
from MgImplantSegLib.jobs.agent.description import VERSION
from MgImplantSegLib.jobs.agent.job_folder import JobFolder, QueueRecord, RunnerRecord, State
from MgImplantSegLib.jobs.agent.outcome import Outcome
from MgImplantSegLib.jobs.agent.processes import MARKER
from MgImplantSegLib.jobs.backend import Backend, JobStatus
from MgImplantSegLib.jobs.connection import agent_settings
from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.environment_file import (
    FILE_NAME,
    configuration_folder,
    find_environment,
    known_environments,
    save_environment,
)
from MgImplantSegLib.jobs.watch import follow

DEEP = 100_000
FUZZED = 100
RECORDS = ("job", "exit", "runner", "slurm")


@pytest.fixture
def environment(tmp_path) -> Environment:
    """One with an empty root folder."""
    return Environment("x", python=sys.executable, root=str(tmp_path / "root"))


@pytest.fixture
def agent(environment) -> Agent:
    """Its agent."""
    agent = Agent(agent_settings(environment))
    agent.hello()
    return agent


def make_job(root: Path, name: str, **values) -> JobFolder:
    """A job that has ended, with all records that there can be."""
    job = JobFolder.create(root / "jobs" / name, a_description(id=name, created=1.0, **values), {})
    (job.results / "model.bin").write_bytes(b"model")
    job.write("exit", Outcome(State.DONE, "fine").ended_now())
    job.write("runner", RunnerRecord("1 2 3", "machine", 5.0))
    job.write("slurm", QueueRecord("17"))
    return job


def states(agent: Agent) -> dict[str, str]:
    """State of all jobs by name."""
    return {status["job"]: status["state"] for status in agent.list()["jobs"]}


DAMAGES = {
    "empty": b"",
    "no table": b"[]",
    "a number": b"3",
    "null": b"null",
    "empty table": b"{}",
    "not a number": b"NaN",
    "deep": b"[" * DEEP,
    "deep table": b'{"a":' * DEEP,
    "huge number": b"9" * 10_000,
    "binary": bytes(range(256)),
    "cut off": b'{"name": "n',
    "zeros": bytes(4096),
    "other text": "\ufeff{}".encode("utf-16"),
}


@pytest.mark.parametrize("record", RECORDS)
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_told_with_its_path_and_hides_no_other_job(agent, tmp_path, record, damage):
    scheduler = "slurm" if record == "slurm" else "process"
    job, _other = (make_job(tmp_path / "root", name, scheduler=scheduler) for name in ("a", "b"))
    if record in ("runner", "slurm"):
        (job.path / "exit.json").unlink()
    path = job.path / f"{record}.json"
    path.write_bytes(DAMAGES[damage])
    assert states(agent) == {"a": "damaged", "b": "done"}
    told = agent.status("a")
    assert str(path) in told["reason"]
    assert len(told["reason"]) < len(str(path)) + 200
    assert [file["path"] for file in agent.results("a")["files"]] == ["model.bin"], "results can still be fetched"
    with pytest.raises(InputError, match=path.name):
        agent.resume("a")
    with pytest.raises(InputError, match=path.name):
        agent.cancel("a")
    assert agent.remove("a") == {}
    assert states(agent) == {"b": "done"}


WRONG_VALUES = [
    ("job", "name", 3),
    ("job", "arguments", "text"),
    ("job", "arguments", [1]),
    ("job", "variables", {"A": 1}),
    ("job", "variables", []),
    ("job", "grace_s", float("nan")),
    ("job", "grace_s", -1),
    ("job", "processes", 0),
    ("job", "processes", True),
    ("job", "nodes", 10**30),
    ("job", "nodes", 1.5),
    ("job", "created", 1e300),
    ("job", "created", float("inf")),
    ("job", "created", "today"),
    ("job", "keeps_variables", 1),
    ("job", "digests", None),
    ("exit", "state", "finished"),
    ("exit", "state", ["done"]),
    ("exit", "ended", 10**400),
    ("exit", "reason", None),
    ("runner", "process", "one"),
    ("runner", "process", "-1 2 3"),
    ("runner", "last_sign", None),
    ("slurm", "job", "--all"),
    ("slurm", "job", 17),
]


@pytest.mark.parametrize(("record", "key", "value"), WRONG_VALUES)
def test_a_value_of_another_kind_is_damage_and_named(agent, tmp_path, record, key, value):
    job = make_job(tmp_path / "root", "a", scheduler="slurm" if record == "slurm" else "process")
    if record in ("runner", "slurm"):
        (job.path / "exit.json").unlink()
    path = job.path / f"{record}.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    told = agent.status("a")
    assert told["state"] == "damaged"
    assert f"'{key}'" in told["reason"]


def test_something_else_in_place_of_a_record_or_of_a_job_is_damage(agent, tmp_path):
    jobs = {name: make_job(tmp_path / "root", name) for name in ("folder", "gone", "pipe", "loop", "fine", "large")}
    for name, job in jobs.items():
        if name != "fine":
            (job.path / "job.json").unlink()
    (jobs["folder"].path / "job.json").mkdir()
    (jobs["loop"].path / "job.json").symlink_to("job.json")
    with open(jobs["large"].path / "job.json", "wb") as stream:
        stream.truncate(1 << 40)
    if hasattr(os, "mkfifo"):
        os.mkfifo(jobs["pipe"].path / "job.json")
    (tmp_path / "root" / "jobs" / "file").write_text("no folder")
    (tmp_path / "root" / "jobs" / "empty").mkdir()
    expected = dict.fromkeys([*jobs, "file", "empty"], "damaged") | {"fine": "done"}
    assert states(agent) == expected
    for name in expected:
        agent.remove(name)
    assert states(agent) == {}
    assert sorted(path.name for path in (tmp_path / "root" / "jobs").iterdir()) == []


def test_what_damaged_jobs_may_need_is_not_cleaned_away(agent, tmp_path):
    make_job(tmp_path / "root", "fine")
    (make_job(tmp_path / "root", "a").path / "job.json").write_text("{}")
    (tmp_path / "root" / "engines" / ("0" * 64)).mkdir(parents=True)
    with pytest.raises(InputError, match=r"job\.json.*jobs remove"):
        agent.clean()
    agent.remove("a")
    agent.clean()
    assert not list((tmp_path / "root" / "engines").iterdir())


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found by their environment on Linux only")
def test_a_damaged_job_that_still_runs_is_not_removed(agent, tmp_path):
    import subprocess

    job = make_job(tmp_path / "root", "a")
    (job.path / "job.json").write_text("{}")
    process = subprocess.Popen(["sleep", "60"], env={**os.environ, MARKER: str(job.path)})
    with pytest.raises(InputError, match="has ended"):
        agent.remove("a")
    process.kill()
    process.wait()
    assert agent.remove("a") == {}


def test_a_description_without_a_version_is_read_and_one_of_a_later_version_is_said(agent, tmp_path):
    path = make_job(tmp_path / "root", "a").path / "job.json"
    values = json.loads(path.read_text())
    without = {key: value for key, value in values.items() if key not in ("version", "digests", "environment")}
    path.write_text(json.dumps({**without, "of_a_later_version": [1]}))
    assert states(agent) == {"a": "done"}
    path.write_text(json.dumps({**values, "version": VERSION + 1, "arguments": {"of": "another kind"}}))
    told = agent.status("a")
    assert (told["state"], f"version {VERSION + 1}" in told["reason"]) == ("unknown", True)
    path.write_text(json.dumps({**values, "scheduler": "nobody-has-this"}))
    told = agent.status("a")
    assert (told["state"], "nobody-has-this" in told["reason"]) == ("unknown", True)
    with pytest.raises(InputError, match="nobody-has-this"):
        agent.remove("a")


def test_a_submission_that_this_agent_does_not_understand_is_refused(agent):
    good = a_description().to_dict()
    for changes, words in [({"version": 99}, "version 99"), ({"nodes": "2"}, "'nodes'"), ({"name": None}, "'name'")]:
        with pytest.raises(InputError, match=words):
            agent.submit("job", {**good, **changes}, {})
    del good["arguments"]
    with pytest.raises(InputError, match="no 'arguments'"):
        agent.submit("job", good, {})
    assert states(agent) == {}


def mutated(text: str, chance: random.Random) -> bytes:
    """A record's text with one damage: values of other kinds, keys gone, bytes changed, cut off, repeated."""
    values = json.loads(text)
    key = chance.choice(list(values))
    strange = [None, True, -1, 0, 1.5, float("nan"), float("inf"), 10**40, "", "\0", "\x1b[2J", "\ud800", [], {}, [[]]]
    strange += [{"a": 1}, ["a", 1], "é" * 300, {"": ""}, -(10**5), 1e308]
    kind = chance.randrange(6)
    if kind == 0:
        values[key] = chance.choice(strange)
    elif kind == 1:
        del values[key]
    elif kind == 2:
        values = chance.choice(strange)
    content = bytearray(json.dumps(values).encode("ascii"))
    if kind == 3:
        for _ in range(chance.randrange(1, 6)):
            content[chance.randrange(len(content))] = chance.randrange(256)
    elif kind == 4:
        del content[chance.randrange(len(content)) :]
    elif kind == 5:
        place = chance.randrange(len(content))
        content[place:place] = chance.choice([b"[" * 5000, b"9" * 5000, bytes(10), content, b'"', b"\\ud800"])
    return bytes(content)


def test_no_damage_to_any_record_ends_the_list_of_jobs(environment, agent, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    save_environment(environment)
    chance = random.Random(20)
    make_job(tmp_path / "root", "fine")
    job = make_job(tmp_path / "root", "a")
    texts = {name: (job.path / f"{name}.json").read_text() for name in RECORDS}
    with Backend(environment) as backend:
        for _number in range(FUZZED):
            name = chance.choice(RECORDS)
            path = job.path / f"{name}.json"
            path.write_bytes(mutated(texts[name], chance))
            found = {status.job: status for status in backend.list()}
            assert found["fine"].state is State.DONE
            assert_sound(found["a"], path)
            path.write_text(texts[name])
    (job.path / "job.json").write_text("{}")
    assert main(["jobs", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["done", "damaged", "Expected"]
    assert str(job.path / "job.json") in lines[2]


def test_a_name_that_is_no_text_is_shown(environment, agent, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    save_environment(environment)
    make_job(tmp_path / "root", "fine")
    for name in (b"\xff\xfe", b"a b", b"\x1b[2Jc"):
        os.mkdir(os.path.join(os.fsencode(tmp_path / "root" / "jobs"), name))
    assert main(["jobs", "list", "--json", str(tmp_path / "list.json")]) == 0
    found = json.loads((tmp_path / "list.json").read_text("utf-8"))["jobs"]
    assert sorted(status["state"] for status in found) == ["damaged", "damaged", "damaged", "done"]
    assert all(status["job"].isprintable() and status["reason"].isprintable() for status in found)


EVENTS = [
    {"event": "progress", "stage": "a", "done": "x", "total": 2},
    {"event": "progress", "done": 1, "total": 2},
    {"event": "progress", "stage": [], "done": 1, "total": 2},
    {"event": "progress", "stage": "a", "done": float("nan"), "total": 2},
    {"event": "progress", "stage": "a", "done": 1, "total": 10**400},
    {"event": "progress", "stage": "a", "done": 1, "total": 2, "eta_s": "soon"},
    {"event": "warning", "message": {"a": 1}},
    {"event": "warning"},
    {"event": ["warning"]},
    {"event": "metric", "loss": {"deep": []}},
    {"event": "metric", "self": 1, "loss": 0.5},
    {"event": "ended", "state": 3},
    {},
]


def test_damaged_events_do_not_end_the_watching_of_a_job(environment, agent, tmp_path):
    job = make_job(tmp_path / "root", "a")
    lines = [json.dumps(event) for event in EVENTS] + ["[" * DEEP, "9" * 10_000, "\0", '{"event": "progr']
    good = {"event": "progress", "stage": "a", "done": 1, "total": 2, "eta_s": None}
    job.events.write_text("\n".join([*lines, json.dumps(good)]) + "\n")
    passed, drawn = [], io.StringIO()
    with Backend(environment) as backend:
        assert follow(backend, "a", Events(passed.append, Console(drawn))).state is State.DONE
    assert [record["event"] for record in passed] == ["metric", "progress"]


def assert_sound(status: JobStatus, path: Path) -> None:
    """Either the values are of the right kinds, or the status says which file is damaged."""
    assert {type(value) for key, value in asdict(status).items() if key in ("name", "command", "reason")} == {str}
    assert 0 <= status.created < 1e12
    if status.state is State.DAMAGED:
        assert str(path) in status.reason


def test_jobs_that_are_damaged_are_listed_once_though_environments_share_their_folder(
    environment, agent, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path / "configuration"))
    for name in ("one", "two"):
        save_environment(Environment(name, python=environment.python, root=environment.root))
    (make_job(tmp_path / "root", "a").path / "job.json").write_text("{}")
    assert main(["jobs", "list"]) == 0
    out = capsys.readouterr().out
    assert out.count("one/a") + out.count("two/a") == 1


@pytest.fixture
def file(tmp_path, monkeypatch) -> Path:
    """The file of the environments, in a folder that is there; it is not."""
    monkeypatch.setenv("MGIMPLANTSEG_CONFIG", str(tmp_path))
    return configuration_folder() / FILE_NAME


GOOD = '[environments.good]\nkind = "local"\npython = "/p"\n'


@pytest.mark.parametrize(
    "table",
    [
        "[environments.bad]\n",
        '[environments.bad]\nkind = "cloud"\n',
        '[environments.bad]\nkind = 3\npython = "/p"\n',
        '[environments.bad]\npython = "/p"\nmemory_gb = inf\n',
        '[environments.bad]\npython = "/p"\nmemory_gb = nan\n',
        f'[environments.bad]\npython = "/p"\ncpus = {10**300}\n',
        '[environments.bad]\npython = "/p"\nport = 70000\n',
        '[environments.bad]\npython = "/p\\u0000"\n',
        '[environments.bad]\npython = "/p"\nsetup = [["a"]]\n',
        '[environments.bad]\npython = "/p"\nvariables = { A = 1979-05-27 }\n',
        '[environments.bad]\npython = "/p"\nvariables = { "" = "" }\n',
        "[environments.bad]\npython = " + "[" * 100 + "]" * 100 + "\n",
    ],
)
def test_a_damaged_environment_hides_no_other(file, table, capsys):
    file.write_text(GOOD + table)
    known, faults = known_environments()
    assert list(known) == ["this", "good"]
    assert str(file) in str(*faults)
    assert find_environment("good").python == "/p"
    with pytest.raises(InputError, match="'bad'"):
        find_environment("bad")
    assert main(["jobs", "environments", "list"]) == 0
    shown = capsys.readouterr()
    assert "good" in shown.out and "'bad'" in shown.err
    assert main(["jobs", "list"]) == 0
    assert "'bad'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [
        b"[environments",
        b"\xff\xfe\x00",
        b"a = " + b"[" * DEEP,
        b"a = " + b"9" * 10_000,
        bytes(1000),
        b"[other]\n",
        b"environments = 3\n",
    ],
)
def test_a_file_that_cannot_be_read_leaves_this_computer_and_is_not_overwritten(file, content, capsys):
    file.write_bytes(content)
    assert list(known_environments()[0]) == ["this"]
    assert find_environment("this").kind is Kind.THIS
    assert main(["jobs", "list"]) == 0
    assert str(file) in capsys.readouterr().err
    assert main(["jobs", "environments", "add", "new", "--kind", "local", "--python", "/p"]) == 2
    assert str(file) in capsys.readouterr().err
    assert file.read_bytes() == content


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_file_with_a_byte_order_mark_is_read(file, encoding):
    file.write_bytes(GOOD.encode(encoding))
    assert list(known_environments()[0]) == ["this", "good"]


def test_something_else_in_place_of_the_file_is_said(file):
    file.mkdir()
    (error,) = known_environments()[1]
    assert "no regular file" in error.message
    file.rmdir()
    if hasattr(os, "mkfifo"):
        os.mkfifo(file)
        assert "no regular file" in known_environments()[1][0].message


def test_no_damage_to_the_file_of_the_environments_is_more_than_a_fault(file):
    chance = random.Random(3)
    text = GOOD + '[environments."b c"]\nkind = "ssh"\npython = "~/p"\nhost = "h"\nport = 22\nsetup = ["a", "b"]\n'
    for _number in range(FUZZED):
        content = bytearray(text.encode())
        for _ in range(chance.randrange(1, 4)):
            place = chance.randrange(len(content))
            with_this = chance.choice(
                [b"", b"[", b'"', b"=", b"\n", b"9" * 5000, bytes([chance.randrange(256)]), b"[[" * 600]
            )
            content[place : place + chance.randrange(3)] = with_this
        file.write_bytes(bytes(content))
        known, faults = known_environments()
        assert "this" in known
        assert all(str(file) in str(fault) and len(str(fault)) < 1000 for fault in faults)


def test_environments_that_are_added_at_the_same_time_are_all_kept(file):
    code = "import sys; from MgImplantSegLib.cli import main; sys.exit(main(sys.argv[1:]))"
    add = ["jobs", "environments", "add", "--kind", "local", "--python", "/p"]
    names = [f"e{number}" for number in range(6)]

    def run(name: str) -> int:
        import subprocess

        return subprocess.run([sys.executable, "-c", code, *add, name], cwd=Path(__file__).parents[2]).returncode

    with ThreadPoolExecutor(len(names)) as pool:
        assert list(pool.map(run, names)) == [0] * len(names)
    assert sorted(known_environments()[0]) == [*names, "this"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_many_changes_at_the_same_time_lose_nothing(file):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: save_environment(Environment(f"e{number}", python="/p")), range(40)))
    assert len(known_environments()[0]) == 41
