"""NPZ files, packed by bzip2 or not, from which nothing is unpickled."""

import bz2
import io
import zipfile
from pathlib import Path

import numpy as np

from ptychoflow.errors import InputError
from ptychoflow.ingest.formats.arrays import ArraySource


class NpzSource(ArraySource):
    """Arrays of an NPZ file that is in memory.

    Parameters
    ----------
    path : Path
        The file.

    Raises
    ------
    InputError
        Where it is no whole NPZ file, or has a key twice.
    """

    def __init__(self, path: Path) -> None:
        content = path.read_bytes()
        if content.startswith(b"BZh"):
            try:
                content = bz2.decompress(content)
            except (OSError, ValueError, EOFError) as error:
                raise InputError(f"the bzip2 packing is damaged ({error}): expected a whole file") from None
        if not (content.startswith(b"PK") and zipfile.is_zipfile(io.BytesIO(content))):
            raise InputError("neither an HDF5 nor a whole NPZ file: expected one of the formats of docs/formats.md")
        try:
            self.arrays = np.load(io.BytesIO(content), allow_pickle=False)
        # Parsers of damaged archives raise anything from struct.error to NotImplementedError.
        except Exception as error:
            raise InputError(f"the NPZ file is damaged ({error}): expected a whole file") from None
        super().__init__(path, set(self.arrays.files))
        twice = sorted(name for name in self.keys if self.arrays.files.count(name) > 1)
        if twice:
            raise InputError(f"key {twice[0]} stands twice in the NPZ file: expected each once")

    def _read(self, name: str) -> np.ndarray:
        return self.arrays[name]
