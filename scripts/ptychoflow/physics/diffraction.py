"""Diffraction: I = Σ_m |D[P_m · O]|², D the unitary Fourier transform for the far field, or Fresnel's for the near one.

The probe carries the flux, Σ|P|² = photons in the empty beam, and the object is dimensionless, so intensities are
photons per pixel and no global scale is hidden anywhere. Far fields have their zero frequency in the corner, and near
fields likewise their middle, so that frames of both are kept and turned alike.

Which of the two it is, the propagator knows that all who model photons are given.
"""

import torch
from jaxtyping import Complex, Float, Inexact
from torch import Tensor, nn

from ptychoflow.physics.patches import shift_factors


def exit_waves(
    patches: Complex[Tensor, "*#axes N N"], probe: Complex[Tensor, "*#axes modes N N"]
) -> Complex[Tensor, "*axes modes N N"]:
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


def incoherent_sum(waves: Complex[Tensor, "*axes modes H W"]) -> Float[Tensor, "*axes H W"]:
    """Add the intensities of all modes: (..., modes, H, W) complex to (..., H, W) float photons per pixel."""
    # The squares of real and imaginary parts side by side, as they are in memory: in order, and only their sums apart.
    parts = torch.view_as_real(waves.resolve_conj()).flatten(-2)
    squares = product_over_modes(parts, parts).unflatten(-1, (-1, 2))
    return squares[..., 0] + squares[..., 1]


def total_transmission(patches: Complex[Tensor, "*axes frames N N"]) -> Float[Tensor, "*axes N N"]:
    """Add |O|² of the patches of all frames: (..., frames, N, N) complex to (..., N, N) float."""
    squares = torch.view_as_real(patches).square().sum(dim=-4)
    return squares[..., 0] + squares[..., 1]


def sum_of_modes(values: Inexact[Tensor, "*axes modes H W"]) -> Inexact[Tensor, "*axes H W"]:
    """Add (..., modes, H, W) over the modes; a single one is not copied."""
    return values.squeeze(-3) if values.shape[-3] == 1 else values.sum(dim=-3)


def product_over_modes(
    one: Inexact[Tensor, "*axes modes H W"], other: Inexact[Tensor, "*axes modes H W"]
) -> Inexact[Tensor, "*axes H W"]:
    """Multiply (..., modes, H, W) by as many and add up over the modes, whose products need not all be in memory."""
    first, *further = zip(one.unbind(-3), other.unbind(-3), strict=True)
    total = first[0] * first[1]
    for pair in further:
        total.addcmul_(*pair)
    return total


class Propagator(nn.Module):
    """The way of waves between sample and detector, which keeps their photons.

    Its transfer function is no part of a state: whoever builds a propagator anew knows the Fresnel number.

    Parameters
    ----------
    size : int
        Even edge length N of a frame in pixels.
    fresnel_number : float, optional
        F = p² / (λ z) of a pixel p in a near field, infinite at the sample itself; the far field if not given.
    dtype : torch.dtype
        Of the transfer function of a near field.
    """

    def __init__(self, size: int, fresnel_number: float | None = None, dtype: torch.dtype = torch.complex64) -> None:
        super().__init__()
        self.size = size
        transfer = None if fresnel_number is None else fresnel_transfer(size, fresnel_number, dtype)
        self.register_buffer("transfer", transfer, persistent=False)

    def forward(self, waves: Complex[Tensor, "*axes N N"]) -> Complex[Tensor, "*axes N N"]:
        """Propagate waves (..., N, N) to the detector, by the unitary 2-D Fourier transform or the transfer function.

        The zero frequency of a far field and the middle of a near one arrive in the corner.
        """
        if self.transfer is None:
            return torch.fft.fft2(waves, norm="ortho")
        return torch.fft.ifft2(self.transfer * torch.fft.fft2(waves))

    def adjoint(self, waves: Complex[Tensor, "*axes N N"]) -> Complex[Tensor, "*axes N N"]:
        """Propagate detector waves (..., N, N) back to the sample: the inverse and the adjoint of the way there."""
        if self.transfer is None:
            return torch.fft.ifft2(waves, norm="ortho")
        return torch.fft.ifft2(self.transfer.conj() * torch.fft.fft2(waves))

    @property
    def gain(self) -> int:
        """How many times as strong as they are waves come out of `amplified` and `amplified_adjoint`."""
        return self.size if self.transfer is None else self.size**2

    def amplified(self, waves: Complex[Tensor, "*axes N N"]) -> Complex[Tensor, "*axes N N"]:
        """Propagate as `forward` does but for the scaling, which takes a tenth of a transform.

        The probe can be scaled before, and what frames add up to after.
        """
        if self.transfer is None:
            return torch.fft.fft2(waves)
        return torch.fft.ifft2(self.transfer * torch.fft.fft2(waves), norm="forward")

    def amplified_adjoint(self, waves: Complex[Tensor, "*axes N N"]) -> Complex[Tensor, "*axes N N"]:
        """The adjoint of `amplified`."""
        if self.transfer is None:
            return torch.fft.ifft2(waves, norm="forward")
        return torch.fft.ifft2(self.transfer.conj() * torch.fft.fft2(waves), norm="forward")

    def moved(self, fraction: Float[Tensor, "*axes 2"]) -> "Propagator":
        """Give the propagator of waves that came out moved by fractions of a pixel, as those of a moved probe do.

        The far field only takes a phase ramp from that, which no intensity shows; a near field is moved back.

        Parameters
        ----------
        fraction : Tensor
            (..., 2) float, (row, column) pixels that the waves (..., modes, N, N) were moved by.

        Returns
        -------
        Propagator
            Itself in the far field.
        """
        if self.transfer is None:
            return self
        moved = Propagator(self.size)
        moved.transfer = self.transfer * shift_factors(self.transfer.shape[-2:], -fraction).unsqueeze(-3)
        return moved

    def intensity(
        self, patches: Complex[Tensor, "*#axes N N"], probe: Complex[Tensor, "*#axes modes N N"]
    ) -> Float[Tensor, "*axes N N"]:
        """Compute the diffraction intensity of object patches, (..., N, N) float photons per pixel.

        Parameters are those of `exit_waves`.
        """
        return incoherent_sum(self(exit_waves(patches, probe)))


def fresnel_transfer(size: int, fresnel_number: float, dtype: torch.dtype) -> Complex[Tensor, "{size} {size}"]:
    """Compute the transfer function of paraxial propagation and of the shift that puts the middle into the corner.

    H(q) = exp(−iπ λ z q²) = exp(−iπ f² / F) with f in cycles per pixel (Goodman, Introduction to Fourier Optics, 4th
    ed., section 4.2.4), in double precision before it is given its dtype; (N, N) complex. Parameters are those of
    `Propagator`.
    """
    frequency = torch.fft.fftfreq(size, dtype=torch.float64)
    # Half a frame, by which the middle goes to the corner, is a change of sign from each frequency to the next.
    line = torch.polar(torch.ones_like(frequency), -torch.pi * frequency**2 / fresnel_number)
    line = line * (1 - 2 * (torch.arange(size) % 2))
    return (line[:, None] * line[None, :]).to(dtype)
