"""CXI of other tools: CXIDB and cdtools, Ptychodus, and NXcxi_ptycho, the application definition of NeXus.

CXI's translation is that of the sample (Maia, Nat. Methods 9, 854, 2012), so the light wanders over it against the
translation; and the detector's basis vectors, by default (0, −p, 0) along a column and (−p, 0, 0) along a row, point
against y and x. Both together, rows rise with y and columns with x.
"""

import numpy as np

from ptychoflow.dataset.cxi import DETECTOR, SOURCE, TRANSLATION
from ptychoflow.dataset.raw_scan import RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.coordinates import paired_axes, places
from ptychoflow.ingest.formats.hdf5_access import HDF5Frames
from ptychoflow.ingest.formats.hdf5_source import HDF5Source, companion_path, hdf5_source, unless_stated
from ptychoflow.physics.geometry import energy_of
from ptychoflow.settings.ingest import IngestSettings

BEAM = "entry_1/instrument_1/beam_1"
MOTORS = "entry_1/sample_1/transformations"
TRANSLATIONS = ("entry_1/data_1/translation", TRANSLATION, f"{DETECTOR}/translation")
HAS_SIGNAL = 0x1000
"""The one bit of a CXI mask that marks a good pixel."""
PHOTON_ENERGIES = (1.0, 1e7)
"""Electronvolts; what is outside is the energy of a machine, or in other units than it says."""


def read_cxi(source: HDF5Source, settings: IngestSettings) -> RawScan:
    """Read frames, positions, mask, dark frames and geometry, and a probe if there is one.

    Positions and probe may stand in a second file, as Ptychodus writes ``diffraction.cxi`` and ``product.cxi``.
    """
    key = source.first("entry_1/data_1/data", f"{DETECTOR}/data")
    if key is None:
        raise InputError(f"key {DETECTOR}/data is missing: expected frames (frames, H, W)")
    frames = source.frames(key)
    alone = source.first(*TRANSLATIONS) is not None or MOTORS in source
    if settings.companion is None and alone:
        return _scan(source, source, frames, settings)
    with hdf5_source(companion_path(source.path, settings.companion, "product.cxi")) as second:
        return _scan(source, second, frames, settings)


def _scan(source: HDF5Source, second: HDF5Source, frames: HDF5Frames, settings: IngestSettings) -> RawScan:
    basis, pixel = _basis(source, settings.detector_pixel_size)
    mask = None
    if f"{DETECTOR}/mask" in source:
        mask = _good(source, f"{DETECTOR}/mask", frames.shape[1:])
    return RawScan(
        frames=frames,
        positions=-_translation(second, frames, settings.positions.unit) @ basis,
        positions_unit="metres",
        probe=_probe(second, frames.shape[1:]),
        good=mask,
        dark=source.real(f"{DETECTOR}/data_dark") if f"{DETECTOR}/data_dark" in source else None,
        energy=unless_stated(settings.stated_energy, lambda: _energy(source) or _energy(second)),
        detector_distance=unless_stated(settings.detector_distance, lambda: _distance(source) or _distance(second)),
        detector_pixel_size=pixel,
        companion=None if second is source else second.path,
    )


def _basis(source: HDF5Source, stated: float | None) -> tuple[np.ndarray, float | None]:
    """Directions of rising rows and columns, (3, 2), and the pixel of the detector in metres."""
    directions = np.array([[0.0, -1.0], [-1.0, 0.0], [0.0, 0.0]])
    keys = [f"{DETECTOR}/{axis}_pixel_size" for axis in "yx"]
    sizes = [unless_stated(stated, lambda key=key: source.number(key)) for key in keys]
    if f"{DETECTOR}/basis_vectors" in source:
        vectors = source.real(f"{DETECTOR}/basis_vectors")
        vectors = vectors.T if vectors.shape == (2, 3) else vectors
        lengths = np.linalg.norm(vectors, axis=0) if vectors.shape == (3, 2) else np.zeros(2)
        if not (lengths > 0).all():
            raise InputError(f"key {DETECTOR}/basis_vectors is {vectors.tolist()}: expected two vectors, (3, 2)")
        directions, sizes = vectors / lengths, [float(length) for length in lengths]
    known = [size for size in sizes if size]
    if known and max(known) > 1.001 * min(known):
        raise InputError(f"pixels of the detector measure {known[0]:g} m by {known[1]:g} m: expected square ones")
    return directions, known[0] if known else None


