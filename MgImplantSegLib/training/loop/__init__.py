"""The training itself: steps, losses, validation, checkpoints."""
