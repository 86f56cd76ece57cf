"""Write the conda environments anew, with the versions of requirements.txt: run by `make envs`.

Each environment has the packages that its rules import; what those need in turn is for the solver.
"""

from pathlib import Path

FOLDER = Path(__file__).parent
CONDA_NAMES = {"isal": "python-isal", "torch": "pytorch"}
# The registry of pip has it for CUDA alone, so the tested environment does without, and with it the library.
TORCHVISION = "0.28.0"

COMMON = ("docstring_parser", "jsonargparse", "pyyaml")
ARRAYS = (*COMMON, "h5py", "isal", "numpy", "scipy")
IMAGES = ("matplotlib", "pillow", "scikit-image")
PATCHES = ("lightning", "pyarrow", "tifffile", "torchmetrics")
LOGGERS = ("filelock", "mlflow", "tensorboard")
ENVIRONMENTS = {
    "data": ("simulate, fetch and ingest", (*ARRAYS, "hdf5plugin", "scikit-image", "torch")),
    "train": ("train", (*ARRAYS, *IMAGES, *PATCHES, *LOGGERS, "torch")),
    "train-gpu": ("train, where device is gpu", (*ARRAYS, *IMAGES, *PATCHES, *LOGGERS, "torch")),
    "reconstruct": ("infer, stitch, their parts, and evaluate", (*ARRAYS, *IMAGES, *PATCHES, "torch")),
    "reconstruct-gpu": ("infer and its parts, where device is gpu", (*ARRAYS, *IMAGES, *PATCHES, "torch")),
    "baseline": ("solve", (*ARRAYS, *IMAGES, "pandas", "pydantic", "scikit-learn", "torch", "tqdm")),
    "figures": ("plot_*, collect_runs and report", (*ARRAYS, *IMAGES)),
    "crate": ("make_crate", (*COMMON, "pillow", "rocrate")),
}
HEADER = """\
# Environment of {rules}. Written by make envs, with the versions of requirements.txt.
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python=3.11
"""


def lock() -> dict[str, str]:
    """Versions by the package's name in lower case."""
    files = (FOLDER / "requirements.txt", FOLDER / "requirements-baseline.txt")
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    return dict(line.lower().split("==") for line in lines if line and not line.startswith("#"))


def environment(name: str) -> str:
    """Text of one environment file."""
    rules, packages = ENVIRONMENTS[name]
    versions = lock()
    pins = {CONDA_NAMES.get(package, package): versions[package.lower()] for package in packages}
    text = HEADER.format(rules=rules)
    if name.endswith("-gpu"):
        # The build for CUDA; which CUDA, the solver finds by the driver of the machine that it runs on.
        pins["pytorch-gpu"] = pins.pop("pytorch")
    if name == "baseline":
        pins["torchvision"] = TORCHVISION
    text += "".join(f"  - {package}={version}\n" for package, version in sorted(pins.items()))
    if name == "baseline":
        text += f"  - pip\n  - pip:\n      - ptychi=={versions['ptychi']}\n"
    return text


if __name__ == "__main__":
    for name in ENVIRONMENTS:
        (FOLDER / f"{name}.yaml").write_text(environment(name), encoding="utf-8")
