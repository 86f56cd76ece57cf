"""pty-chi, imported without what it does not need here."""

import sys
from types import ModuleType

import numpy as np
import torch

from ptychoflow.errors import InputError


def import_ptychi() -> ModuleType:
    """Import pty-chi's interface.

    It needs torchvision for one blur. Beside a torch for CPUs, the registry's torchvision cannot be imported, and a
    stand-in with just that blur takes its place.
    """
    try:
        import torchvision  # noqa: F401
    except (ImportError, RuntimeError):
        package, transforms = ModuleType("torchvision"), ModuleType("torchvision.transforms")
        transforms.GaussianBlur, package.transforms = GaussianBlur, transforms
        sys.modules |= {"torchvision": package, "torchvision.transforms": transforms}
    try:
        import ptychi.api as api
        import ptychi.api.enums
        import ptychi.api.task  # noqa: F401
    except ImportError as error:
        raise InputError(
            f"pty-chi cannot be imported: expected the environment of envs/baseline.yaml ({error})"
        ) from None
    return api


class GaussianBlur:
    """Blur of (..., H, W) tensors by a Gaussian, called as torchvision's."""

    def __init__(self, kernel_size: int | tuple[int, int], sigma: float | tuple[float, float]) -> None:
        del kernel_size  # scipy takes as wide a kernel as the Gaussian needs
        self.sigma = float(np.mean(sigma))

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        from scipy import ndimage

        return torch.from_numpy(ndimage.gaussian_filter(image.numpy(), self.sigma, axes=(-2, -1)))
