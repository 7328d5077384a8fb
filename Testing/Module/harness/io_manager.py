"""`slicer.app.coreIOManager()`: loads volumes and segmentations, which is what `slicer.util.load*` ask of it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from scene_files import add_scene, save_scene

from MgImplantSegLib.base.errors import OutputError

from . import api
from .pythonqt import HarnessLacksError


class IOManager:
    """Readers of slicer-core behind Slicer's file types."""

    def __init__(self, stand_alone_scene: Any) -> None:
        self._scene = stand_alone_scene
        self._readers = {
            "VolumeFile": self._volume,
            "SegmentationFile": self._segmentation,
            "SceneFile": self._load_scene,
        }

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name not in api.names("slicer.app.ioManager()"):
            raise AttributeError(f"coreIOManager() has no '{name}' in Slicer")
        raise HarnessLacksError(f"coreIOManager().{name}")

    def loadNodes(self, kind: str, properties: dict[str, Any], loaded: Any, _messages: Any) -> bool:
        node = self._readers[kind](properties["fileName"])
        if kind == "SceneFile":
            return True
        if node is None:
            return False
        if "name" in properties:
            node.SetName(properties["name"])
        loaded.AddItem(node)
        return True

    def fileWriterFileType(self, node: Any) -> str:
        return {"vtkMRMLSegmentationNode": "SegmentationFile", "vtkMRMLTableNode": "TableFile"}[node.GetClassName()]

    def saveNodes(self, kind: str, properties: dict[str, Any], _messages: Any) -> bool:
        if kind in ("SegmentationFile", "TableFile"):
            return self._save_node(properties)
        if kind != "SceneFile":
            raise HarnessLacksError(f"coreIOManager().saveNodes of a {kind}")
        try:
            save_scene(self._scene.scene, properties["fileName"])
        except OutputError:
            return False
        return True

    def _save_node(self, properties: dict[str, Any]) -> bool:
        """A relative path is one from the scene's folder, not from the working folder."""
        node = self._scene.scene.GetNodeByID(properties["nodeID"])
        node.AddDefaultStorageNode()
        path = Path(self._scene.scene.GetRootDirectory() or tempfile.gettempdir()) / properties["fileName"]
        node.GetStorageNode().SetFileName(str(path))
        return bool(node.GetStorageNode().WriteData(node))

    def _load_scene(self, path: str) -> None:
        add_scene(self._scene.scene, path)

    def _volume(self, path: str) -> Any:
        return self._scene.logics["Volumes"].AddArchetypeVolume(path, "volume")

    def _segmentation(self, path: str) -> Any:
        return self._scene.logics["Segmentations"].LoadSegmentationFromFile(path)
