"""What the engine says to users of its command line, in words of the panel."""

import re

from slicer.i18n import tr as _

PLACES = {
    "model": _("section 2"),
    "spacing_um": _("Voxel size in section 1"),
    "roi": _("ROI in section 1"),
    "device": _("Device in section 3"),
    "precision": _("Precision in section 3, Advanced"),
    "memory_gb": _("Memory limit in section 3, Advanced"),
    "roles": _("Classes in section 4"),
    "initial": _("Initial implant in section 4"),
    "initial_volume_mm3": _("Initial volume in section 4"),
    "initial_area_mm2": _("Initial area in section 4"),
    "days": _("Time implanted in section 4"),
    "distance_mm": _("Shell around implant in section 4"),
    "planes": _("Planes in section 3"),
    "resume": _("Resume in the section Training"),
}
COMMANDS = {
    "environments": _("the section Environments"),
    "log": _("the log in the section Training"),
    "resume": _("Resume in the section Training"),
    "cancel": _("Stop in the section Training"),
    "list": _("the section Training"),
}
COMMAND = re.compile(
    rf"(?:mgimplantseg )?\bjobs ({'|'.join(COMMANDS)})\b(?: (?:create|add|test|list)\b)?(?: [^\s,;]+/[^\s,;]+)?"
)
FLAG = re.compile(r"(?<!\S)--([a-z][a-z0-9]*(?:-[a-z0-9]+)*)")


def placeOf(option):
    """Where a user of the panel sets an option of the engine, for the advice of an error; empty if nowhere."""
    return PLACES.get(option, "")


def inPanelWords(text):
    """The text with fields of the panel in place of options and commands, and axes in words."""
    text = FLAG.sub(lambda match: placeOf(match[1].replace("-", "_")) or match[1].replace("-", " "), text)
    text = COMMAND.sub(lambda match: COMMANDS[match[1]], text)
    return text.replace("(z, y, x)", _("(slices, rows, columns)"))
