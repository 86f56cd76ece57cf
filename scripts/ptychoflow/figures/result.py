"""Pictures of a reconstruction, for a page or a screen: each function draws one matplotlib figure."""

import csv
import math
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.position_axes import turned_dataset
from ptychoflow.dataset.scan_shape import empty_beam
from ptychoflow.errors import InputError
from ptychoflow.files import replacing
from ptychoflow.metrics.alignment import align, between_probes
from ptychoflow.metrics.resolution import RingCorrelation
from ptychoflow.provenance.embedded import picture_metadata
from ptychoflow.reconstruction.ensemble import Ensemble
from ptychoflow.reconstruction.file import Reconstruction, without_mean_phase
from ptychoflow.reconstruction.pictures import check_formats, drawn_by, illuminated_area, lit_box

AMPLITUDE_COLOURS, PHASE_COLOURS, ERROR_COLOURS = "gray", "twilight_shifted", "magma"


def save_figure(figure: Figure, provenance: dict[str, Any], *paths: Path) -> None:
    """Save a figure in each of the formats that the suffixes name, whole or not at all, and close it.

    Parameters
    ----------
    figure : Figure
        The figure.
    provenance : dict
        What made the result that is drawn; it goes into the file.
    *paths : Path
        Where to save it, .png, .svg or .pdf.
    """
    check_formats(*paths)
    provenance = provenance | {"drawn_by": drawn_by()}
    for path in paths:
        with replacing(path) as temporary:
            metadata = picture_metadata(path.suffix, provenance)
            figure.savefig(temporary, dpi=150, metadata=metadata, bbox_inches="tight")
    plt.close(figure)


def reconstruction_figure(reconstruction: Reconstruction, dataset: Dataset | None = None) -> Figure:
    """Draw amplitude and phase, beside truth and error where a dataset is given whose true object is known."""
    if dataset is not None:
        dataset = turned_dataset(dataset, reconstruction.provenance.get("orientation", 0))
    area, box = illuminated_area(reconstruction), lit_box(reconstruction)
    image = reconstruction.object
    if dataset is None or dataset.truth is None:
        turned = without_mean_phase(image, area)
        figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
        _show(axes[0], np.abs(turned), area, box, "amplitude", AMPLITUDE_COLOURS, reconstruction)
        _show(axes[1], np.angle(turned), area, box, "phase [rad]", AMPLITUDE_COLOURS, reconstruction)
        return figure
    if image.shape != dataset.truth.shape:
        raise InputError(
            f"the reconstruction has {image.shape} pixels: expected the {dataset.truth.shape} of the dataset's object"
        )
    truth = dataset.truth
    aligned = align(image, truth, area, *between_probes(reconstruction.probe, dataset.reference_probe))
    figure, axes = plt.subplots(2, 3, figsize=(13, 8), layout="constrained")
    for row, (name, part) in enumerate((("amplitude", np.abs), ("phase [rad]", np.angle))):
        limits = tuple(np.percentile(part(truth)[area], [0.1, 99.9]))
        _show(
            axes[row, 0], part(aligned), area, box, f"reconstructed {name}", AMPLITUDE_COLOURS, reconstruction, limits
        )
        _show(axes[row, 1], part(truth), area, box, f"true {name}", AMPLITUDE_COLOURS, reconstruction, limits)
        error = np.abs(part(aligned) - part(truth)) if row == 0 else np.abs(np.angle(aligned * truth.conj()))
        _show(axes[row, 2], error, area, box, f"error of {name}", ERROR_COLOURS, reconstruction, (0, limits[1] / 4))
        # What is scored lies inside this line.
        for axis in axes[row]:
            axis.contour(
                area[box],
                [0.5],
                colors="tab:orange",
                linewidths=0.7,
                extent=_extent(box, reconstruction),
                origin="upper",
            )
    return figure


def training_figure(metrics: Path) -> Figure:
    """Draw loss and learning rate by epoch from a metrics.csv."""
    try:
        with open(metrics, newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{metrics} is no CSV table: expected metrics.csv of a training ({error})") from None
    if not rows or not {"epoch", "step"} <= rows[0].keys():
        raise InputError(f"{metrics} has no rows of epoch and step: expected metrics.csv of a training")

    def series(key: str) -> tuple[list[int], list[float]]:
        points = [(int(row["epoch"]), float(row[key])) for row in rows if row.get(key)]
        return [epoch + 1 for epoch, _ in points], [value for _, value in points]

    figure, (loss, deviance) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for axis, key, title in (
        (loss, "loss/epoch", "loss"),
        (deviance, "metrics/deviance/epoch", "Poisson deviance per pixel"),
    ):
        for mode, label in (("train", "training"), ("val", "validation")):
            epochs, values = series(f"{mode}/{key}")
            if epochs:
                axis.plot(epochs, values, marker="o", markersize=3, label=label)
        axis.set(xlabel="epoch", ylabel=title, yscale="log")
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3, which="both")
        if axis.lines:
            axis.legend()
    return figure


