"""The network that learns, and one step of learning."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from MgImplantSegLib.base.errors import InputError
from MgImplantSegLib.grids.labels import LabelScheme
from MgImplantSegLib.training.data.geometry_augmentation import RawBatch
from MgImplantSegLib.training.loop.average import AveragedNetwork
from MgImplantSegLib.training.loop.distributed import World, with_global_batch_norm
from MgImplantSegLib.training.loop.fast_mish import with_fast_mish
from MgImplantSegLib.training.loop.losses import build_loss
from MgImplantSegLib.training.loop.precision import Arithmetic
from MgImplantSegLib.training.settings.loop_settings import LoopSettings

Augment = Callable[[RawBatch], tuple[torch.Tensor, torch.Tensor]]


class Learner:
    """A network with its optimiser; `step` is one optimisation step.

    Parameters
    ----------
    network : Module
        With its initial weights.
    settings : LoopSettings
        Loss, optimiser, accumulation, averaging.
    augment : callable
        A raw batch → images (B, 1, h, w) and labels (B, h, w).
    world : World
        This process among others.
    scheme : LabelScheme
        What the network's channels mean.
    """

    def __init__(
        self,
        network: nn.Module,
        settings: LoopSettings,
        augment: Augment,
        arithmetic: Arithmetic,
        world: World,
        scheme: LabelScheme,
    ) -> None:
        self.settings, self.augment, self.arithmetic, self.world = settings, augment, arithmetic, world
        network = with_global_batch_norm(network, world)
        if arithmetic.device.type == "cpu" and not settings.compile:
            network = with_fast_mish(network)
        self.network = network.to(arithmetic.device, memory_format=torch.channels_last)
        self.average = AveragedNetwork(self.network, settings.ema_decay) if settings.ema_decay else None
        self.model = self._wrapped(self.network)
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), settings.learning_rate, settings.betas, weight_decay=settings.weight_decay
        )
        self.scaler = arithmetic.scaler()
        self.loss = build_loss(settings.loss, settings.loss_options, scheme, world.sum)

    @property
    def trained_network(self) -> nn.Module:
        """The network that is validated and exported: the averaged one where there is one."""
        return self.average.network if self.average else self.network

    def step(self, batch: RawBatch, learning_rate: float) -> float:
        """One optimisation step on this rank's part of a global batch; returns the loss of the global batch.

        Raises InputError if the loss is not finite, naming the samples. The weights are still those before the step.
        """
        self.model.train()
        parts = batch.to(self.arithmetic.device).split(self.settings.accumulate)
        total = 0.0
        for number, part in enumerate(parts):
            images, labels = self.augment(part)
            with self._gradients_summed(number == len(parts) - 1):
                with self.arithmetic.autocast():
                    logits = self.model(images.to(memory_format=torch.channels_last))
                loss = self.loss(logits, labels) / len(parts)
                value = self._finite(loss, images, part)
                self.scaler.scale(loss).backward()
            total += value
        self._update(learning_rate)
        return total

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """Logits of the trained network as it is now, float32."""
        network = self.trained_network.eval()
        with torch.no_grad(), self.arithmetic.autocast():
            return network(images.to(memory_format=torch.channels_last)).float()

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on, for `load_state`."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.state() if self.average else None,
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken."""
        self.network.load_state_dict(state["network"])
        if self.average:
            self.average.load_state(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state["scaler"])

    def _wrapped(self, network: nn.Module) -> nn.Module:
        model = network
        if self.world.size > 1:
            devices = [self.arithmetic.device] if self.arithmetic.device.type == "cuda" else None
            model = DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)
        return torch.compile(model) if self.settings.compile else model

    def _gradients_summed(self, now: bool) -> AbstractContextManager:
        """A context in which gradients are summed over the ranks, or not yet."""
        waits = self.world.size > 1 and not now
        return self.model.no_sync() if waits else nullcontext()

    def _update(self, learning_rate: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        if self.settings.gradient_norm:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.gradient_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update_parameters(self.network)

    def _finite(self, loss: torch.Tensor, images: torch.Tensor, part: RawBatch) -> float:
        """The value of the loss; InputError on all ranks together if it is NaN or infinite."""
        value = float(loss.detach())
        if math.isfinite(value):
            return value
        bad = (~images.isfinite()).flatten(1).any(1).tolist()
        named = [name for name, is_bad in zip(part.samples, bad, strict=True) if is_bad] or list(part.samples)
        names = sorted({name for of_rank in self.world.gather(named) for name in of_rank})
        raise InputError(
            f"Expected a finite loss, got {value} in a batch with the sample{'s' if len(names) > 1 else ''} "
            f"{', '.join(names)}.",
            "Check these samples, lower the learning rate, or continue from the last checkpoint with fp32.",
        )
