"""Whether a stage slipped or drifted: frames that would lie elsewhere if they could, from one of them on."""

from dataclasses import replace

import numpy as np
import torch

from ptychoflow.blind.frames import FRAMES_AT_ONCE, amplitudes_of
from ptychoflow.blind.pupils import coarse_probe
from ptychoflow.blind.windows import window_of
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.models.blind import Blind
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.position_steps import MeasuredFrames, position_steps
from ptychoflow.reconstruction.file import Reconstruction

LINES = 2
"""Lines of a square scan on either side of a slip that feel it; the others have an object of their own."""
LEAST_SLIP, CLEAR = 0.17, 4.5
"""Pixels, and standard errors, that frames are drawn apart by where a slip is said: beyond both."""
LEAST_CLEAR_SLIP, BEYOND_DOUBT = 0.1, 9.0
"""Or beyond these. Sound scans have up to 0.12 pixels with 6.5 standard errors, and 0.074 with more than 9."""
CLEAR_ENOUGH, RATHER_WORSE = 4.0, 1.2
"""Standard errors that are enough where a line of frames is also explained worse than the others by that factor."""
MOST_SCATTER = 0.25
"""Pixels by which single frames scatter, beyond which their photons do not tell where they lie, unless beyond doubt."""
FEWEST = 32
"""Frames below which too few lie on either side."""
MUCH_WORSE = 2.5
"""Misfit of the frames of a line over that of all, from which it is said; sound scans have 2.0 at most."""
WORSE, A_LITTLE_WORSE, HARDLY_CLEAR = 1.3, 1.05, 3.0
"""Such misfits from which a slip is tried out, by themselves or where frames seem to be drawn apart close by."""
TRIED_FRAMES, TRIED_EDGE = 16, 64
"""Frames on either side of a slip that is tried out, at most, and pixels to which they are cropped."""
RINGS = ((2.5, 6, 0.0), (5.0, 12, 0.5))
"""Radius in pixels, number and first angle, in steps, of the slips that are tried out."""
LITTLE_SCATTER = 0.15
"""Pixels by which single frames may scatter where a slip is tried out: wedges scatter by more, and follow any."""
LARGEST_REST = 0.98
"""Misfit under the best of them over that under none; no sound scan has less than 1 that tells where its frames lie."""
TWICE = 3.0
"""Pixels by which two trials, with their frames in different orders, may differ about a slip."""
REMEDY = "positions are solved for by solve_positions: true"


def slip_doubts(network: Blind, reconstruction: Reconstruction, dataset: Dataset, much_left: bool = False) -> list[str]:
    """Say from which frame on the photons would have all frames elsewhere.

    Where a stage slips, the object that frames before and after share is torn both ways, and single steps of their
    positions show it; the misfit of all may not, since most frames share it with their own kind alone. Where few share
    it, or it tells little of positions, it adapts to both. Then frames there are explained worse than others, and once
    more from an empty object on, with those after the slip moved back, better.

    Parameters
    ----------
    network : Blind
        Whose iterations try a slip out.
    reconstruction : Reconstruction
        As it came out.
    dataset : Dataset
        Its frames, with their positions as the reconstruction took them to run.
    much_left : bool
        Whether the image leaves more than noise and the best of images do: then a slip is tried out where frames are
        drawn apart most, however little that is.
    """
    if len(reconstruction.positions) < FEWEST:
        return []
    steps, squares = residual_steps(reconstruction, dataset)
    places, worse = worst_places(squares)
    found = slip(steps, worse)
    if found is not None:
        frame, apart = found
        return [
            f"the stage seems to have slipped or drifted about frame {frame}: the photons draw the frames before and "
            f"after it apart by {apart:.2g} pixels still, in an image that both have shaped; {REMEDY}"
        ]
    suspected = places if _suspected(steps, places[0], worse) else []
    if much_left and not suspected:
        suspected = [_largest_change(steps, _scatter(steps))[0]]
    for frame in suspected if dataset.propagation == "far" else ():
        told = tried_doubts(network, reconstruction, dataset, frame)
        if told:
            return told
    if worse > MUCH_WORSE:
        return [
            f"the frames about number {places[0]} are explained {worse:.2g} times as badly as the others: the stage, "
            "the sample or the light may have moved there; "
            f"{REMEDY}, and the light of each frame by solve_brightness: true"
        ]
    return []