def correlation_figure(correlations: dict[str, RingCorrelation], title: str) -> Figure:
    """Draw Fourier ring correlations, by what was correlated with, and where they fall below their thresholds."""
    figure, axis = plt.subplots(figsize=(6, 4), layout="constrained")
    names = {"truth": "with the true object", "halves": "between halves of the frames"}
    for (name, correlation), colour in zip(correlations.items(), ("black", "tab:blue"), strict=False):
        axis.plot(correlation.frequency, correlation.correlation, color=colour, label=names.get(name, name))
        for threshold, label in (("half", "1/2"), ("half_bit", "half bit"), ("one_seventh", "1/7")):
            axis.plot(
                correlation.frequency,
                correlation.threshold(threshold),
                linestyle={"half": "--", "half_bit": "-.", "one_seventh": ":"}[threshold],
                color=colour,
                linewidth=1,
                label=f"{label}: {correlation.crossing(threshold):.2f} of Nyquist",
            )
    axis.set(
        xlabel="spatial frequency / Nyquist",
        ylabel="Fourier ring correlation",
        ylim=(-0.1, 1.05),
        xlim=(0, 1),
        title=title,
    )
    axis.grid(alpha=0.3)
    if correlations:
        axis.legend(loc="lower left", fontsize=8)
    else:
        axis.text(0.5, 0.5, "no two images that know nothing of each other,\nor no square of 16 pixels", ha="center")
    return figure


def probe_figure(reconstruction: Reconstruction) -> Figure:
    """Draw amplitude and phase of every probe mode."""
    modes = reconstruction.probe
    peak = np.abs(modes).max()
    figure, axes = plt.subplots(2, len(modes), figsize=(4 * len(modes), 7), squeeze=False, layout="constrained")
    shares = (np.abs(modes) ** 2).sum(axis=(1, 2)) / (np.abs(modes) ** 2).sum()
    for number, mode in enumerate(modes):
        image = axes[0, number].imshow(np.abs(mode), cmap="viridis", vmin=0, vmax=peak)
        axes[0, number].set_title(f"mode {number + 1}: amplitude, {shares[number]:.0%} of the light", fontsize=9)
        # Where there is no light the phase means nothing: it fades out.
        phase = axes[1, number].imshow(
            np.angle(mode), cmap=PHASE_COLOURS, vmin=-np.pi, vmax=np.pi, alpha=np.abs(mode) / peak
        )
        axes[1, number].set_title("phase", fontsize=9)
    figure.colorbar(image, ax=axes[0], label="√photons")
    figure.colorbar(phase, ax=axes[1], label="rad")
    return figure


def scan_figure(reconstruction: Reconstruction) -> Figure:
    """Draw the scan positions over the light that the object received."""
    figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
    image = axis.imshow(reconstruction.coverage, cmap="magma")
    figure.colorbar(image, label="overlap (one frame's peak = 1)")
    held_out = reconstruction.held_out
    trained = np.zeros_like(held_out) if reconstruction.trained is None else reconstruction.trained
    kinds = (~held_out & ~trained, "lightgreen", "used"), (trained, "cyan", "used, and trained on")
    for frames, colour, label in (*kinds, (held_out, "white", "held out")):
        chosen = reconstruction.positions[frames]
        if len(chosen):
            axis.plot(
                chosen[:, 1], chosen[:, 0], ".", markersize=2, color=colour, label=f"{len(chosen)} frames {label}"
            )
    axis.set(xlabel="column [pixels]", ylabel="row [pixels]", title="scan positions and overlap")
    axis.legend(loc="upper right", fontsize=8)
    return figure


