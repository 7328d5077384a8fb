"""Whether a GPU can hold volume and sums besides the network, so that nothing goes back and forth."""

from __future__ import annotations

import math

from MgImplantSegLib.base.events import Events
from MgImplantSegLib.inference.backends import LoadedNetwork
from MgImplantSegLib.inference.estimate import Estimate

VOLUME_BYTES = 4  # float32
BLOCKS = 3  # a block of slices with what is worked out of it, against the one that the host has


def device_has_room(sizes: Estimate, network: LoadedNetwork, events: Events) -> bool:
    """Whether volume and sums are to be on the GPUs: on several always, which says so where they do not fit."""
    if network.on_devices is None or network.device_count > 1:
        return network.on_devices is not None
    device, needed = network.compute.device, device_bytes(sizes)
    free = free_bytes(device)
    if needed > free:
        events.warning(
            f"{device} has {free / 1e9:.1f} GB of free memory, and {needed / 1e9:.1f} GB are needed to hold the volume "
            "and the sums of the planes there: they stay in the memory of the computer, which is slower.",
            kind="memory",
        )
    return needed <= free


def device_bytes(sizes: Estimate) -> int:
    """What fused prediction takes on a device with the network, one slice at a time, in float32."""
    volume = VOLUME_BYTES * math.prod(sizes.predicted_shape_zyx)
    return volume + sizes.accumulator_bytes + BLOCKS * sizes.block_bytes + sizes.network_bytes


def free_bytes(device: str) -> int:
    """Memory that is free on a GPU, with what torch holds of it unused."""
    import torch

    free, _total = torch.cuda.mem_get_info(device)
    return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
