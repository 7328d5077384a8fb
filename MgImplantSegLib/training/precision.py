"""Which device a run is on and which numbers it computes with."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from MgImplantSegLib.errors import InputError, ResourceError

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Arithmetic:
    """A device, and the type that convolutions compute in."""

    device: torch.device
    dtype: torch.dtype

    def autocast(self) -> torch.autocast:
        """A context in which the network computes in `dtype`."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not torch.float32)

    def scaler(self) -> torch.amp.GradScaler:
        """Scales the loss so that fp16 gradients do not vanish; does nothing for the other types."""
        return torch.amp.GradScaler(self.device.type, enabled=self.dtype is torch.float16)


def choose_arithmetic(device: str, precision: str) -> Arithmetic:
    """Device and type for the texts of a configuration.

    "auto" takes the first GPU (that of the local rank under torchrun) with bf16 where it has it, else fp16; on a CPU
    fp32, because not every CPU gains from bf16.

    Raises
    ------
    InputError
        If the device is unknown.
    ResourceError
        If this machine does not have it.
    """
    chosen = _device(device)
    if precision != "auto":
        return Arithmetic(chosen, DTYPES[precision])
    if chosen.type != "cuda":
        return Arithmetic(chosen, torch.float32)
    return Arithmetic(chosen, torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16)


def _device(name: str) -> torch.device:
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda":
        name = f"cuda:{local_rank}"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise InputError(f"Expected the device auto, cpu, cuda or cuda:N, got {name!r}.") from error
    if device.type not in ("cpu", "cuda"):
        raise InputError(f"Expected the device auto, cpu, cuda or cuda:N, got {name!r}.")
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ResourceError(
            f"Expected {device.index + 1} CUDA devices or more, got {torch.cuda.device_count()}.",
            'Use device = "auto" or "cpu", or fewer processes.',
        )
    return device
