"""What Ptychodus calls a product, and what this library calls a dataset and a reconstruction, made of each other.

Both count x along columns and y along rows. A point at the middle of the object array is pixel (W − 1) / 2 for
Ptychodus and W / 2 here, where patches of N pixels count from N / 2 likewise.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from ptychodus.api.geometry import ImageExtent, PixelGeometry
from ptychodus.api.object import Object, ObjectCenter
from ptychodus.api.probe import ProbeSequence
from ptychodus.api.probe_positions import ProbePosition, ProbePositionSequence
from ptychodus.api.product import LossValue, Product, ProductMetadata
from ptychodus.api.propagate import compute_far_field_pixel_geometry
from ptychodus.api.reconstruct import ReconstructInput

from ptychoflow import __version__
from ptychoflow.dataset.dataset import Dataset, object_frame
from ptychoflow.errors import InputError
from ptychoflow.ingest.geometry import USUAL
from ptychoflow.physics.geometry import magnification_of, metres_from_centre, wavelength_of
from ptychoflow.reconstruction.file import Reconstruction

log = logging.getLogger(__name__)

SQUARE = 1e-6
"""Relative difference of lengths that are the same but for rounding."""
UNMOVED = 1e-3
"""Pixels by which positions may differ that were not solved for: solvers hold them in single precision."""


@dataclass
class Placed:
    """A dataset, and where the middle of its object lies among the positions of a product.

    Parameters
    ----------
    dataset : Dataset
        Validated dataset.
    centre : ObjectCenter
        Metres.
    """

    dataset: Dataset
    centre: ObjectCenter


def dataset_of(parameters: ReconstructInput) -> Placed:
    """Make a dataset of what Ptychodus hands to a reconstructor.

    It has the object frame of the product where that holds all patches, else one of its own. What the product's object
    shows is not looked at: no network here starts from one.

    Raises
    ------
    InputError
        Where patterns, probe, positions or geometry cannot be right, or nobody stated what a near field needs.
    """
    product = parameters.product
    name = product.metadata.name or "product"
    patterns, bad = np.asarray(parameters.diffraction_patterns), parameters.bad_pixels
    good = np.ones(patterns.shape[1:], bool) if bad is None else ~np.asarray(bad, dtype=bool)
    if product.probes.num_coherent_modes > 1:
        log.warning(
            "%s: the first of %d coherent modes (OPR) is taken for the probe of all frames",
            name,
            product.probes.num_coherent_modes,
        )
    if product.object_.num_layers > 1:
        log.warning("%s: one layer is solved for in place of %d", name, product.object_.num_layers)
    pixel = _pixel_of(product, name)
    positions, shape, centre = _object_frame(product, pixel, patterns.shape[-1])
    dataset = Dataset(
        # Whatever the detector wrote into bad pixels, NaN included.
        frames=np.where(good, patterns, 0).astype(np.float32),
        positions=positions,
        probe=product.probes.get_probe_no_opr().get_array().astype(np.complex64),
        mask=good,
        object_shape=shape,
        provenance={"result": "dataset", "program": "Ptychodus", "product": name},
        **_geometry_of(product.metadata, pixel, patterns.shape[-1], name),
    )
    return Placed(dataset.validate(name), centre)


def _pixel_of(product: Product, name: str) -> float:
    """Metres at the sample."""
    try:
        pixel = product.probes.get_pixel_geometry()
    except ValueError:
        raise InputError(f"{name}: the probe has no pixel size: expected one, of a product with its patterns") from None
    if not (np.isfinite(pixel.width_m) and pixel.width_m > 0) or not _same(pixel.width_m, pixel.height_m):
        raise InputError(
            f"{name}: a pixel at the sample is {pixel.width_m:g} by {pixel.height_m:g} m: expected a square"
        )
    return pixel.width_m


def _geometry_of(metadata: ProductMetadata, pixel: float, size: int, name: str) -> dict[str, Any]:
    """Energy, distance and detector of a dataset whose pixel at the sample is that of the product."""
    known = {"energy": metadata.photon_energy_eV, "detector_distance": metadata.detector_distance_m}
    missing = [key for key, value in known.items() if not (np.isfinite(value) and value > 0)]
    if metadata.far_field:
        for key in missing:
            log.warning("%s: %s is not known, and taken as %g: no image depends on it", name, key, USUAL[key])
            known[key] = USUAL[key]
        return known | {
            "detector_pixel_size": wavelength_of(known["energy"]) * known["detector_distance"] / (size * pixel)
        }
    if missing:
        raise InputError(f"{name}: {' and '.join(missing)} must be known to propagate near fields: expected it above 0")
    focus = metadata.focus_object_distance_m
    if focus > 0:
        raise InputError(
            f"{name}: focus_object_distance_m is {focus:g}, a beam that converges behind the sample: expected near "
            "fields of a parallel beam (0) or of one that diverges from a focus before it (below 0)"
        )
    source = -focus if focus else None
    return known | {
        "propagation": "near",
        "source_distance": source,
        "detector_pixel_size": pixel * magnification_of(known["detector_distance"], source),
    }


def _object_frame(product: Product, pixel: float, size: int) -> tuple[np.ndarray, tuple[int, int], ObjectCenter]:
    """Positions in pixels of an object frame, its shape, and its middle in metres."""
    places, image = product.probe_positions, product.object_
    metres = np.stack([places.get_coordinates_y_m(), places.get_coordinates_x_m()], axis=1)
    if not len(metres):
        raise InputError("the product has no positions: expected one for each pattern")
    try:
        frame = image.get_geometry()
    except ValueError:  # what has no pixel size or no middle yet
        frame = None
    if frame is not None and all(_same(pixel, edge) for edge in (frame.pixel_width_m, frame.pixel_height_m)):
        shape = (frame.height_px, frame.width_px)
        positions = (metres - [frame.center_y_m, frame.center_x_m]) / pixel + np.array(shape) / 2
        if (positions >= size / 2).all() and (positions <= np.array(shape) - size / 2).all():
            return positions, shape, frame.get_center()
    positions, shape = object_frame(metres / pixel, size)
    row, column = (metres.min(axis=0) + metres.max(axis=0)) / 2
    return positions, shape, ObjectCenter(x_m=float(column), y_m=float(row))


def _same(one: float, other: float) -> bool:
    return abs(one - other) <= SQUARE * abs(one)


def reconstructed(product: Product, placed: Placed, made: Reconstruction) -> Product:
    """Give a product with the object, the probe and, where they were solved for, the positions of a reconstruction.

    Parameters
    ----------
    product : Product
        What went in.
    placed : Placed
        What `dataset_of` made of it.
    made : Reconstruction
        What was made of that.
    """
    positions = product.probe_positions
    if np.abs(made.positions - placed.dataset.positions).max() > UNMOVED:
        metres = metres_from_centre(made.positions, made.object.shape, made.pixel_size)
        positions = _sequence(
            metres + np.array([placed.centre.y_m, placed.centre.x_m]),
            positions.get_indexes(),
            positions.get_probe_photon_counts(),
        )
    photons = product.metadata.probe_photon_count or _photons(made.probe)
    comments = "\n".join(line for line in (product.metadata.comments, described(made.provenance)) if line)
    return Product(
        metadata=replace(product.metadata, comments=comments, probe_photon_count=photons),
        probe_positions=positions,
        **_images(made.object, made.probe, made.pixel_size, placed.centre),
        losses=losses_of(made.provenance.get("deviances", [])),
    )


def described(provenance: dict[str, Any]) -> str:
    """Say in some lines what made a reconstruction, how well it explains its photons, and what is doubtful about it."""
    lines = [f"PtychoFlow {__version__}: {provenance.get('method', 'reconstruction')}"]
    if (deviance := provenance.get("held_out_deviance")) is not None:
        lines[0] += f", deviance of frames left out {deviance:.4g}"
    return "\n".join(lines + [f"Warning: {sentence}" for sentence in provenance.get("warnings", [])])


def losses_of(deviances: Iterable[float]) -> list[LossValue]:
    """Deviances of frames that were left out, as losses that count from iteration 1."""
    return [LossValue(epoch=number, value=float(value)) for number, value in enumerate(deviances, start=1)]


def product_of(
    name: str,
    image: np.ndarray,
    probe: np.ndarray,
    positions: np.ndarray,
    pixel_size: float,
    geometry: dict[str, Any],
    provenance: dict[str, Any],
) -> Product:
    """Make a product of arrays in this library's conventions.

    Parameters
    ----------
    name : str
        What Ptychodus calls it.
    image : ndarray
        (H, W) complex64, the object.
    probe : ndarray
        (modes, N, N) complex64.
    positions : ndarray
        (frames, 2) float64, pixels of the object frame.
    pixel_size : float
        Metres at the sample.
    geometry : dict
        Of the dataset, as `Dataset.geometry` gives it; empty where it is not known.
    provenance : dict
        What made it, for the comments.
    """
    metadata = ProductMetadata(
        name=name,
        comments=described(provenance) if provenance.get("result") == "reconstruction" else "",
        # Ptychodus has 0 for what is not known.
        detector_distance_m=geometry.get("detector_distance", 0.0),
        photon_energy_eV=geometry.get("energy", 0.0),
        probe_photon_count=_photons(probe),
        exposure_time_s=0.0,
        mass_attenuation_m2_per_kg=0.0,
        tomography_angle_deg=0.0,
        focus_object_distance_m=-(geometry.get("source_distance") or 0.0),
        far_field=geometry.get("propagation", "far") == "far",
    )
    pixel = _pixel_by_ptychodus(metadata, geometry, pixel_size, probe.shape[-1])
    return Product(
        metadata=metadata,
        probe_positions=_sequence(metres_from_centre(positions, image.shape, pixel), range(len(positions)), None),
        **_images(image, probe, pixel, ObjectCenter(x_m=0.0, y_m=0.0)),
        losses=losses_of(provenance.get("deviances", [])),
    )


def _pixel_by_ptychodus(metadata: ProductMetadata, geometry: dict[str, Any], pixel: float, size: int) -> float:
    """Metres at the sample by Ptychodus' own constants, which warns of a billionth that ours differ by."""
    detector = geometry.get("detector_pixel_size")
    if detector is None or not metadata.far_field:
        return pixel
    by_ptychodus = compute_far_field_pixel_geometry(
        PixelGeometry(detector, detector),
        ImageExtent(size, size),
        wavelength_m=metadata.photon_wavelength_m,
        propagation_distance_m=metadata.detector_distance_m,
    ).width_m
    return by_ptychodus if _same(pixel, by_ptychodus) else pixel


def _photons(probe: np.ndarray) -> float:
    return float(np.sum(np.abs(probe) ** 2, dtype=np.float64))


def _images(image: np.ndarray, probe: np.ndarray, pixel_size: float, centre: ObjectCenter) -> dict[str, Any]:
    pixel = PixelGeometry(width_m=pixel_size, height_m=pixel_size)
    return {
        "object_": Object(array=image, pixel_geometry=pixel, center=centre),
        "probes": ProbeSequence(array=probe, opr_weights=None, pixel_geometry=pixel),
    }


def _sequence(metres: np.ndarray, indexes: Iterable[int], photons: np.ndarray | None) -> ProbePositionSequence:
    """Positions (frames, 2) float64 of rows and columns in metres, with what belongs to each."""
    counts = [None] * len(metres) if photons is None else photons.tolist()
    places = zip(indexes, metres.tolist(), counts, strict=True)
    return ProbePositionSequence(
        [ProbePosition(int(index), column, row, probe_photon_count=count) for index, (row, column), count in places]
    )
