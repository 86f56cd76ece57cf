"""Provenance within the result itself: HDF5 attributes, the text of PNG, the metadata of SVG."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from ptychoflow.errors import InputError

ATTRIBUTE = "provenance"
DESCRIPTION = "Description"
DUBLIN_CORE = "{http://purl.org/dc/elements/1.1/}"


def hdf5_attributes(provenance: dict[str, Any]) -> dict[str, str | int | float]:
    """Attributes for an HDF5 file: the whole as JSON, and beside it each fact that is text or a number."""
    plain = {key: value for key, value in provenance.items() if isinstance(value, str | int | float)}
    return plain | {ATTRIBUTE: json.dumps(provenance)}


def from_hdf5_attributes(attributes: Any) -> dict[str, Any]:
    """Give the provenance that `hdf5_attributes` wrote; empty where there is none."""
    return json.loads(attributes[ATTRIBUTE]) if ATTRIBUTE in attributes else {}


def picture_metadata(suffix: str, provenance: dict[str, Any]) -> dict[str, Any]:
    """Metadata for matplotlib's savefig and imsave, by the picture's suffix: .png, .svg or .pdf."""
    text = json.dumps(provenance)
    if suffix == ".pdf":
        return {"CreationDate": None, "Subject": text}
    return {DESCRIPTION: text} | ({"Date": None} if suffix == ".svg" else {})


def read_provenance(path: Path) -> dict[str, Any]:
    """Read the provenance from within a result.

    Parameters
    ----------
    path : Path
        PNG, SVG, HDF5 (reconstruction.h5, predicted.h5, CXI), model.ckpt, or a provenance.json.

    Raises
    ------
    InputError
        Where the file cannot be read or has none.
    """
    read = READERS.get(path.suffix.lower())
    if read is None:
        raise InputError(f"{path} is of no kind that holds a provenance: expected one of {', '.join(sorted(READERS))}")
    try:
        provenance = read(path)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, KeyError, SyntaxError) as error:
        raise InputError(f"{path} holds no provenance ({error}): expected a result of PtychoFlow") from None
    if not provenance:
        raise InputError(f"{path} holds no provenance: expected a result of PtychoFlow")
    return provenance


def _from_json(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def _from_hdf5(path: Path) -> dict[str, Any]:
    import h5py

    with h5py.File(path, "r") as file:
        return from_hdf5_attributes(file.attrs)


def _from_picture(path: Path) -> dict[str, Any]:
    from PIL import Image

    with Image.open(path) as image:
        return json.loads(image.info.get(DESCRIPTION, "{}"))


def _from_svg(path: Path) -> dict[str, Any]:
    description = ElementTree.parse(path).find(f".//{DUBLIN_CORE}description")
    return {} if description is None else json.loads(description.text or "{}")


def _from_checkpoint(path: Path) -> dict[str, Any]:
    # Not by way of the training's own reader, whose code would then make every figure stale.
    import torch

    try:
        return torch.load(path, map_location="cpu", weights_only=True)["ptychoflow"]["provenance"]
    except OSError:
        raise
    except Exception as error:
        raise ValueError(str(error).partition("\n")[0] or type(error).__name__) from None


READERS = {
    ".json": _from_json,
    **dict.fromkeys((".h5", ".hdf5", ".cxi"), _from_hdf5),
    ".png": _from_picture,
    ".svg": _from_svg,
    ".ckpt": _from_checkpoint,
}
