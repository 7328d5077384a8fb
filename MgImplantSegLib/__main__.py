"""``python -m MgImplantSegLib``: the command line."""

import os
import sys

try:
    from MgImplantSegLib.cli import main
except KeyboardInterrupt:  # before the command line answers Ctrl-C itself
    os.write(2, b"mgimplantseg: cancelled; no partial files were left.\n")
    os._exit(130)


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
