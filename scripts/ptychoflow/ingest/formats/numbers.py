"""One number of what a file keeps in its place."""

import numpy as np

from ptychoflow.errors import InputError

SAME = 1e-3
"""Share by which numbers that were read anew for each frame may differ and still be one."""


def only_number(value: np.ndarray, name: str) -> float:
    """Give the one number of an array, or the mean of several, one for each frame, that are the same.

    Raises
    ------
    InputError
        Where there is none, or they differ, or are true or false.
    """
    if value.dtype.kind == "b":
        raise InputError(f"key {name} has dtype {value.dtype}: expected a number")
    if value.size == 0 or np.ptp(value) > SAME * np.abs(value).max():
        found = f"shape {value.shape}" + (f", {value.min():g} to {value.max():g}" if value.size else "")
        raise InputError(f"key {name} has {found}: expected one number, or the same for each frame")
    return float(value.mean())
