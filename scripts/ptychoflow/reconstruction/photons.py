"""How much of what frames differ by an image explains: what tells an image that the photons determine from any other.

A deviance alone does not. Where photons are few, an image of nothing but noise has almost a perfect model's; where they
are many, a very good one has many times that. Between lies the deviance of a model that knows no object: the mean frame
with the photons of each.
"""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.frame_blocks import mean_of
from ptychoflow.metrics.doubts import LEAST_EXPLAINED
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.losses import deviance, expected_deviance, expected_deviances, poisson_deviance
from ptychoflow.physics.patches import extract_patches
from ptychoflow.reconstruction.file import Reconstruction

FRAMES_AT_ONCE = 256
SIGNIFICANT = 4.0
"""Standard deviations by which frames must differ from their mean for any image to be told by them."""
WEAK, DETAILS = 0.1, 3.0
"""Phase in radians, and details in a radius of the probe, of an object that photons should tell from a uniform one."""
DIMMEST, LEVELS, FEWEST_PIXELS = 2.0, 40, 512
"""Photons from which on pixels tell how they scatter, the levels of brightness that they are sorted into, each twice as
bright as the one before, and how many must be in one."""
NOTICED = 3.0
"""By how many times what they differ by, or their noise may pretend, frames would then differ."""


def explained_share(found: float, expected: float, flat: float, pixels: float) -> float | None:
    """Share of what frames differ by that an image explains: 1 of a perfect model, 0 or less of one that knows nothing.

    Parameters
    ----------
    found, expected : float
        Deviance of the image's prediction, and what photon noise makes of a perfect one.
    flat : float
        Deviance of the mean frame, scaled to the photons of each.
    pixels : float
        Over which they are means: None is given where `flat` is beyond the noise by less than chance may make it.
    """
    # The deviance of a pixel that holds many photons has a variance of 2; of one that holds few, somewhat less.
    if flat - expected < SIGNIFICANT * (2 / pixels) ** 0.5:
        return None
    return 1 - (found - expected) / (flat - expected)


