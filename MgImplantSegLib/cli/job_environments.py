"""``jobs environments``: the user's list of places where jobs run."""

from __future__ import annotations

import argparse
from typing import Any

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli.parser import one_of
from MgImplantSegLib.jobs.backend import Backend
from MgImplantSegLib.jobs.environment import Environment, Kind
from MgImplantSegLib.jobs.environment_fields import FIELDS, pair, type_of_field
from MgImplantSegLib.jobs.environment_file import (
    find_environment,
    known_environments,
    remove_environment,
    save_environment,
)
from MgImplantSegLib.jobs.new_python import make_python, plan_python

PLAIN = {"str": str, "int": int, "float": float}
LISTS = ("setup", "queue_options", "path_map", "variables")
HOW_TO_WRITE = {"queue_options": "Write it with an equals sign: --queue-option=--constraint=a100. "}
SINGULAR = {"queue_options": ("--queue-option", "--sbatch-option"), "variables": ("--variable",)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Actions on the list."""
    actions = parser.add_subparsers(dest="environments_action", required=True, metavar="ACTION")
    texts = {
        "list": "all environments",
        "add": "add an environment, or replace the one with that name",
        "remove": "remove an environment from the list",
        "test": "check Python, torch, GPUs, memory, disk and queue there, and suggest remedies",
        "create": "create a Python with a suitable torch there; shows the size first",
    }
    parsers = {name: actions.add_parser(name, help=text, description=text) for name, text in texts.items()}
    for name in ("add", "remove", "test", "create"):
        parsers[name].add_argument("name", metavar="NAME")
    _add_options(parsers["add"])
    parsers["create"].add_argument("folder", metavar="FOLDER", help="new folder there: ~/mgimplantseg-python")
    parsers["create"].add_argument("--torch-index", default="", metavar="URL", help="another package index for torch")
    parsers["create"].add_argument("--yes", action="store_true", help="create it (default: show the plan only)")
    for leaf in parsers.values():
        add_common(leaf)


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options that every command has, behind an action too."""
    for name, words in {
        "--events": "write events as JSON lines to standard output or a file",
        "--json": "write the result as JSON to standard output or a file",
    }.items():
        parser.add_argument(name, metavar="-|FILE", default=argparse.SUPPRESS, help=words)
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help="log in detail")


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Do what the action says."""
    return ACTIONS[arguments.environments_action](arguments, events)


def _list(_arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    found, faults = known_environments()
    for fault in faults:
        events.warning(str(fault))
    lines = [f"{name:<20}{environment.kind.value:<8}{_place(environment)}" for name, environment in found.items()]
    tables = {name: environment.to_dict() for name, environment in found.items()}
    return {"environments": tables, "text": "\n".join(lines)}


def _add(arguments: argparse.Namespace, _events: Events) -> dict[str, Any]:
    plain = [name for name in FIELDS if type_of_field(name) in PLAIN]
    values = {name: getattr(arguments, name) for name in plain if getattr(arguments, name) is not None}
    values |= {name: getattr(arguments, name) for name in ("setup", "queue_options") if getattr(arguments, name)}
    if arguments.path_map:
        values["path_map"] = [pair(text, "HERE=THERE") for text in arguments.path_map]
    if arguments.variables:
        values["variables"] = dict(pair(text, "NAME=VALUE") for text in arguments.variables)
    if arguments.interactive:
        values["interactive"] = True
    environment = Environment.from_dict(arguments.name, {"kind": arguments.kind, **values})
    path = save_environment(environment)
    return {
        "file": str(path),
        "environment": environment.to_dict(),
        "text": f"Saved in {path}. Test it: jobs environments test {arguments.name}",
    }


def _remove(arguments: argparse.Namespace, _events: Events) -> dict[str, Any]:
    path = remove_environment(arguments.name)
    return {"file": str(path), "text": f"Removed {arguments.name} from {path}; jobs there are not affected."}


def _test(arguments: argparse.Namespace, _events: Events) -> dict[str, Any]:
    with Backend(find_environment(arguments.name)) as backend:
        checks = backend.test()
    return {"ok": all(check["ok"] for check in checks), "checks": checks, "text": "\n".join(map(check_line, checks))}


def _create(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    environment = find_environment(arguments.name)
    plan = plan_python(environment, arguments.folder, arguments.torch_index)
    text = (
        f"{plan.folder}: {plan.reason}, from {plan.index}. About {plan.download_gb:g} GB to download, "
        f"{plan.disk_gb:g} GB on disk."
    )
    if not arguments.yes:
        return {"plan": vars(plan), "text": f"{text}\nTo create it: add --yes"}
    events.warning(text, "size")
    made = make_python(environment, plan, events)
    if environment.kind is not Kind.THIS:
        save_environment(made)
    return {"plan": vars(plan), "python": made.python, "text": f"{text}\nCreated: {made.python}"}


def check_line(check: dict[str, Any]) -> str:
    """One check for display."""
    remedy = f"\n    {check['remedy']}" if check["remedy"] else ""
    return f"{'✓' if check['ok'] else '✗'} {check['name']}: {check['found']}{remedy}"


def _add_options(parser: argparse.ArgumentParser) -> None:
    kinds = [kind.value for kind in Kind if kind is not Kind.THIS]
    parser.add_argument(
        "--kind",
        type=one_of(kinds),
        required=True,
        metavar="|".join(kinds),
        help="another Python on this computer, a host, or a cluster",
    )
    for name, field in FIELDS.items():
        kind = type_of_field(name)
        if kind in PLAIN:
            parser.add_argument(*_option(name), dest=name, type=PLAIN[kind], metavar=field.metavar, help=field.help)
        elif name in LISTS:
            text = f"{field.help}. {HOW_TO_WRITE.get(name, '')}May be repeated"
            parser.add_argument(
                *_option(name), dest=name, action="append", default=[], metavar=field.metavar, help=text
            )
        else:
            parser.add_argument(*_option(name), dest=name, action="store_true", help=field.help)


def _option(name: str) -> tuple[str, ...]:
    return SINGULAR.get(name, ("--" + name.replace("_", "-"),))


def _place(environment: Environment) -> str:
    return f"{environment.host}: {environment.python}" if environment.host else environment.job_python


ACTIONS = {"list": _list, "add": _add, "remove": _remove, "test": _test, "create": _create}
