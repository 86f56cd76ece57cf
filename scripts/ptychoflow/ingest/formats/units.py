"""Units as files name them."""

from typing import Any

from ptychoflow.errors import InputError
from ptychoflow.physics.geometry import JOULES

UNITS = {
    "m": 1.0,
    "cm": 1e-2,
    "mm": 1e-3,
    "um": 1e-6,
    "µm": 1e-6,
    "μm": 1e-6,
    "micron": 1e-6,
    "nm": 1e-9,
    "angstrom": 1e-10,
    "pm": 1e-12,
    "ev": 1.0,
    "kev": 1e3,
    "mev": 1e6,
    "gev": 1e9,
    "j": 1 / JOULES,
}
"""Metres, and electronvolts, by the names of units in lower case."""
ENERGIES = ("ev", "kev", "mev", "gev", "j")
LONG_NAMES = {
    "meter": "m",
    "metre": "m",
    "centimeter": "cm",
    "centimetre": "cm",
    "millimeter": "mm",
    "millimetre": "mm",
    "micrometer": "um",
    "micrometre": "um",
    "nanometer": "nm",
    "nanometre": "nm",
    "å": "angstrom",
    "electronvolt": "ev",
    "joule": "j",
}


def scale_of(named: Any | None, key: str, unit: str) -> float:
    """Metres or electronvolts in the unit that stands beside a number, which is `unit` where none does.

    Raises
    ------
    InputError
        Where nobody knows it, or it measures something else.
    """
    name = "" if named is None else (_text(named) if isinstance(named, bytes) else str(named))
    name = name.strip().strip("[]()").strip().lower()
    if not name:
        return UNITS[unit]
    name = name.rstrip("s") if len(name) > 2 else name
    name = LONG_NAMES.get(name, name)
    if name not in UNITS or (name in ENERGIES) != (unit in ENERGIES):
        raise InputError(
            f"key {key} has the unit {named}: expected one such as {unit}, or a setting in its place "
            "(positions.unit, energy, detector_distance, detector_pixel_size)"
        )
    return UNITS[name]


def _text(content: bytes) -> str:
    """Text in UTF-8, or in Latin-1, in which older control systems write the micro sign."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")
