"""A small command for jobs: counts steps, tells of them, starts a helper, stops politely with a checkpoint.

``worker.py MODE STEPS WORDS...``; modes: count, half (waits at half of its steps to be stopped, unless resumed),
stubborn (ignores polite signals), die (kills itself), fail, fill (writes until the disk is full).
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

CHECKPOINT = Path("checkpoint.json")
SECONDS_A_STEP = 0.05
asked_to_stop = []


def say(**fields):
    """One event."""
    with open(os.environ["MGIMPLANTSEG_EVENTS"], "a", encoding="utf-8") as stream:
        stream.write(json.dumps({"version": 1, "time": time.time(), **fields}) + "\n")


def stop(step):
    """The polite end."""
    CHECKPOINT.write_text(json.dumps(step))
    say(event="cancelled")
    sys.exit(130)


def main():
    """Do what the mode says."""
    mode, steps, words = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    handler = signal.SIG_IGN if mode == "stubborn" else lambda *_: asked_to_stop.append(1)
    signal.signal(signal.SIGTERM, handler)
    first = json.loads(CHECKPOINT.read_text()) if "--resume" in words else 0
    sys.stdout.write(f"first step {first}\n")
    sys.stdout.flush()
    Path("words.json").write_text(json.dumps(words))
    Path("folder with space").mkdir(exist_ok=True)
    Path("folder with space", "nämé;$(x) 'q'.bin").write_bytes(bytes(range(256)) * 5000)
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    for step in range(first, steps):
        while mode == "half" and "--resume" not in words and step == steps // 2 and not asked_to_stop:
            time.sleep(SECONDS_A_STEP)
        if asked_to_stop:
            stop(step)
        if mode in ("die", "fail", "fill") and step == 3:
            END_BADLY[mode]()
        say(event="metric", iteration=step, loss=1 / (1 + step))
        time.sleep(SECONDS_A_STEP)
    say(event="result", steps=steps)


def die():
    """Killed by the system."""
    os.kill(os.getpid(), signal.SIGKILL)


def fail():
    """An error with what to do."""
    say(event="error", kind="input", message="Expected bone, got stone.", remedy="Bring bone.")
    sys.exit(2)


def fill():
    """A disk that is full."""
    with open("large.bin", "wb") as stream:
        while True:
            stream.write(bytes(1 << 20))
            stream.flush()


END_BADLY = {"die": die, "fail": fail, "fill": fill}

if __name__ == "__main__":
    main()
