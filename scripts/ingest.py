"""Bring a scan of another format into the canonical CXI file."""

from pathlib import Path

from ptychoflow.running.command_line import run_program
from ptychoflow.settings.ingest import IngestSettings


def main(
    input: Path,
    output: Path,
    settings: IngestSettings,
    sha256: str | None = None,
    provenance: Path | None = None,
) -> None:
    """Read a scan of any known format, check it, and write it as CXI.

    Parameters
    ----------
    input : Path
        CXI of PtychoFlow, cdtools, Ptychodus or NXcxi_ptycho, HDF5 of PtychoShelves, pty-chi, ptypy, Ptychodus, PtyLab
        or with named keys, NPZ of PtychoPINN or tike, which may be packed by bzip2, MATLAB, Zarr,
        .npy or TIFF.
    output : Path
        CXI file to write.
    settings : IngestSettings
        What the file does not say about itself, or says wrongly.
    sha256 : str, optional
        Digest that the input must have.
    provenance : Path, optional
        JSON file to write about what made the dataset.
    """
    from dataclasses import asdict

    from ptychoflow.dataset.cxi import keep_dataset
    from ptychoflow.errors import InputError
    from ptychoflow.files import sha256_of
    from ptychoflow.ingest.readers import read_dataset
    from ptychoflow.ingest.rehearsal import is_ours
    from ptychoflow.measurement.geometry_check import geometry_doubts

    found = sha256_of(input)
    if sha256 is not None and found != sha256:
        raise InputError(f"{input} has sha256 {found}: expected {sha256}")
    # Frames pass from file to file, block by block.
    dataset = read_dataset(input, settings, frames_in_memory=0)
    source = {"file": input.name, "sha256": found}
    # What reading brought to light; of a dataset of our own, what did when it was made.
    noted = {
        key: value for key, value in dataset.provenance.items() if key in ("detector", "frames_left_out", "warnings")
    }
    if not is_ours(input, settings):
        if settings.measure is not False:
            doubts = geometry_doubts(dataset, str(input), whole=bool(settings.measure))
            noted |= {"warnings": [*noted.get("warnings", []), *doubts]} if doubts else {}
        companion = dataset.provenance.get("companion")
        if companion is not None:
            source["companion"] = {"file": Path(companion).name, "sha256": sha256_of(Path(companion))}
        frames = [Path(name) for name in dataset.provenance.get("frame_files", [])]
        if frames:
            source["frames"] = [{"file": path.name, "sha256": sha256_of(path)} for path in frames]
    elif dataset.provenance:
        source["made_by"] = dataset.provenance
        noted = {"warnings": noted["warnings"]} if "warnings" in noted else {}
    dataset.provenance = {
        "result": "dataset",
        "program": "ingest.py",
        "settings": asdict(settings),
        "source": source,
    } | noted
    keep_dataset(output, dataset, provenance)


if __name__ == "__main__":
    run_program(main, flat={"settings": IngestSettings})
