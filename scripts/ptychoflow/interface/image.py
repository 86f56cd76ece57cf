"""A reconstructed image, as people hold it in Python."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.figures.result import reconstruction_figure
from ptychoflow.interface.scan import Scan, axes_of
from ptychoflow.metrics.doubts import doubts
from ptychoflow.reconstruction.file import Reconstruction, read_reconstruction, without_mean_phase, write_reconstruction
from ptychoflow.reconstruction.pictures import illuminated_area
from ptychoflow.reconstruction.scoring import own_scores, score


@dataclass(frozen=True, eq=False, repr=False)
class Image:
    """An image of the sample, and what was found beside it: what `ptychoflow.reconstruct` gives.

    Parameters
    ----------
    reconstruction : Reconstruction
        As the library and its files have it.
    """

    reconstruction: Reconstruction

    @property
    def object(self) -> np.ndarray:
        """(H, W) complex64, dimensionless transmission; its mean phase over `illuminated` is free, and zero here."""
        return without_mean_phase(self.reconstruction.object, self.illuminated).astype(np.complex64)

    @property
    def amplitude(self) -> np.ndarray:
        """(H, W) float32, dimensionless; it means something where `illuminated`."""
        return np.abs(self.reconstruction.object)

    @property
    def phase(self) -> np.ndarray:
        """(H, W) float32, radians from −π to π about its mean; it means something where `illuminated`."""
        return np.angle(self.object)

    @cached_property
    def illuminated(self) -> np.ndarray:
        """(H, W) bool, where the scan lit the sample well: what is drawn and scored."""
        return illuminated_area(self.reconstruction)

    @property
    def probe(self) -> np.ndarray:
        """(modes, N, N) complex64, Σ|P|² = photons in the empty beam."""
        return self.reconstruction.probe

    @property
    def positions(self) -> np.ndarray:
        """(frames, 2) float64, (row, column) pixels of the patch centres in the object frame."""
        return self.reconstruction.positions

    @property
    def pixel_size(self) -> float:
        """Metres at the sample."""
        return self.reconstruction.pixel_size

    @property
    def background(self) -> float:
        """Photons in each pixel that are no diffraction."""
        return self.reconstruction.background

    @property
    def amplitude_deviation(self) -> np.ndarray | None:
        """(H, W) float32, standard deviation of the amplitude, where ``uncertainty=True`` asked for it."""
        return self.reconstruction.amplitude_deviation

    @property
    def phase_deviation(self) -> np.ndarray | None:
        """(H, W) float32, standard deviation of the phase in radians, where ``uncertainty=True`` asked for it."""
        return self.reconstruction.phase_deviation

    @property
    def deviance(self) -> float | None:
        """Poisson deviance per pixel of frames that were held out; None where none were, or no record tells it."""
        return self.provenance.get("held_out_deviance")

    @property
    def expected_deviance(self) -> float | None:
        """Deviance that photon noise alone would leave: a perfect model's."""
        return self.provenance.get("expected_deviance")

    @property
    def misfit(self) -> float | None:
        """Deviance as a share of a perfect model's: 1 at best; beyond 1.5 something in the model is wrong."""
        if self.deviance is None or not self.expected_deviance:
            return None
        return self.deviance / self.expected_deviance

    @property
    def warnings(self) -> list[str]:
        """What is doubtful about the image, a sentence each, and before it about the scan that it was made of."""
        made_of = self.provenance.get("data")
        scans = made_of.get("warnings", []) if isinstance(made_of, dict) else []
        return [*scans, *self.provenance.get("warnings", [])]

    @property
    def provenance(self) -> dict[str, Any]:
        """What made it: data, network, settings, seed and code, as plain containers."""
        return self.reconstruction.provenance

    def plot(self, scan: Scan | None = None) -> np.ndarray:
        """Draw amplitude and phase over micrometres.

        Parameters
        ----------
        scan : Scan, optional
            What it was made of; where that has a true object, it and the difference are drawn beside the image.

        Returns
        -------
        ndarray
            (2,) or (2, 3) of matplotlib's axes, whose ``figure`` saves or changes the picture.
        """
        dataset = None if scan is None else scan.dataset
        figure = reconstruction_figure(self.reconstruction, dataset)
        return axes_of(figure.axes, (2,) if dataset is None or dataset.truth is None else (2, 3))

    def scores(self, scan: Scan) -> dict[str, float | int | None]:
        """Scores of the image by the scan that it was made of, as docs/scores.md describes them.

        Raises
        ------
        InputError
            Where image and scan do not belong together.
        """
        return score(self.reconstruction, scan.dataset)[0]

    def as_tuple(self) -> tuple[np.ndarray, np.ndarray, dict[str, Any]]:
        """Give amplitude, phase and all else that was found, as reconstructors of other programs give them.

        Returns
        -------
        amplitude : ndarray
            (H, W) float32.
        phase : ndarray
            (H, W) float32, radians.
        results : dict
            ``object``, ``probe``, ``positions``, ``pixel_size`` (metres), ``illuminated``, ``background`` (photons),
            ``deviance``, ``expected_deviance``, ``warnings`` and ``provenance``.
        """
        names = ("object", "probe", "positions", "pixel_size", "illuminated", "background", "deviance")
        results = {name: getattr(self, name) for name in (*names, "expected_deviance", "warnings", "provenance")}
        return self.amplitude, self.phase, results

    def save(self, path: str | Path) -> None:
        """Write it as the workflow's reconstruction.h5, whole or not at all; `ptychoflow.load` reads it."""
        write_reconstruction(Path(path), self.reconstruction)

    def __repr__(self) -> str:
        rows, columns = self.reconstruction.object.shape
        fit = "" if self.misfit is None else f", misfit {self.misfit:.3g}"
        doubted = f", {len(self.warnings)} warnings" if self.warnings else ""
        return f"<Image of {rows}×{columns} pixels of {1e9 * self.pixel_size:.4g} nm{fit}{doubted}>"


def load(path: str | Path) -> Image:
    """Read an image: a file that `Image.save` wrote, or any reconstruction.h5 of the workflow.

    Raises
    ------
    InputError
        Where it is none.
    """
    return Image(read_reconstruction(Path(path)))


def judged(reconstruction: Reconstruction, dataset: Dataset) -> tuple[Image, list[str]]:
    """An image whose record has its deviance and what is doubtful about it, and those doubts."""
    scores = own_scores(reconstruction, dataset)
    sentences = doubts(scores)
    record = {
        "held_out_deviance": scores["deviance"],
        "expected_deviance": scores["expected_deviance"],
        "explained_share": scores["explained_share"],
        "warnings": sentences,
    }
    return Image(replace(reconstruction, provenance=reconstruction.provenance | record)), sentences