def dataset_figure(dataset: Dataset) -> Figure:
    """Draw what a scan was measured with: its positions in their order, photons, mean frame, and the probe."""
    figure, axes = plt.subplots(2, 3, figsize=(13, 8), layout="constrained")
    (scan, photons, mean), (field, amplitude, phase) = axes
    rows, columns = dataset.positions.T
    scan.plot(columns, rows, color="lightgray", linewidth=0.5)
    points = scan.scatter(columns, rows, c=range(len(rows)), s=4)
    scan.set(xlabel="column [pixels]", ylabel="row [pixels]", title="positions", aspect="equal")
    scan.invert_yaxis()
    figure.colorbar(points, ax=scan, label="frame", shrink=0.8)
    photons.plot(dataset.frames[:, dataset.mask].sum(axis=1), linewidth=0.8)
    photons.set(xlabel="frame", ylabel="photons", ylim=(0, None), title="photons in a frame")
    average = np.where(dataset.mask, dataset.frames.mean(axis=0), np.nan)
    empty = empty_beam(dataset.probe)
    top = np.log10(1 + max(np.nanmax(average), empty.max()))
    for axis, intensity, title in ((mean, average, "mean frame"), (field, empty, "the probe's far field")):
        image = axis.imshow(np.log10(1 + intensity), cmap="magma", vmin=0, vmax=top)
        axis.set_title(title)
        figure.colorbar(image, ax=axis, label="log10(1 + photons)", shrink=0.8)
    light = np.sqrt((np.abs(dataset.probe) ** 2).sum(axis=0))
    image = amplitude.imshow(light, cmap="viridis", vmin=0)
    amplitude.set_title("probe: amplitude of all modes")
    figure.colorbar(image, ax=amplitude, label="√photons", shrink=0.8)
    # Where there is no light the phase means nothing: it fades out.
    first = dataset.probe[0]
    faded = np.abs(first) / np.abs(first).max()
    image = phase.imshow(np.angle(first), cmap=PHASE_COLOURS, vmin=-np.pi, vmax=np.pi, alpha=faded)
    phase.set_title("phase of the first mode")
    figure.colorbar(image, ax=phase, label="rad", shrink=0.8)
    return figure


def uncertainty_figure(ensemble: Ensemble) -> Figure:
    """Draw an ensemble's mean, the deviation of its members, and how that compares with their error."""
    rows, columns = np.nonzero(ensemble.area)
    box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    known = np.isfinite(ensemble.found).all()
    figure, axes = plt.subplots(2, 3 if known else 2, figsize=(14 if known else 9.5, 8), layout="constrained")
    turned = without_mean_phase(ensemble.object, ensemble.area)
    parts = (
        ("amplitude", np.abs(turned), ensemble.amplitude_deviation),
        ("phase [rad]", np.angle(turned), ensemble.phase_deviation),
    )
    for row, (name, image, deviation) in enumerate(parts):
        _show(axes[row, 0], image, ensemble.area, box, f"mean {name}", AMPLITUDE_COLOURS, ensemble)
        limits = (0, np.percentile(deviation[ensemble.area], 99.5))
        _show(axes[row, 1], deviation, ensemble.area, box, f"deviation of {name}", ERROR_COLOURS, ensemble, limits)
        if known:
            axis = axes[row, 2]
            axis.plot(ensemble.predicted[row], ensemble.found[row], "o-", label="tenths of the image")
            largest = max(ensemble.predicted[row].max(), ensemble.found[row].max())
            axis.plot([0, largest], [0, largest], "--", color="gray", label="as it says")
            axis.set(xlabel=f"deviation of {name} over seeds", ylabel=f"error of {name}")
            axis.legend()
            axis.grid(alpha=0.3)
    return figure


def _extent(box: tuple[slice, slice], reconstruction: Reconstruction | Ensemble) -> tuple[float, float, float, float]:
    micrometres = 1e6 * reconstruction.pixel_size
    return (
        box[1].start * micrometres,
        box[1].stop * micrometres,
        box[0].stop * micrometres,
        box[0].start * micrometres,
    )


def _show(
    axis: Axes,
    values: np.ndarray,
    area: np.ndarray,
    box: tuple[slice, slice],
    title: str,
    colours: str,
    reconstruction: Reconstruction | Ensemble,
    limits: tuple[float, float] | None = None,
) -> None:
    low, high = limits or np.percentile(values[area], [0.5, 99.5])
    if math.isclose(low, high):
        high = low + 1e-6
    image = axis.imshow(values[box], cmap=colours, vmin=low, vmax=high, extent=_extent(box, reconstruction))
    axis.set_title(title)
    axis.set(xlabel="µm", ylabel="µm")
    axis.figure.colorbar(image, ax=axis, shrink=0.8)
