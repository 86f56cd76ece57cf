"""Images of a detector by themselves: masks and dark frames as NumPy, TIFF and HDF5 files hold them."""

from pathlib import Path
from typing import Literal

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


def known_good(
    good: np.ndarray | None, mask_file: str | None, mask_marks: Literal["bad", "good"], shape: tuple[int, int]
) -> np.ndarray:
    """Good pixels, (H, W) bool, by the file of the scan and by a mask that the settings name.

    Parameters
    ----------
    good : ndarray, optional
        (H, W) bool of the scan's file.
    mask_file : str, optional
        As for `read_detector_image`.
    mask_marks : {"bad", "good"}
        What the mask marks by numbers other than zero.
    shape : tuple of int
        (H, W) of the frames.

    Raises
    ------
    InputError
        Where a mask has another shape, or cannot be read.
    """
    usable = np.ones(shape, bool) if good is None else _fitting(np.asarray(good, bool), shape, "mask")
    if mask_file is None:
        return usable
    marked = _fitting(read_detector_image(mask_file), shape, mask_file) != 0
    return usable & (marked == (mask_marks == "good"))


def mean_dark(dark: np.ndarray | None, dark_file: str | None, shape: tuple[int, int]) -> np.ndarray | None:
    """Mean of what the detector counts without light, (H, W) float32, of one frame or of several.

    Parameters
    ----------
    dark : ndarray, optional
        (H, W) or (dark frames, H, W) of the scan's file.
    dark_file : str, optional
        In place of it, as for `read_detector_image`.
    shape : tuple of int
        (H, W) of the frames.

    Raises
    ------
    InputError
        Where there is no dark frame in it, or of another shape, or the file cannot be read.
    """
    if dark_file is not None:
        dark = read_detector_image(dark_file)
    if dark is None:
        return None
    one = dark.shape[-2:] == shape and dark.size > 0
    mean = dark.reshape(-1, *shape).mean(axis=0, dtype=np.float64) if one else dark
    return _fitting(mean, shape, dark_file or "dark frame").astype(np.float32)


def _fitting(image: np.ndarray, shape: tuple[int, int], name: str) -> np.ndarray:
    if image.shape != shape:
        raise InputError(f"{name} has shape {image.shape}: expected {shape} beside frames of that shape")
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
