"""Steps on object and probe: what measured amplitudes ask of the exit waves, led back to what made them.

Every change is minus the gradient of Σ (|D ψ| − √n)² over good pixels, by the conjugate of what it changes.
"""

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from ptychoflow.physics.diffraction import Propagator, exit_waves, incoherent_sum, sum_of_modes
from ptychoflow.physics.patches import divided

FLOOR = 1e-8
"""Least intensity of a modelled pixel: amplitudes are divided by its root."""
REGULARISATION = 0.1
"""Share of the peak of the light that damps a step where little of it falls."""
FEW = 5.0
"""Photons of a pixel below which the amplitude is a biased measure of its intensity."""
DARK = 0.2
"""Photons of a pixel below which one more says little of the wave."""


def missing_share(
    waves: Complex[Tensor, "*axes modes N N"],
    amplitudes: Float[Tensor, "*#axes N N"],
    good: Float[Tensor, "*#axes N N"],
) -> tuple[Float[Tensor, "*axes N N"], Float[Tensor, "*axes N N"]]:
    """What detector waves lack of measured amplitudes as a share of themselves, √(n / I) − 1, and 1 / √I beside it.

    Parameters
    ----------
    waves : Tensor
        (..., modes, N, N) complex.
    amplitudes : Tensor
        (..., N, N) float, zero at bad pixels.
    good : Tensor
        (..., N, N) float, 1 for good pixels and 0 for bad ones, which lack nothing.
    """
    inverse = incoherent_sum(waves).add_(FLOOR).rsqrt_()
    return torch.addcmul(-good, amplitudes, inverse), inverse


def wave_change(
    patches: Complex[Tensor, "*#axes N N"],
    amplitudes: Float[Tensor, "*#axes N N"],
    probes: Complex[Tensor, "*#axes modes N N"],
    mask: Bool[Tensor, "*#axes N N"],
    propagator: Propagator,
) -> Complex[Tensor, "*axes modes N N"]:
    """Lead the change that measured amplitudes ask of the detector waves back to the exit waves.

    Parameters
    ----------
    patches : Tensor
        (..., N, N) complex object patches.
    amplitudes : Tensor
        (..., N, N) float measured amplitudes, zero frequency or middle in the corner.
    probes : Tensor
        (..., modes, N, N) complex.
    mask : Tensor
        (..., N, N) bool; bad pixels keep the modelled amplitude.
    propagator : Propagator
        Of the exit waves.

    Returns
    -------
    Tensor
        (..., modes, N, N) complex, Δψ.
    """
    waves = propagator(exit_waves(patches, probes))
    ratio, _ = missing_share(waves, torch.where(mask, amplitudes, 0), mask.to(amplitudes.dtype))
    return propagator.adjoint(ratio.unsqueeze(-3) * waves)


def unbiased_ratio(ratio: Float[Tensor, "*pixels"], photons: Float[Tensor, "*pixels"]) -> Float[Tensor, "*pixels"]:
    """Change what waves lack of amplitudes, as a share of themselves, so that few photons ask for no less light.

    √(n / I) − 1 asks waves of a mean count I for the mean of √n over drawn counts n, which is below √I: by an eighth of
    a photon where they are many, but by nearly all where they are few. So amplitude steps darken what is dark. There
    (n − I) / 2 (I + ε) takes its place, which is nothing on average, and at n ≈ I the same: the gradient of the Poisson
    likelihood (Thibault and Guizar-Sicairos, New J. Phys. 14, 063004, 2012), whose weight ε bounds.

    Parameters
    ----------
    ratio : Tensor
        (..., N, N) float, √(n / I) − 1; 0 at bad pixels, and so is what comes out.
    photons : Tensor
        (..., N, N) float, modelled intensities in photons, above 0.

    Returns
    -------
    Tensor
        (..., N, N) float.
    """
    # Of the ratio itself, to be multiplied by it. Far below the counts a linear step would overshoot: by 2 at most.
    one = ratio.new_ones(())
    weight = photons + DARK
    torch.div(photons, weight, out=weight)
    by_photons = torch.add(one, ratio, alpha=0.5).mul_(weight).clamp_max_(2).sub_(1)
    many = torch.addcmul(one, photons, photons, value=1 / FEW**2)
    return torch.addcmul(ratio, ratio, by_photons.div_(many))


def object_change(
    change: Complex[Tensor, "*#axes modes N N"], probes: Complex[Tensor, "*#axes modes N N"]
) -> Complex[Tensor, "*axes N N"]:
    """Change of the patches, (..., N, N) complex Σ_m conj(P_m) Δψ_m, by that of the exit waves."""
    return sum_of_modes(probes.conj() * change)


def regularised(
    total: Complex[Tensor, "*pixels"], coverage: Float[Tensor, "*pixels"], peak: Float[Tensor, "*#pixels"]
) -> Complex[Tensor, "*pixels"]:
    """Divide changes that were added up by the light that they came with, damped where little of it fell.

    This is the step of the regularised iterative engine (Maiden, Johnson and Li, Optica 4, 736, 2017).

    Parameters
    ----------
    total : Tensor
        (..., H, W) complex sum of changes.
    coverage : Tensor
        (..., H, W) float sum of the light of all frames.
    peak : Tensor
        Largest light of one frame, broadcast against the coverage.

    Returns
    -------
    Tensor
        (..., H, W) complex.
    """
    return divided(total, coverage + REGULARISATION * peak)
