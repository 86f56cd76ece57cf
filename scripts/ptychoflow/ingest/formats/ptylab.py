"""PtyLab's HDF5 (conventional ptychography): ``ptychogram``, ``encoder`` (row, column) and geometry, all in metres.

Files to start from have no probe; PtyLab starts from a disk of ``entrancePupilDiameter``, and so does this reader.
"""

import numpy as np

from ptychoflow.dataset.raw_scan import RawScan
from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.coordinates import places
from ptychoflow.ingest.formats.hdf5_source import HDF5Source, unless_stated
from ptychoflow.ingest.formats.probes import probe_modes
from ptychoflow.physics.geometry import energy_of
from ptychoflow.settings.ingest import IngestSettings


def read_ptylab(source: HDF5Source, settings: IngestSettings) -> RawScan:
    """Read a file to start from, or one that PtyLab wrote with its probe (wavelengths, 1, modes, slices, N, N)."""
    frames = source.frames("ptychogram")
    encoder = places(source.real("encoder"), len(frames), "key encoder")
    orientation = source.number("orientation")
    if orientation not in (None, 0.0) and settings.orientation == "as_stored":
        raise InputError(
            f"orientation is {orientation:g}, whose meaning differs between versions of PtyLab: expected the setting "
            "orientation"
        )
    return RawScan(
        frames=frames,
        positions=encoder,
        positions_unit="metres",
        probe=_probe(source) if "probe" in source else None,
        energy=unless_stated(settings.stated_energy, lambda: _energy(source)),
        detector_distance=unless_stated(settings.detector_distance, lambda: source.number("zo")),
        detector_pixel_size=unless_stated(settings.detector_pixel_size, lambda: source.number("dxd")),
        probe_diameter=source.number("entrancePupilDiameter"),
    )


def _energy(source: HDF5Source) -> float | None:
    wavelength = source.number("wavelength")
    return energy_of(wavelength) if wavelength else None


def _probe(source: HDF5Source) -> np.ndarray:
    probe = source.array("probe")
    if probe.ndim == 6:
        if probe.shape[0] != 1:
            raise InputError(f"the probe has {probe.shape[0]} wavelengths: expected one")
        probe = probe[0, 0, :, 0]
    return probe_modes(probe)
