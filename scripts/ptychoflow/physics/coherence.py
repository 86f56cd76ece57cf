"""How much light each probe mode has, and how coherent they are: a linear question once object and modes are known.

Intensities are Σ J_ab ψ_a ψ_b* over the waves of the modes, with the mutual intensity J of the light in their span
(Wolf, J. Opt. Soc. Am. 72, 343, 1982). Steps on the modes find it slowly, since a weak mode asks for little; weighted
least squares find it at once.
"""

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ptychoflow.physics.normal_equations import NormalEquations

DARK = 0.2
"""Photons of a pixel below which one more says little."""
RIDGE = 1e-3
"""Share of its curvature by which each entry is held where it is."""


class CoherenceFit:
    """Least squares for the mutual intensity of modes, fed with some frames at a time.

    Parameters
    ----------
    modes : int
        Whose waves come.
    """

    def __init__(self, modes: int) -> None:
        self.modes = modes
        # Upper triangle: real parts, then imaginary ones, of which the diagonal has none.
        self.real, self.imaginary = torch.triu_indices(modes, modes), torch.triu_indices(modes, modes, offset=1)
        self.equations = NormalEquations()

    def add(
        self,
        waves: Complex[Tensor, "frames modes N N"],
        counts: Float[Tensor, "frames N N"],
        background: Float[Tensor, ""],
        mask: Bool[Tensor, "N N"],
        photons: Float[Tensor, ""],
    ) -> None:
        """Add frames.

        Parameters
        ----------
        waves : Tensor
            (frames, modes, N, N) complex at the detector.
        counts : Tensor
            (frames, N, N) float measured intensities, in the unit of the waves.
        background : Tensor
            Scalar, intensity that is no diffraction.
        mask : Tensor
            (N, N) bool, True for good pixels.
        photons : Tensor
            Scalar, what an intensity of one is in photons.
        """
        waves = waves.transpose(0, 1)
        modelled = (waves.real.square() + waves.imag.square()).sum(dim=0) + background
        weights = torch.where(mask, 1 / (modelled + DARK / photons), 0)
        pairs = waves[self.real[0]] * waves[self.real[1]].conj()
        columns = torch.cat([pairs.real, pairs.imag[self.real[0] != self.real[1]]]).flatten(1)
        self.equations.add(columns, (counts - background).flatten(), weights.flatten())

    def mixture(self) -> Complex[Tensor, "modes modes"]:
        """Matrix (modes, modes) complex64 by which modes become those of the light that explains the frames best."""
        one = (self.real[0] == self.real[1]).to(self.equations.right)
        as_they_are = torch.cat([one, one.new_zeros(self.imaginary.shape[1])])
        found = self.equations.solution(_ridge, as_they_are)
        real, imaginary = found.split([self.real.shape[1], self.imaginary.shape[1]])
        mutual = torch.zeros(self.modes, self.modes, dtype=torch.complex128, device=found.device)
        # An entry off the diagonal stands for itself and its mirror image.
        mutual[*self.real] = (real * (0.5 + 0.5 * one)).to(mutual)
        mutual[*self.imaginary] -= 0.5j * imaginary
        mutual = mutual.triu() + mutual.triu(1).mH
        powers, vectors = torch.linalg.eigh(mutual)
        return (vectors * powers.clamp_min(0).sqrt()).mT.to(torch.complex64)


def _ridge(curvature: Tensor) -> Tensor:
    # A mode without light has no curvature, and stays.
    return RIDGE * curvature.clamp_min(1e-9 * curvature.max()).clamp_min(1e-30)
