"""The image on its way, as two pictures that get better: seconds after the start there is something to look at."""

import logging
import time
from pathlib import Path

from ptychoflow.blind.reconstruction import as_reconstruction
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.reconstruction.pictures import save_images

log = logging.getLogger(__name__)

SHARE = 0.05
"""Most time that pictures may take, over the time that has gone."""


class Preview:
    """Draws what `BlindReconstruction` has, after the first iteration and then as often as costs little.

    Parameters
    ----------
    folder : Path
        For ``preview_amplitude.png`` and ``preview_phase.png``; their metadata have the iteration.
    """

    def __init__(self, folder: Path) -> None:
        self.amplitude, self.phase = folder / "preview_amplitude.png", folder / "preview_phase.png"
        self.began, self.spent = time.monotonic(), 0.0

    def __call__(self, solving: BlindReconstruction) -> None:
        """Draw the image of an iteration, where one is due."""
        began = time.monotonic()
        if self.spent > SHARE * (began - self.began):
            return
        image = as_reconstruction(solving.result(), solving.dataset.pixel_size)
        image.provenance = {"result": "preview", "iterations": len(solving.history)}
        save_images(image, self.amplitude, self.phase)
        if not self.spent:
            log.info("first pictures, which get better on the way: %s and %s", self.amplitude, self.phase)
        self.spent += time.monotonic() - began

    def remove(self) -> None:
        """Take the pictures away, once the final ones are there."""
        for picture in (self.amplitude, self.phase):
            picture.unlink(missing_ok=True)
