"""Several segmentations against a reference: IoU for each class, and measures with their deviation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slicer.i18n import tr as _

from MgImplantSegLib.scene.nodes import place_beside, set_provenance
from MgImplantSegLib.scene.tables import add_table
from MgImplantSegSections.engine.engineRun import runEngine, sceneOf, whileWanted
from MgImplantSegSections.engine.exchange import ROLES_WORD, taskFolder
from MgImplantSegSections.work.measureWork import measureArguments, modelNames, writeSegmentation

if TYPE_CHECKING:
    from slicer import vtkMRMLScene, vtkMRMLSegmentationNode

    from MgImplantSegSections.engine.engineRun import CancelToken, EnginePython

REFERENCE = "reference"
CLASSES = {"bone": "IoU bone", "degradation layer": "IoU DL", "residual material": "IoU RM"}
SYMBOLS = ("DR", "BIC", "BV/TV")


def compareSteps(
    referenceNode: Any,
    otherNodes: Sequence[Any],
    request: Any,
    python: EnginePython,
    temporaryFolder: str | Path,
    token: CancelToken,
):
    """Generator of events; returns the table node, one row a segmentation.

    :raises EngineError: if the engine fails, for example because the grids differ.
    """
    scene, nodes = sceneOf(referenceNode), [referenceNode, *otherNodes]
    with taskFolder(temporaryFolder) as folder:
        paths = [folder / f"{number}.mha" for number in range(len(nodes))]
        for node, path in zip(nodes, paths, strict=True):
            yield from writeSegmentation(node, path, token)
        words = ["compare", *paths[1:], "--reference", paths[0], "--roles", ROLES_WORD]
        arguments = [*words, *measureArguments(request, folder)]
        known = {path: node.GetName() for path, node in zip(paths, nodes, strict=True)} | modelNames(request, folder)
        engine = runEngine(python, arguments, folder / "log.txt", token, names=known)
        result = yield from whileWanted(engine, lambda: all(map(scene.IsNodePresent, nodes)), token)
    names = {REFERENCE: referenceNode.GetName()}
    names |= {path.stem: node.GetName() for path, node in zip(paths[1:], otherNodes, strict=True)}
    return _addTable(scene, result["comparison"], names, referenceNode)


def _addTable(scene: vtkMRMLScene, values: Any, names: Any, referenceNode: vtkMRMLSegmentationNode):
    rows = [_row([entry for entry in values if entry["segmentation"] == key], name) for key, name in names.items()]
    columns = list(dict.fromkeys(column for row in rows[::-1] for column in row))
    title = _("Comparison with {reference}").format(reference=referenceNode.GetName())
    table = add_table(scene, title, {column: [row.get(column, "") for row in rows] for column in columns})
    set_provenance(table, {"reference": referenceNode.GetName(), "segmentations": list(names.values())})
    place_beside(scene, table, referenceNode)
    return table


def _row(values: Any, name: str):
    """Texts of one row: name, IoU of the classes and their mean, then each measure with its deviation in per cent."""
    row = {"Segmentation": name}
    for entry in values:
        if entry["symbol"] == "IoU" and entry["region"] in CLASSES:
            row[CLASSES[entry["region"]]] = _text(entry["value"])
        elif entry["symbol"] == "mean IoU":
            row["Mean IoU"] = _text(entry["value"])
        elif entry["symbol"] in SYMBOLS and f"{entry['symbol']} deviation [%]" not in row:
            row[f"{entry['symbol']} [{entry['unit']}]"] = _text(entry["value"])
            isReference = entry["segmentation"] == REFERENCE
            row[f"{entry['symbol']} deviation [%]"] = "" if isReference else _text(entry["deviation_percent"])
    return row


def _text(value: Any):
    return "" if value is None or value != value else f"{value:.4g}"
