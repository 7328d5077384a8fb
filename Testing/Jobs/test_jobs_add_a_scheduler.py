"""A new kind of cluster is two files and an entry; nothing else in the engine or the module knows of one by name."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from changed_tree import changes, replace

from MgImplantSegLib.jobs.agent.schedulers import QUEUES

CHECKOUT = Path(__file__).parents[2]
COMMANDS = '''"""A queue of one: a job begins at once."""
from pathlib import Path
import subprocess

def begin(script: Path, words: list[str]) -> str:
    with open(script.with_name("log.txt"), "ab") as log:
        process = subprocess.Popen([str(script), *words], stdout=log, stderr=log, start_new_session=True)
    return str(process.pid)

def runs(number: str) -> bool:
    try:
        return Path("/proc", number, "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False

def end(number: str) -> None:
    subprocess.run(["kill", number], check=False)
'''
SCHEDULER = '''"""Jobs of the queue of one."""
from MgImplantSegLib.jobs.agent.job_folder import QueueRecord, State
from MgImplantSegLib.jobs.agent.outcome import Outcome
from MgImplantSegLib.jobs.agent.queue_of_one.commands import begin, end, runs
from MgImplantSegLib.jobs.agent.queue_scheduler import QueueScheduler
from MgImplantSegLib.jobs.agent.programs import output
from MgImplantSegLib.jobs.agent.scheduler import Allocation, check
from MgImplantSegLib.jobs.agent.start_script import runner_words

class QueueOfOne(QueueScheduler):
    name, title = "queue_of_one", "the queue of one"

    def submit(self, job, script):
        return QueueRecord(begin(script, runner_words(job)))

    def find(self, job, *, is_active):
        return None

    def ask(self, queued):
        return Outcome(State.RUNNING) if runs(queued.job) else self.forgotten

    def kill(self, queued):
        end(queued.job)

    def check_settings(self):
        return [check(self.title, True, "always free")]

    def probe(self, words, seconds):
        return output(words, seconds)

    @classmethod
    def allocation(cls, variables):
        return Allocation()
'''
ENTRY = '        "queue_of_one": SchedulerType("queue of one", "starts a job at once", "queue_of_one:QueueOfOne"),\n'
START = '    "a scheduler",\n    {\n'
USE = """
import sys
sys.path.insert(0, sys.argv[2])
from job_cases import LONG, run_to_end, submit_and_wait_for_metric, worker_request
from MgImplantSegLib.cli import main
from MgImplantSegLib.base.events import Events
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment_file import find_environment
add = ["jobs", "environments", "add", "new", "--kind", "queue_of_one"]
assert main([*add, "--python", sys.executable, "--root", sys.argv[1]]) == 0
assert main(["jobs", "environments", "test", "new"]) == 0
with Backend(find_environment("new")) as backend:
    done = run_to_end(backend, worker_request("count", "2"))
    print(done.state.value, bool(done.queue_job))
    stopped = submit_and_wait_for_metric(backend, worker_request("count", LONG))
    print(backend.cancel(stopped.job).state.value)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the queue of one looks at Linux's processes")
def test_a_scheduler_is_two_files_and_an_entry(tmp_path):
    engine = tmp_path / "MgImplantSegLib"
    leave_out = shutil.ignore_patterns("Resources")  # what is compiled is still valid there
    shutil.copytree(CHECKOUT / "MgImplantSegLib", engine, ignore=leave_out)
    shutil.copytree(engine, tmp_path / "before")
    folder, registry = engine / "jobs" / "agent" / "queue_of_one", engine / "jobs" / "agent" / "schedulers.py"
    folder.mkdir()
    (folder / "commands.py").write_text(COMMANDS)
    (folder / "__init__.py").write_text(SCHEDULER)
    replace(registry, START, START + ENTRY)
    assert changes(tmp_path / "before", engine) == {"jobs/agent/queue_of_one", "jobs/agent/schedulers.py"}
    variables = {**os.environ, "PYTHONPATH": str(tmp_path), "MGIMPLANTSEG_CONFIG": str(tmp_path / "c")}
    words = [sys.executable, "-c", USE, str(tmp_path / "root"), str(Path(__file__).parent)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=variables)
    lines = done.stdout.splitlines()
    assert "✓ the queue of one: always free" in lines, done.stderr
    assert lines[-2:] == ["done True", "cancelled"], done.stderr


@pytest.mark.parametrize("name", QUEUES)
def test_a_cluster_is_known_by_its_own_folder_and_the_registry_alone(name):
    word = re.compile(rf"(?i)(?<![a-z]){name}")
    files = [path for part in ("MgImplantSegLib", "MgImplantSeg") for path in (CHECKOUT / part).rglob("*.py")]
    found = {path.relative_to(CHECKOUT).as_posix() for path in files if word.search(path.read_text("utf-8"))}
    agent = "MgImplantSegLib/jobs/agent"
    assert {path for path in found if not path.startswith(f"{agent}/{name}/")} == {f"{agent}/schedulers.py"}
