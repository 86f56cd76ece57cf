"""What deforms a whole scan, fitted together with its object and its probe.

A scan that is wider, turned, stretched or sheared carries its object with it, but inside each frame the object would
have to be as it is. What object and probe can make up for counts for nothing, so all three are solved for at
once, by Gauss-Newton steps. Two things would make every scan too wide, by up to two per cent: roots of counts, whose
mean lies below the root of the mean where photons are few, and images that have not converged. So counts themselves
are compared with their means, weighted as Poisson's law says (Fisher's scoring).
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from ptychoflow.blind.pupils import refocused
from ptychoflow.blind.search import AS_AT, plain_iteration
from ptychoflow.blind.windows import Window
from ptychoflow.iterative.refinement import deform
from ptychoflow.models.blind import Blind, subsets
from ptychoflow.models.blind_state import BlindState
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.diffraction import Propagator, incoherent_sum
from ptychoflow.physics.gauge import centre_of, with_power
from ptychoflow.physics.linearised import LEAST_PHOTONS, Change, LinearisedScan, least_squares
from ptychoflow.physics.patches import add_patches, split_positions

ENGINE_ITERATIONS = 16
"""Of the plain engine, which finds the way to where steps are straight."""
CONJUGATE_GRADIENTS = 15
"""Of a step; more of them mend what hardly shows, and follow noise."""
SHORTEST = 0.1
"""Share of a step below which no shorter one is tried."""
LARGEST = (0.03, np.radians(3.0), 0.06, 0.06)
"""Of a step, as a `Place` counts them."""
FINER, STRAIGHT = 4, 8.0
"""Samples of the object's spectrum for each independent one, and pixels round the probe's middle that are searched."""
BORDER = 8
"""Pixels round the outermost frames."""


@dataclass
class Place:
    """Where a fit is: how the scan differs from what the file says of it.

    Parameters
    ----------
    scale : float
        Logarithm of how much wider it is, the mean of both axes.
    rotation : float
        Radians by which it is turned, the mean of both axes.
    stretch : float
        Logarithm of how much more its rows are stretched than its columns.
    shear : float
        By how much rows and columns turn towards each other, radians where it is little.
    """

    scale: float = 0.0
    rotation: float = 0.0
    stretch: float = 0.0
    shear: float = 0.0

    @property
    def linear(self) -> np.ndarray:
        """Matrix (2, 2) that takes offsets of the file's positions to those there: turned after it was stretched."""
        stretched = linalg.expm(np.array([[self.stretch, self.shear], [self.shear, -self.stretch]]) / 2)
        cosine, sine = np.cos(self.rotation), np.sin(self.rotation)
        return np.exp(self.scale) * np.array([[cosine, -sine], [sine, cosine]]) @ stretched

    @classmethod
    def of(cls, linear: np.ndarray) -> "Place":
        """The place with a matrix (2, 2) of positive determinant."""
        rotation = np.arctan2(linear[1, 0] - linear[0, 1], linear[0, 0] + linear[1, 1])
        cosine, sine = np.cos(rotation), np.sin(rotation)
        stretched = np.array([[cosine, sine], [-sine, cosine]]) @ linear
        scale = np.log(np.linalg.det(linear)) / 2
        logarithm = linalg.logm(stretched * np.exp(-scale)).real
        return cls(float(scale), float(rotation), float(2 * logarithm[0, 0]), float(2 * logarithm[0, 1]))

    def positions(self, positions: np.ndarray) -> np.ndarray:
        """Positions (frames, 2) there, about their mean."""
        middle = positions.mean(axis=0)
        return middle + (positions - middle) @ self.linear.T


