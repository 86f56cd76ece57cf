"""Pictures of the reconstruction while it sharpens: the same few patches every few epochs, and the stitched object.

    epoch_0005/patch_00/amp_pred.png   phase_pred   amp_gt   phase_gt   amp_error   phase_error
                        diff_obs_logI.png   diff_pred_logI   diff_error_logI
    epoch_0005/stitched/amp_pred.png   ...

They are PNG files in the run folder, artifacts of the MLflow run, and images of TensorBoard and of any other logger
that takes some.
"""

import json
import logging
from pathlib import Path

import matplotlib
import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from ptychoflow.errors import InputError
from ptychoflow.files import replacing
from ptychoflow.loading.loaders import GroupLoader
from ptychoflow.loading.tables import Batch
from ptychoflow.metrics.alignment import align, between_probes, scored_area
from ptychoflow.metrics.patches import align_patches, lit_area
from ptychoflow.reconstruction.inference import scan_loader
from ptychoflow.reconstruction.stitching import Portion, stitch
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.tracking.run_logger import log_pictures
from ptychoflow.training.module import Reconstructor

log = logging.getLogger(__name__)

# Not those of the figures: a figure's style shall not make a training stale.
AMPLITUDE_COLOURS, PHASE_COLOURS, PHOTON_COLOURS, ERROR_COLOURS = "gray", "twilight_shifted", "viridis", "magma"
LEAST_EDGE = 192
"""Pixels of the shorter edge below which a picture is enlarged by a whole factor, to be seen in a browser."""
PHASE_ITERATIONS = 5
FRAMES_AT_ONCE = 256


