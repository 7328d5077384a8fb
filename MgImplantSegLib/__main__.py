"""``python -m MgImplantSegLib``: the command line."""

import os
import sys

from MgImplantSegLib.cli import main


def leave(code: int) -> None:
    """End this process with an exit code.

    A rank of torchrun ends at once: the threads of torch's process groups can abort a process that unloads its
    libraries, and torchrun would count the finished training as a failure.
    """
    if "TORCHELASTIC_RUN_ID" in os.environ:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


if __name__ == "__main__":
    leave(main())
