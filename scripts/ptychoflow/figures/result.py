"""Pictures of a reconstruction, for a page or a screen: each function draws one matplotlib figure."""

import csv
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.position_axes import turned_dataset
from ptychoflow.dataset.scan_shape import empty_beam
from ptychoflow.errors import InputError
from ptychoflow.figures.drawing import (
    AMPLITUDE_COLOURS,
    ERROR_COLOURS,
    PHASE_COLOURS,
    Extent,
    add_scale_bar,
    extent_of,
    phase_scale,
    show_map,
    show_phase,
)
from ptychoflow.files import replacing
from ptychoflow.metrics.alignment import align, between_probes
from ptychoflow.metrics.resolution import RingCorrelation
from ptychoflow.provenance.embedded import picture_metadata
from ptychoflow.reconstruction.ensemble import Ensemble
from ptychoflow.reconstruction.file import Reconstruction, without_mean_phase
from ptychoflow.reconstruction.pictures import REPRODUCIBLE, box_of, check_formats, drawn_by, illuminated_area, lit_box


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
        with replacing(path) as temporary, plt.rc_context(REPRODUCIBLE):
            metadata = picture_metadata(path.suffix, provenance)
            figure.savefig(temporary, dpi=150, metadata=metadata, bbox_inches="tight")
    plt.close(figure)


def reconstruction_figure(
    reconstruction: Reconstruction, dataset: Dataset | None = None, unwrap: bool = False
) -> Figure:
    """Draw amplitude and phase, beside truth and error where the true object is known.

    Parameters
    ----------
    reconstruction : Reconstruction
        What is drawn.
    dataset : Dataset, optional
        What it was made from, if that is at hand.
    unwrap : bool
        Whether phases are drawn without jumps of a turn, the points marked round which none can be.
    """
    if dataset is not None:
        dataset = turned_dataset(dataset, reconstruction.orientation)
    area, box = illuminated_area(reconstruction), lit_box(reconstruction)
    corner = box[0].start, box[1].start
    extent = extent_of(area[box].shape, reconstruction.pixel_size, corner)
    image = reconstruction.object
    if dataset is None or dataset.truth is None:
        turned = without_mean_phase(image, area)
        figure, axes = plt.subplots(1, 2, figsize=(10, 4.5), layout="constrained")
        amplitude = np.abs(turned)
        limits = tuple(np.percentile(amplitude[area], [0.5, 99.5]))
        show_map(axes[0], amplitude[box], extent, "amplitude", AMPLITUDE_COLOURS, limits)
        show_phase(axes[1], np.angle(turned)[box], area[box], extent, "phase", unwrap)
        return figure
    if image.shape != dataset.truth.shape:
        raise InputError(
            f"the reconstruction has {image.shape} pixels: expected the {dataset.truth.shape} of the dataset's object"
        )
    truth, lit = dataset.truth[box], area[box]
    aligned = align(image, dataset.truth, area, *between_probes(reconstruction.probe, dataset.reference_probe))[box]
    figure, axes = plt.subplots(2, 3, figsize=(13, 8), layout="constrained")
    limits = tuple(np.percentile(np.abs(truth)[lit], [0.1, 99.9]))
    for axis, part, name in ((axes[0, 0], aligned, "reconstructed"), (axes[0, 1], truth, "true")):
        show_map(axis, np.abs(part), extent, f"{name} amplitude", AMPLITUDE_COLOURS, limits)
    error = np.abs(np.abs(aligned) - np.abs(truth))
    show_map(axes[0, 2], error, extent, "error of the amplitude", ERROR_COLOURS, (0, (limits[1] - limits[0]) / 4))
    limits = show_phase(axes[1, 1], np.angle(truth), lit, extent, "true phase", unwrap)
    show_phase(axes[1, 0], np.angle(aligned), lit, extent, "reconstructed phase", unwrap, like=np.angle(truth))
    error = np.abs(np.angle(aligned * truth.conj()))
    show_map(axes[1, 2], error, extent, "error of the phase", ERROR_COLOURS, (0, (limits[1] - limits[0]) / 4), "rad")
    # What is scored lies inside this line.
    for axis in axes.flat:
        axis.contour(lit, [0.5], colors="tab:orange", linewidths=0.7, extent=extent, origin="upper")
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
    extent = extent_of(modes.shape[1:], reconstruction.pixel_size)
    figure, axes = plt.subplots(2, len(modes), figsize=(4 * len(modes), 7.6), squeeze=False, layout="constrained")
    shares = (np.abs(modes) ** 2).sum(axis=(1, 2)) / (np.abs(modes) ** 2).sum()
    for number, (mode, amplitude, phase) in enumerate(zip(modes, *axes, strict=True)):
        light = amplitude.imshow(np.abs(mode), cmap="viridis", vmin=0, vmax=peak, extent=extent)
        amplitude.set_title(f"mode {number + 1}: amplitude, {shares[number]:.0%} of the light", fontsize=9)
        angle = _show_probe_phase(phase, mode, peak, extent)
        phase.set_title("phase", fontsize=9)
        for axis in (amplitude, phase):
            axis.set(xlabel="x [µm]", ylabel="y [µm]")
            add_scale_bar(axis)
    figure.colorbar(light, ax=axes[0], label="√photons")
    figure.colorbar(angle, ax=axes[1], label="rad")
    return figure


def _show_probe_phase(axis: Axes, mode: np.ndarray, peak: float, extent: Extent) -> AxesImage:
    # Where there is no light the phase means nothing: it fades out.
    faded = np.abs(mode) / peak
    return axis.imshow(np.angle(mode), cmap=PHASE_COLOURS, vmin=-np.pi, vmax=np.pi, alpha=faded, extent=extent)


