"""Exponential moving average of a network's weights and batch statistics."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn


class AveragedNetwork:
    """A copy of `network` whose values follow it: value ← decay · value + (1 − decay) · new value.

    The decay starts low, (1 + n) / (10 + n) after n updates, so that the random first weights are soon forgotten.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network).requires_grad_(False)
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self, network: nn.Module) -> None:
        """Follow the present values of `network`."""
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        averaged, present = self.network.state_dict(), network.state_dict()
        floating = [name for name, value in present.items() if value.is_floating_point()]
        torch._foreach_lerp_([averaged[name] for name in floating], [present[name] for name in floating], 1 - decay)
        for name in present.keys() - set(floating):
            averaged[name].copy_(present[name])

    def state(self) -> dict[str, Any]:
        """Values and number of updates, for `load_state`."""
        return {"network": self.network.state_dict(), "updates": self.updates}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go on where `state` was taken."""
        self.network.load_state_dict(state["network"])
        self.updates = state["updates"]
