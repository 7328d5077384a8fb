"""Exponential moving average of a network's weights and batch statistics, by torch's `AveragedModel`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class AveragedNetwork(AveragedModel):
    """A copy of `network` whose values follow it: value ← decay · value + (1 − decay) · new value.

    The decay starts low, (1 + n) / (10 + n) at update n, so that the random first weights are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        def follow(averaged: list[torch.Tensor], present: list[torch.Tensor], count: torch.Tensor) -> None:
            if averaged[0].is_floating_point():
                torch._foreach_lerp_(averaged, present, 1 - min(decay, (1 + int(count)) / (10 + int(count))))
            else:
                torch._foreach_copy_(averaged, present)

        super().__init__(network, multi_avg_fn=follow, use_buffers=True)
        self.requires_grad_(False)
        self.n_averaged += 1  # the first weights count, and the first update is number 1

    @property
    def network(self) -> nn.Module:
        """The network with the averaged values."""
        return self.module

    def state(self) -> dict[str, Any]:
        """Values and number of updates, for `load_state`."""
        return {"network": self.module.state_dict(), "updates": int(self.n_averaged) - 1}

    def load_state(self, state: dict[str, Any]) -> None:
        """Continue where `state` was taken."""
        self.module.load_state_dict(state["network"])
        self.n_averaged.fill_(state["updates"] + 1)
