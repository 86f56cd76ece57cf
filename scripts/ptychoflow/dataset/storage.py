"""How a file of any format holds its largest array, which is nearly always the frames."""

import bz2
import io
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

ZARR_SIGNS = ("zarr.json", ".zgroup", ".zarray", ".zmetadata")
"""Files by which a Zarr store, and each group and array in it, is known."""


def storage_of(path: Path) -> dict[str, Any]:
    """Tell how a file holds its largest array: format, key, dtype, shape and compression, as far as they are known.

    Parameters
    ----------
    path : Path
        HDF5, or NPZ, which may be packed by bzip2, or a folder; of anything else the size alone is told.
    """
    if path.is_dir():
        sizes = [file.stat().st_size for file in path.rglob("*") if file.is_file()]
        store = any((path / sign).is_file() for sign in ZARR_SIGNS)
        return {"file_size_bytes": sum(sizes)} | ({"container": "Zarr"} if store else {})
    facts: dict[str, Any] = {"file_size_bytes": path.stat().st_size}
    if h5py.is_hdf5(path):
        found: list[h5py.Dataset] = []
        with h5py.File(path, "r") as file:
            file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
            if not found:
                return facts | {"container": "HDF5"}
            largest = max(found, key=lambda item: item.size or 0)
            facts |= {"container": "HDF5", "key": largest.name, "dtype": str(largest.dtype)}
            return facts | {"stored_shape": list(largest.shape), "compression": largest.compression or "none"}
    content = path.read_bytes() if path.is_file() else b""
    packed = content.startswith(b"BZh")
    if packed:
        content = bz2.decompress(content)
    if not zipfile.is_zipfile(io.BytesIO(content)):
        return facts
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        largest = max(archive.infolist(), key=lambda item: item.file_size)
        if not largest.filename.endswith(".npy"):
            return facts
        with archive.open(largest) as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, dtype = read(stream)
    squeezed = ["deflate"] * (largest.compress_type == zipfile.ZIP_DEFLATED) + ["bzip2"] * packed
    facts |= {"container": "NPZ", "key": largest.filename.removesuffix(".npy"), "dtype": str(dtype)}
    return facts | {"stored_shape": list(shape), "compression": " + ".join(squeezed) or "none"}
