"""From a scan to an image in one process."""

import logging
from pathlib import Path
from typing import Any, Literal

from jsonargparse.typing import NonNegativeInt, PositiveInt

from ptychoflow.errors import InputError
from ptychoflow.running.command_line import run_program
from ptychoflow.settings.inference import InferenceSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.training import FRAMES_IN_MEMORY

OUTPUTS = "reconstruction.h5", "reconstructed_amplitude.png", "reconstructed_phase.png", "provenance.json"


def main(
    test_data: Path,
    output_dir: Path,
    inference: InferenceSettings,
    blind: BlindReconstructionSettings,
    model_path: Path | None = None,
    n_groups: int | None = None,
    n_images: int | None = None,
    phase_iterations: NonNegativeInt | None = None,
    seed: NonNegativeInt | None = None,
    accelerator: Literal["auto", "cpu", "gpu", "cuda"] = "auto",
    device: Literal["cpu", "cuda"] | None = None,
    threads: PositiveInt | None = None,
) -> None:
    """Reconstruct a dataset: reconstruction.h5, reconstructed_amplitude.png and reconstructed_phase.png.

    Without a model path the pretrained network does it, which solves for the probe as well; its settings are those
    that begin with --blind. Until it ends, preview_amplitude.png and preview_phase.png show how far it is. A network
    of one's own is made by train.py.

    Parameters
    ----------
    test_data : Path
        Dataset, in any format of docs/formats.md.
    output_dir : Path
        Folder for reconstruction.h5, the two pictures and provenance.json.
    inference : InferenceSettings
        How it is reconstructed by a network of train.py.
    blind : BlindReconstructionSettings
        How it is reconstructed by the pretrained network.
    model_path : Path, optional
        A checkpoint, or the output folder of train.py: there model.ckpt, and then checkpoints/last.ckpt, is looked for;
        the pretrained network if not given, or if it is the word pretrained.
    n_groups : int, optional
        Frames to reconstruct by a network of train.py, the first ones; all if not given.
    n_images : int, optional
        Older name of --n_groups.
    phase_iterations : int, optional
        How often the global phases of the patches of a network of train.py are brought into agreement; by default once
        for patches that were reconstructed together, and 5 times for others.
    seed : int, optional
        Fixes the frames that the pretrained network holds out, and their order; 0 if not given.
    accelerator : {"auto", "cpu", "gpu", "cuda"}
        What to run on, by Lightning's names.
    device : {"cpu", "cuda"}, optional
        Older name of --accelerator.
    threads : int, optional
        CPU threads, no more than there are cores for; by default what the environment says.
    """
    from ptychoflow.ingest.readers import read_dataset
    from ptychoflow.interface.scan_to_image import (
        by_blind_network,
        by_trained_network,
        find_checkpoint,
        look_at_geometry,
        solves_for_the_probe,
    )
    from ptychoflow.reconstruction.pictures import keep_reconstruction
    from ptychoflow.running.hardware import use_threads

    use_threads(threads)
    if n_images is not None:
        logging.warning("--n_images is deprecated: use --n_groups")
        n_groups = n_images
    if device is not None:
        logging.warning("--device is deprecated: use --accelerator")
        accelerator = device
    checkpoint = find_checkpoint(model_path)
    blindly = solves_for_the_probe(checkpoint)
    if blindly:
        refuse(
            "the pretrained network",
            n_groups=n_groups is not None,
            phase_iterations=phase_iterations is not None,
            **_changed(inference),
        )
    else:
        refuse("a network of train.py", seed=seed is not None, **_changed(blind, "blind."))
    logging.info("reading %s", test_data)
    dataset = read_dataset(test_data, frames_in_memory=FRAMES_IN_MEMORY)
    preview = None
    if blindly:
        # What the other networks would load for nothing.
        from ptychoflow.blind.preview import Preview

        preview = Preview(output_dir)
        made = by_blind_network(checkpoint, dataset, test_data, blind, seed or 0, accelerator, look=preview)
    else:
        made = by_trained_network(checkpoint, dataset, test_data, inference, n_groups, phase_iterations, accelerator)
    outputs = [output_dir / name for name in OUTPUTS]
    keep_reconstruction(made, *outputs)
    if preview is not None:
        preview.remove()
        if look_at_geometry(made, dataset, test_data):
            keep_reconstruction(made, *outputs)


def refuse(network: str, **given: bool) -> None:
    """Refuse settings that this kind of network has no use for, by name."""
    useless = [name for name, there in given.items() if there]
    if useless:
        raise InputError(f"{', '.join(useless)} given for {network}, which has no use for it: expected none of it")


def _changed(settings: Any, before: str = "") -> dict[str, bool]:
    usual = type(settings)()
    return {f"{before}{name}": value != getattr(usual, name) for name, value in vars(settings).items()}


if __name__ == "__main__":
    run_program(main, flat={"inference": InferenceSettings})
