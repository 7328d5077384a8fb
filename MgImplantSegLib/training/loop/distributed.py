"""Several processes as one: sums over ranks that gradients flow through, and batch norm over the global batch.

Started by torchrun, each rank takes its part of the global batch. Losses and batch statistics are computed from sums
over all ranks, so the loss curve does not depend on the number of processes (up to rounding). This works with gloo
on CPUs as with nccl on GPUs, which `torch.nn.SyncBatchNorm` does not.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn

from MgImplantSegLib.training.loop.process import end_with_parent

HOURS_TO_WAIT = 24


@dataclass(frozen=True)
class World:
    """The rank of this process and the number of processes."""

    rank: int = 0
    size: int = 1

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and events."""
        return self.rank == 0

    def sum(self, tensor: torch.Tensor) -> torch.Tensor:
        """The sum of `tensor` over all ranks; gradients flow through it."""
        return tensor if self.size == 1 else _SumOverRanks.apply(tensor)

    def agree(self, flag: bool, number: float, device: torch.device) -> tuple[bool, float]:
        """Whether `flag` is set on any rank, and the largest `number`; all ranks get the same answer."""
        if self.size == 1:
            return flag, number
        largest = torch.tensor([float(flag), number], dtype=torch.float64, device=device)
        dist.all_reduce(largest, op=dist.ReduceOp.MAX)
        return bool(largest[0].item()), float(largest[1].item())

    def wait(self) -> None:
        """Continue when all ranks have come here."""
        if self.size > 1:
            dist.barrier()

    def gather(self, value: object) -> list:
        """The `value` of every rank."""
        values = [value] * self.size
        if self.size > 1:
            dist.all_gather_object(values, value)
        return values


@contextmanager
def joined_world(device: torch.device) -> Iterator[World]:
    """The world that torchrun describes in the environment; a single process without it.

    The time limit is long because the other ranks wait while the first one fills the cache; when a rank fails,
    torchrun ends them all. All ranks leave together: one that is gone takes its connections from those still at work.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    end_with_parent()
    if device.type == "cuda":
        torch.cuda.set_device(device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    dist.init_process_group(backend, timeout=timedelta(hours=HOURS_TO_WAIT))
    try:
        yield World(dist.get_rank(), size)
        dist.barrier()
    finally:
        dist.destroy_process_group()


class _SumOverRanks(torch.autograd.Function):
    """All-reduce forward; backward the sum of the gradients of all ranks, each of which holds the same loss."""

    @staticmethod
    def forward(ctx, tensor: torch.Tensor) -> torch.Tensor:
        total = tensor.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.contiguous().clone()
        dist.all_reduce(total)
        return total


class GlobalBatchNorm2d(nn.BatchNorm2d):
    """Batch norm whose statistics in training are those of the batches of all ranks together."""

    world_sum: Callable[[torch.Tensor], torch.Tensor]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise x, shape (B, C, h, w)."""
        if not self.training:
            return super().forward(x)
        values = x.float()
        count = torch.full_like(values[0, :1, 0, 0], values.numel() / values.shape[1])
        sums = self.world_sum(torch.cat([values.sum((0, 2, 3)), values.square().sum((0, 2, 3)), count]))
        channels = x.shape[1]
        mean, square, total = sums[:channels] / sums[-1], sums[channels:-1] / sums[-1], sums[-1].detach()
        variance = (square - mean.square()).clamp_min(0)
        self._track(mean.detach(), variance.detach() * total / (total - 1).clamp_min(1))
        scale = self.weight * torch.rsqrt(variance + self.eps)
        shift = self.bias - mean * scale
        return (values * scale[:, None, None] + shift[:, None, None]).to(x.dtype)

    @torch.no_grad()
    def _track(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


def with_global_batch_norm(network: nn.Module, world: World) -> nn.Module:
    """`network` with every batch norm computed over all ranks; unchanged for a single process."""
    if world.size == 1:
        return network
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.__class__ = GlobalBatchNorm2d
            module.world_sum = world.sum
    return network
