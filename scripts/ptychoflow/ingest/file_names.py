"""Names of files that hold the frames of one scan; the workflow asks for them too, so neither arrays nor HDF5 here."""

import glob
import re
from pathlib import Path

from ptychoflow.errors import InputError

STACKS = re.compile(r"\.(npy|tiff?)$", re.IGNORECASE)


def names_files(name: str) -> bool:
    """Whether an entry of `paths.frames` names files, and not a dataset: ``*.tif``, or ``*.h5::entry/data``."""
    return "::" in name or STACKS.search(name) is not None


def listed_files(names: list[str], folder: Path) -> list[tuple[Path, str]]:
    """Files that entries of `paths.frames` name, in the order of their numbers, and the key in each.

    Parameters
    ----------
    names : list of str
        File names, or patterns of them, relative to the folder, each with ``::key`` behind it where it is HDF5.
    folder : Path
        That of the scan's file.

    Raises
    ------
    InputError
        Where there is no such file.
    """
    found = []
    for name in names:
        pattern, _, key = name.partition("::")
        files = sorted(glob.glob(str(Path(glob.escape(str(folder)), pattern))), key=in_order)
        if not files:
            raise InputError(f"paths.frames names {name}, and {folder} has no such file: expected some")
        found += [(Path(file), key) for file in files]
    return found


def in_order(name: str) -> list[str | int]:
    """Key by which data_10 comes after data_9, with or without zeros before the number."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