def mean_frame_deviance(dataset: Dataset, judges: np.ndarray, used: np.ndarray) -> float:
    """Poisson deviance per good pixel of frames (judges,) int from the mean of frames (used,) int, scaled to each."""
    mask = torch.from_numpy(dataset.mask)
    mean = torch.from_numpy(mean_of(dataset.frames, used)).float()
    light = mean[mask].sum().clamp_min(1e-12)
    parts = []
    for some in np.array_split(judges, -(-len(judges) // FRAMES_AT_ONCE)):
        counts = torch.from_numpy(dataset.frames[some])
        share = torch.where(mask, counts, 0).sum(dim=(-2, -1)) / light
        parts.append(len(some) * float(poisson_deviance(mean * share[:, None, None], counts, mask)))
    return sum(parts) / len(judges)


def photon_deviance(reconstruction: Reconstruction, dataset: Dataset, frames: np.ndarray) -> float | None:
    """Poisson deviance per good pixel of measured frames under the stitched object and its probe; None of no frames."""
    return photon_deviances(reconstruction, dataset, frames)[0]


def photon_deviances(
    reconstruction: Reconstruction, dataset: Dataset, frames: np.ndarray
) -> tuple[float, float] | tuple[None, None]:
    """Poisson deviance per good pixel of measured frames, and what it would be were object and probe perfect.

    Parameters
    ----------
    reconstruction : Reconstruction
        Object, probe and positions.
    dataset : Dataset
        The measured frames.
    frames : ndarray
        (frames,) int, which of them; of none there are no deviances.
    """
    if not len(frames):
        return None, None
    mask = torch.from_numpy(dataset.mask)
    totals = np.zeros(2)
    for chosen, modelled, counts in modelled_frames(reconstruction, dataset, frames):
        deviances = poisson_deviance(modelled, counts, mask), expected_deviance(modelled, mask)
        totals += len(chosen) * np.array([float(deviance) for deviance in deviances])
    return float(totals[0] / len(frames)), float(totals[1] / len(frames))


def least_misfit(reconstruction: Reconstruction, dataset: Dataset, frames: np.ndarray) -> float | None:
    """Misfit of those pixels of like brightness that have the least: no fault of a model takes noise out of photons.

    That of all pixels hides it. Roots of counts scatter by half a unit wherever they are: far less than photons would
    where they are many, while faults of the model that they are taken to fit make up for it elsewhere.

    Parameters are those of `photon_deviances`. None where nowhere enough pixels are bright.
    """
    mask, sums = torch.from_numpy(dataset.mask), torch.zeros(3, LEVELS, dtype=torch.float64)
    for _, modelled, counts in modelled_frames(reconstruction, dataset, frames):
        bright = mask & (modelled >= DIMMEST)
        intensity, counts = modelled[bright], counts[bright]
        level = (intensity / DIMMEST).log2().long().clamp_max(LEVELS - 1)
        told = deviance(intensity, counts), expected_deviances(intensity), torch.ones_like(intensity)
        sums.index_add_(1, level, torch.stack(told).double())
    found, expected, pixels = sums
    enough = pixels >= FEWEST_PIXELS
    return float((found / expected)[enough].min()) if enough.any() else None


def modelled_frames(
    reconstruction: Reconstruction, dataset: Dataset, frames: np.ndarray
) -> Iterator[tuple[np.ndarray, torch.Tensor, torch.Tensor]]:
    """Model measured frames by the stitched object and its probe, some of them at a time.

    Parameters are those of `photon_deviances`.

    Yields
    ------
    chosen : ndarray
        (some,) int, which frames.
    modelled, counts : Tensor
        (some, N, N) float32 photons per pixel, zero frequency in the middle.
    """
    canvas = torch.from_numpy(reconstruction.object)[None]
    probe = torch.from_numpy(reconstruction.probe)
    propagator = Propagator(dataset.size, dataset.fresnel_number)
    for chosen in np.array_split(frames, -(-len(frames) // FRAMES_AT_ONCE)):
        places = torch.from_numpy(reconstruction.positions[chosen]).float()[None]
        expected = propagator.intensity(extract_patches(canvas, places, probe.shape[-1])[0], probe)
        counts = torch.from_numpy(dataset.frames[chosen])
        if reconstruction.brightness is not None:
            expected = expected * torch.from_numpy(reconstruction.brightness[chosen])[:, None, None]
        yield chosen, torch.fft.fftshift(expected, dim=(-2, -1)) + reconstruction.background, counts


def photon_scores(reconstruction: Reconstruction, dataset: Dataset) -> dict[str, float | None]:
    """Deviance of the held-out frames, or of all where none is, beside those of a perfect model and of a mean frame."""
    held_out = np.flatnonzero(reconstruction.held_out)
    everything = np.arange(len(reconstruction.positions))
    judges = held_out if len(held_out) else everything
    found, expected = photon_deviances(reconstruction, dataset, judges)
    used = everything[~reconstruction.held_out]
    flat = mean_frame_deviance(dataset, judges, used if len(used) else everything)
    pixels = len(judges) * max(1, int(dataset.mask.sum()))
    share = explained_share(found, expected, flat, pixels)
    told = False
    if share is None or share < LEAST_EXPLAINED:
        least = max(SIGNIFICANT * (2 / pixels) ** 0.5, flat - expected)
        told = weak_object_deviance(reconstruction, dataset, judges) > NOTICED * least
    return {
        "deviance": found if len(held_out) else None,
        "fitted_deviance": None if len(held_out) else found,
        "expected_deviance": expected,
        "misfit": found / expected,
        "least_misfit": least_misfit(reconstruction, dataset, judges) if len(held_out) else None,
        "explained_share": share,
        "featureless": told,
    }


def weak_object_deviance(reconstruction: Reconstruction, dataset: Dataset, judges: np.ndarray) -> float:
    """By how much frames (judges,) int would differ from their mean under an object that shows a little everywhere.

    Poisson deviance per good pixel, without noise, of what the probe that was found makes of it. Frames that differ by
    less, though they hold photons enough, are of an object that shows less, and are right to give a uniform image.
    """
    # Needed by few images: a live one begins without them.
    from scipy import ndimage

    from ptychoflow.metrics.alignment import probe_radius

    fine = probe_radius(reconstruction.probe) / DETAILS
    texture = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=reconstruction.object.shape), fine)
    weak = np.exp(1j * WEAK * texture / texture.std()).astype(np.complex64)
    frames = [modelled for _, modelled, _ in modelled_frames(replace(reconstruction, object=weak), dataset, judges)]
    mask, frames = torch.from_numpy(dataset.mask), torch.cat(frames)
    light, mean = torch.where(mask, frames, 0).sum(dim=(-2, -1)), frames.mean(dim=0)
    flat = mean * (light / torch.where(mask, mean, 0).sum().clamp_min(1e-12))[:, None, None]
    return float(poisson_deviance(flat, frames, mask))
