"""Checks of the machine where jobs will run: Python, torch, GPUs, memory, disk, SLURM. One line a check."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import MgImplantSegLib
from MgImplantSegLib.errors import MgImplantSegError
from MgImplantSegLib.jobs.agent.process_scheduler import clean_variables
from MgImplantSegLib.jobs.agent.slurm_commands import run_slurm
from MgImplantSegLib.machine import available_memory_bytes

PACKAGE_OF_MODULE = {
    **{name: name for name in ("numpy", "scipy", "SimpleITK", "tifffile", "h5py", "vtk")},
    "nrrd": "pynrrd",
}
LEAST_FREE_GB = 5.0
SECONDS_TO_IMPORT = 180.0
SECONDS_FOR_THE_DRIVER = 30.0
SECONDS_IN_THE_QUEUE = 60
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


def check(name: str, is_good: bool, found: str, remedy: str = "") -> dict[str, Any]:
    """One line of a test: what was looked at, whether it is good, what was found, what to do if not."""
    return {"name": name, "ok": is_good, "found": " ".join(found.split()), "remedy": "" if is_good else remedy}


def probe(settings: dict[str, Any], root: Path) -> list[dict[str, Any]]:
    """All checks of the machine that asks itself."""
    checks = _python_checks(settings)
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
    return checks + (_slurm_checks(settings) if settings["scheduler"] == "slurm" else [])


def describe_driver(settings: dict[str, Any]) -> dict[str, list[int] | None]:
    """What the NVIDIA driver says where jobs run: newest ``cuda`` that it takes, ``capability`` of the oldest GPU.

    On a cluster a computing node is asked, since login nodes often have neither; a queue that is full gives no answer.
    """
    before, seconds = [], SECONDS_FOR_THE_DRIVER
    if settings["scheduler"] == "slurm":
        from MgImplantSegLib.jobs.agent.slurm_scheduler import SlurmScheduler

        before = [
            "srun",
            "--quiet",
            *SlurmScheduler(settings).resource_options(),
            "--nodes=1",
            "--ntasks=1",
            "--time=1",
            f"--immediate={SECONDS_IN_THE_QUEUE}",
        ]
        seconds += SECONDS_IN_THE_QUEUE
    shown = _output([*before, "nvidia-smi"], seconds)
    cuda = re.search(r"CUDA[^:|]*Version:\s*(\d+)\.(\d+)", shown)
    if cuda is None:
        return {"cuda": None, "capability": None}
    shown = _output([*before, "nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader"], seconds)
    found = [[int(major), int(minor)] for major, minor in re.findall(r"(?m)^\s*(\d+)\.(\d+)\s*$", shown)]
    return {"cuda": [int(cuda[1]), int(cuda[2])], "capability": min(found, default=None)}


def _output(words: Sequence[str], seconds: float) -> str:
    """What a program prints; an empty text if it cannot be run or takes too long."""
    try:
        done = subprocess.run(
            words,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            env=clean_variables(dict(os.environ)),
            stdin=subprocess.DEVNULL,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


def _python_checks(settings: dict[str, Any]) -> list[dict[str, Any]]:
    python = settings["python"]
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
    except (OSError, subprocess.TimeoutExpired, ValueError, IndexError) as error:
        return [check("python", False, f"{python}: {error}", "Correct `python` of the environment.")]
    checks = [check("python", found["supported"], f"{found['python']} at {python}", "Use Python 3.11 or 3.12.")]
    missing = [PACKAGE_OF_MODULE[name] for name in found["missing"]]
    remedy = f"Install them there: pip install {' '.join(missing)}, or: jobs environments create"
    checks.append(check("packages", not missing, f"missing: {', '.join(missing)}" if missing else "all there", remedy))
    if "torch_error" in found:
        return [*checks, check("torch", False, f"cannot be loaded ({found['torch_error']})", INSTALL)]
    build = f"CUDA {found['cuda']}" if found["cuda"] else "without CUDA"
    checks.append(check("torch", True, f"{found['torch']}, {build}"))
    return [*checks, _gpu_check(found["gpus"], settings)]


def _gpu_check(names: list[str], settings: dict[str, Any]) -> dict[str, Any]:
    if settings["scheduler"] == "slurm" and not names:
        asked = f"each machine of a job has {settings['gpus']}" if settings["gpus"] else "no `gpus` asked for either"
        return check("GPU", True, f"none on this machine, which only queues jobs; {asked}")
    cuda = None if names else describe_driver(settings)["cuda"]
    if cuda is None:
        return check("GPU", True, ", ".join(names) or "none on this machine; work is done by the CPU")
    return check("GPU", False, f"an NVIDIA driver (CUDA {cuda[0]}.{cuda[1]}) that torch cannot use", INSTALL)


def _variables() -> dict[str, str]:
    variables = clean_variables(dict(os.environ))
    return {name: value for name, value in variables.items() if name not in ("PYTHONHOME", "PYTHONPATH")}


def _slurm_checks(settings: dict[str, Any]) -> list[dict[str, Any]]:
    """Whether the cluster would take a job with these settings; nothing is queued."""
    from MgImplantSegLib.jobs.agent.slurm_scheduler import SlurmScheduler

    try:
        version = run_slurm(["sbatch", "--version"]).strip()
        checks = [check("SLURM", True, version)]
        words = ["sbatch", "--test-only", *SlurmScheduler(settings).resource_options(), "--wrap=true"]
        run_slurm(words)
        return [*checks, check("queue", True, "would take a job with these settings")]
    except MgImplantSegError as error:
        return [check("SLURM", False, error.message, error.remedy)]
