"""Every format holds what the network predicted, whole or not at all, in memory that does not grow."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow.parquet
import pytest
import tifffile
import torch
from PIL import Image

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.reconstruction.inference import Inference
from ptychoflow.reconstruction.prediction_files import FORMATS
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings
from ptychoflow.training.scan_network import ScanNetwork

SCRIPTS = Path(__file__).parents[3] / "scripts"
TINY = ModelSettings(features=4, depth=1, iterations=2)


def train(data: Path, folder: Path, test: Path | None = None, **tracking: object) -> Path:
    training = TrainingSettings(max_epochs=2, batch_size=8, accelerator="cpu", groups=GroupSettings(size=2))
    settings = TrackingSettings(**tracking)
    return TrainingRun([data], folder, folder / "run", TINY, training, 0, settings, test_data=test).run()


@pytest.fixture(scope="module")
def inference(small_cxi: Path, small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Inference:
    checkpoint = train(small_cxi, tmp_path_factory.mktemp("trained"))
    return Inference(checkpoint, small_dataset, small_cxi, held_out=0.0)


@pytest.fixture(scope="module")
def written(inference: Inference, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Common path of the patches in every format, without suffix."""
    folder = tmp_path_factory.mktemp("written")
    inference.write(folder / "patches.h5", 9, "cpu", also=FORMATS)
    return folder / "patches"


@pytest.fixture(scope="module")
def expected(inference: Inference) -> np.ndarray:
    batch = next(iter(inference.loader(64, torch.device("cpu"))))
    inference.module.cuts_patches = True
    with torch.inference_mode():
        return inference.module.predict(batch).patches.numpy()


def test_arrays_are_those_of_the_network(written: Path, expected: np.ndarray):
    with h5py.File(written.with_suffix(".h5")) as file:
        np.testing.assert_allclose(file["patches"], expected, atol=1e-5)
        np.testing.assert_array_equal(file["frames"], np.arange(64))
        assert json.loads(file.attrs["provenance"])["method"] == "unrolled"
    patches = np.load(written.with_suffix(".npy"), mmap_mode="r", allow_pickle=False)
    np.testing.assert_allclose(patches, expected, atol=1e-5)
    pages = tifffile.imread(written.with_suffix(".tif")).reshape(64, 2, 32, 32)
    assert pages.dtype == np.float32
    np.testing.assert_allclose(pages[:, 0], np.abs(expected), atol=1e-5)
    np.testing.assert_allclose(np.exp(1j * pages[:, 1]), np.exp(1j * np.angle(expected)), atol=1e-4)


def test_pictures_are_those_of_the_network(written: Path, expected: np.ndarray):
    folder = written.with_name("patches_png")
    assert len(list(folder.iterdir())) == 128
    amplitude = np.asarray(Image.open(folder / "frame_000007_amplitude.png"))
    np.testing.assert_allclose(amplitude / 255 * 1.2, np.abs(expected[7]).clip(0, 1.2), atol=0.003)
    phase = np.asarray(Image.open(folder / "frame_000007_phase.png")) / 255 * 2 * np.pi - np.pi
    np.testing.assert_allclose(phase, np.angle(expected[7]), atol=0.013)


def test_tables_say_of_each_frame_how_well_its_patch_explains_it(
    written: Path, expected: np.ndarray, small_dataset: Dataset
):
    with open(written.with_suffix(".csv"), newline="") as stream:
        rows = list(csv.DictReader(stream))
    table = pyarrow.parquet.read_table(written.with_suffix(".parquet")).to_pydict()
    assert [int(row["frame"]) for row in rows] == table["frame"] == list(range(64))
    for name in table:
        np.testing.assert_allclose([float(row[name]) for row in rows], table[name], rtol=1e-6)
    np.testing.assert_allclose(np.stack([table["row"], table["column"]], axis=1), small_dataset.positions, rtol=1e-5)
    probe = small_dataset.probe[0]
    wave = np.fft.fftshift(np.fft.fft2(probe * expected[5], norm="ortho"))
    modelled, counts = np.maximum(np.abs(wave) ** 2, 1e-2), small_dataset.frames[5]
    deviance = 2 * (modelled - counts + np.where(counts > 0, counts * np.log(np.maximum(counts, 1) / modelled), 0))
    assert table["deviance"][5] == pytest.approx(deviance.mean(), rel=1e-3)
    weight = np.abs(probe) ** 2
    assert table["amplitude"][5] == pytest.approx((np.abs(expected[5]) * weight).sum() / weight.sum(), rel=1e-4)


