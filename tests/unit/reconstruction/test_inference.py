"""From a checkpoint to patches: the same in a file and in memory, in small batches and in large."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from ptychoflow.dataset.cxi import read_cxi, write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.loading.groups import split_frames
from ptychoflow.loading.tables import Batch
from ptychoflow.physics.tiles import ObjectTile
from ptychoflow.reconstruction.file import read_reconstruction, write_reconstruction
from ptychoflow.reconstruction.inference import Inference
from ptychoflow.reconstruction.parts import merge_parts, stitch_part
from ptychoflow.reconstruction.photons import photon_deviance
from ptychoflow.reconstruction.pieces import stitch_file
from ptychoflow.reconstruction.scoring import score
from ptychoflow.reconstruction.stitching import coverage_of
from ptychoflow.runs.run import TrainingRun
from ptychoflow.settings.inference import InferenceSettings
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.training import GroupSettings, TrainingSettings
from ptychoflow.training.module import Reconstructor
from ptychoflow.training.scan_network import ScanNetwork

PROGRAM = Path(__file__).parents[3] / "scripts/reconstruct.py"


def trained(name: str, data: Path, folder: Path, **settings: object) -> Path:
    training = TrainingSettings(max_epochs=1, groups=GroupSettings(size=2), accelerator="cpu", **settings)
    model = ModelSettings(name=name, features=4, depth=1, iterations=2)
    return TrainingRun([data], folder, folder / "run", model, training, seed=0).run()


@pytest.fixture(scope="module")
def checkpoint(small_cxi: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained("unrolled", small_cxi, tmp_path_factory.mktemp("run"), train_probe=True, probe_delay=0.0)


@pytest.mark.parametrize("name", ["unrolled", "unet"])
def test_files_and_memory_give_the_same_image(name: str, small_cxi: Path, small_dataset: Dataset, tmp_path: Path):
    inference = Inference(trained(name, small_cxi, tmp_path), small_dataset, small_cxi)
    inference.write(tmp_path / "patches.h5", batch_size=7, accelerator="cpu")
    from_file = stitch_file(tmp_path / "patches.h5", phase_iterations=2)
    in_memory = inference.reconstruct(batch_size=64, phase_iterations=2, accelerator="cpu")
    area = in_memory.coverage > 0.1 * in_memory.coverage.max()
    np.testing.assert_allclose(from_file.object[area], in_memory.object[area], atol=1e-4)
    np.testing.assert_array_equal(from_file.probe, in_memory.probe)
    assert from_file.provenance["checkpoint_sha256"] == in_memory.provenance["checkpoint_sha256"]


@pytest.mark.parametrize("name", ["unrolled", "unet"])
def test_the_network_gives_what_the_module_that_trained_it_does_bit_for_bit(
    name: str, small_cxi: Path, small_dataset: Dataset, tmp_path: Path
):
    path = trained(name, small_cxi, tmp_path, learn_flux=True)
    measured = dataclasses.replace(small_dataset, truth=None)
    images = [
        Inference(path, measured, small_cxi, kind=kind).reconstruct(9, 1, "cpu")
        for kind in (ScanNetwork, Reconstructor)
    ]
    for field in ("object", "coverage", "halves", "probe"):
        np.testing.assert_array_equal(*(getattr(image, field) for image in images))


def test_an_image_waits_for_nothing_that_it_has_no_use_for(checkpoint: Path, small_cxi: Path, tmp_path: Path):
    slow = "lightning torchmetrics mlflow matplotlib skimage scipy.spatial scipy.optimize pandas tensorboard ptychi"
    arguments = ["--model_path", checkpoint, "--test_data", small_cxi, "--output_dir", tmp_path / "image"]
    program = "import runpy, sys; runpy.run_path(sys.argv.pop(1), run_name='__main__'); print(*sys.modules)"
    command = [sys.executable, "-c", program, PROGRAM, *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd=PROGRAM.parent)
    loaded = set(ran.stdout.split())
    assert "ptychoflow.training.scan_network" in loaded
    assert not loaded & set(slow.split())
    assert len(list((tmp_path / "image").glob("reconstruct*"))) == 3


def test_groups_are_formed_only_where_the_network_needs_them(
    checkpoint: Path, small_cxi: Path, small_dataset: Dataset, tmp_path: Path
):
    cpu = torch.device("cpu")
    tile = next(iter(Inference(checkpoint, small_dataset, small_cxi).loader(8, cpu)))
    assert (tile.amplitudes.shape, tile.wanted) == ((1, 61, 32, 32), 61)
    single = next(iter(Inference(checkpoint, small_dataset, small_cxi, single_shot=True).loader(8, cpu)))
    assert single.amplitudes.shape == (8, 1, 32, 32)
    grouped = next(iter(Inference(trained("unet", small_cxi, tmp_path), small_dataset, small_cxi).loader(8, cpu)))
    assert grouped.amplitudes.shape == (8, 2, 32, 32)


@pytest.mark.parametrize("batch_size", [1, 9])
def test_the_image_does_not_depend_on_the_batches(
    batch_size: int, checkpoint: Path, small_cxi: Path, small_dataset: Dataset
):
    # 64 frames in batches of 9 leave one frame alone, which has no odd half.
    inference = Inference(checkpoint, small_dataset, small_cxi, single_shot=True)
    image, whole = (inference.reconstruct(size, phase_iterations=1, accelerator="cpu") for size in (batch_size, 64))
    np.testing.assert_allclose(image.object, whole.object, atol=1e-4)
    np.testing.assert_allclose(image.halves, whole.halves, atol=1e-4)
    np.testing.assert_allclose(image.coverage, whole.coverage, rtol=1e-4, atol=1e-6)


def test_the_image_hardly_depends_on_the_tiles(checkpoint: Path, small_cxi: Path, small_dataset: Dataset):
    whole, tiled = (
        Inference(checkpoint, small_dataset, small_cxi, tile_frames=frames).reconstruct(1, 1, "cpu")
        for frames in (64, 16)
    )
    area = whole.coverage > 0.5 * whole.coverage.max()
    assert 0 < np.abs(tiled.object - whole.object)[area].mean() < 0.1 * np.abs(whole.object)[area].std()


def test_halves_are_reconstructed_apart_where_no_truth_is_known(
    checkpoint: Path, small_cxi: Path, small_dataset: Dataset, tmp_path: Path
):
    measured = dataclasses.replace(small_dataset, truth=None)
    inference = Inference(checkpoint, measured, small_cxi, tile_frames=32, held_out=0.0)
    inference.write(tmp_path / "patches.h5", batch_size=1, accelerator="cpu")
    from_file = stitch_file(tmp_path / "patches.h5", phase_iterations=1)
    image = inference.reconstruct(1, phase_iterations=1, accelerator="cpu")
    np.testing.assert_allclose(from_file.halves, image.halves, atol=1e-4)
    inference.write(tmp_path / "patches.h5", batch_size=1, accelerator="cpu", also=["hdf5"])
    with h5py.File(tmp_path / "patches.h5") as file:
        frames, own = file["frames"][:], file["half_patches"][:]
    assert np.isfinite(own).all()
    assert sorted(frames) == list(range(64))
    from_patches, image = stitch_file(tmp_path / "patches.h5"), inference.reconstruct(1, 0, "cpu")
    area = image.coverage > 0.2 * image.coverage.max()
    difference = (from_patches.halves - image.halves)[:, area]
    assert np.sqrt(np.mean(np.abs(difference) ** 2)) < 0.03 * np.std(image.halves[:, area])
    # In one tile, the even half is what the even frames alone would give.
    whole = Inference(checkpoint, measured, small_cxi, held_out=0.0)
    with torch.inference_mode():
        (batch,) = whole.loader(1, torch.device("cpu"))
        tile = whole.module.tile(batch)
        whole.module.predicts_halves = False
        even = whole.module.tile(batch.members(torch.arange(0, 64, 2)))
    torch.testing.assert_close(tile.halves[0], (even.object, even.corner))
    assert tile.halves[1][0].shape != tile.object.shape or not torch.equal(tile.halves[1][0], tile.object)


def test_patches_on_request_give_the_image_of_the_tiles(
    checkpoint: Path, small_cxi: Path, small_dataset: Dataset, tmp_path: Path
):
    inference = Inference(checkpoint, small_dataset, small_cxi, tile_frames=32)
    sizes, images = [], []
    for also in ([], ["hdf5"]):
        path = tmp_path / f"predicted{len(also)}.h5"
        inference.write(path, 1, "cpu", also)
        sizes.append(path.stat().st_size)
        images.append(stitch_file(path, phase_iterations=1))
    tiles, patches = images
    area = tiles.coverage > 0.2 * tiles.coverage.max()
    difference = (tiles.object - patches.object)[area]
    assert np.sqrt(np.mean(np.abs(difference) ** 2)) < 0.03 * np.std(tiles.object[area])
    np.testing.assert_allclose(tiles.coverage, patches.coverage, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(tiles.positions, patches.positions)
    assert sizes[0] < sizes[1] / 3


@pytest.mark.parametrize("name", ["unrolled", "unet"])
def test_the_patches_of_a_file_are_those_of_the_network_in_the_order_of_the_frames(
    name: str, small_cxi: Path, small_dataset: Dataset, tmp_path: Path
):
    inference = Inference(trained(name, small_cxi, tmp_path), small_dataset, small_cxi)
    inference.write(tmp_path / "patches.h5", batch_size=9, accelerator="cpu", also=["hdf5"])
    batch = next(iter(inference.loader(64, torch.device("cpu"))))
    with torch.inference_mode():
        expected = inference.module.predict(batch).patches.numpy()
    with h5py.File(tmp_path / "patches.h5") as file:
        np.testing.assert_allclose(file["patches"], expected, atol=1e-4)
        np.testing.assert_array_equal(file["positions"], small_dataset.positions)
        np.testing.assert_array_equal(file["held_out"], inference.held_out)
        np.testing.assert_array_equal(file["frames"], np.flatnonzero(~inference.held_out))


def test_a_single_frame_can_be_reconstructed(checkpoint: Path, small_cxi: Path, small_dataset: Dataset):
    single = Inference(checkpoint, small_dataset, small_cxi, n_groups=1).reconstruct(16, accelerator="cpu")
    assert np.abs(single.object - 1).max() > 0.1
    assert np.isnan(single.halves).all()
    assert not single.held_out.any()


def test_a_part_of_the_frames_is_reconstructed(checkpoint: Path, small_cxi: Path, small_dataset: Dataset):
    part = Inference(checkpoint, small_dataset, small_cxi, n_groups=10).reconstruct(4, accelerator="cpu")
    assert len(part.positions) == len(part.held_out) == 10


def test_the_probe_is_the_datasets_own_or_the_refined_one(checkpoint: Path, small_cxi: Path, small_dataset: Dataset):
    own = Inference(checkpoint, small_dataset, small_cxi).probe
    np.testing.assert_allclose(own, small_dataset.probe, rtol=1e-5, atol=1e-3)
    refined = Inference(checkpoint, small_dataset, small_cxi, probe="checkpoint").probe
    assert np.abs(refined - own).max() > 1e-4 * np.abs(own).max()


def test_one_draw_of_frames_judges_whether_the_scan_was_trained_on_or_not(
    checkpoint: Path, small_cxi: Path, small_dataset: Dataset, tmp_path: Path
):
    _, drawn = split_frames(np.arange(64), 0.05, seed=0)
    known = Inference(checkpoint, small_dataset, small_cxi)
    np.testing.assert_array_equal(np.flatnonzero(known.held_out), drawn)
    np.testing.assert_array_equal(known.trained, ~known.held_out)
    brighter = dataclasses.replace(small_dataset, frames=small_dataset.frames + 1)
    write_cxi(tmp_path / "other.cxi", brighter)
    other = Inference(checkpoint, brighter, tmp_path / "other.cxi")
    np.testing.assert_array_equal(other.held_out, known.held_out)
    assert not other.trained.any()


@pytest.mark.parametrize(("name", "options"), [("unrolled", {}), ("unrolled", {"single_shot": True}), ("unet", {})])
def test_frames_that_judge_have_no_part_in_the_image(
    name: str, options: dict, small_cxi: Path, small_dataset: Dataset, tmp_path: Path
):
    path = trained(name, small_cxi, tmp_path, validation_fraction=0.2)
    measured = dataclasses.replace(small_dataset, truth=None)
    inference = Inference(path, measured, small_cxi, **options)
    judges = inference.held_out
    frames = small_dataset.frames.copy()
    frames[judges] = np.random.default_rng(0).permuted(frames[judges])
    spoilt = Inference(path, dataclasses.replace(measured, frames=frames), small_cxi, **options)
    image, again = (one.reconstruct(9, accelerator="cpu") for one in (inference, spoilt))
    for field in ("object", "coverage", "halves"):
        np.testing.assert_array_equal(getattr(image, field), getattr(again, field))
    used = coverage_of(image.probe, image.positions[~judges], image.object.shape)
    np.testing.assert_allclose(image.coverage, used, atol=1e-3)
    # Light of others falls where they would lie, and they are asked about in the scores alone.
    centres = tuple(np.round(image.positions[judges]).astype(int).T)
    assert (image.coverage[centres] > 0.1 * np.median(image.coverage[image.coverage > 0])).all()
    scores, _ = score(image, measured)
    assert scores["deviance"] == pytest.approx(photon_deviance(image, measured, np.flatnonzero(judges)))
    assert scores["fitted_deviance"] is None


def test_parts_judge_by_the_same_frames_as_the_whole(
    checkpoint: Path, small_cxi: Path, small_dataset: Dataset, tmp_path: Path
):
    whole = Inference(checkpoint, small_dataset, small_cxi, tile_frames=16).reconstruct(1, 0, "cpu")
    files = []
    for part in ("1-of-2", "2-of-2"):
        inference = Inference(checkpoint, small_dataset, small_cxi, tile_frames=16, part=part)
        inference.write(tmp_path / f"{part}.h5", 1, "cpu")
        files.append(tmp_path / f"sums_{part}.h5")
        stitch_part(tmp_path / f"{part}.h5", files[-1])
    merged = merge_parts(files, 0)
    np.testing.assert_allclose(merged.object, whole.object, atol=1e-4)
    for field in ("positions", "held_out", "trained"):
        np.testing.assert_array_equal(getattr(merged, field), getattr(whole, field))
    with pytest.raises(InputError, match="is in no part"):
        merge_parts(files[:1], 0)
    # Stitched by itself, a part is judged by no frame: they may lie outside of it.
    alone = stitch_file(tmp_path / "1-of-2.h5")
    assert not alone.held_out.any()
    assert len(alone.positions) < 61


def test_all_frames_are_used_on_request_and_those_trained_on_never_judge(
    checkpoint: Path, small_cxi: Path, small_dataset: Dataset, caplog: pytest.LogCaptureFixture
):
    assert not Inference(checkpoint, small_dataset, small_cxi, held_out=0.0).held_out.any()
    assert not caplog.text
    more = Inference(checkpoint, small_dataset, small_cxi, held_out=0.2)
    np.testing.assert_array_equal(more.held_out, ~more.trained)
    assert "10 of the 13 frames that are to be held out were trained on" in caplog.text
    with pytest.raises(InputError, match=r"held_out is 1\.0"):
        InferenceSettings(held_out=1.0)


def test_what_does_not_fit_is_refused(checkpoint: Path, small_cxi: Path, small_dataset: Dataset):
    with pytest.raises(InputError, match="n_groups is 65"):
        Inference(checkpoint, small_dataset, small_cxi, n_groups=65)
    with pytest.raises(InputError, match=r"accelerator quantum cannot be used here"):
        Inference(checkpoint, small_dataset, small_cxi).reconstruct(8, accelerator="quantum")
    with pytest.raises(InputError, match="has no frames"):
        stitch_file(small_cxi)


def test_a_checkpoint_of_two_scans_has_no_probe_to_give(small_cxi: Path, small_dataset: Dataset, tmp_path: Path):
    training = TrainingSettings(max_epochs=1, groups=GroupSettings(size=1), accelerator="cpu")
    model = ModelSettings(features=4, depth=1, iterations=2)
    both = TrainingRun([small_cxi, small_cxi], tmp_path, tmp_path / "run", model, training, seed=0).run()
    with pytest.raises(InputError, match="has no single probe"):
        Inference(both, small_dataset, small_cxi, probe="checkpoint")


def test_a_failed_inference_leaves_no_file(
    checkpoint: Path, small_cxi: Path, small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    inference = Inference(checkpoint, small_dataset, small_cxi, tile_frames=16)
    predict, batches = ScanNetwork.predict, []

    def fail_in_the_third_batch(self: ScanNetwork, batch: Batch) -> ObjectTile:
        batches.append(batch)
        if len(batches) == 3:
            raise RuntimeError("out of memory")
        return predict(self, batch)

    monkeypatch.setattr(ScanNetwork, "predict", fail_in_the_third_batch)
    with pytest.raises(RuntimeError, match="out of memory"):
        inference.write(tmp_path / "patches.h5", 8, "cpu")
    assert not list(tmp_path.iterdir())


def test_a_reconstruction_is_read_back(checkpoint: Path, small_cxi: Path, small_dataset: Dataset, tmp_path: Path):
    made = Inference(checkpoint, small_dataset, small_cxi).reconstruct(64, accelerator="cpu")
    write_reconstruction(tmp_path / "reconstruction.h5", made)
    read = read_reconstruction(tmp_path / "reconstruction.h5")
    for field in dataclasses.fields(made):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(made, field.name))


@pytest.mark.parametrize("options", [{"tile_frames": 20}, {"single_shot": True}])
def test_a_scan_larger_than_memory_is_reconstructed_from_its_file(
    options: dict[str, object], checkpoint: Path, small_cxi: Path, small_dataset: Dataset, tmp_path: Path
):
    expected = Inference(checkpoint, small_dataset, small_cxi, **options).reconstruct(9, 1, "cpu")
    inference = Inference(checkpoint, read_cxi(small_cxi, frames_in_memory=0), small_cxi, **options)
    np.testing.assert_allclose(inference.reconstruct(9, 1, "cpu").object, expected.object, atol=1e-5)
    inference.write(tmp_path / "patches.h5", 9, "cpu")
    np.testing.assert_allclose(stitch_file(tmp_path / "patches.h5", 1).object, expected.object, atol=1e-4)
