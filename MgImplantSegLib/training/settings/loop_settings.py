"""What a configuration says of the training loop and validation."""

from __future__ import annotations

from dataclasses import dataclass, field

from MgImplantSegLib.base.settings import require, require_choice
from MgImplantSegLib.inference.device import PRECISIONS, Device
from MgImplantSegLib.training.loop.losses import require_loss
from MgImplantSegLib.training.settings.schedules import SCHEDULES


@dataclass(frozen=True)
class LoopSettings:
    """The training loop.

    Parameters
    ----------
    input_size : int
        Edge length of the square patches in pixels; a multiple of 2^depth.
    batch_size : int
        Patches of one optimisation step, over all processes.
    accumulate : int
        Forward passes that one step is divided into; batch statistics are then those of a part.
    iterations, time_limit_minutes : int, float
        Training ends at whichever comes first. With a time limit the schedule follows the share of time spent
        where that is ahead, and a run can no longer be repeated bit by bit.
    learning_rate, betas, weight_decay : float
        Of Adam (AdamW where weight_decay > 0).
    schedule, plateau_iterations, least_learning_rate_share : str, int, float
        A key of `SCHEDULES`, and the numbers that these depend on.
    warmup_iterations : int
        The rate rises linearly over these.
    early_stopping_iterations : int
        End after so many iterations without better validation loss; 0: never.
    loss : str
        A key of `LOSSES`.
    loss_options : dict
        Its numbers, for example ``{weight = 0.1}``.
    balanced_share : float
        Share of patches placed on a class chosen at random, each equally likely.
    precision, device : str
        Keys of `PRECISIONS` and `DEVICES`.
    workers : int
        Processes that read patches ahead.
    compile : bool
        Translate the network with torch.compile; needs a C++ compiler on a CPU.
    ema_decay : float
        Of the averaged weights that are then validated and exported; 0: none.
    gradient_norm : float
        Gradients are scaled down to this norm; 0: never.
    checkpoint_minutes : float
        Time between two checkpoints, in addition to those after each validation.
    """

    input_size: int = 640
    batch_size: int = 32
    accumulate: int = 1
    iterations: int = 1_500_000
    time_limit_minutes: float = 0.0
    learning_rate: float = 3e-4
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    schedule: str = "plateau"
    plateau_iterations: int = 10_000
    least_learning_rate_share: float = 0.01
    warmup_iterations: int = 0
    early_stopping_iterations: int = 50_000
    loss: str = "cross_entropy"
    loss_options: dict[str, float] = field(default_factory=dict)
    balanced_share: float = 0.0
    precision: str = "auto"
    device: str = "auto"
    workers: int = 0
    compile: bool = False
    ema_decay: float = 0.0
    gradient_norm: float = 0.0
    checkpoint_minutes: float = 10.0

    def __post_init__(self) -> None:
        require_choice(self.schedule, SCHEDULES, "schedule")
        require_choice(self.precision, PRECISIONS, "precision")
        require_loss(self.loss, self.loss_options)
        Device().check("device", self.device)
        for key in ("input_size", "batch_size", "accumulate", "iterations", "plateau_iterations"):
            require(getattr(self, key) >= 1, f"{key!r} of 1 or more", getattr(self, key))
        for key in (
            "warmup_iterations",
            "early_stopping_iterations",
            "workers",
            "time_limit_minutes",
            "weight_decay",
            "gradient_norm",
            "checkpoint_minutes",
        ):
            require(getattr(self, key) >= 0, f"{key!r} of 0 or more", getattr(self, key))
        require(self.learning_rate > 0, "a positive learning_rate", self.learning_rate)
        require(
            0 < self.least_learning_rate_share <= 1, "least_learning_rate_share in 0–1", self.least_learning_rate_share
        )
        require(0 <= self.ema_decay < 1, "ema_decay below 1", self.ema_decay)
        require(0 <= self.balanced_share <= 1, "balanced_share in 0–1", self.balanced_share)
        require(
            self.batch_size % self.accumulate == 0,
            "a batch_size that accumulate divides",
            (self.batch_size, self.accumulate),
        )


@dataclass(frozen=True)
class ValidationSettings:
    """Validation on slices of the validation samples.

    Parameters
    ----------
    every_iterations : int
        Iterations between two validations.
    crop : int
        Edge length in pixels of the centre crop of a slice; smaller slices are taken whole.
    slices_per_sample : int
        At most so many slices per sample and slicing plane, evenly spaced; 0: all.
    batch_size : int
        Slices in one forward pass.
    """

    every_iterations: int = 1000
    crop: int = 992
    slices_per_sample: int = 20
    batch_size: int = 4

    def __post_init__(self) -> None:
        for key in ("every_iterations", "crop", "batch_size"):
            require(getattr(self, key) >= 1, f"{key!r} of 1 or more", getattr(self, key))
        require(self.slices_per_sample >= 0, "slices_per_sample of 0 or more", self.slices_per_sample)
