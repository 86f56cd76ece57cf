"""HDF5 files that are whole or absent, on a full disk too."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py

from ptychoflow.files import replacing


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """Give an HDF5 file to fill, which is put in place of `path` when the block ends well.

    It is made in memory: on a full disk the HDF5 library itself may crash, and leave no word.

    Parameters
    ----------
    path : Path
        The file to write.
    """
    with h5py.File(path.name, "w", driver="core", backing_store=False) as file:
        yield file
        file.flush()
        content = file.id.get_file_image()
    with replacing(path) as temporary:
        temporary.write_bytes(content)
