"""No words of the command line in the panel."""

import pytest


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Give the voxel size in µm with --spacing-um.", "Give the voxel size in µm with Voxel size."),
        ("Leave out --pair-limit or --initial", "Leave out pair limit or Initial implant in Measurements"),
        ("Expected 3 voxels (z, y, x), got 2.", "Expected 3 voxels (slices, rows, columns), got 2."),
        ("See: jobs log this/train-a1", "See: the log in Training"),
        ("pip install x, or: jobs environments create", "pip install x, or: Environments in the panel"),
        ("Continue with: jobs resume", "Continue with: Resume in Training"),
        ("A range of 5--7 mm and jobs of people stay.", "A range of 5--7 mm and jobs of people stay."),
    ],
)
def test_options_and_commands_are_named_as_fields_of_the_panel(module, said, shown):
    from MgImplantSegSections.sections.panelWords import inPanelWords

    assert inPanelWords(said) == shown


def test_the_place_of_an_option_stands_in_the_advice_of_an_error(module):
    from MgImplantSegSections.sections.workbench import errorText

    from MgImplantSegLib.base.errors import InputError

    error = InputError("Expected a voxel size, got 1 mm.", "Set the voxel size in µm [[spacing_um]].")
    assert errorText(error) == "Expected a voxel size, got 1 mm. Set the voxel size in µm (Voxel size)."
