"""Far-field diffraction: I = Σ_m |F[P_m · O]|² with the unitary Fourier transform.

The probe carries the flux, Σ|P|² = photons in the empty beam, and the object is dimensionless, so intensities are
photons per pixel and no global scale is hidden anywhere. Far fields have their zero frequency in the corner.
"""

import torch
from torch import Tensor


def exit_waves(patches: Tensor, probe: Tensor) -> Tensor:
    """Multiply object patches by every probe mode.

    Parameters
    ----------
    patches : Tensor
        (..., N, N) complex object patches.
    probe : Tensor
        (..., modes, N, N) complex, broadcast against the leading axes of the patches.

    Returns
    -------
    Tensor
        (..., modes, N, N) complex exit waves.
    """
    return probe * patches.unsqueeze(-3)


def far_field(waves: Tensor) -> Tensor:
    """Propagate waves (..., N, N) to the detector: the unitary 2-D Fourier transform."""
    return torch.fft.fft2(waves, norm="ortho")


def near_side(waves: Tensor) -> Tensor:
    """Propagate detector waves (..., N, N) back to the sample: inverse and adjoint of `far_field`."""
    return torch.fft.ifft2(waves, norm="ortho")


def incoherent_sum(waves: Tensor) -> Tensor:
    """Add the intensities of all modes: (..., modes, N, N) complex to (..., N, N) float photons per pixel."""
    return (waves.real.square() + waves.imag.square()).sum(dim=-3)


def diffraction(patches: Tensor, probe: Tensor) -> Tensor:
    """Compute the diffraction intensity of object patches, (..., N, N) float photons per pixel.

    Parameters are those of `exit_waves`.
    """
    return incoherent_sum(far_field(exit_waves(patches, probe)))