class GeometryFit:
    """A window of a scan whose object, probe and place are solved for.

    Parameters
    ----------
    network : Blind
        Whose plain iterations are made first.
    window : Window
        Frames and their positions.
    probe : Tensor
        (modes, n, n) complex64, where to start.
    place : Place
        Likewise.
    seed : int
        Fixes the order of the frames.
    """

    @torch.inference_mode()
    def __init__(self, network: Blind, window: Window, probe: Tensor, place: Place, seed: int) -> None:
        size = window.amplitudes.shape[-1]
        self.place, self.mask, self.propagator = place, window.mask, Propagator(size)
        self.least = LEAST_PHOTONS / float(window.scale) ** 2
        self.counts = window.amplitudes.square() + self.least
        positions = place.positions(window.positions)
        low = positions.min(axis=0) - size / 2 - BORDER
        shape = np.ceil(np.ptp(positions, axis=0)).astype(int) + size + 2 * BORDER
        self.positions = torch.from_numpy(positions - low).float()
        self.middle = self.positions.mean(dim=0)
        light = torch.where(self.mask, window.amplitudes, 0).square().sum(dim=(-2, -1)).mean()
        frames = ScanFrames(
            window.amplitudes[None], self.positions[None], self.mask[None, None], window.scale[None], self.propagator
        )
        state = BlindState.start(with_power(probe[None], light), (int(shape[0]), int(shape[1])))
        generator = torch.Generator().manual_seed(seed)
        for number in range(ENGINE_ITERATIONS):
            progress = AS_AT + (1 - AS_AT) * number / ENGINE_ITERATIONS
            order = subsets(torch.arange(len(positions)), progress, generator)
            state = plain_iteration(network, state, frames, order, progress)
        self.object, self.probe = state.objects[0], state.probes[0]

    @torch.inference_mode()
    def step(self) -> None:
        """Make a Gauss-Newton step on all that is solved for, shorter where a whole one explains photons worse."""
        scan = self._scan(self.object, self.probe, self.positions)
        scan.prepare_geometry()
        change = least_squares(scan, scan.residual(self.counts), CONJUGATE_GRADIENTS)
        asked = change.geometry[: len(LARGEST)].abs().double().numpy()
        before, share = self._misfit_of(scan), min(1.0, *(LARGEST / np.maximum(asked, 1e-12)))
        tried = self._moved(change, share)
        while self._misfit_of(self._scan(*tried)) > before and share > SHORTEST:
            share /= 2
            tried = self._moved(change, share)
        self.object, self.probe, self.positions = tried
        self.place = Place.of(self._step_of(change, share).linear @ self.place.linear)

    @torch.inference_mode()
    def misfit(self) -> float:
        """How badly the frames are explained: half their Poisson deviance, in units of the window."""
        return self._misfit_of(self._scan(self.object, self.probe, self.positions))

    @torch.inference_mode()
    def beam_centre(self) -> Tensor:
        """Middle (2,) of the beam on the detector less the pixel n // 2, (row, column) pixels.

        A tilt of the probe costs nothing where the object has the opposite one. So the object's mean, which is the
        light that goes straight on and the brightest point of its spectrum, is taken to have none.
        """
        size = self.probe.shape[-1]
        corner, _ = split_positions(self.positions, size)
        power = incoherent_sum(self.probe).expand(1, len(corner), size, size)
        (light,) = add_patches(power, corner[None], self.object.shape)
        spectrum = torch.fft.fft2(self.object * light.sqrt(), s=[FINER * length for length in light.shape])
        rows, columns = (torch.fft.fftfreq(length) * size for length in spectrum.shape)
        near = (rows[:, None].abs() < STRAIGHT) & (columns.abs() < STRAIGHT)
        row, column = np.unravel_index(int(torch.where(near, spectrum.abs(), 0).argmax()), spectrum.shape)
        # Between dark borders, so that a beam that fills its frame has a middle.
        far = torch.nn.functional.pad(torch.fft.fftshift(incoherent_sum(torch.fft.fft2(self.probe))), [size // 2] * 4)
        return centre_of(far) + torch.stack([rows[row], columns[column]])

    def _scan(self, canvas: Tensor, probe: Tensor, positions: Tensor) -> LinearisedScan:
        return LinearisedScan(canvas, probe, positions, self.mask, self.propagator, self.least)

    def _moved(self, change: Change, share: float) -> tuple[Tensor, Tensor, Tensor]:
        """Object, probe and positions after a share of a change."""
        linear = torch.from_numpy(self._step_of(change, share).linear).float()
        curved = (share * change.geometry[len(LARGEST) :].double()).tolist()
        return (
            deform(self.object + share * change.object, linear, self.middle),
            refocused(self.probe + share * change.probe, *curved),
            self.middle + (self.positions - self.middle) @ linear.T,
        )

    def _step_of(self, change: Change, share: float) -> Place:
        """What a share of a change makes of a scan."""
        return Place(*(share * change.geometry[: len(LARGEST)].double()).tolist())

    def _misfit_of(self, scan: LinearisedScan) -> float:
        """Half the Poisson deviance, Σ n ln (n / I) − n + I."""
        means = scan.amplitudes.square()
        deviance = torch.where(self.mask, self.counts * (self.counts / means).log() - self.counts + means, 0)
        return float(deviance.sum(dtype=torch.float64))
