"""Which device a run is on and which numbers it computes with."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch

from MgImplantSegLib.inference.device import choose_compute


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
    """Device and type for the texts of a configuration, as inference chooses them.

    Under torchrun "auto" and "cuda" are the GPU with the number of the local rank. Raises InputError if the device is
    unknown, or fp16 is asked for on a CPU; ResourceError if this machine does not have it.
    """
    local_rank = os.environ.get("LOCAL_RANK", "0")
    if device == "cuda" or (device == "auto" and torch.cuda.is_available()):
        device = f"cuda:{local_rank}"
    compute = choose_compute(device, precision)
    return Arithmetic(torch.device(compute.device), compute.dtype)
