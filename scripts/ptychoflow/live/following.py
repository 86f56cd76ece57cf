"""Follow a growing file, and keep the pictures of a live reconstruction up to date.

Nothing here imports Lightning, scipy or matplotlib: that alone would take longer than the first picture may.
"""

import json
import logging
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image, PngImagePlugin

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.growing import GrowingScan
from ptychoflow.errors import InputError
from ptychoflow.files import replacing
from ptychoflow.live.network import GrowingFrame, Seen
from ptychoflow.provenance.embedded import DESCRIPTION, from_hdf5_attributes
from ptychoflow.reconstruction.file import Reconstruction, without_mean_phase

log = logging.getLogger(__name__)

FIRST_FRAMES = 64
"""Frames that are enough for the first picture."""
ENOUGH_FRAMES = 256
"""New frames that are not waited with until a picture is due."""
POLL = 0.02
"""Seconds between two looks into the file."""
AMPLITUDE, PHASE = "reconstructed_amplitude.png", "reconstructed_phase.png"


class Live(Protocol):
    """An image that frames are added to."""

    seen: Seen
    frame: GrowingFrame
    device: torch.device
    most_frames: int
    """That are taken in at once."""

    @property
    def begun(self) -> bool:
        """Whether there is something to draw."""

    @property
    def shown(self) -> Any:
        """The image as it is, with ``object`` (H, W) complex64 and ``coverage`` (H, W) float32."""

    def improve(self) -> bool:
        """Use the time in which no frame comes; tells whether there was any use for it."""

    def add(self, frames: np.ndarray, positions: np.ndarray) -> None:
        """Take in frames (frames, N, N) float32 at positions (frames, 2) float64."""


class Watch(ABC):
    """Reconstructs a scan while it comes in.

    Parameters
    ----------
    scan : GrowingScan
        The scan.
    output : Path
        Folder of the pictures.
    live : Live
        The image, of no frame yet.
    record : dict
        What the pictures say of the network.
    """

    def __init__(self, scan: GrowingScan, output: Path, live: Live, record: dict[str, Any]) -> None:
        self.started = time.monotonic()
        self.scan, self.output, self.live, self.record = scan, output, live, record
        self.mask = scan.mask
        self.used: list[np.ndarray] = []
        self.read, self.drawn = 0, -np.inf

    def follow(self, every: float, timeout: float) -> str:
        """Reconstruct until the frames end, which the return value tells the reason of.

        Parameters
        ----------
        every : float
            Seconds between two pictures.
        timeout : float
            Seconds without a new frame after which the scan is taken for ended.
        """
        planned, available, newest, changed = self.scan.planned, 0, time.monotonic(), False
        with _asked_to_stop() as asked:
            while True:
                before, available = available, available if asked else self.scan.available()
                now, waiting = time.monotonic(), available - self.read
                newest = now if available > before else newest
                reason = None
                if asked:
                    reason = "asked to stop"
                elif planned is not None and available >= planned:
                    reason = "all planned frames"
                elif now - newest > timeout:
                    reason = f"no new frame for {timeout:g} s"
                if waiting and (reason or now - self.drawn >= every or waiting >= ENOUGH_FRAMES):
                    self._add(min(waiting, self.live.most_frames if self.used else FIRST_FRAMES))
                    changed = True
                elif reason:
                    if changed and self.live.begun:
                        self._draw()  # the last frames too are seen at once, whatever is made of all of them then
                    return reason
                elif self.live.improve():
                    changed = True
                else:
                    time.sleep(POLL)
                if changed and self.live.begun and time.monotonic() - self.drawn >= every:
                    self._draw()
                    changed = False

    def _add(self, count: int) -> None:
        frames, positions = self.scan.read(self.read, self.read + count)
        frames = np.where(self.mask, frames, 0)
        lit = (frames >= 0).all(axis=(1, 2)) & frames.any(axis=(1, 2)) & np.isfinite(positions).all(axis=1)
        if not lit.all():
            log.warning("%d frames hold no photons, or less, and are left out", np.count_nonzero(~lit))
        if lit.any():
            self.live.add(frames[lit], positions[lit])
        self.used.append(self.read + np.flatnonzero(lit))
        self.read += count

    @property
    def frames_used(self) -> int:
        """Frames with photons so far, those that are held out among them."""
        return sum(map(len, self.used))

    def _draw(self) -> None:
        self.drawn = time.monotonic()
        frames = self.frames_used
        provenance = {"result": "live picture", "frames": frames, "data_file": str(self.scan.path), **self.record}
        draw_live(self.live, self.output / AMPLITUDE, self.output / PHASE, provenance)
        log.info("%d frames, %.2f s", frames, time.monotonic() - self.started)

    def dataset(self) -> Dataset:
        """Everything that has come in, as one scan.

        Raises
        ------
        InputError
            Where that is no frame, or there is something that no dataset may hold.
        """
        if not self.frames_used:
            raise InputError(f"{self.scan.path} has no frame with photons: expected some before the time was over")
        frames, positions = self.scan.read(0, self.read)
        used = np.concatenate(self.used)
        return Dataset(
            frames=np.where(self.mask, frames, 0)[used],
            positions=positions[used] + self.live.frame.origin.numpy(),
            probe=self.probe(),
            probe_known=self.probe_known,
            mask=self.mask,
            object_shape=self.live.frame.shape,
            provenance=from_hdf5_attributes(self.scan.file.attrs),
            **self.scan.geometry,
        ).validate(str(self.scan.path))

    probe_known = True

    @abstractmethod
    def probe(self) -> np.ndarray:
        """The probe (modes, N, N) complex64 that stands in the dataset."""

    @abstractmethod
    def whole(self) -> Reconstruction:
        """Reconstruct all frames once more, all together, as reconstruct.py does."""

    @abstractmethod
    def running(self) -> Reconstruction:
        """Give the image as it stands."""


def draw_live(live: Live, amplitude: Path, phase: Path, provenance: dict[str, Any]) -> None:
    """Draw the whole frame of the object as grey PNG pictures, one image pixel for each object pixel.

    Parameters
    ----------
    live : Live
        What to draw; where no light has fallen yet, the pictures are black.
    amplitude, phase : Path
        Pictures to write, each whole or not at all.
    provenance : dict
        What goes into the pictures.
    """
    shown = live.shown
    image, coverage = shown.object.cpu().numpy(), shown.coverage.cpu().numpy()
    lit = coverage > 0.1 * np.median(coverage[coverage > 1e-3 * coverage.max()])
    turned = without_mean_phase(image, lit)
    text = PngImagePlugin.PngInfo()
    text.add_text(DESCRIPTION, json.dumps(provenance))
    for path, values in ((amplitude, np.abs(image)), (phase, np.angle(turned))):
        low, high = np.percentile(values[lit], [0.5, 99.5])
        grey = np.clip((values - low) / max(high - low, 1e-6), 0, 1) * 254 + 1
        with replacing(path) as temporary:
            Image.fromarray(np.where(lit, grey, 0).astype(np.uint8)).save(temporary, pnginfo=text)


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """Give a list that is empty until the process is asked to end; it then ends with what it has."""
    asked: list[int] = []
    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, lambda number, _: asked.append(number)) for kind in kinds]
    try:
        yield asked
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
