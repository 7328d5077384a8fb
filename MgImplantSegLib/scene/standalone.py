"""A MRML scene with the logics that the rest of `scene/` needs, outside the 3D Slicer application.

Inside Slicer nothing of this is needed: there `slicer.mrmlScene` and `slicer.app.applicationLogic()` are passed.
"""

from __future__ import annotations

import tempfile
from types import MappingProxyType, TracebackType
from typing import Any

from MgImplantSegLib.base.errors import DependencyError

MODULE_LOGICS = MappingProxyType(
    {
        "SubjectHierarchy": "vtkSlicerSubjectHierarchyModuleLogic",
        "Colors": "vtkSlicerColorLogic",
        "Volumes": "vtkSlicerVolumesLogic",
        "VolumeRendering": "vtkSlicerVolumeRenderingLogic",
        "Models": "vtkSlicerModelsLogic",
        "Markups": "vtkSlicerMarkupsLogic",
        "Segmentations": "vtkSlicerSegmentationsModuleLogic",
        "Tables": "vtkSlicerTablesLogic",
        "Plots": "vtkSlicerPlotsLogic",
        "Transforms": "vtkSlicerTransformLogic",
        "Units": "vtkSlicerUnitsLogic",
    }
)


def require_slicer() -> Any:
    """The `slicer` package: of the application, or of the wheel slicer-core.

    Raises DependencyError if neither is there.
    """
    try:
        import slicer
    except ImportError as error:
        raise DependencyError(
            f"Expected 3D Slicer or its package slicer-core, got neither ({error}).",
            "Install it with: pip install slicer-core (Linux also needs libegl1 and libgl1 of the system).",
        ) from error
    return slicer


class StandaloneScene:
    """A scene, its application logic and module logics; close it or use it in a `with` statement.

    Attributes
    ----------
    scene : vtkMRMLScene
    application_logic : vtkSlicerApplicationLogic
    logics : mapping of module name to module logic, with the names of `MODULE_LOGICS`
    """

    def __init__(self) -> None:
        slicer = require_slicer()
        self.scene = slicer.vtkMRMLScene()
        self.application_logic = slicer.vtkSlicerApplicationLogic()
        self.application_logic.SetMRMLScene(self.scene)
        self.application_logic.GetColorLogic().SetMRMLScene(self.scene)
        self.application_logic.GetColorLogic().AddDefaultColorNodes()
        self.logics = MappingProxyType(
            {name: self._start_logic(name, getattr(slicer, type_name)()) for name, type_name in MODULE_LOGICS.items()}
        )
        self._cache_folder = tempfile.TemporaryDirectory(prefix="MgImplantSeg-cache-")
        self._remote_io, self._data_io = self._start_file_reading(slicer)

    def _start_logic(self, name: str, logic: Any) -> Any:
        logic.SetMRMLApplicationLogic(self.application_logic)
        logic.SetMRMLScene(self.scene)
        self.application_logic.SetModuleLogic(name, logic)
        return logic

    def _start_file_reading(self, slicer: Any) -> tuple[Any, Any]:
        """Set up what reading of .mrml and .mrb files needs: a data manager with a cache folder."""
        remote_io = slicer.vtkMRMLRemoteIOLogic()
        remote_io.SetMRMLScene(self.scene)
        remote_io.SetMRMLApplicationLogic(self.application_logic)
        remote_io.GetCacheManager().SetRemoteCacheDirectory(self._cache_folder.name)
        data_io = slicer.vtkDataIOManagerLogic()
        data_io.SetMRMLScene(self.scene)
        data_io.SetMRMLApplicationLogic(self.application_logic)
        data_io.SetAndObserveDataIOManager(remote_io.GetDataIOManager())
        remote_io.AddDataIOToScene()
        return remote_io, data_io

    def close(self) -> None:
        """Empty the scene and remove its cache folder."""
        self._remote_io.RemoveDataIOFromScene()
        self.scene.Clear(1)
        self._cache_folder.cleanup()

    def __enter__(self) -> StandaloneScene:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
