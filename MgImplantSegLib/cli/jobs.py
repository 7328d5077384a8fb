"""``jobs``: training, segmentation and batches in other environments, watched, stopped and fetched from anywhere."""

from __future__ import annotations

import argparse
from typing import Any

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.cli import job_actions, job_environments
from MgImplantSegLib.cli.parser import folder_path, whole_number

NAME = "jobs"
HELP = "run commands on this computer, a GPU server or a cluster; environments: where they run"
JOB_HELP = "ENVIRONMENT/JOB as shown by submit and list, or JOB alone"
ACTIONS = {
    "submit": (job_actions.submit, "send a command and its input files to an environment and start it"),
    "list": (job_actions.list_jobs, "jobs of all environments, or of one"),
    "status": (job_actions.status, "state and progress of a job"),
    "watch": (job_actions.watch, "show a job's progress until it ends; Ctrl-C leaves the job running"),
    "log": (job_actions.log, "output of a job's command"),
    "cancel": (job_actions.cancel, "stop a job; a training writes a checkpoint first"),
    "resume": (job_actions.resume, "start a job again that has ended; a training continues from its checkpoint"),
    "fetch": (job_actions.fetch, "copy a job's results to this computer and verify each file"),
    "remove": (job_actions.remove, "delete a job that has ended, and its results in the environment"),
    "clean": (job_actions.clean, "delete files in an environment that no job needs any more"),
    "environments": (job_environments.run, "where jobs run: list, add, remove, test, create"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """One action, with its own arguments."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    parsers = {name: actions.add_parser(name, help=text, description=text) for name, (_, text) in ACTIONS.items()}
    for name in ("status", "watch", "log", "cancel", "resume", "fetch", "remove"):
        parsers[name].add_argument("job", metavar="JOB", help=JOB_HELP)
    _add_submit(parsers["submit"])
    parsers["list"].add_argument("environment", metavar="ENVIRONMENT", nargs="?", help="only this one")
    parsers["clean"].add_argument("environment", metavar="ENVIRONMENT", help="environment to clean up")
    parsers["log"].add_argument("--follow", action="store_true", help="keep printing until the job ends")
    parsers["log"].add_argument(
        "--offset",
        type=whole_number(0),
        default=0,
        metavar="BYTES",
        help="skip everything before this byte (default: 0)",
    )
    parsers["fetch"].add_argument(
        "--to", type=folder_path, metavar="FOLDER", help="default: a folder named like the job"
    )
    job_environments.add_arguments(parsers["environments"])
    for name in ACTIONS:
        if name != "environments":
            job_environments.add_common(parsers[name])


def run(arguments: argparse.Namespace, events: Events) -> dict[str, Any]:
    """Do what the action says."""
    return ACTIONS[arguments.action][0](arguments, events)


def report(result: dict[str, Any]) -> str:
    """The result's own text, made where the result is."""
    return result["text"]


def _add_submit(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--name", default="", help="name shown in lists (default: the command and its first file)")
    parser.add_argument(
        "--again",
        default="",
        metavar="TEXT",
        help="any text; submits an identical command as a new job instead of returning the earlier one",
    )
    parser.add_argument("--watch", action="store_true", help="show its progress until it ends")
    parser.add_argument("environment", metavar="ENVIRONMENT", help="see: jobs environments list")
    parser.add_argument(
        "command",
        metavar="COMMAND",
        nargs=argparse.REMAINDER,
        help="a command of this program with its arguments. Existing files and folders among the arguments are "
        "sent along (or are read in place if the environment can see them); files written to relative paths can be "
        "fetched later",
    )
