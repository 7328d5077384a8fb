"""What a configuration says of augmentation: `AugmentationSettings`."""

from __future__ import annotations

from dataclasses import dataclass, fields

from MgImplantSegLib.base.settings import require, require_choice

PATCH_SCALES = ("input", "slice")


@dataclass(frozen=True)
class AugmentationSettings:
    """How patches are varied. A probability or strength of 0 switches a variation off.

    Parameters
    ----------
    patch_scale : str
        "input": a patch covers `patch_area` × input_size² voxels, so voxels keep their size as in inference.
        "slice": a patch covers `patch_area` × the whole slice, as in the paper.
    patch_area, patch_aspect : tuple of float
        Range of the share of the area, and of width : height; the patch is resized to the input size.
    unresampled_share : float
        Share of patches cut out voxel by voxel (flips and right-angle turns only), so that the network also
        sees noise that no interpolation has smoothed.
    flip_probability : float
        Probability of a horizontal flip.
    rotation_deg : float
        Patches are turned by a random angle up to this, either way.
    elastic_probability, elastic_px, elastic_grid_px : float
        Random displacement, standard deviation and distance of its nodes in voxels.
    brightness, contrast : float
        Largest shift, and largest relative change of the deviation from the mean, either way.
    gamma, curve : float
        Grey-value curve: standard deviation of the logarithm of the exponent, and of the slopes of a
        piecewise linear monotone curve.
    inversion_probability : float
        Probability of black and white exchanged.
    blur_probability, blur_sigma_px, sharpen : float, tuple, float
        Gaussian blur, or edges enhanced by up to `sharpen` as phase contrast does.
    noise_probability, noise : float
        Standard deviation is uniform in 0–`noise`; half of the noise is spatially correlated.
    rings_probability, rings : float
        Ring artefacts about a random centre; standard deviation up to `rings`.
    crack_probability, crack_width_px : float
        Simulated cracks in the degradation layer, labelled background; largest half-width in voxels.
    class_contrast_probability, class_contrast : float
        Contrast of every class to background changed on its own, so that which of two classes is brighter may turn
        round; standard deviation of the logarithm of the factor.
    class_texture_probability, class_texture : float
        Every class gets a pattern of its own, coarse or fine, by which classes of one mean grey value differ; largest
        standard deviation relative to the grey value.
    narrow_view_probability, narrowest_view : float
        Patch seen in a random rectangle only, as in a small scan: 0 and not known outside it; its least share of the
        patch's width and of its height.
    """

    patch_scale: str = "input"
    patch_area: tuple[float, float] = (0.85, 1.0)
    patch_aspect: tuple[float, float] = (0.75, 4 / 3)
    unresampled_share: float = 0.25
    flip_probability: float = 0.5
    rotation_deg: float = 90.0
    elastic_probability: float = 0.5
    elastic_px: float = 3.0
    elastic_grid_px: float = 32.0
    brightness: float = 0.1
    contrast: float = 0.2
    gamma: float = 0.0
    curve: float = 0.0
    inversion_probability: float = 0.0
    blur_probability: float = 0.0
    blur_sigma_px: tuple[float, float] = (0.3, 1.0)
    sharpen: float = 0.0
    noise_probability: float = 0.0
    noise: float = 0.05
    rings_probability: float = 0.0
    rings: float = 0.03
    crack_probability: float = 0.0
    crack_width_px: float = 1.5
    class_contrast_probability: float = 0.0
    class_contrast: float = 0.2
    class_texture_probability: float = 0.0
    class_texture: float = 0.1
    narrow_view_probability: float = 0.0
    narrowest_view: float = 0.4

    def __post_init__(self) -> None:
        require_choice(self.patch_scale, PATCH_SCALES, "patch_scale")
        for key in ("patch_area", "patch_aspect", "blur_sigma_px"):
            low, high = getattr(self, key)
            require(0 < low <= high, f"two positive numbers in ascending order for {key!r}", (low, high))
        for entry in fields(self):
            value = getattr(self, entry.name)
            if entry.name.endswith(("probability", "share")):
                require(0 <= value <= 1, f"{entry.name!r} in 0–1", value)
            elif isinstance(value, float):
                require(value >= 0, f"{entry.name!r} of 0 or more", value)
        require(self.elastic_grid_px >= 1, "'elastic_grid_px' of 1 or more", self.elastic_grid_px)
        require(0 < self.narrowest_view <= 1, "'narrowest_view' above 0, up to 1", self.narrowest_view)
        require(self.contrast < 1, "'contrast' below 1", self.contrast)
