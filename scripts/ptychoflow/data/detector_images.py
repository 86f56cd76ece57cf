"""Images of a detector by themselves: masks and dark frames as NumPy, TIFF and HDF5 files hold them."""

from pathlib import Path

import numpy as np

from ptychoflow.errors import InputError

TIFF = (".tif", ".tiff")
HDF5 = (".h5", ".hdf5", ".nxs", ".cxi")


def detector_file(location: str) -> Path:
    """Path of the file that ``file`` or ``file::key`` names."""
    return Path(location.partition("::")[0])


def read_detector_image(location: str) -> np.ndarray:
    """Read a mask or dark frames.

    Parameters
    ----------
    location : str
        An .npy, TIFF or HDF5 file; within HDF5 ``file.h5::entry/mask`` names the dataset unless there is only one.

    Returns
    -------
    ndarray
        (H, W) or (frames, H, W) real numbers or bool.

    Raises
    ------
    InputError
        Where the file cannot be read or holds something else.
    """
    path, key = detector_file(location), location.partition("::")[2]
    if not path.is_file():
        raise InputError(f"{path} is no file: expected an image of the detector as .npy, .tif or HDF5")
    try:
        image = _read(path, key)
    except InputError:
        raise
    # Readers of damaged files raise anything.
    except Exception as error:
        raise InputError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    if image.dtype.kind not in "buif" or image.ndim not in (2, 3) or image.size == 0:
        raise InputError(
            f"{location} has shape {image.shape}, {image.dtype}: expected (H, W) or (frames, H, W) real numbers"
        )
    if not np.isfinite(image).all():
        raise InputError(f"{location} holds {np.count_nonzero(~np.isfinite(image))} NaN or infinite values")
    return image


def _read(path: Path, key: str) -> np.ndarray:
    if path.suffix == ".npy":
        return np.load(path, allow_pickle=False)
    if path.suffix.lower() in TIFF:
        from skimage.io import imread

        return np.asarray(imread(path))
    if path.suffix.lower() not in HDF5:
        raise InputError(f"{path} is of no known kind: expected .npy, {', '.join((*TIFF, *HDF5))}")
    import h5py
    import hdf5plugin  # noqa: F401  Its import registers the filters that detectors pack with.

    with h5py.File(path, "r") as file:
        images: list[str] = []
        file.visititems(lambda name, item: images.append(name) if getattr(item, "ndim", 0) in (2, 3) else None)
        if not key and len(images) != 1:
            raise InputError(f"{path} has the images {images}: expected one, or its name as {path.name}::name")
        found = file.get(key or images[0])
        if not isinstance(found, h5py.Dataset):
            raise InputError(f"{path} has no image {key}: expected one of {images}")
        return np.asarray(found[()])