class ReconstructionImages(Callback):
    """Draws fixed patches of the validation frames, or of the training frames where none are held out.

    Only the first process draws. Weights, random numbers and the course of the training are left as they are.

    Parameters
    ----------
    settings : TrackingSettings
        How often and how much.
    run_dir : Path
        Working folder of the run; the pictures go into its folder images.
    """

    def __init__(self, settings: TrackingSettings, run_dir: Path) -> None:
        self.settings = settings
        self.folder = run_dir / "images"
        self.said: set[str] = set()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._chosen(trainer)  # what cannot be drawn shall be refused now, not after some epochs

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        epoch = trainer.current_epoch + 1
        if epoch % self.settings.recon_log_every_n_epochs or not trainer.is_global_zero:
            return
        training = pl_module.training
        pl_module.eval()
        try:
            with torch.no_grad(), trainer.precision_plugin.forward_context():
                pictures = self.patches(trainer, pl_module)
                if self.settings.recon_log_stitch:
                    pictures |= self.stitched(trainer, pl_module)
        finally:
            pl_module.train(training)
        self._keep(trainer, pl_module, f"epoch_{epoch:04d}", pictures)

    def patches(self, trainer: Trainer, module: Reconstructor) -> dict[str, np.ndarray]:
        """Draw the chosen patches, (N, N, 3) uint8 by name."""
        batch = self._chosen(trainer)
        evaluation = module.evaluate(batch)
        predicted = evaluation.patches[:, 0]
        if batch.truth is None:
            self._say_once("no true object: reconstruction images have no amp_gt, phase_gt and errors")
        else:
            # A diffraction pattern does not tell the patch's global phase, which is taken from the truth.
            predicted = align_patches(predicted, batch.truth[:, 0], module.illumination(batch))
        observed, modelled = batch.amplitudes[:, 0].square(), evaluation.intensity[:, 0]
        lit = _array(lit_area(module.illumination(batch)))
        pictures = {}
        for number in range(len(predicted)):
            truth = None if batch.truth is None else _array(batch.truth[number, 0])
            panels = object_panels(_array(predicted[number]), truth, lit[number])
            panels |= diffraction_panels(_array(observed[number]), _array(modelled[number]))
            pictures |= {f"patch_{number:02d}/{name}": panel for name, panel in panels.items()}
        return pictures

    def _chosen(self, trainer: Trainer) -> Batch:
        loader: GroupLoader = trainer.val_dataloaders
        if not loader:
            self._say_once("no held-out frames: reconstruction images show training frames")
            loader = trainer.train_dataloader
        count = len(loader.neighbours)
        indices = self.settings.recon_log_fixed_indices
        if indices is None:
            number = min(self.settings.recon_log_num_patches, count)
            indices = (np.arange(number) * count // number).tolist()
        elif max(indices) >= count:
            raise InputError(
                f"recon_log_fixed_indices names {max(indices)}: expected indices below {count}, the frames"
            )
        return loader.picked(torch.tensor(indices))

    def stitched(self, trainer: Trainer, module: Reconstructor) -> dict[str, np.ndarray]:
        """Draw the first scan's object, stitched from frames of all its field, (H, W, 3) uint8 by name."""
        scan, table = trainer.datamodule.scans[0], trainer.datamodule.table
        middle = (scan.positions.min(axis=0) + scan.positions.max(axis=0)) / 2
        order = np.argsort(np.square(scan.positions - middle).sum(axis=1), kind="stable")
        frames = np.sort(order[: self.settings.recon_log_max_stitch_samples])
        loader = scan_loader(module, table, scan.positions, frames, FRAMES_AT_ONCE)
        joined = module.network.joins_frames
        portions = [module.tile(batch) if joined else Portion(*module.predict(batch)) for batch in loader]
        positions = torch.from_numpy(scan.positions).to(module.device)
        result = stitch(lambda: portions, positions, module.probes[0], tuple(scan.object_shape), PHASE_ITERATIONS)
        canvas, coverage = (_array(part) for part in result[:2])
        probe = _array(module.probes[0])
        area = scored_area(coverage, probe, scan.positions[frames])
        rows, columns = np.nonzero(area)
        box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
        truth = scan.truth
        if truth is None:
            self._say_once("no true object: the stitched image has no amp_gt, phase_gt and errors")
        else:
            canvas, truth = align(canvas, truth, area, *between_probes(probe, scan.reference_probe)), truth[box]
        return {f"stitched/{name}": panel for name, panel in object_panels(canvas[box], truth, area[box]).items()}

    def _keep(self, trainer: Trainer, module: Reconstructor, epoch: str, pictures: dict[str, np.ndarray]) -> None:
        text = PngInfo()
        text.add_text("Description", json.dumps(module.description.get("provenance", {})))
        for name, picture in pictures.items():
            with replacing(self.folder / epoch / f"{name}.png") as temporary:
                Image.fromarray(picture).save(temporary, pnginfo=text)
        for logger in trainer.loggers:
            log_pictures(logger, self.folder / epoch, pictures, trainer.global_step - 1)

    def _say_once(self, sentence: str) -> None:
        if sentence not in self.said:
            self.said.add(sentence)
            log.warning(sentence)


def object_panels(predicted: np.ndarray, truth: np.ndarray | None, lit: np.ndarray) -> dict[str, np.ndarray]:
    """Draw amplitude and phase of an object (H, W) complex, on the truth's scale where there is one.

    Errors are drawn where light falls, which is given by `lit`, (H, W) bool; a fifth of the scale is the brightest.
    """
    reference = predicted if truth is None else truth
    turn = np.exp(-1j * np.angle(reference[lit].mean()))
    errors = {"amp": np.abs(predicted) - np.abs(reference), "phase": np.angle(predicted * reference.conj())}
    parts = {
        "amp": (np.abs(predicted), np.abs(reference), AMPLITUDE_COLOURS),
        "phase": (np.angle(predicted * turn), np.angle(reference * turn), PHASE_COLOURS),
    }
    panels = {}
    for name, (image, true_image, colours) in parts.items():
        high = max(float(np.abs(true_image[lit]).max()), 1e-3)
        limits = (-high if name == "phase" else 0.0, high)
        panels[f"{name}_pred"] = coloured(image, limits, colours)
        if truth is not None:
            panels[f"{name}_gt"] = coloured(true_image, limits, colours)
            error = np.where(lit, np.abs(errors[name]), 0)
            panels[f"{name}_error"] = coloured(error, (0.0, 0.2 * high), ERROR_COLOURS)
    return panels


def diffraction_panels(observed: np.ndarray, modelled: np.ndarray) -> dict[str, np.ndarray]:
    """Draw log₁₀(1 + photons) of a measured and a modelled pattern (N, N) with the zero frequency in the corner."""
    observed, modelled = (np.log10(1 + np.fft.fftshift(image)) for image in (observed, modelled))
    limits = (0.0, float(max(observed.max(), 1e-3)))
    return {
        "diff_obs_logI": coloured(observed, limits, PHOTON_COLOURS),
        "diff_pred_logI": coloured(modelled, limits, PHOTON_COLOURS),
        "diff_error_logI": coloured(np.abs(modelled - observed), (0.0, 0.2 * limits[1]), ERROR_COLOURS),
    }


def coloured(image: np.ndarray, limits: tuple[float, float], colours: str) -> np.ndarray:
    """Colour an image (H, W) between two limits and enlarge a small one, (H', W', 3) uint8."""
    scaled = (image - limits[0]) / max(limits[1] - limits[0], 1e-12)
    factor = max(1, -(-LEAST_EDGE // min(image.shape)))
    picture = matplotlib.colormaps[colours](scaled.clip(0, 1), bytes=True)[..., :3]
    return np.ascontiguousarray(picture.repeat(factor, axis=0).repeat(factor, axis=1))


def _array(tensor: torch.Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
