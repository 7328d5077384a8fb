"""What the scripts share: run a test case, say how it went, and leave Slicer with exit code 0 or 1.

The scripts hold ASCII only: Slicer reads a script in the encoding of the system, which may be ASCII.
"""

import faulthandler
import os
import sys
import time
import unittest

import slicer

TIME_LIMIT_SECONDS = 3600
TORCH_WAS_IMPORTED = "torch" in sys.modules  # by another extension


def run(testCase):
    """Run the tests of a class and leave Slicer with their outcome, after an hour at the latest."""
    log = open(os.path.join(slicer.app.temporaryPath, "MgImplantSegSelfTest.log"), "w")  # noqa: SIM115
    faulthandler.dump_traceback_later(TIME_LIMIT_SECONDS, exit=True, file=log)
    isWell = False
    try:
        result = unittest.TextTestRunner(verbosity=2).run(unittest.TestLoader().loadTestsFromTestCase(testCase))
        isWell = result.wasSuccessful() and result.testsRun > 0
    finally:
        say("passed" if isWell else "FAILED")
        slicer.util.exit(slicer.util.EXIT_SUCCESS if isWell else slicer.util.EXIT_FAILURE)


def say(text):
    """One line on the terminal."""
    print(f"MgImplantSeg self test: {text}", flush=True)  # noqa: T201


def check(condition, text):
    """Raise if the condition does not hold."""
    if not condition:
        raise AssertionError(text)
    say(f"ok: {text}")


def check_no_torch():
    """Slicer's process must not import torch for this module."""
    check(TORCH_WAS_IMPORTED or "torch" not in sys.modules, "Slicer's process has not imported torch")


def wait(condition, text, seconds=1800):
    """Let the application run until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for: {text}")
        slicer.app.processEvents()
        time.sleep(0.02)
    say(f"ok: {text}")
