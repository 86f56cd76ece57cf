"""Where the parts of a virtual HDF5 dataset are kept, found as HDF5 finds them, which reads zeros for those it misses.

HDF5 says nothing where a source or its dataset is missing: the fill value takes their place.
"""

import operator
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ptychoflow.errors import InputError

LEAST_MAPPED = 0.5
"""Of the values of a virtual dataset, where the others are marked by its fill value."""


def source_file(primary: Path, name: str) -> Path | None:
    """File that HDF5 opens for a source, in the order in which it looks for it; None where it finds none.

    Parameters
    ----------
    primary : Path
        The file that the virtual dataset stands in, by the name that it was opened with.
    name : str
        The source's file as the dataset names it.
    """
    if name == ".":
        return primary
    candidates = [Path(name)] if Path(name).is_absolute() else []
    # Of an absolute path that leads nowhere, the last part is looked for elsewhere.
    relative = Path(name).name if Path(name).is_absolute() else name
    prefixes = [prefix for prefix in os.environ.get("HDF5_VDS_PREFIX", "").split(":") if prefix]
    origin = str(primary.parent)
    candidates += [Path(prefix.replace("${ORIGIN}", origin), relative) for prefix in prefixes]
    candidates += [primary.parent / relative, Path(relative), primary.resolve().parent / relative]
    for candidate in candidates:
        try:
            if candidate.is_file() and h5py.is_hdf5(candidate):
                return candidate
        except OSError:
            continue
    return None


def require_sources(dataset: h5py.Dataset, key: str) -> Iterator[h5py.Dataset]:
    """Go through the datasets that a virtual one is made of, each while its file is open.

    Raises
    ------
    InputError
        Where a file or a dataset is not there, or smaller than the part that is taken of it, or where too little is
        mapped at all.
    """
    primary, parts = Path(dataset.file.filename), dataset.virtual_sources()
    mapped = sum(int(part.vspace.get_select_npoints()) for part in parts)
    marked = mapped >= LEAST_MAPPED * dataset.size and not np.all(dataset.fillvalue == 0)
    if mapped < dataset.size and not marked:
        raise InputError(
            f"key {key} has shape {dataset.shape}, {mapped} values mapped: expected {dataset.size}, or a fill value "
            "that marks the others"
        )
    wanted: dict[tuple[str, str], tuple[int, ...]] = {}
    for part in parts:
        # Of a pattern of names, the first block tells.
        name = tuple(text.replace("%b", "0").replace("%%", "%") for text in (part.file_name, part.dset_name))
        least = _least_shape(part)
        known = wanted.get(name, least)
        wanted[name] = tuple(map(max, known, least)) if len(known) == len(least) else least
    for (file_name, name), least in wanted.items():
        path = source_file(primary, file_name)
        if path is None:
            raise InputError(f"key {key} is kept in {file_name}, which is not there: expected it beside")
        with _opened(path, dataset.file, file_name) as file:
            found = file.get(name)
            if not isinstance(found, h5py.Dataset) or found.shape is None:
                raise InputError(f"key {key} is kept in {path}, which has no dataset {name}: expected it there")
            fits = len(found.shape) == len(least) and all(map(operator.ge, found.shape, least))
            if not (fits if len(least) > 1 else found.size >= least[0]):
                raise InputError(
                    f"key {key} is kept in {path}, whose {name} has shape {found.shape}: expected at least {least}"
                )
            yield found


def _least_shape(part: Any) -> tuple[int, ...]:
    """Shape that a source has at least; of one that is taken whole, whose shape is not said, how many values."""
    if part.src_space.get_select_type() == h5py.h5s.SEL_ALL:
        return (int(part.vspace.get_select_npoints()),)
    return tuple(int(place) + 1 for place in part.src_space.get_select_bounds()[1])


@contextmanager
def _opened(path: Path, own: h5py.File, name: str) -> Iterator[h5py.File]:
    if name == ".":
        yield own
        return
    with h5py.File(path, "r") as file:
        yield file