def test_validation_and_test_write_their_frames(small_cxi: Path, tmp_path: Path):
    train(small_cxi, tmp_path, test=small_cxi, write_predictions=["hdf5", "csv"])
    folder = tmp_path / "run/predictions"
    assert {path.name for path in folder.iterdir()} == {"val.h5", "val.csv", "test.h5", "test.csv"}
    with h5py.File(folder / "test.h5") as file:
        tested = Inference(tmp_path / "model.ckpt", *read(small_cxi)).reconstruct(16, accelerator="cpu")
        assert len(file["patches"]) == len(tested.positions)
    with h5py.File(folder / "val.h5") as file, open(folder / "val.csv", newline="") as stream:
        frames = [int(row["frame"]) for row in csv.DictReader(stream)]
        assert file["frames"][()].tolist() == frames
    held_out = np.flatnonzero(Inference(tmp_path / "model.ckpt", *read(small_cxi)).held_out)
    assert frames == held_out.tolist()


def read(path: Path) -> tuple[Dataset, Path]:
    from ptychoflow.ingest.readers import read_dataset

    return read_dataset(path), path


def test_a_failure_leaves_nothing_of_any_format(inference: Inference, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    predict, batches = ScanNetwork.predict, []

    def fail_in_the_third_batch(self: ScanNetwork, batch: object) -> object:
        batches.append(batch)
        if len(batches) == 3:
            raise RuntimeError("out of memory")
        return predict(self, batch)

    monkeypatch.setattr(ScanNetwork, "predict", fail_in_the_third_batch)
    monkeypatch.setattr(inference, "tile_frames", 16)
    with pytest.raises(RuntimeError, match="out of memory"):
        inference.write(tmp_path / "patches.h5", 8, "cpu", also=FORMATS)
    assert not list(tmp_path.iterdir())


MEMORY_PROGRAM = """
import re, sys
from pathlib import Path
import numpy as np
import pyarrow.parquet, tifffile, torch
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.reconstruction.inference import Inference
from ptychoflow.reconstruction.piece_writing import PatchWriter

torch.set_num_threads(1)
checkpoint, folder = Path(sys.argv[1]), Path(sys.argv[2])
random = np.random.default_rng(0)
frames = random.poisson(3.0, (20_000, 32, 32)).astype(np.float32)
positions = random.uniform(20, 200, (20_000, 2))
probe = np.ones((1, 32, 32), np.complex64)
dataset = Dataset(frames, positions, probe, np.ones((32, 32), bool), (256, 256), 8000.0, 1.0, 75e-6)
(folder / "data").write_bytes(b"frames in memory")


def memory_mb(key):
    return int(re.search(key + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) / 1024


def forget_the_peak(writer, trainer, module):
    Path("/proc/self/clear_refs").write_text("5")
    global before
    before = memory_mb("VmRSS")
    start(writer, trainer, module)


start = PatchWriter.on_predict_start
PatchWriter.on_predict_start = forget_the_peak
Inference(checkpoint, dataset, folder / "data", tile_frames=64).write(folder / "many.h5", 32, "cpu", sys.argv[3:])
print(memory_mb("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is reset by way of Linux's /proc")
def test_memory_stays_flat_over_twenty_thousand_patches(inference: Inference, tmp_path: Path):
    model = Path(inference.provenance["checkpoint_file"])
    formats = ["npy", "tiff", "csv", "parquet"]
    result = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM, str(model), str(tmp_path), *formats],
        env={**os.environ, "PYTHONPATH": str(SCRIPTS), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    with h5py.File(tmp_path / "many.h5") as file:
        assert file["patches"].shape == (19_000, 32, 32)  # a twentieth is held out
        assert np.abs(file["patches"][-1]).min() > 0
    # The patches of all frames are 156 MB; a batch at work and Arrow's memory pool take some 80 in any case.
    assert float(result.stdout) < 110
