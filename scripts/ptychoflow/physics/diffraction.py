"""Diffraction: I = Σ_m |D[P_m · O]|², D the unitary Fourier transform for the far field, or Fresnel's for the near one.

The probe carries the flux, Σ|P|² = photons in the empty beam, and the object is dimensionless, so intensities are
photons per pixel and no global scale is hidden anywhere. Far fields have their zero frequency in the corner, and near
fields likewise their middle, so that frames of both are kept and turned alike.

Which of the two it is, a transfer function tells: None is the far field.
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


def fresnel_transfer(size: int, fresnel_number: float | None, dtype: torch.dtype = torch.complex64) -> Tensor | None:
    """Compute the transfer function of paraxial propagation and of the shift that puts the middle into the corner.

    H(q) = exp(−iπ λ z q²) = exp(−iπ f² / F) with f in cycles per pixel (Goodman, Introduction to Fourier Optics, 4th
    ed., section 4.2.4).

    Parameters
    ----------
    size : int
        Even edge length N of a frame in pixels.
    fresnel_number : float, optional
        F = p² / (λ z) of a pixel p, infinite at the sample itself; None in the far field.
    dtype : torch.dtype
        Of the result, which is computed in double precision.

    Returns
    -------
    Tensor or None
        (N, N) complex; None for the far field.
    """
    if fresnel_number is None:
        return None
    frequency = torch.fft.fftfreq(size, dtype=torch.float64)
    # Half a frame, by which the middle goes to the corner, is a change of sign from each frequency to the next.
    line = torch.polar(torch.ones_like(frequency), -torch.pi * frequency**2 / fresnel_number)
    line = line * (1 - 2 * (torch.arange(size) % 2))
    return (line[:, None] * line[None, :]).to(dtype)


def to_detector(waves: Tensor, transfer: Tensor | None = None) -> Tensor:
    """Propagate waves (..., N, N) to the detector, by the unitary 2-D Fourier transform or the transfer function."""
    if transfer is None:
        return torch.fft.fft2(waves, norm="ortho")
    return torch.fft.ifft2(transfer * torch.fft.fft2(waves))


def to_sample(waves: Tensor, transfer: Tensor | None = None) -> Tensor:
    """Propagate detector waves (..., N, N) back to the sample: inverse and adjoint of `to_detector`."""
    if transfer is None:
        return torch.fft.ifft2(waves, norm="ortho")
    return torch.fft.ifft2(transfer.conj() * torch.fft.fft2(waves))


def incoherent_sum(waves: Tensor) -> Tensor:
    """Add the intensities of all modes: (..., modes, N, N) complex to (..., N, N) float photons per pixel."""
    return (waves.real.square() + waves.imag.square()).sum(dim=-3)


def diffraction(patches: Tensor, probe: Tensor, transfer: Tensor | None = None) -> Tensor:
    """Compute the diffraction intensity of object patches, (..., N, N) float photons per pixel.

    Parameters are those of `exit_waves` and `to_detector`.
    """
    return incoherent_sum(to_detector(exit_waves(patches, probe), transfer))
