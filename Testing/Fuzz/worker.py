"""The child process of the fuzzing: makes one damaged input after the other and reads it, within limits of memory.

``worker.py FOLDER SEED MEMORY_MB``; each line of standard input is the number of an input and the name of its target.
Each input is answered by one line of JSON. What ends the process or hangs is found by the parent, which knows the last
number that was not answered.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
import warnings
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Engine"))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from mutations import damaged
from targets import ALL, Target

TARGETS = {target.name: target for target in ALL}
OK, REFUSED, INTERNAL, MEMORY, LEFT_OVER, CHANGED = (
    "read",
    "refused",
    "internal error",
    "memory",
    "left over",
    "changed",
)
UNTOUCHED_EVERY = 25  # one input of so many is left as it is, and has to be read


def write_input(target: Target, seed: int, number: int, folder: Path) -> Path:
    """Write the damaged input of that number; the same seed gives the same input."""
    random = Random(f"{seed} {number} {target.name}")
    path = target.write(folder)
    if number % UNTOUCHED_EVERY:
        path.write_bytes(damaged(path.read_bytes(), random, target.kind))
    return path


def tried(target: Target, seed: int, number: int, folder: Path) -> dict[str, Any]:
    """What reading one input gives: outcome, kind of error and place."""
    from MgImplantSegLib.cli.application import as_user_error

    path = write_input(target, seed, number, folder)
    try:
        value = target.read(path)
        outcome = _written_again(value, folder.with_name("out"))
        return {"outcome": outcome, "error": "", "place": "", "text": ""}
    except (Exception, RecursionError) as error:
        known = as_user_error(error)
        is_memory = any(isinstance(cause, MemoryError) for cause in _causes(error))
        if number % UNTOUCHED_EVERY == 0 and known is not None:
            outcome = INTERNAL  # a valid input is refused
        else:
            outcome = MEMORY if is_memory else REFUSED if known is not None else INTERNAL
        return {"outcome": outcome, "error": type(error).__name__, "place": _place(error), "text": str(error)[:300]}


def _written_again(value: Any, out: Path) -> str:
    """Write what is an image, read it again: it has to be the same, and an error must not leave anything behind."""
    from MgImplantSegLib.base.errors import MgImplantSegError
    from MgImplantSegLib.grids.volume import Volume
    from MgImplantSegLib.io import read_volume, write_volume

    if not isinstance(value, Volume) or value.array.size > 1 << 16:
        return OK
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    try:
        write_volume(value, out / "again.nrrd")
    except MgImplantSegError:
        return LEFT_OVER if any(out.iterdir()) else OK
    try:
        again = read_volume(out / "again.nrrd").array
    except MgImplantSegError:
        return CHANGED
    same = again.shape == value.array.shape and again.tobytes() == value.array.astype(again.dtype).tobytes()
    return OK if same and len(list(out.iterdir())) == 1 else CHANGED


def _causes(error: BaseException | None):
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _place(error: BaseException) -> str:
    """File and function of the engine in which the error arose, or passed last."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "MgImplantSegLib" in frame.filename]
    frame = (own or frames)[-1]
    return f"{Path(frame.filename).name}:{frame.name}"


def limit_memory(megabytes: int) -> None:
    """Allow that much more memory than is taken now."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    with open("/proc/self/statm", encoding="ascii") as stream:
        taken = int(stream.read().split()[0]) * resource.getpagesize()
    limit = taken + (megabytes << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> None:
    """Answer the parent's lines until there are no more."""
    root, seed, megabytes = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    with open(root / "printed.txt", "ab") as printed:  # what libraries print is no answer
        os.dup2(printed.fileno(), 1)
        os.dup2(printed.fileno(), 2)
    warnings.simplefilter("ignore")
    import SimpleITK  # noqa: F401  (loaded before the limit is set)
    import torch
    import vtkmodules.all  # noqa: F401

    torch.set_num_threads(1)
    if sys.platform == "linux":
        limit_memory(megabytes)
    for line in sys.stdin:
        number, name = line.rstrip("\n").split(" ", 1)
        folder = root / "in"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        answers.write(json.dumps(tried(TARGETS[name], seed, int(number), folder)) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
