"""Reconstructions in the files of other tools: CXI, ptypy's .ptyr, TIFF, and the NPZ of PtychoPINN."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from ptychoflow.dataset.cxi import OWN, write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.hdf5 import new_hdf5
from ptychoflow.errors import InputError
from ptychoflow.files import replacing, require_room
from ptychoflow.physics.geometry import metres_from_centre
from ptychoflow.provenance.embedded import hdf5_attributes
from ptychoflow.reconstruction.file import Reconstruction, without_mean_phase

PTYCHODUS = "entry_1/ptychodus"
SCAN = "S00G00"
"""What ptypy calls the first geometry of the first scan."""


def export_cxi(path: Path, reconstruction: Reconstruction, dataset: Dataset) -> None:
    """Write frames, probe and object into one CXI file as Ptychodus does: ``image_1`` and ``image_2``.

    Positions are metres about the middle of the object, x along its columns and y along its rows, those that the
    reconstruction was made with.

    Parameters
    ----------
    path : Path
        File to write, named .cxi.
    reconstruction : Reconstruction
        Object, probe and positions.
    dataset : Dataset
        What it was made from.
    """
    pixel, count = reconstruction.pixel_size, len(reconstruction.positions)
    images = reconstruction.probe[None], reconstruction.object[None]
    scan = replace(
        dataset,
        frames=dataset.frames[:count],
        positions=reconstruction.positions,
        probe=reconstruction.probe,
        object_shape=reconstruction.object.shape,
        truth=None,
        true_probe=None,
        provenance=reconstruction.provenance,
    )
    with replacing(path) as temporary:
        write_cxi(temporary, scan)
        require_room(path, 2 * sum(image.nbytes for image in images))
        with h5py.File(temporary, "a") as file:
            # Without our own group no reader takes the object for the true one.
            del file[OWN], file["entry_1/image_1"]
            for number, axes, image in zip((1, 2), ("coherent:incoherent:y:x", "layer:y:x"), images, strict=True):
                group = file.create_group(f"entry_1/image_{number}")
                group["data"] = image
                group["data"].attrs["axes"] = axes
                group["data_space"] = "real"
                group["image_size"] = np.array([image.shape[-1] * pixel, image.shape[-2] * pixel, 0.0])
            own = file.create_group(PTYCHODUS)
            own["probe_position_indexes"] = np.arange(count)
            for name in ("probe", "object"):
                own[f"{name}_pixel_width_m"] = own[f"{name}_pixel_height_m"] = pixel
            own["object_center_x_m"] = own["object_center_y_m"] = 0.0
            own["probe_photon_count"] = float((np.abs(reconstruction.probe) ** 2).sum(dtype=np.float64))


def export_ptyr(path: Path, reconstruction: Reconstruction, dataset: Dataset) -> None:
    """Write object, probe and positions as the reconstructions of ptypy hold them.

    Parameters are those of `export_cxi`; frames are not written, as ptypy writes none.
    """
    pixel = reconstruction.pixel_size
    with new_hdf5(path) as file:
        file["header/kind"] = "minimal"
        file["header/description"] = "Ptypy .h5 compatible storage format"
        for name, data in (("obj", reconstruction.object[None]), ("probe", reconstruction.probe)):
            storage = file.create_group(f"content/{name}/{SCAN}")
            centre = np.array(data.shape[-2:]) / 2
            storage["data"], storage["shape"] = data, np.array(data.shape)
            storage["_psize"], storage["_center"] = np.full(2, pixel), centre
            storage["_origin"] = -centre * pixel
            storage["_energy"] = dataset.energy / 1e3  # keV
            storage["ID"] = SCAN
        places = metres_from_centre(reconstruction.positions, reconstruction.object.shape, pixel)
        file[f"content/positions/{SCAN}"] = places
        file.attrs.update(hdf5_attributes(reconstruction.provenance))


def export_tiff(path: Path, reconstruction: Reconstruction, dataset: Dataset) -> None:
    """Write amplitude and phase as 32-bit float TIFF files, ``name_amplitude.tif`` and ``name_phase.tif``.

    The phase is in radians, its mean over the illuminated area zero. The resolution tags hold pixels in a centimetre,
    and the description the provenance. Parameters are those of `export_cxi`, but `path` lacks the part's name.
    """
    import tifffile

    from ptychoflow.reconstruction.pictures import illuminated_area

    image = reconstruction.object
    turned = without_mean_phase(image, illuminated_area(reconstruction))
    density = 1e-2 / reconstruction.pixel_size
    for name, values in (("amplitude", np.abs(image)), ("phase", np.angle(turned))):
        with replacing(path.with_name(f"{path.stem}_{name}{path.suffix}")) as temporary:
            tifffile.imwrite(
                temporary,
                values.astype(np.float32),
                resolution=(density, density),
                resolutionunit="CENTIMETER",
                description=json.dumps(reconstruction.provenance | {"quantity": name}),
                metadata=None,
            )


def export_npz(path: Path, reconstruction: Reconstruction, dataset: Dataset) -> None:
    """Write an NPZ file of PtychoPINN: amplitudes of the frames, positions in pixels, and object and probe as guesses.

    Bad pixels stand under ``bad_pixels``, as Ptychodus adds them. Parameters are those of `export_cxi`.
    """
    rows, columns = reconstruction.positions.T
    probe = reconstruction.probe
    with replacing(path) as temporary:
        np.savez_compressed(
            temporary,
            diffraction=np.sqrt(dataset.frames[: len(rows)]),
            probeGuess=probe[0] if len(probe) == 1 else probe,
            objectGuess=reconstruction.object,
            xcoords=columns,
            ycoords=rows,
            xcoords_start=columns,
            ycoords_start=rows,
            bad_pixels=~dataset.mask,
            scan_index=np.zeros(len(rows), dtype=np.int64),
        )


EXPORTS: dict[str, Callable[[Path, Reconstruction, Dataset], None]] = {
    ".cxi": export_cxi,
    ".ptyr": export_ptyr,
    ".tif": export_tiff,
    ".tiff": export_tiff,
    ".npz": export_npz,
}
"""What writes a file, by the suffix of its name."""


def export(paths: list[Path], reconstruction: Reconstruction, dataset: Dataset) -> None:
    """Write a reconstruction into files of the formats that their names tell.

    Raises
    ------
    InputError
        Where a name tells no format, or the dataset is not the one that the reconstruction was made from.
    """
    for path in paths:
        if path.suffix.lower() not in EXPORTS:
            raise InputError(f"output is {path}: expected a name that ends in one of {', '.join(EXPORTS)}")
    if len(dataset.frames) < len(reconstruction.positions) or dataset.size != reconstruction.probe.shape[-1]:
        raise InputError(
            f"the dataset has {len(dataset.frames)} frames of {dataset.size} pixels and the reconstruction "
            f"{len(reconstruction.positions)} of {reconstruction.probe.shape[-1]}: expected the one it was made from"
        )
    for path in paths:
        EXPORTS[path.suffix.lower()](path, reconstruction, dataset)
