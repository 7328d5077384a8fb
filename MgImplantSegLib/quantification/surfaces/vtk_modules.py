"""VTK, loaded when first needed."""

from __future__ import annotations

import importlib
from types import ModuleType

from MgImplantSegLib.base.errors import DependencyError


def vtk_module(name: str) -> ModuleType:
    """A module of VTK, for example ``vtkFiltersCore`` or ``util.numpy_support``.

    Raises DependencyError if VTK is not installed.
    """
    try:
        return importlib.import_module(f"vtkmodules.{name}")
    except ImportError as error:
        raise DependencyError(f"Expected VTK for surface meshes, got: {error}.", "Run pip install vtk.") from error
