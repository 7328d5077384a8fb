"""Where and with what numbers a network computes, and the memory allocator that it needs to be fast."""

from __future__ import annotations

import ctypes
import re
import sys
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from MgImplantSegLib.base.choices import Choice, Registry
from MgImplantSegLib.base.errors import InputError, ResourceError
from MgImplantSegLib.base.option_kinds import OneOf

if TYPE_CHECKING:
    import torch

PRECISIONS = Registry(
    "a precision",
    {
        "auto": Choice("automatic", "bf16 if the device supports it, otherwise fp16 on a GPU and fp32 on a CPU"),
        "fp32": Choice("32 bits", "32-bit floating point"),
        "bf16": Choice("16 bits (bfloat16)", "16-bit floating point with the range of 32 bits"),
        "fp16": Choice("16 bits (half)", "16-bit floating point, on a GPU only"),
    },
)
DEVICES = Registry(
    "a device",
    {
        "auto": Choice("automatic", "the first GPU, or the CPU if there is none"),
        "cpu": Choice("CPU", "the processor"),
        "cuda": Choice("GPU", "the first GPU; cuda:N is GPU number N, counted from 0"),
    },
)
CPU_BUILD = "+cpu"  # how the version of torch ends that knows no GPU
TORCH_NAMES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
CPU_FLAGS_FOR_BF16 = {"avx512_bf16", "amx_bf16"}
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TRIM_BYTES, TOP_PAD_BYTES = 2**31 - 1, 256 << 20


class Device(OneOf):
    """A key of `DEVICES`, or ``cuda:N``; where several GPUs can share the work also ``cuda:N,M``."""

    def __init__(self, *, several: bool = False) -> None:
        super().__init__(DEVICES, "auto|cpu|cuda[:N[,M]]" if several else "auto|cpu|cuda[:N]")
        self._several = several

    @property
    def expected(self) -> str:
        """What a value has to be."""
        return "the device auto, cpu, cuda or cuda:N" + (", or GPUs as cuda:N,M" if self._several else "")

    def is_valid(self, value: object) -> bool:
        """Whether it is the word for a device, which this machine need not have."""
        if not isinstance(value, str) or value in DEVICES:
            return isinstance(value, str)
        numbers = gpu_numbers(value)
        return len(numbers) == 1 or (self._several and 1 < len(numbers) == len(set(numbers)))


def gpu_numbers(device: str) -> list[int]:
    """The numbers in ``cuda:0,1``; none in other words."""
    match = re.fullmatch(r"cuda:([0-9]+(?:,[0-9]+)*)", device)
    return [int(number) for number in match[1].split(",")] if match else []


@dataclass(frozen=True)
class Compute:
    """Device, precision of convolutions (``fp32``, ``bf16`` or ``fp16``), and backend: ``torch`` or ``openvino``."""

    device: str
    precision: str
    backend: str = "torch"

    @property
    def dtype(self) -> torch.dtype:
        """The torch type of the precision."""
        import torch

        return getattr(torch, TORCH_NAMES[self.precision])

    def autocast(self) -> torch.autocast:
        """A context in which networks compute with this precision."""
        import torch

        return torch.autocast(self.device.split(":")[0], self.dtype, enabled=self.precision != "fp32")


def choose_compute(device: str = "auto", precision: str = "auto") -> Compute:
    """Device and precision for the user's words.

    Parameters
    ----------
    device : str
        ``auto`` (the first GPU, else the CPU), ``cpu``, ``cuda`` or ``cuda:N``.
    precision : str
        ``auto``, ``fp32``, ``bf16`` or ``fp16``. Automatic is bf16 where the device computes with it, otherwise fp16
        on a GPU and fp32 on a CPU. Labels agree with fp32 in 99.9 % of the voxels.

    Raises
    ------
    InputError
        If a word is unknown, or fp16 is asked for on a CPU.
    ResourceError
        If this machine does not have the device.
    """
    PRECISIONS.find(precision)
    device = _device(device)
    if device == "cpu" and precision == "fp16":
        raise InputError("Expected bf16 or fp32 on a CPU, got fp16.", "Choose the precision auto [[precision]].")
    return Compute(device, _automatic_precision(device) if precision == "auto" else precision)


def choose_computes(device: str, precision: str = "auto") -> list[Compute]:
    """As `choose_compute`, for a word that may name several GPUs; all have the precision of the first.

    Raises
    ------
    InputError, ResourceError
        As `choose_compute`.
    """
    numbers = gpu_numbers(device)
    if len(numbers) < 2:
        return [choose_compute(device, precision)]
    first = choose_compute(f"cuda:{numbers[0]}", precision)
    return [first, *(choose_compute(f"cuda:{number}", first.precision) for number in numbers[1:])]


def _device(device: str) -> str:
    Device().check("the network", device)
    kind, _, number = device.partition(":")
    available = 0 if kind == "cpu" else gpu_count()
    if kind == "cpu" or (kind == "auto" and not available):
        return "cpu"
    if int(number or 0) >= available:
        raise ResourceError(
            f"Expected the GPU {device}, got a machine where torch sees {available}.",
            "Choose the device auto or cpu [[device]], or install the GPU's driver and a torch build for it.",
        )
    return f"cuda:{int(number or 0)}"


def gpu_count() -> int:
    """How many GPUs torch sees; none where it is not installed.

    Its build for CPUs is known by its version, and is not loaded for this: that takes a second or two.
    """
    with suppress(PackageNotFoundError):
        if version("torch").endswith(CPU_BUILD):
            return 0
    try:
        import torch
    except (ImportError, OSError):
        return 0
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def _automatic_precision(device: str) -> str:
    if device == "cpu":
        return "bf16" if CPU_FLAGS_FOR_BF16 & _cpu_flags() else "fp32"
    import torch

    with torch.cuda.device(device):
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"


def _cpu_flags() -> set[str]:
    """What Linux says about the processor; nothing elsewhere."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text("ascii", errors="replace").splitlines():
            if line.startswith("flags"):
                return set(line.split())
    return set()


def keep_freed_memory() -> bool:
    """Let glibc keep what is freed; True where there was a glibc to take the setting.

    By default it maps and unmaps every big activation anew, which costs half of the time with batches of 8.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, TRIM_BYTES), (M_TOP_PAD, TOP_PAD_BYTES))
    return mallopt is not None and all(mallopt(option, value) for option, value in settings)
