"""Coordinates of scan positions, whichever way round a file keeps them."""

import logging

import numpy as np

from ptychoflow.errors import InputError

log = logging.getLogger(__name__)


def places(value: np.ndarray, count: int, name: str, widths: tuple[int, ...] = (2,)) -> np.ndarray:
    """Positions (n, coordinates) of an array that may have them as (coordinates, n), or in a raster.

    An array is turned over only where its shape does not fit as it stands: (3, 3) numbers beside three frames are
    those of three frames.

    Parameters
    ----------
    value : ndarray
        (n, coordinates), (coordinates, n), (rows, columns, coordinates) or (coordinates, rows, columns).
    count : int
        Frames beside them.
    name : str
        What the array is called, for the message.
    widths : tuple of int
        How many coordinates there may be.

    Raises
    ------
    InputError
        Where neither axis is one of coordinates.
    """
    if value.ndim == 1 and count == 1 and value.size in widths:
        return value.reshape(1, -1)
    if value.ndim > 2:
        value = value if value.shape[-1] in widths else np.moveaxis(value, 0, -1)
        value = value.reshape(-1, value.shape[-1])
    if value.ndim != 2 or not {*value.shape} & {*widths}:
        wanted = " or ".join(f"({count}, {width})" for width in widths)
        raise InputError(f"{name} has shape {value.shape}: expected {wanted} beside {count} frames")
    straight, turned = value.shape[1] in widths, value.shape[0] in widths
    if straight and turned:
        return value.T if value.shape[1] == count != value.shape[0] else value
    return value if straight else value.T


def paired_axes(rows: np.ndarray, columns: np.ndarray, count: int, raster: tuple[int, ...] = ()) -> np.ndarray:
    """Positions (n, 2) of rows and columns that are kept apart, one of each for a frame, or the axes of a raster.

    Parameters
    ----------
    rows, columns : ndarray
        As many of each, of any shape; or (R,) and (C,), which a raster of R × C frames crosses.
    count : int
        Frames beside them.
    raster : tuple of int
        Axes that the frames themselves have, by which those of the scan are told; the columns run fastest otherwise.

    Raises
    ------
    InputError
        Where there are not as many of each, nor as many frames as they cross.
    """
    rows, columns = rows.reshape(-1), columns.reshape(-1)
    if len(rows) == len(columns) != count and len(rows) ** 2 == count:
        pass
    elif len(rows) == len(columns):
        return np.stack([rows, columns], axis=1)
    elif len(rows) * len(columns) != count:
        raise InputError(
            f"positions are {len(rows)} rows and {len(columns)} columns: expected as many of each, {count} beside "
            f"{count} frames, or the axes of a raster of so many"
        )
    if raster == (len(columns), len(rows)) != (len(rows), len(columns)):
        grid = np.meshgrid(columns, rows, indexing="ij")[::-1]
    else:
        grid = np.meshgrid(rows, columns, indexing="ij")
        if len(raster) != 2:
            log.warning(
                "positions are the axes of a raster, %d rows by %d columns: columns are taken to run fastest; where "
                "rows do, name them the other way round and set positions.swap",
                len(rows),
                len(columns),
            )
    return np.stack([axis.reshape(-1) for axis in grid], axis=1)
