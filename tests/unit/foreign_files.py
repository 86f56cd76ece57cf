"""Small scans written as other tools write them, for the tests of their readers."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import h5py
import hdf5plugin
import numpy as np
import tifffile
import zarr
from scipy import constants
from scipy.io import savemat

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.settings.ingest import IngestSettings, PathSettings

BAD = 2**32 - 1
"""What an Eiger detector counts on a pixel that is bad."""


def energy_in_joules(dataset: Dataset) -> float:
    return dataset.energy * constants.e


def wavelength(dataset: Dataset) -> float:
    return constants.h * constants.c / energy_in_joules(dataset)


def far_pixel(dataset: Dataset) -> float:
    """Metres of a pixel at the sample of far fields."""
    return wavelength(dataset) * dataset.detector_distance / (dataset.size * dataset.detector_pixel_size)


def metres(dataset: Dataset, origin: float = 3e-6) -> np.ndarray:
    """Positions (row, column) in metres about an origin of no meaning."""
    return dataset.positions * far_pixel(dataset) + origin


def marked(dataset: Dataset) -> np.ndarray:
    """Frames with what detectors count on bad pixels."""
    return np.where(dataset.mask, dataset.frames, BAD).astype(np.float32)


def write_cdtools(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """As cdtools.tools.data writes: basis vectors of rows and columns, translations of the sample, dark frames."""
    path, rows_columns, pixel = folder / "scan.cxi", metres(dataset), dataset.detector_pixel_size
    with h5py.File(path, "w") as file:
        file["cxi_version"], file["number_of_entries"] = 160, 1
        detector = file.create_group("entry_1/instrument_1/detector_1")
        detector["distance"] = dataset.detector_distance
        detector["x_pixel_size"] = detector["y_pixel_size"] = pixel
        detector["basis_vectors"] = np.array([[0, -pixel], [-pixel, 0], [0, 0]])
        detector.create_dataset("data", data=marked(dataset) + 3, chunks=(1, dataset.size, dataset.size))
        detector["data"].attrs["axes"] = "translation:y:x"
        # Bit 12 marks pixels with signal, which are good.
        detector["mask"] = np.where(dataset.mask, 0x1000, 1).astype(np.uint32)
        detector["data_dark"] = np.stack([np.full((dataset.size, dataset.size), dark) for dark in (2.0, 4.0)])
        file["entry_1/instrument_1/source_1/wavelength"] = wavelength(dataset)
        file["entry_1/instrument_1/source_1/energy"] = energy_in_joules(dataset)
        file["entry_1/instrument_1/source_1/illumination"] = dataset.probe
        translation = np.stack([rows_columns[:, 1], rows_columns[:, 0], np.zeros(len(rows_columns))], axis=1)
        file["entry_1/sample_1/geometry_1/translation"] = translation
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
        file["entry_1/data_1/translation"] = h5py.SoftLink("/entry_1/sample_1/geometry_1/translation")
    return path, IngestSettings()


def write_ptychodus_cxi(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """As Ptychodus 1.7 writes ``diffraction.cxi`` and ``product.cxi``."""
    with h5py.File(folder / "diffraction.cxi", "w") as file:
        file["cxi_version"] = 160
        file["entry_1/start_time"] = "2026-01-01T00:00:00+00:00"
        detector = file.create_group("entry_1/instrument_1/detector_1")
        file["entry_1/instrument_1/source_1/energy"] = energy_in_joules(dataset)
        detector["distance"] = dataset.detector_distance
        detector["x_pixel_size"] = detector["y_pixel_size"] = dataset.detector_pixel_size
        detector.create_dataset("data", data=marked(dataset), compression="lzf")
        detector.create_dataset("mask", data=np.where(dataset.mask, 0, 1).astype(np.uint32), compression="lzf")
        file["entry_1/data_1/data"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/data")
    rows_columns = metres(dataset)
    with h5py.File(folder / "product.cxi", "w") as file:
        file["cxi_version"] = 160
        translation = np.stack([rows_columns[:, 1], rows_columns[:, 0], np.zeros(len(rows_columns))], axis=1)
        file["entry_1/sample_1/geometry_1/translation"] = translation
        file["entry_1/data_1/translation"] = h5py.SoftLink("/entry_1/sample_1/geometry_1/translation")
        file["entry_1/instrument_1/source_1/energy"] = energy_in_joules(dataset)
        file["entry_1/instrument_1/detector_1/distance"] = dataset.detector_distance
        file["entry_1/image_1/data"] = dataset.probe[None]
        file["entry_1/instrument_1/source_1/illumination"] = h5py.SoftLink("/entry_1/image_1/data")
        file["entry_1/image_2/data"] = dataset.truth[None]
        file["entry_1/process_1/program"] = "Ptychodus"
        file["entry_1/ptychodus/probe_pixel_width_m"] = dataset.pixel_size
    return folder / "diffraction.cxi", IngestSettings()


def write_nxcxi(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """As the definition NXcxi_ptycho describes a raster: four axes, the machine's energy with the source, units."""
    path, rows_columns = folder / "scan.nxs", metres(dataset)
    raster = (len(rows_columns) // 4, 4)
    with h5py.File(path, "w") as file:
        file["cxi_version"] = 160
        instrument = file.create_group("entry_1/instrument_1")
        file["entry_1/definition"] = "NXptycho"
        instrument["source_1/energy"] = 3.0
        instrument["source_1/energy"].attrs["units"] = "GeV"
        instrument["beam_1/energy"] = dataset.energy / 1e3
        instrument["beam_1/energy"].attrs["units"] = "keV"
        detector = instrument.create_group("detector_1")
        frames = marked(dataset).reshape(*raster, dataset.size, dataset.size)
        detector.create_dataset("data", data=frames, chunks=(1, 1, dataset.size, dataset.size), compression="gzip")
        detector["mask"] = np.where(dataset.mask, 0, 8).astype(np.uint32)
        for name, value in (
            ("x_pixel_size", dataset.detector_pixel_size),
            ("y_pixel_size", dataset.detector_pixel_size),
            ("distance", dataset.detector_distance),
        ):
            detector[name] = value * 1e3
            detector[name].attrs["units"] = "mm"
        zeros = np.zeros(len(rows_columns))
        detector["translation"] = np.stack([rows_columns[:, 1], rows_columns[:, 0], zeros], axis=1) * 1e6
        detector["translation"].attrs.update(units="um", axes="translation:y:x", interpretation="image")
        file["entry_1/sample_1/geometry_1/translation"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/translation")
        # For readers of CXI, three axes whatever the raster.
        layout = h5py.VirtualLayout(shape=dataset.frames.shape, dtype="f4")
        virtual = h5py.VirtualSource(".", name=detector["data"].name, shape=frames.shape)
        for row in range(raster[0]):
            layout[row * raster[1] : (row + 1) * raster[1]] = virtual[row]
        file.create_virtual_dataset("entry_1/data_1/data", layout)
        file["entry_1/data_1/translation"] = h5py.SoftLink("/entry_1/instrument_1/detector_1/translation")
        file["entry_1/image_1/data"] = dataset.probe
    return path, IngestSettings()


def write_fold_slice(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """As the preparation for fold_slice writes a pair; it has no probe, so the settings lend a disk."""
    rows_columns = metres(dataset)
    with h5py.File(folder / "data_roi0_Ndp16_dp.hdf5", "w") as file:
        file.create_dataset("dp", data=dataset.frames, dtype="float32", compression="gzip")
    with h5py.File(folder / "data_roi0_Ndp16_para.hdf5", "w") as file:
        file["lambda"], file["dx"] = np.array([wavelength(dataset)]), np.array([dataset.pixel_size])
        file["ppX"], file["ppY"] = rows_columns[:, 1][:, None], rows_columns[:, 0][:, None]
        file["angle"] = np.array([0.0])
    diameter = 9 * dataset.pixel_size
    settings = IngestSettings(detector_pixel_size=dataset.detector_pixel_size, probe_diameter=diameter)
    return folder / "data_roi0_Ndp16_dp.hdf5", settings


def write_ptychi(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """As pty-chi's simulator writes a pair, whose probe is (opr, modes, N, N) and smaller by N."""
    rows_columns = metres(dataset)
    with h5py.File(folder / "ptychodus_dp.hdf5", "w") as file:
        file["dp"] = dataset.frames
    with h5py.File(folder / "ptychodus_para.hdf5", "w") as file:
        file["probe"] = (dataset.probe / dataset.size)[None]
        file["probe_position_indexes"] = np.arange(len(rows_columns))
        file["probe_position_x_m"], file["probe_position_y_m"] = rows_columns[:, 1], rows_columns[:, 0]
        file["object"] = dataset.truth[None]
        file["object"].attrs.update(pixel_height_m=dataset.pixel_size, pixel_width_m=dataset.pixel_size)
    settings = IngestSettings(energy=dataset.energy, detector_pixel_size=dataset.detector_pixel_size)
    return folder / "ptychodus_dp.hdf5", settings


def write_ptypy(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """As ptypy appends chunks to a ``.ptyd``, and the storages of a ``.ptyr``."""
    rows_columns, path = metres(dataset), folder / "scan.ptyd"
    with h5py.File(path, "w") as file:
        file.create_group("info")["orientation"] = 0
        meta = file.create_group("meta")
        meta["energy"], meta["distance"] = dataset.energy / 1e3, dataset.detector_distance
        meta["psize"] = np.full(2, dataset.detector_pixel_size)
        meta["shape"], meta["center"] = np.array(dataset.frames.shape[1:]), np.full(2, dataset.size / 2)
        meta["label"], meta["version"] = "scan", "0.1"
        # Ten chunks and more, whose names do not sort as text.
        for number, rows in enumerate(np.array_split(np.arange(len(rows_columns)), 11)):
            chunk = file.create_group(f"chunks/{number}")
            chunk["data"], chunk["positions"], chunk["indices"] = marked(dataset)[rows], rows_columns[rows], rows
            chunk["weights"] = np.repeat(dataset.mask[None], len(rows), axis=0).astype(float)
    with h5py.File(folder / "scan.ptyr", "w") as file:
        file["content/probe/SscanG00/data"] = dataset.probe
    return path, IngestSettings(companion="scan.ptyr")


def write_ptychodus(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """As Ptychodus 1.7 writes ``diffraction.h5`` and ``product.h5``, whose orders differ; some patterns are stray."""
    rows_columns, count = metres(dataset), len(dataset.frames)
    order = np.random.default_rng(1).permutation(count)
    with h5py.File(folder / "diffraction.h5", "w") as file:
        stray = np.full((1, dataset.size, dataset.size), 7, np.float32)
        patterns = np.concatenate([stray, marked(dataset), stray])
        file.create_dataset(
            "patterns", data=patterns, chunks=(1, dataset.size, dataset.size), **hdf5plugin.Bitshuffle()
        )
        for side in ("width", "height"):
            file["patterns"].attrs[f"detector_pixel_{side}_m"] = dataset.detector_pixel_size
        file["indexes"] = np.concatenate([[900], np.arange(count) + 5, [901]])
        file["bad_pixels"] = ~dataset.mask
    with h5py.File(folder / "product.h5", "w") as file:
        file.attrs.update(name="scan", comments="", photon_energy_eV=dataset.energy, far_field=True)
        file.attrs.update(detector_object_distance_m=dataset.detector_distance, probe_photon_count=0.0)
        file["probe_position_indexes"] = (np.arange(count) + 5)[order]
        file["probe_position_x_m"], file["probe_position_y_m"] = rows_columns[order].T[::-1]
        file["probe"] = dataset.probe[None]
        file["object"] = dataset.truth[None]
        for name in ("probe", "object"):
            file[name].attrs.update(pixel_width_m=dataset.pixel_size, pixel_height_m=dataset.pixel_size)
        file["object"].attrs.update(center_x_m=0.0, center_y_m=0.0)
        file["loss_values"] = np.zeros(0)
    return folder / "diffraction.h5", IngestSettings()


def write_ptychodus_training(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """As Ptychodus writes files to train networks with: positions in pixels about the middle of the object."""
    about = dataset.positions - np.array(dataset.object_shape) / 2
    with h5py.File(folder / "training.h5", "w") as file:
        file["patterns"], file["bad_pixels"] = marked(dataset), ~dataset.mask
        file["probe"], file["object"] = dataset.probe, dataset.truth
        file["probe_position_x_px"], file["probe_position_y_px"] = about[:, 1], about[:, 0]
        file["object_pixel_width_m"] = file["object_pixel_height_m"] = dataset.pixel_size
        file["detector_object_distance_m"], file["photon_energy_eV"] = dataset.detector_distance, dataset.energy
    return folder / "training.h5", IngestSettings()


def write_ptylab(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """As PtyLab saves a reconstruction's start, with its probe of six axes."""
    with h5py.File(folder / "scan.hdf5", "w") as file:
        file["ptychogram"], file["encoder"] = dataset.frames, metres(dataset)
        file["wavelength"], file["dxd"] = np.array([[wavelength(dataset)]]), np.array([[dataset.detector_pixel_size]])
        file["zo"], file["entrancePupilDiameter"] = np.array([[dataset.detector_distance]]), 9 * dataset.pixel_size
        file["orientation"] = 0
        file["probe"] = dataset.probe[None, None, :, None]
    return folder / "scan.hdf5", IngestSettings()


def write_ptychopinn(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """As PtychoPINN keeps a scan: amplitudes, and coordinates in the pixels of its object."""
    np.savez(
        folder / "scan.npz",
        diffraction=np.sqrt(dataset.frames),
        probeGuess=dataset.probe,
        objectGuess=dataset.truth,
        xcoords=dataset.positions[:, 1],
        ycoords=dataset.positions[:, 0],
        bad_pixels=~dataset.mask,
    )
    return folder / "scan.npz", _geometry(dataset)


def write_tike(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """As tike's tests keep a scan: counts with the zero frequency in the corner."""
    np.savez(
        folder / "scan.npz",
        data=np.fft.ifftshift(dataset.frames, axes=(1, 2))[None],
        probe=dataset.probe[None, None, None],
        scan=dataset.positions[None] - 50,
    )
    return folder / "scan.npz", _geometry(dataset)


def write_plain(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """Files of a beamline: frames as a detector writes them, positions of the motors in micrometres."""
    rows_columns = metres(dataset) * 1e6
    with h5py.File(folder / "master.h5", "w") as file:
        file.create_dataset(
            "entry/data/data", data=marked(dataset), chunks=(1, dataset.size, dataset.size), **hdf5plugin.LZ4()
        )
        file["entry/mask"] = (~dataset.mask).astype(np.uint8)
        file["entry/energy"], file["entry/distance"] = dataset.energy / 1e3, dataset.detector_distance * 1e3
        file["entry/energy"].attrs["units"], file["entry/distance"].attrs["units"] = "keV", "mm"
    with h5py.File(folder / "motors.h5", "w") as file:
        file["scan/y"], file["scan/x"] = rows_columns[:, 0], rows_columns[:, 1]
        file["scan/y"].attrs["units"] = file["scan/x"].attrs["units"] = "um"
        file["probe"] = dataset.probe
    paths = PathSettings(
        frames="entry/data/data",
        positions=["scan/y", "scan/x"],
        probe="probe",
        mask="entry/mask",
        energy="entry/energy",
        detector_distance="entry/distance",
    )
    settings = IngestSettings(
        format="hdf5", companion="motors.h5", paths=paths, detector_pixel_size=dataset.detector_pixel_size
    )
    return folder / "master.h5", settings


def write_named_npz(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """An archive of someone's own, with keys and a raster of its own."""
    rows_columns = metres(dataset)
    frames = marked(dataset).reshape(-1, 4, dataset.size, dataset.size)
    np.savez(
        folder / "scan.npz",
        reciprocal=frames,
        y=rows_columns[:, 0],
        x=rows_columns[:, 1],
        beam=dataset.probe,
        bad=~dataset.mask,
        energy=dataset.energy,
    )
    paths = PathSettings(frames="reciprocal", positions=["y", "x"], probe="beam", mask="bad", energy="energy")
    return folder / "scan.npz", dataclasses.replace(_geometry(dataset), paths=paths, energy=None)


def write_dectris(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """A master file that links to frames in several files, the last of which is shorter, and an archive beside it."""
    with h5py.File(folder / "scan_master.h5", "w") as master:
        for number, first in enumerate(range(0, len(dataset.frames), 5), 1):
            name = f"data_{number:06d}"
            with h5py.File(folder / f"scan_{name}.h5", "w") as data:
                frames = marked(dataset)[first : first + 5]
                data.create_dataset("entry/data/data", data=frames, **hdf5plugin.Bitshuffle())
            master[f"entry/data/{name}"] = h5py.ExternalLink(f"scan_{name}.h5", "entry/data/data")
        master["entry/instrument/pixel_mask"] = (~dataset.mask).astype(np.uint32)
    np.savez(folder / "motors.npz", positions=metres(dataset), probe=dataset.probe)
    paths = PathSettings(frames="entry/data", positions="positions", probe="probe", mask="entry/instrument/pixel_mask")
    return folder / "scan_master.h5", dataclasses.replace(_geometry(dataset), paths=paths, companion="motors.npz")


def write_npy(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """A stack of frames, and all else in an HDF5 file beside it."""
    np.save(folder / "scan.npy", dataset.frames)
    with h5py.File(folder / "rest.h5", "w") as file:
        file["positions"], file["probe"] = metres(dataset), dataset.probe
    paths = PathSettings(positions="positions", probe="probe")
    return folder / "scan.npy", dataclasses.replace(_geometry(dataset), paths=paths, companion="rest.h5")


def write_tiff(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """A stack of packed images, and all else in an archive beside it."""
    tifffile.imwrite(folder / "scan.tif", dataset.frames, compression="zlib")
    np.savez(folder / "rest.npz", positions=metres(dataset), probe=dataset.probe)
    paths = PathSettings(positions="positions", probe="probe")
    return folder / "scan.tif", dataclasses.replace(_geometry(dataset), paths=paths, companion="rest.npz")


def write_matlab(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """A file of MATLAB before version 7.3, with all in a structure."""
    values = {"dp": np.moveaxis(marked(dataset), 0, -1), "positions": metres(dataset)}
    values |= {"probe": np.moveaxis(dataset.probe, 0, -1), "bad": (~dataset.mask).astype(np.uint8)}
    savemat(folder / "scan.mat", {"scan": values}, do_compression=True)
    paths = PathSettings(frames="scan/dp", positions="scan/positions", probe="scan/probe", mask="scan/bad")
    return folder / "scan.mat", dataclasses.replace(_geometry(dataset), paths=paths)


def write_matlab_hdf5(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """A file of MATLAB from version 7.3 on."""
    probe = np.zeros((len(dataset.probe), dataset.size, dataset.size), [("real", "f8"), ("imag", "f8")])
    probe["real"], probe["imag"] = (part.swapaxes(1, 2) for part in (dataset.probe.real, dataset.probe.imag))
    with h5py.File(folder / "scan.mat", "w", userblock_size=512) as file:
        frames = marked(dataset).swapaxes(1, 2)
        file.create_dataset("dp", data=frames, chunks=(1, dataset.size, dataset.size), compression="gzip")
        file["positions"], file["probe"], file["bad"] = metres(dataset).T, probe, (~dataset.mask.T).astype(np.uint8)
    with open(folder / "scan.mat", "r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")
    paths = PathSettings(frames="dp", positions="positions", probe="probe", mask="bad")
    return folder / "scan.mat", dataclasses.replace(_geometry(dataset), paths=paths)


def write_file_list(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """Frames in several files without a master, and all else in one more."""
    for number, first in enumerate(range(0, len(dataset.frames), 5), 8):
        with h5py.File(folder / f"data_{number}.h5", "w") as file:
            file.create_dataset("entry/data", data=marked(dataset)[first : first + 5], **hdf5plugin.LZ4())
    with h5py.File(folder / "scan.h5", "w") as file:
        file["positions"], file["probe"] = metres(dataset), dataset.probe
        file["bad"] = (~dataset.mask).astype(np.uint8)
    paths = PathSettings(frames="data_*.h5::entry/data", positions="positions", probe="probe", mask="bad")
    return folder / "scan.h5", dataclasses.replace(_geometry(dataset), paths=paths)


def write_zarr(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """A Zarr store in a folder, of the third kind, whose lengths say their unit."""
    _fill(zarr.open_group(folder / "scan.zarr", mode="w", zarr_format=3), dataset)
    return folder / "scan.zarr", _named_in_zarr()


def write_zarr_zip(folder: Path, dataset: Dataset) -> tuple[Path, IngestSettings]:
    """A Zarr store packed as .zip, of the second kind."""
    with zarr.storage.ZipStore(folder / "scan.zip", mode="w") as store:
        _fill(zarr.open_group(store, mode="w", zarr_format=2), dataset)
    return folder / "scan.zip", _named_in_zarr()


def _fill(root: zarr.Group, dataset: Dataset) -> None:
    arrays = {
        "entry/dp": marked(dataset),
        "positions": 1e6 * metres(dataset),
        "probe": dataset.probe,
        "bad": (~dataset.mask).astype(np.uint8),
        "energy": np.array(dataset.energy / 1e3),
        "distance": np.array(dataset.detector_distance),
        "pixel": np.array(dataset.detector_pixel_size),
    }
    units = {"positions": {"units": "µm"}, "energy": {"units": "keV"}}
    for name, value in arrays.items():
        chunks = (3, *value.shape[1:]) if name == "entry/dp" else value.shape
        array = root.create_array(
            name, shape=value.shape, dtype=value.dtype, chunks=chunks, attributes=units.get(name, {})
        )
        array[...] = value


def _named_in_zarr() -> IngestSettings:
    names = {"frames": "entry/dp", "positions": "positions", "probe": "probe", "mask": "bad", "energy": "energy"}
    return IngestSettings(paths=PathSettings(**names, detector_distance="distance", detector_pixel_size="pixel"))


def _geometry(dataset: Dataset) -> IngestSettings:
    names = ("energy", "detector_distance", "detector_pixel_size")
    return IngestSettings(**{name: getattr(dataset, name) for name in names})


WRITERS: dict[str, Callable[[Path, Dataset], tuple[Path, IngestSettings]]] = {
    name.removeprefix("write_"): writer for name, writer in list(globals().items()) if name.startswith("write_")
}
"""Writers by the name of what they write."""
WITHOUT_PROBE = ("fold_slice",)
WITHOUT_MASK = ("fold_slice", "npy", "ptychi", "ptylab", "tiff", "tike")
