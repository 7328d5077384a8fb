"""Options of the engine in the panel: as parameters of the scene, as texts of widgets, and as the engine's objects."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Annotated, Any

from slicer.i18n import tr as _
from slicer.parameterNodeWrapper import WithinRange

from MgImplantSegLib.base.option_kinds import Number, OneOf, SomeOf, Yes
from MgImplantSegLib.base.options import options_of
from MgImplantSegLib.inference.options import SegmentOptions
from MgImplantSegLib.quantification.options import QuantifyOptions

DECLARATIONS = (SegmentOptions, QuantifyOptions)
PARAMETER_OF = {"surface": "surfaceArea", "contact": "contactMethod", "time_days": "days"}  # as saved in scenes
SMALLEST_STEP = 0.001


class LabelledChoice(Enum):
    """A choice whose members carry the engine's value and have a text for people."""

    def label(self):
        """The text in the combo box."""
        kind: Any = type(self)
        return kind.texts[self.value]


def choice(name: str, texts: Mapping[str, str]):
    """An enumeration of keys with the texts of a combo box, in their order."""
    made: Any = LabelledChoice
    made = made(name, {f"choice_{key}".replace("-", "_"): key for key in texts})
    made.texts = dict(texts)
    return made


def parameterName(entry: Any):
    """The name of an option among the parameters of the scene: ``closeCracksMm`` for ``close_cracks_mm``."""
    first, *others = entry.name.split("_")
    return PARAMETER_OF.get(entry.name, first + "".join(word.capitalize() for word in others))


def withOptions(*declarations: Any):
    """A decorator of a class of parameters: adds the options that a scene keeps, with their defaults."""

    def add(parameters: Any):
        for entry in options_of(*declarations):
            found = _parameter(entry)
            if found is not None:
                parameters.__annotations__[parameterName(entry)] = found[0]
                setattr(parameters, parameterName(entry), found[1])
        return parameters

    return add


def _parameter(entry: Any):
    """Type and default of the parameter for an option; None if the scene does not keep it."""
    kind = entry.option.kind
    if not entry.option.changes_result or isinstance(kind, SomeOf):
        return None
    if isinstance(kind, OneOf):
        automatic = {"": _("Model's default")} if entry.default is None else {}
        made = choice(parameterName(entry).capitalize(), {**automatic, **_namesOf(kind)})
        return made, made(entry.default or "")
    if isinstance(kind, Number):
        lowest = 0.0 if kind.zero or entry.default is None else SMALLEST_STEP
        return Annotated[float, WithinRange(lowest, kind.offered_up_to)], float(entry.default or 0.0)
    return (bool, entry.default) if isinstance(kind, Yes) else None


def _namesOf(kind: Any):
    """Keys of a registry with the names of their entries, as a combo box shows them."""
    return {key: f"{entry.name[:1].upper()}{entry.name[1:]}" for key, entry in kind.choices.items()}


def optionsFrom(parameters: Any, declaration: Any, **given: Any):
    """The engine's options object as chosen in the scene; `given` are fields that the scene does not keep."""
    values = {}
    for entry in options_of(declaration):
        if entry.name not in given and _parameter(entry) is not None:
            value = getattr(parameters, parameterName(entry))
            value = value.value if isinstance(value, Enum) else value
            values[entry.name] = None if entry.default is None and not value else value
    return declaration(**values, **given)


def optionTooltip(name: str):
    """What an option is, its unit with it, and what each choice means."""
    said = next(entry for entry in options_of(*DECLARATIONS) if name in (entry.name, parameterName(entry))).option
    lines = [f"{said.help[:1].upper()}{said.help[1:]}."]
    if isinstance(said.kind, OneOf):
        texts = _namesOf(said.kind)
        lines += [f"• {texts[key]}: {entry.definition}" for key, entry in said.kind.choices.items()]
    if said.default_help:
        lines.append(_("Default: {text}.").format(text=said.default_help))
    return "\n".join(lines)


def describeOptions(widgets: Any):
    """Give every widget that is bound to an option of the engine its tooltip."""
    names = {parameterName(entry) for entry in options_of(*DECLARATIONS) if _parameter(entry) is not None}
    for widget in widgets:
        name = widget.property("SlicerParameterName")
        if name in names:
            widget.toolTip = optionTooltip(name)
