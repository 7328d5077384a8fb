"""What the scripts share: run a test case, say how it went, and leave Slicer with exit code 0 or 1."""

import time
import unittest

import slicer


def run(testCase):
    """Run the tests of a class and leave Slicer with their outcome."""
    result = unittest.TextTestRunner(verbosity=2).run(unittest.TestLoader().loadTestsFromTestCase(testCase))
    isWell = result.wasSuccessful() and result.testsRun > 0
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


def wait(condition, text, seconds=1800):
    """Let the application run until the condition holds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"waited {seconds} s in vain for: {text}")
        slicer.app.processEvents()
        time.sleep(0.02)
    say(f"ok: {text}")
