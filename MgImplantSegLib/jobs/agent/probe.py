"""Checks of the machine where jobs will run: Python, torch, GPUs, memory, disk, queue. One line a check."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import MgImplantSegLib
from MgImplantSegLib.base.machine import available_memory_bytes
from MgImplantSegLib.jobs.agent.programs import clean_variables
from MgImplantSegLib.jobs.agent.scheduler import Scheduler, check
from MgImplantSegLib.jobs.agent.settings import AgentSettings

PACKAGE_OF_MODULE = {
    **{name: name for name in ("numpy", "scipy", "SimpleITK", "tifffile", "h5py", "vtk")},
    "nrrd": "pynrrd",
}
LEAST_FREE_GB = 5.0
SECONDS_TO_IMPORT = 180.0
SECONDS_FOR_THE_DRIVER = 30.0
QUESTION = """
import importlib.util, json, platform, sys
found = {"python": platform.python_version(), "supported": sys.version_info[:2] in ((3, 11), (3, 12))}
found["missing"] = [name for name in sys.argv[1:] if importlib.util.find_spec(name) is None]
try:
    import torch
    found["torch"], found["cuda"] = torch.__version__, torch.version.cuda
    devices = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    found["gpus"] = ["%s %.0f GB" % (device.name, device.total_memory / 1e9) for device in devices]
except Exception as error:
    found["torch_error"] = "%s: %s" % (type(error).__name__, error)
print("\\n" + json.dumps(found))
"""
INSTALL = "Install it there: pip install torch (its page names the build for your driver), or: jobs environments create"


def probe(settings: AgentSettings, scheduler: Scheduler, root: Path) -> list[dict[str, Any]]:
    """All checks of the machine that asks itself."""
    checks = _python_checks(settings, scheduler)
    memory, free = available_memory_bytes(), shutil.disk_usage(root).free
    checks.append(check("memory", True, "unknown" if memory is None else f"{memory / 1e9:.1f} GB free"))
    checks.append(
        check(
            "disk",
            free > LEAST_FREE_GB * 1e9,
            f"{free / 1e9:.1f} GB free for {root}",
            "Free disk space, or set `root` of the environment to a larger disk.",
        )
    )
    checks.append(check("engine", True, f"{MgImplantSegLib.__version__}, sent along with every job"))
    return checks + scheduler.check_settings()


def describe_driver(scheduler: Scheduler) -> dict[str, list[int] | None]:
    """What the NVIDIA driver says where jobs run: newest ``cuda`` that it takes, ``capability`` of the oldest GPU.

    On a cluster a computing node is asked, since login nodes often have neither; a queue that is full gives no answer.
    """
    shown = scheduler.probe(["nvidia-smi"], SECONDS_FOR_THE_DRIVER)
    cuda = re.search(r"CUDA[^:|]*Version:\s*(\d+)\.(\d+)", shown)
    if cuda is None:
        return {"cuda": None, "capability": None}
    query = ["nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"]
    shown = scheduler.probe(query, SECONDS_FOR_THE_DRIVER)
    found = [[int(major), int(minor)] for major, minor in re.findall(r"(?m)^\s*(\d+)\.(\d+)\s*$", shown)]
    return {"cuda": [int(cuda[1]), int(cuda[2])], "capability": min(found, default=None)}


def _python_checks(settings: AgentSettings, scheduler: Scheduler) -> list[dict[str, Any]]:
    python = settings.python
    try:
        done = subprocess.run(
            [python, "-c", QUESTION, *PACKAGE_OF_MODULE],
            capture_output=True,
            text=True,
            errors="replace",
            env=_variables(),
            timeout=SECONDS_TO_IMPORT,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        found = json.loads(done.stdout.strip().splitlines()[-1])
        supported = found["supported"]
    except (OSError, subprocess.TimeoutExpired) as error:
        return [check("python", False, f"{python}: {error}", "Correct `python` of the environment.")]
    except (ValueError, LookupError, TypeError):
        return [check("python", False, f"{python} is no Python", "Correct `python` of the environment.")]
    checks = [check("python", supported, f"{found['python']} at {python}", "Use Python 3.11 or 3.12.")]
    missing = [PACKAGE_OF_MODULE[name] for name in found["missing"]]
    remedy = f"Install them there: pip install {' '.join(missing)}, or: jobs environments create"
    checks.append(check("packages", not missing, f"missing: {', '.join(missing)}" if missing else "all there", remedy))
    if "torch_error" in found:
        return [*checks, check("torch", False, f"cannot be loaded ({found['torch_error']})", INSTALL)]
    build = f"CUDA {found['cuda']}" if found["cuda"] else "without CUDA"
    checks.append(check("torch", True, f"{found['torch']}, {build}"))
    return [*checks, _gpu_check(found["gpus"], settings, scheduler)]


def _gpu_check(names: list[str], settings: AgentSettings, scheduler: Scheduler) -> dict[str, Any]:
    if not scheduler.computes_here and not names:
        asked = f"each machine of a job has {settings.gpus}" if settings.gpus else "no `gpus` asked for either"
        return check("GPU", True, f"none on this machine, which only submits jobs; {asked}")
    cuda = None if names else describe_driver(scheduler)["cuda"]
    if cuda is None:
        return check("GPU", True, ", ".join(names) or "none on this machine; work is done by the CPU")
    return check("GPU", False, f"an NVIDIA driver (CUDA {cuda[0]}.{cuda[1]}) that torch cannot use", INSTALL)


def _variables() -> dict[str, str]:
    variables = clean_variables(os.environ)
    return {name: value for name, value in variables.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
