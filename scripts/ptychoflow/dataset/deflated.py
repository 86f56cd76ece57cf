"""Images that HDF5 keeps packed by deflate, which it calls gzip: packed and unpacked faster than HDF5 does it itself.

ISA-L's deflate takes a third of the time of zlib's, which stands in where ISA-L is missing. Any HDF5 reads what is
written so.
"""

import sys

import h5py
import numpy as np

try:
    from isal import isal_zlib as deflate
except ImportError:  # on a machine for which it was not installed
    import zlib as deflate

LEVEL = 1
FILTERS = ([h5py.h5z.FILTER_DEFLATE], [h5py.h5z.FILTER_SHUFFLE, h5py.h5z.FILTER_DEFLATE])
"""What is unpacked here; all else is left to HDF5."""


def create_deflated(group: h5py.Group, name: str, shape: tuple[int, int, int], kind: np.dtype) -> h5py.Dataset:
    """Make room for images (n, H, W), each to be packed by itself with `write_deflated`."""
    options = {"chunks": (1, *shape[1:]), "compression": "gzip", "compression_opts": LEVEL, "shuffle": True}
    return group.create_dataset(name, shape, kind, **options)


def write_deflated(data: h5py.Dataset, first: int, images: np.ndarray) -> None:
    """Pack images (n, H, W) of the dataset's own dtype, and write them from a number on."""
    for number, image in enumerate(images, first):
        data.id.write_direct_chunk((number, 0, 0), deflate.compress(_shuffled(image), LEVEL))


def read_deflated(data: h5py.Dataset, rows: np.ndarray, values: np.ndarray) -> bool:
    """Read rows of a dataset whose chunks are whole images, packed by deflate and nothing else.

    Parameters
    ----------
    data : Dataset
        (n, H, W) numbers.
    rows : ndarray
        (rows,) int, rising.
    values : ndarray
        (rows, H, W), to be filled.

    Returns
    -------
    bool
        False where the dataset is of another kind, and nothing was read.

    Raises
    ------
    OSError
        Where a chunk is damaged.
    """
    if not is_deflated(data):
        return False
    length, shape, kind = data.chunks[0], data.chunks, data.dtype
    shuffled = data.shuffle and kind.itemsize > 1
    chunks = rows // length
    with np.errstate(over="ignore"):
        for chunk in np.unique(chunks):
            first, last = np.searchsorted(chunks, (chunk, chunk + 1))
            content = _unpacked(data, int(chunk) * length, int(np.prod(shape)) * kind.itemsize)
            if content is None:
                return False
            images = (_unshuffled(content, kind) if shuffled else content.view(kind)).reshape(shape)
            values[first:last] = images if len(images) == last - first else images[rows[first:last] - chunk * length]
    return True


def is_deflated(data: h5py.Dataset) -> bool:
    """Whether a dataset's chunks are whole images, packed by deflate and nothing else."""
    if data.ndim != 3 or data.chunks is None or data.chunks[1:] != data.shape[1:] or data.dtype.kind not in "uif":
        return False
    properties = data.id.get_create_plist()
    return [properties.get_filter(place)[0] for place in range(properties.get_nfilters())] in FILTERS


def _unpacked(data: h5py.Dataset, row: int, size: int) -> np.ndarray | None:
    """Content of the chunk that begins with a row, (size,) uint8; None where HDF5 keeps it otherwise."""
    try:
        skipped, packed = data.id.read_direct_chunk((row, 0, 0))
    except (OSError, RuntimeError):
        # One that was never written, for which HDF5 knows what stands in its place, or damage that HDF5 names.
        return None
    if skipped:
        return None
    stream = deflate.decompressobj()
    try:
        content = stream.decompress(packed, size + 1)
    except deflate.error as error:
        raise OSError(f"the chunk of image {row} is damaged ({error})") from None
    if len(content) != size or not stream.eof:
        raise OSError(f"the chunk of image {row} holds {len(content)} bytes: expected {size}")
    return np.frombuffer(content, np.uint8)


def _shuffled(image: np.ndarray) -> np.ndarray:
    """Bytes of the numbers of an image, all first ones before all second ones, (bytes, pixels) uint8.

    Shifted integers give them in less time than a turned array of bytes.
    """
    kind = image.dtype
    whole = np.ascontiguousarray(image).reshape(-1).view(_integers(kind))
    planes = np.empty((kind.itemsize, whole.size), np.uint8)
    for place in range(kind.itemsize):
        # Casting cuts off what lies above the lowest byte.
        planes[_stored(place, kind)] = whole >> (8 * place) if place else whole
    return planes


def _unshuffled(content: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Numbers of a type in native order from their bytes, as `_shuffled` gives them."""
    planes, integers = content.reshape(kind.itemsize, -1), _integers(kind).newbyteorder("=")
    whole = planes[_stored(0, kind)].astype(integers)
    for place in range(1, kind.itemsize):
        whole |= planes[_stored(place, kind)].astype(integers) << (8 * place)
    return whole.view(kind.newbyteorder("="))


def _integers(kind: np.dtype) -> np.dtype:
    """Unsigned integers of as many bytes, in the same order."""
    return np.dtype(f"u{kind.itemsize}").newbyteorder(kind.byteorder)


def _stored(place: int, kind: np.dtype) -> int:
    """Where the byte of a place, counted from the lowest, stands in a number as it is stored."""
    little = kind.newbyteorder("=") == kind if sys.byteorder == "little" else kind.newbyteorder("<") == kind
    return place if little else kind.itemsize - 1 - place
