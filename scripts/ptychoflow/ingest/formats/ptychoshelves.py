"""Pairs ``*_dp.hdf5`` and ``*_para.hdf5``: those of PtychoShelves and fold_slice, and those of pty-chi's examples.

fold_slice keeps ``ppX`` and ``ppY`` in metres, the wavelength ``lambda`` and the pixel ``dx`` at the sample; pty-chi
``probe_position_{x,y}_m``, ``probe`` and the pixel with ``object``. Both read rows along y and columns along x.
"""

from ptychoflow.dataset.raw_scan import RawScan
from ptychoflow.ingest.formats.coordinates import paired_axes
from ptychoflow.ingest.formats.hdf5_source import HDF5Source, companion_path, hdf5_source, unless_stated
from ptychoflow.physics.geometry import energy_of
from ptychoflow.settings.ingest import IngestSettings


def read_ptychoshelves(source: HDF5Source, settings: IngestSettings) -> RawScan:
    """Read frames of the first file and all else of the second, ``…_para.hdf5`` beside ``…_dp.hdf5``."""
    frames = source.frames("dp")
    usual = source.path.name.replace("_dp.", "_para.") if "_dp." in source.path.name else ""
    with hdf5_source(companion_path(source.path, settings.companion, usual)) as second:
        names = ("ppX", "ppY") if "ppX" in second else ("probe_position_x_m", "probe_position_y_m")
        columns, rows = (second.real(name).reshape(-1) for name in names)
        return RawScan(
            frames=frames,
            positions=paired_axes(rows, columns, len(frames)),
            positions_unit="metres",
            probe=second.probe("probe"),
            energy=unless_stated(settings.stated_energy, lambda: _energy(second)),
            detector_distance=unless_stated(settings.detector_distance, lambda: second.number("detector_distance")),
            companion=second.path,
            pixel_size=second.number("dx") or second.attribute_number("object", "pixel_height_m"),
        )


def _energy(second: HDF5Source) -> float | None:
    wavelength = second.number("lambda")
    return energy_of(wavelength) if wavelength else second.number("energy", unit="kev")
