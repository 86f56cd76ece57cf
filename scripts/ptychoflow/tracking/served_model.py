"""The model that `mlflow.pyfunc.load_model` gives: from diffraction frames to the image of the object.

Input, as arrays or by the REST interface of `mlflow models serve`:

- ``frames`` (frames, N, N) float32, photon counts with the zero frequency at pixel N // 2,
- ``positions`` (frames, 2) float64, (row, column) in pixels of the object,
- ``probe`` (modes, N, N, 2) float32, real and imaginary parts, Σ|P|² = photons in the empty beam,
- ``mask`` (N, N) bool, True for good pixels.

Output: ``amplitude`` and ``phase`` in radians, (H, W) float32; the least position is half a frame and two pixels off
the upper left corner.
"""

import tempfile
from pathlib import Path
from typing import Any

import mlflow
import numpy as np

# Far-field networks do not see the geometry.
ENERGY, DISTANCE, PIXEL = 8000.0, 1.0, 75e-6
MARGIN = 2
BATCH = 16


class TrainedNetwork(mlflow.pyfunc.PythonModel):
    """A trained network of PtychoFlow, which reconstructs whole scans."""

    def load_context(self, context: Any) -> None:
        from ptychoflow.errors import InputError
        from ptychoflow.models.trained import load_checkpoint

        self.checkpoint = Path(context.artifacts["checkpoint"])
        if load_checkpoint(self.checkpoint)["ptychoflow"].get("fresnel_number") is not None:
            raise InputError("the network is one for near fields: expected one for far fields, or use reconstruct.py")

    # MLflow takes a type hint here for a schema of its own kind, and complains of it.
    def predict(self, context, model_input, params=None) -> dict[str, np.ndarray]:
        from ptychoflow.dataset.cxi import write_cxi
        from ptychoflow.dataset.dataset import Dataset
        from ptychoflow.reconstruction.inference import Inference

        frames = np.asarray(model_input["frames"], np.float32)
        positions = np.asarray(model_input["positions"], np.float64)
        pairs = np.asarray(model_input["probe"], np.float32)
        edge = frames.shape[-1]
        positions = positions - positions.min(axis=0) + edge / 2 + MARGIN
        shape = tuple(int(length) for length in np.ceil(positions.max(axis=0)) + edge // 2 + MARGIN)
        probe = np.ascontiguousarray(pairs).view(np.complex64)[..., 0]
        mask = np.asarray(model_input["mask"], bool)
        dataset = Dataset(frames, positions, probe, mask, shape, ENERGY, DISTANCE, PIXEL).validate("the model's input")
        with tempfile.TemporaryDirectory() as place:
            path = Path(place, "input.cxi")
            write_cxi(path, dataset)
            image = Inference(self.checkpoint, dataset, path).reconstruct(BATCH).object
        return {"amplitude": np.abs(image), "phase": np.angle(image)}


mlflow.models.set_model(TrainedNetwork())
