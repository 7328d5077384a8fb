"""Training: configuration, data, augmentation, losses, the loop; `train` is in `MgImplantSegLib.training.loop.run`."""
