"""What the mean frame of a scan puts right in a probe that its file names."""

import torch
from torch import Tensor

from ptychoflow.physics.diffraction import Propagator, incoherent_sum
from ptychoflow.physics.gauge import centre_of, with_power

FAINT = 1e-3
"""Share of a far field's mean intensity below which the phase of a guess is no knowledge."""


def under_pupil(guess: Tensor, mean: Tensor, mask: Tensor, propagator: Propagator) -> Tensor:
    """Give a probe the far field that was measured, and keep its phases.

    The mean frame is the probe's far field, blurred by the object, whatever else a file knows of it; a far field beside
    the measured one is first moved there, which is a tilt of the probe.

    Parameters
    ----------
    guess : Tensor
        (modes, N, N) complex64.
    mean : Tensor
        (N, N) float, mean counts, zero frequency or middle in the corner.
    mask : Tensor
        (N, N) bool, good pixels.
    propagator : Propagator
        Of exit waves.
    """
    guess = with_power(guess, mean[mask].sum())
    if propagator.transfer is None:
        found, measured = (
            centre_of(torch.fft.fftshift(torch.where(mask, counts, 0)))
            for counts in (incoherent_sum(propagator(guess)), mean)
        )
        size = len(mean)
        place = (torch.arange(size, device=mean.device) - size // 2) / size
        tilt = 2 * torch.pi * (place[:, None] * (measured - found)[0] + place * (measured - found)[1])
        guess = guess * torch.polar(torch.ones_like(tilt), tilt)
    waves = propagator(guess)
    waves = waves * (mean[mask].sum() / incoherent_sum(waves)[mask].sum()).sqrt()
    intensity = incoherent_sum(waves)
    least = FAINT * intensity.mean()
    factor = torch.where(mask, (mean + least) / (intensity + least), 1).sqrt()
    return propagator.adjoint(factor * waves)
