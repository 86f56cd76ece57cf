"""Write the conda environments and the container anew, with the versions of requirements.txt: run by `make envs`.

Each environment has the packages that its rules import; what those need in turn is for the solver, and is held by the
pin file beside it, which the workflow `environments` of GitHub makes.
"""

import hashlib
from pathlib import Path

FOLDER = Path(__file__).parent
CONDA_NAMES = {"isal": "python-isal", "torch": "pytorch"}
# The registry of pip has it for CUDA alone, so the tested environment does without, and with it the library.
TORCHVISION = "0.28.0"
# Their builds for CPUs and for CUDA have one version; those for CUDA have the higher build number, and are taken on a
# machine with a GPU if none is named.
BUILT = ("pytorch", "torchvision")
CUDA = "12.9"
MINIFORGE = "26.3.2-3"

COMMON = ("docstring_parser", "jsonargparse", "pyyaml")
ARRAYS = (*COMMON, "h5py", "isal", "numpy", "scipy")
IMAGES = ("matplotlib", "pillow", "scikit-image")
PATCHES = ("lightning", "pyarrow", "tifffile", "torchmetrics")
LOGGERS = ("filelock", "mlflow", "tensorboard")
# The rooms that compute with tensors name their axes.
TENSORS = ("jaxtyping", "torch")
ENVIRONMENTS = {
    "data": ("simulate, fetch and ingest", (*ARRAYS, "hdf5plugin", "scikit-image", *TENSORS, "zarr")),
    "train": ("train", (*ARRAYS, *IMAGES, *PATCHES, *LOGGERS, *TENSORS)),
    "train-gpu": ("train, where device is gpu", (*ARRAYS, *IMAGES, *PATCHES, *LOGGERS, *TENSORS)),
    "reconstruct": ("infer, stitch, their parts, and evaluate", (*ARRAYS, *IMAGES, *PATCHES, *TENSORS)),
    "reconstruct-gpu": ("infer and its parts, where device is gpu", (*ARRAYS, *IMAGES, *PATCHES, *TENSORS)),
    "baseline": ("solve", (*ARRAYS, *IMAGES, "pandas", "pip", "pydantic", "scikit-learn", *TENSORS, "tqdm")),
    "figures": ("plot_*, view, collect_runs and report", (*ARRAYS, *IMAGES, "bokeh", *TENSORS)),
    "crate": ("make_crate", (*COMMON, "pillow", "rocrate")),
}
# Newest version in the history of conda-forge's feedstock, looked at in August 2026, of what was tested with a later
# one: whether that has come there since is for the solver to see, which takes the newest up to the tested one.
SEEN = {
    "bokeh": "3.9.0",
    "filelock": "3.32.3",
    "hdf5plugin": "6.0.0",
    "jsonargparse": "4.40.2",
    "lightning": "2.6.1",
    "matplotlib": "3.11.0",
    "mlflow": "3.11.1",
    "pandas": "3.0.3",
    "pillow": "12.0.0",
    "pyarrow": "25.0.0",
    "pydantic": "2.13.4",
    "rocrate": "0.15.0",
    "scikit-learn": "1.8.0",
    "tensorboard": "2.20.0",
    "tqdm": "4.70.0",
}
# Only pip has them; what they ask for stands in the environment already, or is not needed.
BY_PIP = {"baseline": ("ptychi",)}
HEADER = """\
# Environment of {rules}. Written by make envs.
# Versions are those of requirements.txt; a range begins with the newest that conda-forge was known to have.
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


def pin(package: str, version: str, on_gpu: bool) -> str:
    """What conda is asked for: the tested version where it is known to be there, its build where there are several."""
    if package in SEEN:
        return f"{package}>={SEEN[package]},<={version}"
    if package in BUILT:
        return f"{package}={version}={'cuda*' if on_gpu else 'cpu_*'}"
    return f"{package}={version}"


def environment(name: str) -> str:
    """Text of one environment file."""
    rules, packages = ENVIRONMENTS[name]
    versions = lock() | {"torchvision": TORCHVISION}
    packages = (*packages, "torchvision") if name == "baseline" else packages
    # pip itself only installs what the script after it names.
    pins = [
        pin(CONDA_NAMES.get(package, package), versions[package.lower()], name.endswith("-gpu"))
        for package in packages
        if package != "pip"
    ]
    pins += ["pip"] if "pip" in packages else []
    return HEADER.format(rules=rules) + "".join(f"  - {line}\n" for line in sorted(pins))


def post_deploy(name: str) -> str:
    """Script that Snakemake runs within an environment once it is made."""
    pins = " ".join(f"{package}=={lock()[package]}" for package in BY_PIP[name])
    return (
        "#!/usr/bin/env bash\n"
        "# Written by make envs. Without what it asks for, which would come unpinned from pip.\n"
        "set -euo pipefail\n"
        f"python -m pip install --no-deps --no-input {pins}\n"
    )


def content_hash(name: str) -> str:
    """Name of an environment's folder in a container, as Snakemake computes it from the environment's files."""
    parts = [FOLDER / f"{name}.{suffix}" for suffix in ("post-deploy.sh", "linux-64.pin.txt", "yaml")]
    content = b"".join(part.read_bytes() for part in parts if part.exists())
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def container() -> str:
    """Text of the Dockerfile of an image with every environment, where `containerized` rules look for them."""
    names = sorted(ENVIRONMENTS)
    everything = hashlib.sha256(b"".join((FOLDER / f"{name}.yaml").read_bytes() for name in names)).hexdigest()
    lines = [
        "# Every environment, where Snakemake looks for it. Written by make envs.",
        f"FROM condaforge/miniforge3:{MINIFORGE}",
        'LABEL io.github.snakemake.containerized="true"',
        f'LABEL io.github.snakemake.conda_env_hash="{everything}"',
    ]
    for name in names:
        prefix, folder = f"/conda-envs/{content_hash(name)}", f"/environments/{name}"
        pinned, script = (FOLDER / f"{name}.{suffix}" for suffix in ("linux-64.pin.txt", "post-deploy.sh"))
        files = [f"envs/{file.name}" for file in (FOLDER / f"{name}.yaml", pinned, script) if file.exists()]
        source = (
            f"create --file {folder}/{pinned.name}" if pinned.exists() else f"env create --file {folder}/{name}.yaml"
        )
        # A machine that builds images has no driver to tell which CUDA is wanted.
        override = f"CONDA_OVERRIDE_CUDA={CUDA} " if name.endswith("-gpu") else ""
        lines += ["", f"COPY {' '.join(files)} {folder}/"]
        lines.append(f"RUN {override}conda {source} --yes --prefix {prefix} && conda clean --all --yes")
        if script.exists():
            lines.append(f"RUN conda run --prefix {prefix} bash {folder}/{script.name}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    for name in ENVIRONMENTS:
        (FOLDER / f"{name}.yaml").write_text(environment(name), encoding="utf-8")
    for name in BY_PIP:
        (FOLDER / f"{name}.post-deploy.sh").write_text(post_deploy(name), encoding="utf-8")
    (FOLDER / "Dockerfile").write_text(container(), encoding="utf-8")
