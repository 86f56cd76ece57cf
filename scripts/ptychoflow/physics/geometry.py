"""What follows from where source, sample and detector stand: the pixel at the sample, and how far its field is."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

PLANCK_TIMES_LIGHT = 1.23984198e-6
"""h c in electronvolt metres (CODATA 2018)."""
ELECTRON_REST_ENERGY = 510998.95
"""m c² in electronvolts (CODATA 2018)."""
JOULES = 1.602176634e-19
"""Joules in an electronvolt."""


def wavelength_of(energy: float) -> float:
    """Wavelength in metres of photons of an energy in electronvolts."""
    return PLANCK_TIMES_LIGHT / energy


def energy_of(wavelength: float) -> float:
    """Energy in electronvolts of photons of a wavelength in metres."""
    return PLANCK_TIMES_LIGHT / wavelength


def electron_wavelength(voltage: float) -> float:
    """Wavelength in metres of electrons behind a voltage in volts, de Broglie's with the mass of relativity."""
    return PLANCK_TIMES_LIGHT / math.sqrt(voltage * (voltage + 2 * ELECTRON_REST_ENERGY))


def magnification_of(detector_distance: float, source_distance: float | None) -> float:
    """Of a cone beam, (z₁ + z₂) / z₁ for the sample z₁ behind its source and the detector z₂ behind the sample."""
    return 1.0 if source_distance is None else 1 + detector_distance / source_distance


def pixel_at_sample(
    size: int,
    energy: float,
    detector_distance: float,
    detector_pixel_size: float,
    propagation: str = "far",
    source_distance: float | None = None,
) -> float:
    """Metres: λ z / (N p), or in a near field p over the magnification of the cone beam.

    Parameters
    ----------
    size : int
        Width N of a frame in pixels.
    energy : float
        Electronvolts.
    detector_distance, detector_pixel_size : float
        Metres.
    propagation : {"far", "near"}
        Which field the detector sees.
    source_distance : float, optional
        Metres from the point source of a cone beam to the sample.
    """
    if propagation == "near":
        return detector_pixel_size / magnification_of(detector_distance, source_distance)
    return wavelength_of(energy) * detector_distance / (size * detector_pixel_size)


def fresnel_number_of(
    pixel_size: float, energy: float, detector_distance: float, source_distance: float | None
) -> float:
    """Of a pixel at the sample in a near field, p² / (λ z), dimensionless.

    A cone beam acts as a parallel one on pixels p / M and over the distance z₂ / M (Fresnel's scaling theorem;
    Paganin, Coherent X-Ray Optics, 2006, appendix B).
    """
    distance = detector_distance / magnification_of(detector_distance, source_distance)
    return pixel_size**2 / (wavelength_of(energy) * distance)


def metres_from_centre(positions: "np.ndarray", object_shape: tuple[int, int], pixel_size: float) -> "np.ndarray":
    """(frames, 2) float64, (row, column) metres of patch centres about pixel (H / 2, W / 2) of the object."""
    return (positions - [edge / 2 for edge in object_shape]) * pixel_size


class Geometry:
    """Mixin for what has ``size``, ``energy``, ``detector_distance``, ``detector_pixel_size``, ``propagation`` and
    ``source_distance``, all in electronvolts, metres and pixels.
    """

    @property
    def geometry(self) -> dict[str, float | str | None]:
        """The five of them by name, for the record of what is made of it."""
        lengths = {"detector_distance": self.detector_distance, "detector_pixel_size": self.detector_pixel_size}
        source = None if self.source_distance is None else float(self.source_distance)
        known = {"energy": self.energy, **lengths}
        return {key: float(value) for key, value in known.items()} | {
            "propagation": self.propagation,
            "source_distance": source,
        }

    @property
    def magnification(self) -> float:
        """Of the cone beam, 1 for a parallel one."""
        return magnification_of(self.detector_distance, self.source_distance)

    @property
    def pixel_size(self) -> float:
        """Pixel at the sample in metres."""
        own = self.energy, self.detector_distance, self.detector_pixel_size, self.propagation, self.source_distance
        return pixel_at_sample(self.size, *own)

    @property
    def fresnel_number(self) -> float | None:
        """Of a pixel in a near field, None in the far field."""
        if self.propagation == "far":
            return None
        return fresnel_number_of(self.pixel_size, self.energy, self.detector_distance, self.source_distance)
