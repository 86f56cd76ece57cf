"""Checkpoints that say what they are: tensors and plain containers, loaded without unpickling anything else.

A checkpoint holds Lightning's state and, under ``ptychoflow``, what the network was made of and from:

- ``model``, ``training``: the settings as plain dictionaries,
- ``fresnel_number``: of a pixel in the near field that all scans have, None in the far field,
- ``scans``: for each training dataset its file name, sha256, the frames used and what made it,
- ``seed``, ``fingerprint``: the latter changes with settings, data, seed, code or the checkpoint it began with,
- ``provenance``: what a person wants to know of all that, and of the run, as `ptychoflow.provenance.record`
  describes it.
"""

import io
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ptychoflow.errors import InputError
from ptychoflow.files import replacing
from ptychoflow.models.trained import load_checkpoint, network_weights
from ptychoflow.settings.blind import PRETRAINED
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.settings.values import flattened, plain
from ptychoflow.training.scan_network import ScanNetwork

PUBLISHED = ("state_dict", "ptychoflow", "epoch", "global_step", "pytorch-lightning_version")
"""What a published checkpoint keeps; the optimiser's state stays with the run."""


def restore(checkpoint: dict[str, Any], kind: type[ScanNetwork] = ScanNetwork) -> ScanNetwork:
    """Rebuild the network, with its probes, from what `load_checkpoint` returned.

    Parameters
    ----------
    checkpoint : dict
        As it was loaded.
    kind : type
        What it is to be, such as the module that Lightning trains.

    Raises
    ------
    InputError
        Where settings and weights are not those of this version of PtychoFlow.
    """
    try:
        return _rebuilt(kind, checkpoint["ptychoflow"], checkpoint["state_dict"])
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"the checkpoint does not fit this version of PtychoFlow ({reason:.200}): expected one that it wrote"
        ) from None


def _rebuilt(kind: type[ScanNetwork], description: dict[str, Any], state: dict[str, Tensor]) -> ScanNetwork:
    probes = torch.view_as_complex(state["probe_pairs"].contiguous())
    settings = ModelSettings(**description["model"]), TrainingSettings.of(description["training"])
    module = kind(*settings, probes, state["masks"], description.get("fresnel_number"))
    module.load_state_dict(state)
    module.description = description
    return module.eval()


def load_network(module: ScanNetwork, checkpoint: dict[str, Any], path: Path) -> None:
    """Give a network the weights of a checkpoint; the probe stays its own.

    Raises
    ------
    InputError
        Where the checkpoint's network is another one.
    """
    if checkpoint["ptychoflow"].get("result") == PRETRAINED:
        raise InputError(
            f"{path} has a blind network, which train.py does not train: expected tune.py, or one of train.py"
        )
    theirs, ours = checkpoint["ptychoflow"]["model"], plain(module.model_settings)
    differing = [key for key in ours if theirs.get(key) != ours[key]]
    if differing:
        key = differing[0]
        raise InputError(f"{path} has a network of model.{key} {theirs.get(key)}: expected {ours[key]}, as configured")
    try:
        module.network.load_state_dict(network_weights(checkpoint["state_dict"]))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} does not fit the network ({reason:.200}): expected its weights") from None


def publish(source: Path, target: Path, provenance: dict[str, Any]) -> None:
    """Write the part of a run's checkpoint that inference needs, with its provenance, by an atomic rename."""
    checkpoint = load_checkpoint(source)
    checkpoint["ptychoflow"]["provenance"] = provenance
    save({key: checkpoint[key] for key in PUBLISHED}, target)


def save(checkpoint: dict[str, Any], path: Path) -> None:
    """Write a checkpoint by an atomic rename."""
    content = io.BytesIO()  # torch says nothing of a full disk
    torch.save(checkpoint, content)
    with replacing(path) as temporary:
        temporary.write_bytes(content.getbuffer())


SETTLED = {"precision": "precision"}
"""Settings that the machine decides, by their names in the provenance."""


def describe(
    model: ModelSettings,
    training: TrainingSettings,
    fresnel_number: float | None,
    scans: list[dict[str, Any]],
    seed: int,
    fingerprint: str,
    provenance: dict[str, Any],
) -> dict[str, Any]:
    """Compose the ``ptychoflow`` entry of a checkpoint from plain containers only."""
    return {
        "model": plain(model),
        "training": plain(training),
        "fresnel_number": fresnel_number,
        "scans": scans,
        "seed": seed,
        "fingerprint": fingerprint,
        "provenance": provenance,
    }


def drift(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Say in what a training differs from the one that left a checkpoint: settings by name, seed, data, code.

    Parameters
    ----------
    before, now : dict
        The ``ptychoflow`` entries of the checkpoint and of the training.
    """
    parts = []
    for entry in (before, now):
        settled = {name: entry["provenance"].get(key) for name, key in SETTLED.items()}
        parts.append(flattened({"model": entry["model"], **entry["training"], **settled, "seed": entry["seed"]}))
    old, new = parts
    said = [f"{name} {old.get(name)} (now {new[name]})" for name in new if old.get(name) != new[name]]
    scans, found = before["scans"], now["scans"]
    if [scan["sha256"] for scan in scans] != [scan["sha256"] for scan in found]:
        said.append(f"data {', '.join(scan['file'] for scan in scans)} of another content or order")
    elif [scan["frames"] for scan in scans] != [scan["frames"] for scan in found]:
        said.append("other frames")
    for key, name in (("parent", "another init_from"), ("extensions", "other parts of one's own")):
        if before["provenance"].get(key) != now["provenance"].get(key):
            said.append(name)
    return said or ["other code"]


def trained_frames(description: dict[str, Any], sha256: str, made_by: dict[str, Any], frames: int) -> Tensor:
    """Which frames of a dataset a network was trained on, (frames,) bool.

    A dataset with refined positions has the frames of the one that it was made from.

    Parameters
    ----------
    description : dict
        The ``ptychoflow`` entry of the network's checkpoint.
    sha256 : str
        Of the dataset's file.
    made_by : dict
        The dataset's own provenance.
    frames : int
        Frames in the dataset.
    """
    found = torch.zeros(frames, dtype=torch.bool)
    same = _with_the_same_frames(sha256, made_by)
    for scan in description["scans"]:
        if same & _with_the_same_frames(scan["sha256"], scan["made_by"]):
            trained = torch.tensor(scan["frames"], dtype=torch.long)
            found[trained[trained < frames]] = True  # a scan may be followed while it is copied
    return found


def _with_the_same_frames(sha256: str, made_by: dict[str, Any]) -> set[str]:
    """Digests of a dataset and of the one whose positions were refined to make it."""
    return {sha256, made_by["source"]["sha256"]} if made_by.get("program") == "refine.py" else {sha256}
