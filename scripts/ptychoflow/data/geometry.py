"""What follows from where source, sample and detector stand: the pixel at the sample, and how far its field is."""

PLANCK_TIMES_LIGHT = 1.23984198e-6
"""h c in electronvolt metres (CODATA 2018)."""


def wavelength_of(energy: float) -> float:
    """Wavelength in metres of photons of an energy in electronvolts."""
    return PLANCK_TIMES_LIGHT / energy


class Geometry:
    """Mixin for what has ``size``, ``energy``, ``detector_distance``, ``detector_pixel_size``, ``propagation`` and
    ``source_distance``, all in electronvolts, metres and pixels.
    """

    @property
    def magnification(self) -> float:
        """Of a cone beam, (z₁ + z₂) / z₁ for the sample z₁ behind its source and the detector z₂ behind the sample."""
        return 1.0 if self.source_distance is None else 1 + self.detector_distance / self.source_distance

    @property
    def pixel_size(self) -> float:
        """Pixel at the sample in metres: λ z / (N p), or in a near field p over the magnification of the cone beam."""
        if self.propagation == "near":
            return self.detector_pixel_size / self.magnification
        return wavelength_of(self.energy) * self.detector_distance / (self.size * self.detector_pixel_size)

    @property
    def fresnel_number(self) -> float | None:
        """Of a pixel in a near field, p² / (λ z), None in the far field.

        A cone beam acts as a parallel one on pixels p / M and over the distance z₂ / M (Fresnel's scaling theorem;
        Paganin, Coherent X-Ray Optics, 2006, appendix B).
        """
        if self.propagation == "far":
            return None
        distance = self.detector_distance / self.magnification
        return self.pixel_size**2 / (wavelength_of(self.energy) * distance)
