"""Surfaces of large segmentations: hand over, let the engine make them, put them into the scene."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MgImplantSegLib.base.errors import Cancelled, InputError
from MgImplantSegLib.grids.labels import Role
from MgImplantSegLib.scene.closed_surfaces import SurfaceMethod, put_closed_surfaces
from MgImplantSegLib.scene.mask_surfaces import read_mesh
from MgImplantSegLib.scene.segmentation_grid import geometry_of_image
from MgImplantSegLib.scene.segments import binary_image, segment_ids
from MgImplantSegLib.scene.volumes import array_of_image
from MgImplantSegSections.engine.engineRun import runEngine, sceneOf, whileWanted
from MgImplantSegSections.engine.exchange import ROLES_WORD, taskFolder, writeImage
from MgImplantSegSections.work.measureWork import writeSegmentation

if TYPE_CHECKING:
    from slicer import vtkMRMLNode, vtkMRMLScene, vtkMRMLSegmentationNode

    from MgImplantSegSections.engine.engineRun import CancelToken, EnginePython

SMALL_VOXELS, HUGE_VOXELS = 5_000_000, 50_000_000
METHOD_WORD = {SurfaceMethod.FLYING_EDGES: "flying-edges", SurfaceMethod.SURFACE_NETS: "surface-nets"}


def isLarge(segmentationNode: Any):
    """Whether making surfaces would stop Slicer for more than a moment."""
    return _voxels(segmentationNode) > SMALL_VOXELS


def isHuge(segmentationNode: Any):
    """Whether surfaces with all their triangles would be more than a 3D view can turn."""
    return _voxels(segmentationNode) > HUGE_VOXELS


def _voxels(segmentationNode: vtkMRMLSegmentationNode):
    images = _images(segmentationNode.GetSegmentation())
    return max((image.GetNumberOfPoints() for image in images.values()), default=0)


def _images(segmentation: Any):
    """The voxels by segment ID, of the segments that have any."""
    images = {entry: binary_image(segmentation, entry) for entry in segment_ids(segmentation)}
    return {entry: image for entry, image in images.items() if image is not None}


def _state(segmentation: Any):
    """What differs once segments have come or gone, or voxels have been edited."""
    edited = {entry: image.GetMTime() for entry, image in _images(segmentation).items()}
    return segment_ids(segmentation), edited


def classSurfaceSteps(
    segmentationNode: Any, settings: Any, python: EnginePython, temporaryFolder: str | Path, token: CancelToken
):
    """Generator of events; gives all segments their closed surface and returns polygons by segment ID.

    :raises EngineError: if the engine fails.
    :raises InputError: if the segmentation was edited meanwhile.
    :raises Cancelled: if the user has asked to stop, or the segmentation has left the scene.
    """
    scene, segmentation = sceneOf(segmentationNode), segmentationNode.GetSegmentation()
    images, before = _images(segmentation), _state(segmentation)
    with taskFolder(temporaryFolder) as folder:
        paths = {entry: folder / f"{number}.mha" for number, entry in enumerate(images)}
        for entry, image in images.items():
            mask = {segmentation.GetSegment(entry).GetLabelValue(): 1}
            yield from writeImage(array_of_image(image), geometry_of_image(image), paths[entry], token, mask)
        words = [
            "surfaces",
            *paths.values(),
            "--out",
            folder,
            "--method",
            METHOD_WORD[settings.method],
            "--smoothing",
            settings.smoothing,
            "--decimation",
            settings.decimation,
        ]
        yield from _run(scene, segmentationNode, words, python, folder, token)
        meshes = {}
        for entry, path in paths.items():
            meshes[entry] = read_mesh(path.with_suffix(".vtp"))
            yield None
    if not scene.IsNodePresent(segmentationNode):
        raise Cancelled
    if segmentationNode.GetSegmentation() is not segmentation or _state(segmentation) != before:
        raise InputError(
            _("Expected an unchanged segmentation, got one that was edited in the meantime."),
            _("Ask for its surfaces again."),
        )
    return put_closed_surfaces(segmentationNode, meshes, settings)


def coloredSurfaceSteps(
    segmentationNode: Any,
    kind: str,
    initialNode: Any,
    python: EnginePython,
    temporaryFolder: str | Path,
    token: CancelToken,
):
    """Generator of events; returns the implant's surface with its measure, ``contact`` or ``depth``, in the world."""
    scene = sceneOf(segmentationNode)
    with taskFolder(temporaryFolder) as folder:
        yield from writeSegmentation(segmentationNode, folder / "implant.mha", token)
        words = ["surfaces", folder / "implant.mha", "--out", folder, "--kind", kind, "--roles", ROLES_WORD]
        if kind == "depth":
            yield from writeSegmentation(initialNode, folder / "initial.mha", token, Role.RESIDUAL_MATERIAL)
            words += ["--initial", folder / "initial.mha"]
        yield from _run(scene, segmentationNode, words, python, folder, token, initialNode)
        mesh = read_mesh(folder / "implant.vtp")
    if not scene.IsNodePresent(segmentationNode):
        raise Cancelled
    return mesh


def _run(
    scene: vtkMRMLScene,
    segmentationNode: vtkMRMLSegmentationNode,
    words: Sequence[Any],
    python: Any,
    folder: Path,
    token: CancelToken,
    initialNode: vtkMRMLNode | None = None,
):
    names = {folder / "implant.mha": segmentationNode.GetName()}
    names |= {} if initialNode is None else {folder / "initial.mha": initialNode.GetName()}
    engine = runEngine(python, words, folder / "log.txt", token, names=names)
    yield from whileWanted(engine, lambda: scene.IsNodePresent(segmentationNode), token)
