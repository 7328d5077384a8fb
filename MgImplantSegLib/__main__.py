"""``python -m MgImplantSegLib``: the command line."""

import sys

from MgImplantSegLib.cli import main

if __name__ == "__main__":
    sys.exit(main())
