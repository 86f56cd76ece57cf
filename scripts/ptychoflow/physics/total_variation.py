"""Total variation: of all objects that photons bear alike, the one with the fewest changes from pixel to pixel."""

import torch
from jaxtyping import Float, Inexact
from torch import Tensor

ITERATIONS = 20
"""Steps on the dual problem, of which the strengths that photon noise asks for need no more."""


def differences(images: Inexact[Tensor, "*axes H W"]) -> Inexact[Tensor, "*axes 2 H W"]:
    """From each pixel of images (..., H, W) to the next row and column, 0 at the last, (..., 2, H, W)."""
    steps = images.new_zeros(*images.shape[:-2], 2, *images.shape[-2:])
    torch.sub(images[..., 1:, :], images[..., :-1, :], out=steps[..., 0, :-1, :])
    torch.sub(images[..., 1:], images[..., :-1], out=steps[..., 1, :, :-1])
    return steps


def gathered(steps: Inexact[Tensor, "*axes 2 H W"]) -> Inexact[Tensor, "*axes H W"]:
    """Adjoint of `differences`: (..., 2, H, W) to (..., H, W)."""
    rows, columns = steps[..., 0, :-1, :], steps[..., 1, :, :-1]
    images = torch.zeros_like(steps[..., 0, :, :])
    images[..., 1:, :] += rows
    images[..., :-1, :] -= rows
    images[..., 1:] += columns
    images[..., :-1] -= columns
    return images


def smoothed(
    objects: Inexact[Tensor, "*axes H W"], strength: Float[Tensor, "*#axes H W"], iterations: int = ITERATIONS
) -> Inexact[Tensor, "*axes H W"]:
    """Objects u that make ½ Σ |u − objects|² + Σ strength |∇u| small, edges kept.

    Real and imaginary part have their edges in common. This is the fast projected gradient of Beck and Teboulle
    (IEEE Trans. Image Process. 18, 2419, 2009).

    Parameters
    ----------
    objects : Tensor
        (..., H, W) complex or float.
    strength : Tensor
        (..., H, W) float, at least 0: about the noise of an object's pixel.
    iterations : int
        Steps on the dual problem.

    Returns
    -------
    Tensor
        (..., H, W).
    """
    parts = torch.stack([objects.real, objects.imag]) if objects.is_complex() else objects[None]
    strength = strength.unsqueeze(-3)
    least = strength.clamp_min(1e-12)
    dual = torch.zeros_like(differences(parts))
    ahead = dual.clone()
    momentum = 1.0
    for _ in range(iterations):
        # An eighth: the largest eigenvalue of differences gathered is below eight.
        found = ahead.add_(differences(parts - gathered(ahead)), alpha=1 / 8)
        length = found.square().sum(dim=(0, -3), keepdim=True)[0].sqrt()
        found *= strength / torch.maximum(length, least)
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = torch.lerp(dual, found, 1 + (momentum - 1) / following)
        dual, momentum = found, following
    parts = parts - gathered(dual)
    return torch.complex(*parts) if objects.is_complex() else parts[0]
