"""A program in place of the engine that never ends by itself, and whether its processes are gone."""

import os
from pathlib import Path

import slicer
from harness import person

SLOW_ENGINE = """
import json, pathlib, signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(3600)"])
pathlib.Path({pids!r}).write_text(f"{{__import__('os').getpid()}} {{child.pid}}")
if {stubborn}: signal.signal(signal.SIGTERM, signal.SIG_IGN)
else: signal.signal(signal.SIGTERM, lambda *_: (pathlib.Path({pids!r} + ".asked").touch(), child.kill(), sys.exit(130)))
print(json.dumps({{"event": "progress", "stage": "plane 1/3", "done": 1, "total": 4, "eta_s": 41}}), flush=True)
time.sleep(3600)
"""


LAUNCHER = "import subprocess, sys; sys.exit(subprocess.call(sys.argv[1:]))"


def is_alive(pid):
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def wait_for_the_end_of(pids):
    """A process that was killed lasts until it gets its turn, which may take a while on a busy machine."""
    person.wait_until(lambda: not any(is_alive(pid) for pid in pids), 300)


WAYS_TO_LEAVE = ("close the scene", "delete the node", "reload", "quit")


def leave_by(way, widget, node):
    """Leave work that runs on a node in one of `WAYS_TO_LEAVE`."""
    if way == "close the scene":
        slicer.mrmlScene.Clear(0)
    elif way == "delete the node":
        slicer.mrmlScene.RemoveNode(node)
    elif way == "reload":
        widget.cleanup()
    else:
        slicer.app._signals.aboutToQuit.emit()
