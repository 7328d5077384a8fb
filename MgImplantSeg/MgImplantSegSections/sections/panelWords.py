"""What the engine says to users of its command line, in words of the panel."""

from __future__ import annotations

import re

from slicer.i18n import tr as _

PLACES = {
    "model": _("Model"),
    "spacing_um": _("Voxel size"),
    "roi": _("Limit to ROI in Advanced"),
    "device": _("Device in Advanced"),
    "precision": _("Precision in Advanced"),
    "memory_gb": _("Memory limit in Advanced"),
    "roles": _("Class mapping in Measurements"),
    "initial": _("Initial implant in Measurements"),
    "initial_volume_mm3": _("Initial volume in Measurements"),
    "initial_area_mm2": _("Initial area in Measurements"),
    "days": _("Time implanted in Measurements"),
    "distance_mm": _("Shell around implant in Measurements"),
    "planes": _("Planes in Advanced"),
    "resume": _("Resume in Training"),
}
COMMANDS = {
    "environments": _("Environments in the panel"),
    "log": _("the log in Training"),
    "resume": _("Resume in Training"),
    "cancel": _("Stop in Training"),
    "list": _("Training in the panel"),
}
COMMAND = re.compile(
    rf"(?:mgimplantseg )?\bjobs ({'|'.join(COMMANDS)})\b(?: (?:create|add|test|list)\b)?(?: [^\s,;]+/[^\s,;]+)?"
)
FLAG = re.compile(r"(?<!\S)--([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")


def placeOf(option: str):
    """Where a user of the panel sets an option of the engine, for the advice of an error; empty if nowhere."""
    return PLACES.get(option, "")


def inPanelWords(text: str):
    """The text with fields of the panel in place of options and commands, and axes in words."""
    text = FLAG.sub(lambda match: placeOf(match[1].replace("-", "_")) or match[1].replace("-", " "), text)
    text = COMMAND.sub(lambda match: COMMANDS[match[1]], text)
    return text.replace("(z, y, x)", _("(slices, rows, columns)"))
