"""Steps on probe modes among a few patterns at once: each other, and the derivatives of the first.

Light that is not quite coherent, and a sample that trembles, spread over such patterns (see `coherence_modes`). Which
of them it is, photons tell only faintly: blur along one axis and along the other differ in little but what object and
first mode make up for. Steps on all pixels go that way by some per cent of it at a time; Gauss-Newton's go it at once,
and among so few patterns noise leads them no other.
"""

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ptychoflow.physics.linearised import LEAST_PHOTONS
from ptychoflow.physics.normal_equations import NormalEquations

ORDERS = ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2))
"""Of derivatives along (rows, columns)."""
RIDGE = 1e-4
"""Share of a pattern's own curvature, and of the largest, by which it is held where it is: some are gauges."""


def patterns_of(probe: Complex[Tensor, "modes N N"]) -> Complex[Tensor, "patterns N N"]:
    """Modes (modes, N, N), and derivatives of the first, as bright as it: what modes may become more or less of."""
    spectrum = torch.fft.fft2(probe[0])
    rows = 2j * torch.pi * torch.fft.fftfreq(probe.shape[-1], device=probe.device)[:, None]
    derivatives = torch.fft.ifft2(torch.stack([spectrum * rows**down * rows.T**across for down, across in ORDERS]))
    norms = torch.linalg.matrix_norm(derivatives)
    # A probe without a slope has no derivatives.
    factors = torch.where(norms > 1e-6 * probe[0].norm(), probe[0].norm() / norms, 0)
    return torch.cat([probe, derivatives * factors[:, None, None]])


class ModeFit:
    """Least squares for the amplitudes of patterns that are added to modes, fed with some frames at a time.

    Parameters
    ----------
    modes : int
        Which are changed.
    """

    def __init__(self, modes: int) -> None:
        self.modes = modes
        self.equations = NormalEquations()

    def add(
        self,
        waves: Complex[Tensor, "frames patterns N N"],
        counts: Float[Tensor, "frames N N"],
        background: Float[Tensor, ""],
        mask: Bool[Tensor, "N N"],
        photons: Float[Tensor, ""],
    ) -> None:
        """Add frames, with waves (frames, patterns, N, N) complex, those of the modes first.

        The other parameters are those of `ptychoflow.physics.coherence.CoherenceFit.add`.
        """
        waves = waves.transpose(0, 1)
        own = waves[: self.modes]
        least = LEAST_PHOTONS / photons
        amplitudes = (torch.view_as_real(own).square().sum(dim=(0, -1)) + background + least).sqrt()
        missing = torch.where(mask, (counts + least) / amplitudes - amplitudes, 0) / 2
        directions = own.conj() / amplitudes * mask
        # Re((a + ib) z) = a Re z - b Im z
        columns = torch.view_as_real((directions[:, None] * waves).flatten(0, 1).conj().resolve_conj().flatten(1))
        columns = columns.movedim(-1, 1).flatten(0, 1)
        self.equations.add(columns, missing.flatten())

    def change(self) -> Complex[Tensor, "modes patterns"]:
        """Matrix (modes, patterns) complex64: how much of each pattern is added to each mode."""
        found = self.equations.solution(_ridge).reshape(self.modes, -1, 2)
        return torch.view_as_complex(found).to(torch.complex64)


def _ridge(curvature: Tensor) -> Tensor:
    return RIDGE * (curvature + curvature.max().clamp_min(1e-30))
