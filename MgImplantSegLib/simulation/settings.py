"""What a simulated explant is made of: the user's settings and the parameters that a seed draws from them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from MgImplantSegLib.base.errors import InputError


class ImplantKind(str, Enum):
    """Shapes of implants."""

    SCREW = "screw"
    PIN = "pin"
    WIRE = "wire"
    PLATE = "plate"
    NONE = "none"


class Look(str, Enum):
    """How the scan comes about, and how widely explants vary.

    FAST paints the scan in image space. SCANNER follows a scanner: projections with fringes, uneven detector columns,
    photon noise and zingers, filtered back-projection, exports of 8 bit; and varies bone, implant and resolution more.
    """

    FAST = "fast"
    SCANNER = "scanner"


class Texture(str, Enum):
    """Patterns in the degradation layer, by which it differs from metal of the same mean grey value."""

    SPECKLE = "speckle"
    LAMELLAE = "lamellae"
    NETWORK = "network"
    PATCHES = "patches"
    PORES = "pores"
    CELLS = "cells"
    FIBRES = "fibres"
    CLOUDS = "clouds"


@dataclass(frozen=True)
class SimulationSettings:
    """What the user chooses; all else is drawn from the seed.

    Parameters
    ----------
    size : int
        Voxels along each edge of the cube.
    spacing_um : float
        Voxel size in micrometres.
    seed : int
        Same seed, same explant.
    kind : ImplantKind or None
        Shape of the implant; None draws a screw, pin or wire.
    with_bone : bool
        False leaves the implant in soft tissue, as after a test in a solution.
    corroded : bool
        False leaves the implant as it was before implantation.
    imaging_seed : int, optional
        Grey values, resolution, noise and artefacts of the explant with this seed, as from one alloy and one scanner;
        without it they belong to `seed` too.
    """

    size: int = 160
    spacing_um: float = 20.0
    seed: int = 0
    kind: ImplantKind | None = None
    with_bone: bool = True
    corroded: bool = True
    imaging_seed: int | None = None
    look: Look = Look.FAST

    def __post_init__(self) -> None:
        if not 48 <= self.size <= 2000:
            raise InputError(f"Expected a size of 48 to 2000 voxels, got {self.size}.")
        if not 0.5 <= self.spacing_um <= 100:
            raise InputError(f"Expected a voxel size of 0.5 to 100 µm, got {self.spacing_um}.")
        if min(self.seed, self.imaging_seed or 0) < 0:
            raise InputError(f"Expected seeds of 0 or more, got {self.seed} and {self.imaging_seed} for the imaging.")
        if self.size * self.spacing_um < 1200:
            raise InputError(
                f"Expected a field of at least 1.2 mm, got {self.size * self.spacing_um / 1000:.2f} mm.",
                "Raise the size [[size]] or the voxel size [[spacing_um]].",
            )


@dataclass(frozen=True)
class ImplantParameters:
    """Shape before implantation; lengths in mm, angles in degrees; `flatness` is width by thickness of the section."""

    kind: ImplantKind
    radius_mm: float
    length_mm: float
    tilt_deg: float
    azimuth_deg: float
    offset_zyx_mm: tuple[float, float, float]
    thread_pitch_mm: float
    thread_depth_mm: float
    thread_sharpness: float
    shank_mm: float
    head_radius_mm: float
    head_height_mm: float
    socket_radius_mm: float
    tip_mm: float
    bore_radius_mm: float
    squareness: float
    bend_mm: float
    flatness: float = 1.0


@dataclass(frozen=True)
class CorrosionParameters:
    """How the implant has degraded; lengths in mm."""

    time_days: float
    depth_mm: float
    depth_variation: float
    depth_correlation_mm: float
    pits: int
    pit_radius_mm: float
    pit_depth_mm: float
    swelling_mm: float
    swelling_variation_mm: float
    bare_part: float
    crack_spacing_mm: float
    crack_width_mm: float
    crack_part: float


@dataclass(frozen=True)
class BoneParameters:
    """Bone around the implant; lengths in mm.

    `capsule_mm` is the least thickness of the fibrous tissue around the whole implant; `real_scale` above 0 takes the
    trabeculae of a real scan, so many times as large.
    """

    trabecular_thickness_mm: float
    trabecular_spacing_mm: float
    irregularity: float
    plate_part: float
    trabecular: bool
    cortical_mm: float
    cortical_tilt: float
    canal_spacing_mm: float
    canal_radius_mm: float
    new_bone_mm: float
    new_bone_part: float
    gap_mm: float
    contact_part: float
    gas_pockets: int
    capsule_mm: float = 0.0
    real_scale: float = 0.0


@dataclass(frozen=True)
class ImagingParameters:
    """Grey values (residual material = 1) and the imaging; lengths in voxels, noise relative to the metal."""

    bone: float
    layer_inner: float
    layer_outer: float
    interface: float
    soft_tissue: float
    surroundings: float
    texture_metal: float
    texture_layer: float
    texture_bone: float
    layer_texture_mm: float
    inclusions: float
    inclusion_gain: float
    blur: float
    edge_gain: float
    edge_width: float
    halo: float
    noise: float
    noise_ramp: float
    noise_blur: float
    rings: float
    partial_rings: float
    streaks: float
    shading: float
    sample_radius: float
    view_radius: float
    integer: bool
    gain: float
    offset: float


@dataclass(frozen=True)
class TextureParameters:
    """Patterns in the layer: relative strength, size in mm, and how much its outer rim is brighter."""

    kinds: tuple[Texture, ...]
    strength: float
    scale_mm: float
    rim: float


@dataclass(frozen=True)
class ScannerParameters:
    """A scanner with parallel beam, used by `Look.SCANNER`; lengths in voxels.

    `attenuation_per_mm` is that of the metal. `noise` and `rings` are standard deviations relative to the metal: of the
    reconstruction in the middle of a field of metal without a window, and of rings of 20 voxels radius. `hardening` is
    the part by which the thickest matter seems to absorb less, `zingers` the part of detector pixels that are hit at
    some angle, `retrieval` the width of the low-pass of a phase retrieval. `clipped_percent` are the lower and upper
    tails that an export of 8 bit cuts off, None for 16 bit or floating point.
    """

    attenuation_per_mm: float
    noise: float
    rings: float
    ring_drift: float
    fringes: float
    retrieval: float
    hardening: float
    zingers: float
    optics_blur: float
    window: str
    truncated: bool
    clipped_percent: tuple[float, float] | None


@dataclass(frozen=True)
class ExplantParameters:
    """Everything that describes one simulated explant."""

    implant: ImplantParameters
    corrosion: CorrosionParameters
    bone: BoneParameters
    imaging: ImagingParameters
    texture: TextureParameters
    scanner: ScannerParameters
