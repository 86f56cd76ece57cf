# What the steps of a dataset are told, and read.

from contextlib import suppress

from ptychoflow.errors import InputError
from ptychoflow.ingest.file_names import listed_files, names_files
from ptychoflow.settings.ingest import IngestSettings
from ptychoflow.settings.simulation import SimulationSettings
from ptychoflow.settings.solver import RefinementSettings
from ptychoflow.settings.values import plain


def ingested(wildcards):
    return DATASETS[wildcards.dataset]["ingest"]


def raw_file(wildcards):
    """The local copy where there is one, else the download."""
    source = ingested(wildcards)
    if "path" in source and (Path(source["path"]).exists() or "url" not in source):
        return given(source["path"])
    return [f"results/raw/{wildcards.dataset}/{Path(source['url']).name}"]


def raw_path(wildcards, input):
    return input.raw[0] if input.raw else ingested(wildcards)["path"]


def further_files(wildcards):
    """Masks and dark frames, where an HDF5 file may have the name of one within it, after two colons; files that a list
    of frames names; and the second file of a format of two, where the settings name it: what is found by its usual
    name is no input."""
    source = ingested(wildcards)
    detector = source.get("detector", {})
    named = (detector.get(key) for key in ("mask_file", "dark_file"))
    files = [file.partition("::")[0] for file in named if file is not None]
    if source.get("companion") is not None:
        files.append(str(Path(source["path"]).parent / source["companion"]))
    frames = source.get("paths", {}).get("frames", [])
    listed = [name for name in ([frames] if isinstance(frames, str) else frames) if names_files(name)]
    # Where none is there, ingest.py says so.
    with suppress(InputError):
        files += [str(path) for path, _ in listed_files(listed, Path(source["path"]).parent)]
    return files


def unwatched(wildcards):
    """State of the files of a dataset that Snakemake cannot watch."""
    return state(ingested(wildcards).get("path", ""), *further_files(wildcards))


# Settings are written with every default, so that a default which someone writes out makes nothing again.
DATASET_SETTINGS = {"simulate": SimulationSettings, "ingest": IngestSettings, "refine": RefinementSettings}


def dataset_settings(wildcards):
    """What simulate.py, ingest.py or refine.py is told by --config; where its input is does not belong to it."""
    ((kind, settings),) = DATASETS[wildcards.dataset].items()
    location = ("path", "url", "sha256", "dataset")
    said = {key: value for key, value in settings.items() if key not in location}
    return as_yaml(plain(DATASET_SETTINGS[kind].of(said)))


def unrefined(wildcards):
    """Dataset whose positions are refined."""
    source = DATASETS[wildcards.dataset]["refine"]["dataset"]
    return f"results/data/{source}.cxi"
