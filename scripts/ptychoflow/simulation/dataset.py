"""One simulated dataset: an object seen through a probe at scan positions, counted by a detector."""

import numpy as np
import torch

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.geometry import wavelength_of
from ptychoflow.physics.patches import MARGIN, extract_patches
from ptychoflow.settings.simulation import ProbeSettings, SimulationSettings
from ptychoflow.simulation.detection import draw_brightness, draw_mask
from ptychoflow.simulation.guess import guessed_probe
from ptychoflow.simulation.objects import make_object
from ptychoflow.simulation.probes import make_probe
from ptychoflow.simulation.scans import make_scan, position_errors

FRAMES_AT_ONCE = 256


def simulate(settings: SimulationSettings) -> Dataset:
    """Simulate a dataset with its true object, and the true positions and probe where those written down are wrong."""
    streams = np.random.SeedSequence(settings.seed).spawn(8)
    # A new stream goes to the end, so that a seed goes on giving what it gave.
    object_random, scan_random, noise_random, error_random = map(np.random.default_rng, streams[:4])
    guess_random, mask_random, flicker_random = map(np.random.default_rng, streams[5:])
    size = settings.size

    def probe_of(probe: ProbeSettings) -> np.ndarray:
        aberrations = np.random.default_rng(streams[4])
        return make_probe(probe, size, settings.pixel_size, wavelength_of(settings.energy), aberrations)

    probe = probe_of(settings.probe)
    guess = guessed_probe(settings.guess, settings.probe, probe, probe_of, guess_random)
    mask = draw_mask(size, settings.dead_pixels, settings.beam_stop, mask_random)

    offsets = make_scan(settings.scan, scan_random)
    errors = position_errors(settings.scan, error_random)
    # Room for the outermost patches and the margin of their shift, rounded up to even edges.
    farthest = np.maximum(np.abs(offsets), np.abs(offsets + errors)).max(axis=0)
    reach = np.ceil(farthest).astype(int) + size // 2 + MARGIN + 2
    shape = (2 * int(reach[0]), 2 * int(reach[1]))
    positions = offsets + np.array(shape) / 2
    truth = make_object(settings.object, shape, object_random)
    brightness = draw_brightness(len(positions), settings.flicker, flicker_random)

    frames = np.empty((len(positions), size, size), np.float32)
    for first in range(0, len(positions), FRAMES_AT_ONCE):
        some = slice(first, first + FRAMES_AT_ONCE)
        expected = expected_photons(truth, positions[some], probe, settings.fresnel_number)
        expected = brightness[some, None, None] * expected + settings.background
        frames[some] = mask * (noise_random.poisson(expected) if settings.noise else expected)
    return Dataset(
        frames=frames,
        positions=positions + errors,
        probe=guess.astype(np.complex64),
        mask=mask,
        object_shape=shape,
        energy=settings.energy,
        detector_distance=settings.detector_distance,
        detector_pixel_size=settings.detector_pixel_size,
        propagation=settings.propagation,
        source_distance=settings.source_distance,
        truth=truth.astype(np.complex64),
        true_positions=positions if errors.any() else None,
        true_probe=None if guess is probe else probe.astype(np.complex64),
        probe_known=settings.guess.kind != "none",
    )


def expected_photons(
    truth: np.ndarray, positions: np.ndarray, probe: np.ndarray, fresnel_number: float | None = None
) -> np.ndarray:
    """Noise-free frames (frames, N, N) float64 with the zero frequency, or the middle of a near field, in the centre.

    Parameters
    ----------
    truth : ndarray
        (H, W) complex object.
    positions : ndarray
        (frames, 2) float, pixels of the patch centres.
    probe : ndarray
        (modes, N, N) complex.
    fresnel_number : float, optional
        Of a pixel in a near field.
    """
    size = probe.shape[-1]
    propagator = Propagator(size, fresnel_number, torch.complex128)
    canvas, modes = torch.from_numpy(truth).to(torch.complex128)[None], torch.from_numpy(probe).to(torch.complex128)
    patches = extract_patches(canvas, torch.from_numpy(positions).double()[None], size)[0]
    return torch.fft.fftshift(propagator.intensity(patches, modes), dim=(-2, -1)).numpy()