def tried_doubts(
    network: Blind, reconstruction: Reconstruction, dataset: Dataset, frame: int, largest_rest: float = LARGEST_REST
) -> list[str]:
    """Say that a slip at a frame, tried out with its neighbours in two orders, explains them better.

    Parameters are those of `slip_doubts`, the number of the first frame after the slip, and what share of the misfit
    may be left then at most.
    """
    away, rest = tried_slip(network, reconstruction, dataset, frame)
    if rest > largest_rest:
        return []
    again, rest = tried_slip(network, reconstruction, dataset, frame, seed=1)
    if rest > largest_rest or np.hypot(*(again - away)) > TWICE * dataset.size / min(dataset.size, TRIED_EDGE):
        return []
    return [
        f"the stage seems to have slipped about frame {frame}: were the frames from there on some "
        f"{np.hypot(*away):.1g} pixels away, {1 - rest:.0%} of the misfit near it would go; {REMEDY}"
    ]


@torch.inference_mode()
def residual_steps(reconstruction: Reconstruction, dataset: Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Steps (frames, 2) float64, pixels, by which each frame would explain its photons better, to first order.

    Beside them Σ (√I − √n)² of each before its step, (frames,) float64.
    """
    canvas, probe = torch.from_numpy(reconstruction.object), torch.from_numpy(reconstruction.probe)
    mask = torch.fft.ifftshift(torch.from_numpy(dataset.mask))
    propagator = Propagator(dataset.size, dataset.fresnel_number)
    places = torch.from_numpy(reconstruction.positions).float()
    background, light, parts = torch.tensor(float(reconstruction.background)), reconstruction.brightness, []
    for some in torch.arange(len(places)).split(FRAMES_AT_ONCE):
        amplitudes = amplitudes_of(dataset.frames[some.numpy()])
        own = torch.ones(len(some), 1, 1)
        if light is not None:
            own = torch.from_numpy(light[some.numpy()]).float()[:, None, None]
        seen = amplitudes / own.sqrt(), places[some], mask, propagator, background / own
        parts.append(position_steps(MeasuredFrames(canvas, probe, *seen)))
    steps, squares = (torch.cat(values).double().numpy() for values in zip(*parts, strict=True))
    return steps, squares


def slip(steps: np.ndarray, worse: float = 1.0) -> tuple[int, float] | None:
    """Number of the frame at which steps change most, and by how many pixels; None where none is clear.

    Parameters
    ----------
    steps : ndarray
        (frames, 2) float64, pixels.
    worse : float
        Misfit of the line of frames that is explained worst over that of all.
    """
    scatter = _scatter(steps)
    best, apart, clear = _largest_change(steps, scatter)
    if np.hypot(*scatter) > MOST_SCATTER and clear < BEYOND_DOUBT:
        return None
    least = CLEAR_ENOUGH if worse > RATHER_WORSE else CLEAR
    sure = (apart > LEAST_SLIP and clear > least) or (apart > LEAST_CLEAR_SLIP and clear > BEYOND_DOUBT)
    return (best, apart) if sure else None


def worst_places(squares: np.ndarray) -> tuple[list[int], float]:
    """Where frames, a line of them at a time, are explained worst.

    Parameters
    ----------
    squares : ndarray
        (frames,) float64, Σ (√I − √n)² of each.

    Returns
    -------
    places : list of int
        Number of the frame about which they are explained worst, and that in the middle of all that are half as bad.
    worse : float
        Mean misfit of that line over the median of all frames.
    """
    count = len(squares)
    width = max(1, round(count**0.5) // 2)
    sums = np.concatenate([[0.0], np.cumsum(squares)])
    # What slips within the first or the last line leaves an image as it is.
    first = 2 * width
    means = ((sums[2 * width :] - sums[: -2 * width]) / (2 * width))[width : count + 1 - 3 * width]
    best = int(means.argmax())
    half = (means[best] + np.median(means)) / 2
    low = np.flatnonzero(means[:best] < half)
    high = np.flatnonzero(means[best:] < half)
    start, end = low[-1] + 1 if len(low) else 0, best + high[0] - 1 if len(high) else len(means) - 1
    places = [best + first, (int(start) + int(end)) // 2 + first]
    return list(dict.fromkeys(places)), float(means[best] / max(np.median(squares), 1e-12))


def tried_slip(
    network: Blind, reconstruction: Reconstruction, dataset: Dataset, frame: int, seed: int = 0
) -> tuple[np.ndarray, float]:
    """Reconstruct the frames about one anew, in an order by a seed, with those from it on moved by several slips.

    Returns
    -------
    away : ndarray
        (2,) float64, rows and columns of pixels, under which they explain their photons best.
    rest : float
        Their misfit there over that without a slip.
    """
    count = len(reconstruction.positions)
    near = min(TRIED_FRAMES, round(count**0.5))
    numbers = np.arange(max(0, frame - near), min(count, frame + near))
    counts = dataset.frames[numbers] - np.float32(reconstruction.background)
    if reconstruction.brightness is not None:
        counts = counts / reconstruction.brightness[numbers, None, None].astype(np.float32)
    part = replace(dataset, frames=np.clip(counts, 0, None), positions=reconstruction.positions[numbers])
    edge = min(dataset.size, TRIED_EDGE)
    window = window_of(part, np.arange(len(numbers)), part.positions * edge / dataset.size, edge)
    slips = np.array(
        [(0.0, 0.0)]
        + [
            (radius * np.sin(angle), radius * np.cos(angle))
            for radius, number, first in RINGS
            for angle in 2 * np.pi * (np.arange(number) + first) / number
        ]
    )
    later = (numbers >= frame)[:, None]
    probe = coarse_probe(torch.from_numpy(reconstruction.probe), edge)
    misfits, _ = window.tried(
        network, [window.positions + later * away for away in slips], probe.expand(len(slips), -1, -1, -1), seed
    )
    totals = misfits.sum(axis=1)
    best = int(totals.argmin())
    return slips[best] * dataset.size / edge, float(totals[best] / totals[0])


def _suspected(steps: np.ndarray, frame: int, worse: float) -> bool:
    """Whether a slip at a frame is worth being tried out, and single frames tell where they lie."""
    scatter = _scatter(steps)
    if np.hypot(*scatter) > LITTLE_SCATTER:
        return False
    best, _, clear = _largest_change(steps, scatter)
    close = abs(best - frame) <= len(steps) ** 0.5
    return worse > WORSE or (worse > A_LITTLE_WORSE and close and clear > HARDLY_CLEAR)


def _scatter(steps: np.ndarray) -> np.ndarray:
    """Standard deviation (2,) of one of the steps (frames, 2), by the median of what neighbours differ by."""
    changes = np.diff(steps, axis=0)
    return 1.4826 * np.median(np.abs(changes - np.median(changes, axis=0)), axis=0) / 2**0.5


def _largest_change(steps: np.ndarray, scatter: np.ndarray) -> tuple[int, float, float]:
    """Where the means of steps before and after differ most, by how many pixels, and by how many standard errors."""
    count = len(steps)
    width = min(count // 2, round(LINES * count**0.5))
    sums = np.concatenate([np.zeros((1, 2)), np.cumsum(steps, axis=0)])
    middles = np.arange(width, count - width + 1)
    apart = (sums[middles + width] - 2 * sums[middles] + sums[middles - width]) / width
    best = int(np.hypot(*apart.T).argmax())
    clear = np.abs(apart[best]) / np.maximum(scatter * (2 / width) ** 0.5, 1e-9)
    return int(middles[best]), float(np.hypot(*apart[best])), float(clear.max())
