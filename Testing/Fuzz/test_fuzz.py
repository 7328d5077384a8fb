"""Damaged inputs of every reader end in a result or one clear refusal; `run.py` tries as many as one likes."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parent))
from run import CRASH, HANG, Child, Signature, Summary, fuzz
from targets import ALL
from worker import TARGETS, write_input

NAMES = [target.name for target in ALL]
SEED = 2027
COUNT = 500


def test_five_hundred_damaged_inputs_of_all_readers_do_no_harm():
    summary = fuzz(COUNT, SEED, NAMES, processes=1)
    assert sum(summary.counts.values()) == COUNT
    assert not summary.failures, summary.text()
    assert {signature.target for signature in summary.counts} == set(NAMES)


def test_the_same_seed_and_number_give_the_same_input(tmp_path):
    for number, name in enumerate(("nhdr", "roi", "training paper", "slices bmp"), start=1):
        contents = []
        for attempt in ("a", "b", "c"):
            folder = tmp_path / attempt / str(number)
            folder.mkdir(parents=True)
            contents.append(write_input(TARGETS[name], 5 if attempt != "c" else 6, number, folder).read_bytes())
        assert contents[0] == contents[1] != contents[2]


def test_a_reader_that_ends_its_process_or_hangs_is_found(tmp_path, monkeypatch):
    """A worker of our own, which does what its target says."""
    (tmp_path / "worker.py").write_text(
        "import json, os, sys, time\n"
        "for line in sys.stdin:\n"
        "    name = line.split(' ', 1)[1].strip()\n"
        "    if name == 'crash': os.abort()\n"
        "    if name == 'hang': time.sleep(60)\n"
        "    print(json.dumps({'outcome': 'read', 'error': '', 'place': '', 'text': ''}), flush=True)\n"
    )
    monkeypatch.setattr("run.HERE", tmp_path)
    monkeypatch.setattr("run.SECONDS", 0.5)
    monkeypatch.setattr("run.START_SECONDS", 5.0)
    child = Child(tmp_path / "work", 0)
    outcomes = [child.ask(number, name)[0].outcome for number, name in enumerate(("ok", "crash", "ok", "hang", "ok"))]
    child.stop()
    assert outcomes == ["read", CRASH, "read", HANG, "read"]


def test_the_summary_names_each_kind_of_failure_once_with_its_first_input():
    summary = Summary(seed=3)
    for number in (8, 4, 6):
        summary.add(Signature("internal error", "nrrd", "KeyError", "a.py:read"), number, f"text of {number}")
    summary.add(Signature("refused", "nrrd", "InputError", "a.py:read"), 9, "Expected")
    assert [signature.error for signature in summary.failures] == ["KeyError"]
    assert "3 × internal error: nrrd: KeyError at a.py:read; first: seed 3, number 4: text of 4" in summary.text()
