"""The weights of the blind network: those that are shipped, or others of the same kind."""

from pathlib import Path
from typing import Any

import numpy as np

from ptychoflow.errors import InputError
from ptychoflow.files import sha256_of
from ptychoflow.models.blind import Blind
from ptychoflow.models.trained import load_checkpoint
from ptychoflow.settings.blind import PRETRAINED, BlindSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings

TUNED, PLAIN = "tuned", "plain iterations"
"""What made an image by another network of the kind, or by none."""
SHIPPED = Path(__file__).parents[1] / PRETRAINED / "model.ckpt"


def load_blind(path: Path | None = None) -> tuple[Blind, dict[str, Any]]:
    """Load a blind network.

    Parameters
    ----------
    path : Path, optional
        Its checkpoint; the shipped one if not given.

    Returns
    -------
    network : Blind
        On the CPU, ready to reconstruct.
    description : dict
        The ``ptychoflow`` entry of the checkpoint: ``model``, ``result``, ``provenance``, ``fingerprint`` and ``seed``.

    Raises
    ------
    InputError
        Where the file is missing, damaged, or of another kind of network.
    """
    path = weights_file(path)
    checkpoint = load_checkpoint(path)
    description = checkpoint["ptychoflow"]
    if not is_blind(description):
        raise InputError(
            f"{path} holds a network that was trained for its own probe: expected a blind one, such as {PRETRAINED}"
        )
    try:
        network = Blind(BlindSettings(**description["model"]))
        network.load_state_dict(checkpoint["state_dict"])
    except (KeyError, TypeError, RuntimeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} is no blind network of this version ({reason:.200}): expected its weights") from None
    return network.eval(), description


def chosen_network(settings: BlindReconstructionSettings, weights: Path | None) -> tuple[Blind, dict[str, Any]]:
    """The network that settings ask for, and what a record says of it; the plain engine is an untrained one."""
    if not settings.learned:
        return Blind(BlindSettings()).eval(), {"checkpoint_file": None, "checkpoint_sha256": None}
    network, description = load_blind(weights)
    return network, {
        "checkpoint_file": PRETRAINED if weights is None else str(weights),
        "checkpoint_sha256": sha256_of(weights_file(weights)),
        "fingerprint": description.get("fingerprint"),
        "weights": description.get("provenance"),
    }


def weights_file(path: Path | None) -> Path:
    """File of the weights, the shipped one if none is named.

    Raises
    ------
    InputError
        Where the shipped one is missing.
    """
    if path is None and not SHIPPED.is_file():
        raise InputError(
            f"{SHIPPED} is missing: expected the weights that PtychoFlow ships, or the checkpoint of a trained network "
            "(model_path)"
        )
    return path or SHIPPED


def is_blind(description: dict[str, Any]) -> bool:
    """Whether the ``ptychoflow`` entry of a checkpoint is that of a blind network."""
    return description.get("result") == PRETRAINED


def method_of(record: dict[str, Any]) -> str:
    """What made an image, by what `chosen_network` says of the network: its kind in a word."""
    if record["checkpoint_file"] is None:
        return PLAIN
    return TUNED if (record["weights"] or {}).get("stage") == "finetune" else PRETRAINED


def require_unseen(weights: Path | None, data: Path, digest: str, judges: np.ndarray) -> None:
    """Refuse to judge an image by frames that its network was tuned on.

    Parameters
    ----------
    weights : Path, optional
        Checkpoint of a blind network; the shipped one, which was tuned on none, if not given.
    data : Path
        File of the scan.
    digest : str
        Its SHA-256.
    judges : ndarray
        (judges,) int, numbers of the frames that are to judge.

    Raises
    ------
    InputError
        Where some of them are frames that it was tuned on.
    """
    if weights is None:
        return
    description = load_checkpoint(weights)["ptychoflow"]
    scans = {scan["sha256"]: scan for scan in description.get("scans", ())}
    if not scans or (scan := scans.get(digest)) is None:
        return
    seen = np.intersect1d(scan["frames"], judges)
    if len(seen):
        raise InputError(
            f"{len(seen)} of the {len(judges)} frames of {data} that are to judge its image are among those that "
            f"{weights} was tuned on: expected the seed of its tuning, {description['seed']}, and a held_out of at "
            "most its own"
        )
