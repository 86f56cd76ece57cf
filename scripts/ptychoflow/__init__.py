"""PtychoFlow: physics-informed neural reconstruction of scanning diffraction data.

In five lines, of which docs/python.md tells more::

    import ptychoflow

    scan = ptychoflow.read("scan.npz")
    image = ptychoflow.reconstruct(scan)
    image.plot()
    image.save("image.h5")

The library is a set of plain modules that know nothing of Snakemake and read no configuration by themselves. They stand
in rooms along the way of the data, from ``physics`` to ``figures``: docs/architecture.md tells what each is for.
"""

import os

__version__ = "0.1.0"

# Threads of OpenMP that spin while they wait take the core from the one they wait for, wherever other programs run too.
# Read when torch is loaded, which is later.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
    os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"] = "PASSIVE", "0"

_PLACES = {
    "Image": "interface.image",
    "InputError": "errors",
    "Scan": "interface.scan",
    "load": "interface.image",
    "read": "interface.scan",
    "reconstruct": "interface.reconstructing",
    "simulate": "interface.scan",
    "solve": "interface.reconstructing",
    "train": "interface.training",
    "tune": "interface.training",
}
"""Modules of the public names, imported when those are used: neither Snakemake nor a program's help waits for torch."""

__all__ = ["__version__", *_PLACES]


def __getattr__(name: str) -> object:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
