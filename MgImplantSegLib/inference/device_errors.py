"""What torch raises when a GPU fails or is full, as errors that say what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from MgImplantSegLib.base.errors import ResourceError

OF_A_DEVICE = re.compile(r"^(CUDA|HIP|cuDNN|CUDA driver|CUBLAS)( driver)? error\b", re.IGNORECASE)
LARGER_OR_CPU = "Close other programs that use the GPU, or choose the device cpu [[device]]."


@contextmanager
def device_errors(device: str) -> Iterator[None]:
    """Within the block the failure of a device is a ResourceError; one that is only full stays what torch raises.

    A GPU fails for good when its driver restarts, it overheats, or it is taken away from a virtual machine: nothing on
    it can be used by this process any more.
    """
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except RuntimeError as error:
        if not _is_of_a_device(error):
            raise
        raise ResourceError(
            f"Expected the device {device} to compute to the end, got: {first_line(error)}.",
            "Check that the GPU is still there (nvidia-smi), then start again; or choose the device cpu [[device]].",
        ) from error


def no_memory(device: str, wanted: str, reason: Exception | str) -> ResourceError:
    """The error for a device without memory for what is wanted, in words that follow "Expected memory for"."""
    return ResourceError(f"Expected memory for {wanted} on {device}, got: {first_line(reason)}.", LARGER_OR_CPU)


def first_line(error: Exception | str) -> str:
    """What torch says, without its advice to developers."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _is_of_a_device(error: RuntimeError) -> bool:
    kind = getattr(torch, "AcceleratorError", None)  # from torch 2.8 on
    return (kind is not None and isinstance(error, kind)) or bool(OF_A_DEVICE.search(first_line(error)))
