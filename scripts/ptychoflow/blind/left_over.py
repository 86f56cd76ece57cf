"""What an image leaves unexplained of its frames once noise is taken out, the frames' own and that in the image.

Where photons are few, a wrong image misfits by no more than a right one of many photons does, and a right one explains
frames that were left out badly since it is noisy. But noise in an image explains the frames that it was made of as much
too well as it explains others too badly, so that it falls out of the mean of both: what is left then is the model's.
"""

import numpy as np

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.photons import (
    SIGNIFICANT,
    explained_share,
    mean_frame_deviance,
    photon_deviances,
    weak_object_deviance,
)

FITTED_LOOKED_AT = 256
"""Spread over the scan."""
MOST_LEFT, LEAST_SHOWN = 0.15, 0.1
"""Share of what frames differ by that may be left; and what may be left where they hardly differ, as those of a wedge:
a share of what an object of 0.1 rad would make of them. Of sound scans no other leaves more than 0.09."""


LeftOver = tuple[float, float, float]
"""What is left as a share of what frames differ by, how much of that chance may make (standard deviation), and what is
left itself."""


def left_over(reconstruction: Reconstruction, dataset: Dataset) -> LeftOver | None:
    """What is left of the deviance of frames beyond noise, per good pixel.

    Parameters
    ----------
    reconstruction : Reconstruction
        As it came out, some of its frames held out.
    dataset : Dataset
        Its frames, with their positions as the reconstruction took them to run.

    Returns
    -------
    LeftOver or None
        None where no frame is held out, or where frames differ by no more than noise.
    """
    held_out, fitted = np.flatnonzero(reconstruction.held_out), np.flatnonzero(~reconstruction.held_out)
    if not len(held_out) or not len(fitted):
        return None
    shares, doubts, left = [], [], []
    spread = np.linspace(0, len(fitted) - 1, min(len(fitted), FITTED_LOOKED_AT)).astype(int)
    for some in (held_out, fitted[spread]):
        found, expected = photon_deviances(reconstruction, dataset, some)
        flat, pixels = mean_frame_deviance(dataset, some, fitted), len(some) * max(1, int(dataset.mask.sum()))
        explained = explained_share(found, expected, flat, pixels)
        if explained is None:
            return None
        left.append(found - expected)
        shares.append(1 - explained)
        doubts.append((2 / pixels) ** 0.5 / (flat - expected))
    return float(np.mean(shares)), float(np.hypot(*doubts) / 2), float(np.mean(left))


def left_over_doubts(told: LeftOver | None, reconstruction: Reconstruction, dataset: Dataset) -> list[str]:
    """Say where more is left, as `left_over` tells it, than a right model leaves."""
    if told is None:
        return []
    share, doubt, left = told
    if share < max(MOST_LEFT, SIGNIFICANT * doubt):
        return []
    if left < LEAST_SHOWN * weak_object_deviance(reconstruction, dataset, np.flatnonzero(reconstruction.held_out)):
        return []
    return [
        f"the image leaves {min(share, 1):.0%} of what its frames differ by unexplained, noise apart, expected at most "
        f"{MOST_LEFT:.0%}; likely causes are the positions, as where the stage drifted or slipped (solve_positions: "
        "true), the probe, the mask, or a background"
    ]
