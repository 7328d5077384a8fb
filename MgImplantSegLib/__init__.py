"""The engine of MgImplantSeg. Importing it imports neither torch nor vtk nor slicer."""

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from types import ModuleType

__version__ = "0.1.0"
FORMER_PLACES = {
    **dict.fromkeys(("errors", "events", "files", "machine", "resources", "units"), "base"),
    **dict.fromkeys(("labels", "regions", "resample", "slabs", "volume"), "grids"),
    **dict.fromkeys(("percentiles", "preprocess"), "preprocessing"),
    "model_card": "model.card",
    "model_file": "model.file",
}


class FormerPlaces(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Scripts may continue to import `MgImplantSegLib.volume` and others, which are in folders now."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        """Asked for what no other finder has found."""
        package, _, last = name.rpartition(".")
        is_former = package == __name__ and last in FORMER_PLACES
        return importlib.util.spec_from_loader(name, self) if is_former else None

    def exec_module(self, module: ModuleType) -> None:
        """Give a module the names of the one that has its contents now."""
        last = module.__name__.rpartition(".")[2]
        place = FORMER_PLACES[last]
        now = importlib.import_module(f"{__name__}.{place if '.' in place else f'{place}.{last}'}")
        vars(module).update({name: value for name, value in vars(now).items() if not name.startswith("__")})


sys.meta_path.append(FormerPlaces())
