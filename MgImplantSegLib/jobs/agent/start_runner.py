"""``start_runner.py JOBFOLDER [--detach]``: run the job in that folder, in this process or in one of its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> int:
    """Find the engine beside this file and run the job with it."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
    from MgImplantSegLib.jobs.agent.job_folder import JobFolder
    from MgImplantSegLib.jobs.agent.runner import Runner

    runner = Runner(JobFolder(Path(sys.argv[1])))
    if runner.is_over:
        return 0
    if "--detach" not in sys.argv[2:] or os.name == "nt":
        runner.announce()
        return runner.run()
    return _in_the_background(runner)


def _in_the_background(runner) -> int:
    """Return once a second process has announced itself as the runner; that one lives on without parent or terminal."""
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        os.setsid()
        runner.announce()
        os.write(writing, b"1")
        os.close(writing)
        return runner.run()
    os.close(writing)
    return 0 if os.read(reading, 1) else 1


if __name__ == "__main__":
    sys.exit(main())
