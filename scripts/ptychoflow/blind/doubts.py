"""What was found to be wrong with a dataset while it was reconstructed: its probe, its axes, its overlap."""

import numpy as np
import torch

from ptychoflow.blind.brightness import OF_LIGHT, left_by_light
from ptychoflow.blind.candidates import GIVEN
from ptychoflow.blind.search import Start
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.position_axes import ingest_settings_of
from ptychoflow.dataset.scan_shape import distances, overlap_warnings, probe_width
from ptychoflow.physics.geometry import wavelength_of
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.photons import modelled_frames

WORSE = 1.1
"""Error of the file's probe over that of another, from which it is said to be wrong."""
FRAMES_LOOKED_AT = 256
"""Spread over the scan, of which the light is compared with that of the model."""


def start_doubts(start: Start, dataset: Dataset) -> list[str]:
    """Say where the dataset's probe, or the axes of its positions, explain the photons worse than others."""
    sentences = []
    given = [error for name, error in start.errors.items() if name.startswith(GIVEN)]
    found = start.errors.get(start.candidate.name)
    if given and not start.candidate.given and min(given) > WORSE * found:
        sentences.append(
            f"the dataset's probe seems to be wrong: it explains a few frames with an error of {min(given):.3g}, "
            f"{_described(start, dataset)} with {found:.3g}, from which the reconstruction started"
        )
    if start.candidate.orientation:
        keys = ingest_settings_of(start.candidate.orientation, dataset.provenance)
        sentences.append(
            "the axes of the positions seem to run otherwise than the dataset says, and the image follows them as they "
            f"were found; ingest says so by {keys}. Half a turn more, with the opposite defocus, diffracts alike: what "
            "is known of the beam must tell the two apart"
        )
    return sentences


def scan_doubts(reconstruction: Reconstruction) -> list[str]:
    """Say where neighbouring frames hardly overlap under the probe that was found."""
    if len(reconstruction.positions) < 2:
        return ["there is one frame: expected several that overlap"]
    step, _ = distances(reconstruction.positions)
    return overlap_warnings(step, probe_width(reconstruction.probe))


def brightness_doubts(reconstruction: Reconstruction, dataset: Dataset) -> list[str]:
    """Say where an image would explain its frames if each had its own photons, which a steady source does not allow.

    Parameters
    ----------
    reconstruction : Reconstruction
        As it came out, with a misfit.
    dataset : Dataset
        Its frames, with their positions as the reconstruction took them to run.
    """
    if reconstruction.brightness is not None:
        return []
    count, mask = len(reconstruction.positions), torch.from_numpy(dataset.mask)
    some = np.unique(np.linspace(0, count - 1, min(count, FRAMES_LOOKED_AT)).astype(int))
    photons = (tuple(images) for _, *images in modelled_frames(reconstruction, dataset, some))
    left = left_by_light(photons, mask)
    if left.share < OF_LIGHT:
        return []
    return [
        f"the light seems to change from frame to frame, by {left.spread:.0%} (rms): with its own photons each, frames "
        f"would leave {left.share:.0%} less unexplained (solve_brightness: true)"
    ]


def light_found(spread: float) -> str:
    """Say that the light of each frame, with a spread over its mean, was solved for though nobody asked for it."""
    return (
        f"the light seems to change from frame to frame, by {spread:.1%} (rms), and was solved for, since "
        "frames are explained far better so; those that lie elsewhere than their positions say look alike where they "
        "differ in little else (solve_brightness: true asks for it from the beginning, false takes it as steady)"
    )


def defocus_metres(start: Start, dataset: Dataset) -> float | None:
    """Distance from focus to sample that the start was found at, c p² / λ; None where it has none."""
    if start.candidate.defocus is None:
        return None
    # Far fields are cropped for the search: its pixels at the sample are wider.
    pixel = dataset.pixel_size * dataset.size / start.candidate.probe.shape[-1]
    return start.candidate.defocus * pixel**2 / wavelength_of(dataset.energy)


def _described(start: Start, dataset: Dataset) -> str:
    metres = defocus_metres(start, dataset)
    return start.candidate.name if metres is None else f"{start.candidate.name} ({metres:+.3g} m)"