def _translation(source: HDF5Source, frames: HDF5Frames, unit: str) -> np.ndarray:
    """Translations of the sample, (frames, 3) metres."""
    key = source.first(*TRANSLATIONS)
    if key is None:
        return _motors(source, frames, unit)
    value = places(source.lengths(key, unit), len(frames), f"key {key}", (3, 2))
    return np.pad(value, [(0, 0), (0, 3 - value.shape[1])])


def _motors(source: HDF5Source, frames: HDF5Frames, unit: str) -> np.ndarray:
    """Translations from the motors x and y of NXcxi_ptycho, each along its own vector."""
    values, vectors = [], []
    for name, usual in (("x", (1.0, 0.0, 0.0)), ("y", (0.0, 1.0, 0.0))):
        key = f"{MOTORS}/{name}"
        if key not in source:
            raise InputError(f"key {TRANSLATION} is missing, and so is {key}: expected positions")
        values.append(source.lengths(key, unit))
        vector = np.asarray(usual if source.attribute(key, "vector") is None else source.attribute(key, "vector"))
        if vector.shape != (3,) or vector.dtype.kind not in "fiu" or not np.isfinite(vector).all():
            raise InputError(f"attribute vector of {key} is {vector}: expected three numbers")
        vectors.append(vector)
    x, y = values
    return paired_axes(y, x, len(frames), frames.raster) @ np.stack(vectors[::-1])


def _probe(source: HDF5Source, shape: tuple[int, ...]) -> np.ndarray | None:
    """Probe of Ptychodus or CXIDB; an image of other than the frames' shape is the object, not the probe."""
    for key in (f"{SOURCE}/illumination", "entry_1/image_1/data"):
        item = source.item(key)
        if item is not None and getattr(item, "shape", None) and tuple(item.shape[-2:]) == tuple(shape):
            value = source.array(key)
            if np.iscomplexobj(value):
                return source.probe(key)
    return None


def _good(source: HDF5Source, key: str, shape: tuple[int, ...]) -> np.ndarray:
    mask = source.array(key)
    if mask.dtype.kind not in "biuf" or tuple(mask.shape[-2:]) != tuple(shape):
        raise InputError(f"key {key} has dtype {mask.dtype} and shape {mask.shape}: expected {tuple(shape)} numbers")
    bad = (mask.astype(np.int64) & ~HAS_SIGNAL) != 0
    return ~bad.any(axis=tuple(range(bad.ndim - 2)))


def _energy(source: HDF5Source) -> float | None:
    """Photon energy in electronvolts: that of the beam, since NeXus keeps the machine's with the source."""
    for key in (f"{BEAM}/incident_beam_energy", f"{BEAM}/energy", f"{SOURCE}/energy"):
        energy = source.number(key, unit="j")
        if energy is not None and PHOTON_ENERGIES[0] <= energy <= PHOTON_ENERGIES[1]:
            return energy
    wavelength = source.number(f"{SOURCE}/wavelength")
    return energy_of(wavelength) if wavelength else None


def _distance(source: HDF5Source) -> float | None:
    distance = source.number(f"{DETECTOR}/distance")
    if distance is None and f"{DETECTOR}/corner_position" in source:
        corner = source.real(f"{DETECTOR}/corner_position").reshape(-1)
        distance = float(corner[2]) if len(corner) == 3 else None
    return abs(distance) if distance else None