def scan_figure(reconstruction: Reconstruction) -> Figure:
    """Draw the scan positions over the light that the object received."""
    figure, axis = plt.subplots(figsize=(6, 5), layout="constrained")
    extent = extent_of(reconstruction.coverage.shape, reconstruction.pixel_size)
    image = axis.imshow(reconstruction.coverage, cmap="magma", extent=extent)
    figure.colorbar(image, label="overlap (one frame's peak = 1)")
    held_out = reconstruction.held_out
    trained = np.zeros_like(held_out) if reconstruction.trained is None else reconstruction.trained
    # A position is that of a pixel's middle.
    places = 1e6 * reconstruction.pixel_size * (reconstruction.positions + 0.5)
    kinds = (~held_out & ~trained, "lightgreen", "used"), (trained, "cyan", "used, and trained on")
    for frames, colour, label in (*kinds, (held_out, "white", "held out")):
        chosen = places[frames]
        if len(chosen):
            axis.plot(
                chosen[:, 1], chosen[:, 0], ".", markersize=2, color=colour, label=f"{len(chosen)} frames {label}"
            )
    axis.set(xlabel="x [µm]", ylabel="y [µm]", title="scan positions and overlap")
    add_scale_bar(axis)
    axis.legend(loc="upper right", fontsize=8)
    return figure


def dataset_figure(dataset: Dataset) -> Figure:
    """Draw what a scan was measured with: its positions in their order, photons, mean frame, and the probe."""
    figure, axes = plt.subplots(2, 3, figsize=(13, 8), layout="constrained")
    (scan, photons, mean), (field, amplitude, phase) = axes
    rows, columns = 1e6 * dataset.pixel_size * (dataset.positions.T + 0.5)
    extent = extent_of(dataset.probe.shape[1:], dataset.pixel_size)
    scan.plot(columns, rows, color="lightgray", linewidth=0.5)
    points = scan.scatter(columns, rows, c=range(len(rows)), s=4)
    scan.set(xlabel="x [µm]", ylabel="y [µm]", title="positions", aspect="equal")
    scan.invert_yaxis()
    figure.colorbar(points, ax=scan, label="frame", shrink=0.8)
    photons.plot(dataset.frames[:, dataset.mask].sum(axis=1), linewidth=0.8)
    photons.set(xlabel="frame", ylabel="photons", ylim=(0, None), title="photons in a frame")
    average = np.where(dataset.mask, dataset.frames.mean(axis=0), np.nan)
    empty = empty_beam(dataset.probe)
    top = np.log10(1 + max(np.nanmax(average), empty.max()))
    for axis, intensity, title in ((mean, average, "mean frame"), (field, empty, "the probe's far field")):
        image = axis.imshow(np.log10(1 + intensity), cmap="magma", vmin=0, vmax=top)
        axis.set(title=title, xlabel="detector column [pixels]", ylabel="detector row [pixels]")
        figure.colorbar(image, ax=axis, label="log10(1 + photons)", shrink=0.8)
    light = np.sqrt((np.abs(dataset.probe) ** 2).sum(axis=0))
    image = amplitude.imshow(light, cmap="viridis", vmin=0, extent=extent)
    amplitude.set_title("probe: amplitude of all modes")
    figure.colorbar(image, ax=amplitude, label="√photons", shrink=0.8)
    image = _show_probe_phase(phase, dataset.probe[0], np.abs(dataset.probe[0]).max(), extent)
    phase.set_title("phase of the first mode")
    figure.colorbar(image, ax=phase, label="rad", shrink=0.8)
    for axis in (amplitude, phase):
        axis.set(xlabel="x [µm]", ylabel="y [µm]")
        add_scale_bar(axis)
    return figure


def uncertainty_figure(ensemble: Ensemble) -> Figure:
    """Draw an ensemble's mean, the deviation of its members, and how that compares with their error."""
    box = box_of(ensemble.area)
    extent = extent_of(ensemble.area[box].shape, ensemble.pixel_size, (box[0].start, box[1].start))
    known = np.isfinite(ensemble.found).all()
    figure, axes = plt.subplots(2, 3 if known else 2, figsize=(14 if known else 9.5, 8), layout="constrained")
    turned = without_mean_phase(ensemble.object, ensemble.area)
    (phase_limits, phase_colours), amplitude = phase_scale(np.angle(turned)[ensemble.area]), np.abs(turned)
    amplitude_limits = tuple(np.percentile(amplitude[ensemble.area], [0.5, 99.5]))
    parts = (
        ("amplitude", "", amplitude, amplitude_limits, AMPLITUDE_COLOURS, ensemble.amplitude_deviation),
        ("phase", "rad", np.angle(turned), phase_limits, phase_colours, ensemble.phase_deviation),
    )
    for row, (name, unit, image, ends, colours, deviation) in enumerate(parts):
        show_map(axes[row, 0], image[box], extent, f"mean {name}", colours, ends, unit)
        limits = (0, np.percentile(deviation[ensemble.area], 99.5))
        show_map(axes[row, 1], deviation[box], extent, f"deviation of the {name}", ERROR_COLOURS, limits, unit)
        if known:
            axis = axes[row, 2]
            axis.plot(ensemble.predicted[row], ensemble.found[row], "o-", label="tenths of the image")
            largest = max(ensemble.predicted[row].max(), ensemble.found[row].max())
            axis.plot([0, largest], [0, largest], "--", color="gray", label="as it says")
            of = f"{name} [{unit}]" if unit else name
            axis.set(xlabel=f"deviation of the {of} over seeds", ylabel=f"error of the {of}")
            axis.legend()
            axis.grid(alpha=0.3)
    return figure
