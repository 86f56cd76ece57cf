"""NPZ files, packed by bzip2 or not, from which nothing is unpickled."""

import bz2
import io
import zipfile

import numpy as np

from ptychoflow.data.formats.probes import probe_modes
from ptychoflow.errors import InputError


class NpzSource:
    """Arrays of an NPZ file that is in memory.

    Parameters
    ----------
    content : bytes
        The file.

    Raises
    ------
    InputError
        Where it is no whole NPZ file, or has a key twice.
    """

    def __init__(self, content: bytes) -> None:
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
        twice = sorted(name for name in self.keys if self.arrays.files.count(name) > 1)
        if twice:
            raise InputError(f"key {twice[0]} stands twice in the NPZ file: expected each once")

    @property
    def keys(self) -> set[str]:
        """Names of the arrays."""
        return set(self.arrays.files)

    def array(self, *names: str) -> np.ndarray:
        """Read the first key that is there, as numbers without NaN."""
        value = self._numbers(*names)
        if not np.isfinite(value).all():
            raise InputError(
                f"key {' or '.join(names)} holds {np.count_nonzero(~np.isfinite(value))} NaN or infinite values: "
                "expected none"
            )
        return value

    def frames(self, *names: str) -> np.ndarray:
        """Real numbers of the first key that is there, among which NaN may mark gaps."""
        value = self._numbers(*names)
        if np.iscomplexobj(value):
            raise InputError(f"key {' or '.join(names)} has dtype {value.dtype}: expected real numbers")
        return value

    def _numbers(self, *names: str) -> np.ndarray:
        found = [name for name in names if name in self.keys]
        if not found:
            raise InputError(f"key {' or '.join(names)} is missing among {sorted(self.keys)}")
        try:
            value = self.arrays[found[0]]
        except Exception as error:
            raise InputError(f"key {found[0]} cannot be read: {error}") from None
        if not (np.issubdtype(value.dtype, np.number) or value.dtype == bool):
            raise InputError(f"key {found[0]} has dtype {value.dtype}: expected numbers")
        return value

    def real(self, *names: str) -> np.ndarray:
        """As `array`, but real."""
        value = self.array(*names)
        if np.iscomplexobj(value):
            raise InputError(f"key {' or '.join(names)} has dtype {value.dtype}: expected real numbers")
        return value

    def probe(self, name: str) -> np.ndarray:
        """Probe modes (modes, N, N) complex64; other leading axes must have length one."""
        return probe_modes(self.array(name))
