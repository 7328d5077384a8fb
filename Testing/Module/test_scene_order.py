"""Results in the scene as Slicer's users expect them: in a folder with their scan, and nothing to undo by accident."""

import slicer
from harness import person
from module_cases import add_segmentation, ball_in_half_bone

from MgImplantSegLib.grids.volume import Volume
from MgImplantSegLib.scene.segmentations import add_segmentation_node
from MgImplantSegLib.scene.volumes import add_volume_node


def hierarchy():
    return slicer.vtkMRMLSubjectHierarchyNode.GetSubjectHierarchyNode(slicer.mrmlScene)


def folder_of(node):
    """Name of the folder in which a node is; empty for the top level."""
    tree = hierarchy()
    parent = tree.GetItemParent(tree.GetItemByDataNode(node))
    return "" if parent == tree.GetSceneItemID() else tree.GetItemName(parent)


def test_all_that_is_made_of_a_scan_stands_in_one_folder_with_it(module, no_process):
    from MgImplantSegSections.work import display3D

    labels, logic = ball_in_half_bone(), module.MgImplantSegLogic()
    for name in ("Scan A", "Scan B"):
        scan = add_volume_node(slicer.mrmlScene, Volume(labels.array * 9, labels.geometry), name)
        node = add_segmentation_node(slicer.mrmlScene, labels, f"{name} segmentation", scan)
        table, _measures = logic.quantify(node, distanceMm=0.06)
        roi = logic.addRoiAroundImplant(node, 0.06)
        contact = display3D.showColored(node, "contact")
        made = (scan, node, table, roi, contact)
        assert [folder_of(entry) for entry in made] == [name] * 5
        assert not any(entry.GetUndoEnabled() for entry in made)


def test_a_folder_of_the_user_is_kept(module):
    labels = ball_in_half_bone()
    scan = add_volume_node(slicer.mrmlScene, Volume(labels.array * 9, labels.geometry), "Scan")
    tree = hierarchy()
    own = tree.CreateFolderItem(tree.GetSceneItemID(), "Sheep 12")
    tree.SetItemParent(tree.CreateItem(own, scan), own)
    node = add_segmentation_node(slicer.mrmlScene, labels, "Explant", scan)
    assert folder_of(node) == folder_of(scan) == "Sheep 12"


def test_a_segmentation_of_no_scan_makes_no_folder(module):
    assert folder_of(add_segmentation(slicer.mrmlScene)) in ("", None)


def test_the_sample_stands_in_a_folder_with_the_screw_before_implantation(widget, ui):
    from MgImplantSegSections.work import sampleData

    person.click(ui.sampleDataButton)
    nodes = (ui.inputVolumeSelector.currentNode(), sampleData.initialNode())
    assert [folder_of(node) for node in nodes] == ["SimulatedMgExplant"] * 2
