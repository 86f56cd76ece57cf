"""What to compute on, without Lightning, for programs that must begin at once."""

import torch

from ptychoflow.errors import InputError


def chosen_device(accelerator: str) -> torch.device:
    """Device by Lightning's name of an accelerator: a GPU where one is asked for, or there is one and any will do.

    Raises
    ------
    InputError
        Where a GPU is asked for and none can be used.
    """
    found = torch.cuda.is_available()
    if accelerator in ("gpu", "cuda") and not found:
        raise InputError(f"accelerator {accelerator} cannot be used here: torch finds no CUDA GPU")
    return torch.device("cuda" if found and accelerator != "cpu" else "cpu")


def device_name(device: torch.device) -> str:
    """What a device is called: the GPU's product name, or the number of CPU threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"cpu, {torch.get_num_threads()} threads"
