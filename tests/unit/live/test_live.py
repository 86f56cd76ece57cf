"""Frames that come in little by little: each counts once, and the image is that of the whole scan."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.live.following import draw_live
from ptychoflow.live.network import LiveReconstruction
from ptychoflow.models import build_model
from ptychoflow.models.trained import TrainedNetwork, load_trained
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.patches import extract_patches
from ptychoflow.provenance.embedded import read_provenance
from ptychoflow.reconstruction.stitching import coverage_of
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.training import GroupSettings


def network_for(dataset: Dataset, network: nn.Module, groups: int = 1) -> TrainedNetwork:
    probe = torch.from_numpy(dataset.probe)
    scale = probe.abs().amax()
    mask = torch.fft.ifftshift(torch.from_numpy(dataset.mask))
    propagator, settings = Propagator(dataset.size), GroupSettings(size=groups)
    return TrainedNetwork(network.eval(), probe / scale, scale, torch.ones(()), mask, propagator, settings, {})


def untrained(dataset: Dataset, **settings: object) -> TrainedNetwork:
    """An untrained `unrolled` is the iterative engine itself."""
    return network_for(dataset, build_model(ModelSettings(features=4, **settings), dataset.size, 1))


def fed(live: LiveReconstruction, dataset: Dataset, at_once: int, order: np.ndarray | None = None) -> np.ndarray:
    order = np.arange(len(dataset.frames)) if order is None else order
    for some in np.split(order, range(at_once, len(order), at_once)):
        live.add(dataset.frames[some], dataset.positions[some])
    return live.shown.object.numpy()


def deviation(found: np.ndarray, expected: np.ndarray, where: np.ndarray) -> float:
    """Root mean square of the difference over that of the expected image about its mean, global phase taken out."""
    found, expected = found[where], expected[where]
    found = found * np.exp(1j * np.angle(np.vdot(found, expected)))
    return np.linalg.norm(found - expected) / np.linalg.norm(expected - expected.mean())


@pytest.fixture(scope="module")
def lit(small_dataset: Dataset) -> np.ndarray:
    return coverage_of(small_dataset.probe, small_dataset.positions, small_dataset.object_shape) > 1


@pytest.mark.parametrize("at_once", [64, 16, 5, 1])
def test_each_frame_counts_once(small_dataset: Dataset, at_once: int):
    live = LiveReconstruction(untrained(small_dataset, iterations=1), small_dataset.object_shape)
    fed(live, small_dataset, at_once)
    expected = coverage_of(small_dataset.probe, small_dataset.positions, small_dataset.object_shape)
    np.testing.assert_allclose(live.shown.coverage, expected, atol=1e-3)
    even = coverage_of(small_dataset.probe, small_dataset.positions[::2], small_dataset.object_shape)
    np.testing.assert_allclose(live.shown.coverages[0], even, atol=1e-3)


def test_the_image_in_pieces_is_that_of_the_whole(small_dataset: Dataset, lit: np.ndarray):
    images = {
        at_once: fed(LiveReconstruction(untrained(small_dataset), small_dataset.object_shape), small_dataset, at_once)
        for at_once in (64, 16, 8)
    }
    order = np.random.default_rng(0).permutation(64)
    live = LiveReconstruction(untrained(small_dataset), small_dataset.object_shape)
    images["random"] = fed(live, small_dataset, 16, order)
    whole = images.pop(64)
    known = deviation(whole, small_dataset.truth, lit)
    assert known < 0.3
    for name, image in images.items():
        assert deviation(image, whole, lit) < known, name
        assert deviation(image, small_dataset.truth, lit) < 1.3 * known, name


@pytest.mark.parametrize("order", [np.arange(64), np.arange(64)[::-1]], ids=["downwards", "upwards"])
def test_a_frame_that_grows_holds_the_same_image(small_dataset: Dataset, lit: np.ndarray, order: np.ndarray):
    given = LiveReconstruction(untrained(small_dataset), small_dataset.object_shape)
    growing = LiveReconstruction(untrained(small_dataset))
    expected, found = (fed(live, small_dataset, 9, order) for live in (given, growing))
    # Both frames put the same pixel under a position, up to the fraction that the first frame begins with.
    places = torch.from_numpy(small_dataset.positions[order])[None].float()
    seen = growing.seen.positions[: growing.seen.count]
    (mine,) = extract_patches(torch.from_numpy(found)[None], seen[None], 16)
    (theirs,) = extract_patches(torch.from_numpy(expected)[None], places, 16)
    error = (mine - theirs).abs().square().mean().sqrt() / (theirs - theirs.mean()).abs().square().mean().sqrt()
    assert error < 0.1
    assert np.ptp(seen.numpy() - small_dataset.positions[order], axis=0).max() < 1e-3


def test_a_growing_image_does_not_depend_on_a_flux_that_is_not_to_be_trusted(small_dataset: Dataset):
    images, fluxes = [], []
    for factor in (1.0, 0.3):
        own = dataclasses.replace(small_dataset, probe=(small_dataset.probe * factor).astype(np.complex64))
        network = dataclasses.replace(untrained(own), asks_photons=True)
        images.append(fed(LiveReconstruction(network, own.object_shape), own, 16))
        fluxes.append(float(network.probe.abs().square().sum()))
    np.testing.assert_allclose(images[1], images[0], atol=2e-3)
    assert fluxes == pytest.approx([1e6, 1e6], rel=0.05)


def test_frames_that_judge_have_no_part_in_a_growing_image(small_dataset: Dataset):
    def watched(dataset: Dataset, at_once: int) -> LiveReconstruction:
        live = LiveReconstruction(untrained(small_dataset, iterations=2), small_dataset.object_shape, 0.3, seed=4)
        fed(live, dataset, at_once)
        return live

    clean = watched(small_dataset, 5)
    assert 10 < clean.held_out.sum() < 30
    assert not clean.held_out[0]
    frames = small_dataset.frames.copy()
    frames[clean.held_out] = np.random.default_rng(0).permuted(frames[clean.held_out])
    spoilt = watched(dataclasses.replace(small_dataset, frames=frames), 5)
    assert torch.equal(spoilt.shown.object, clean.shown.object)
    expected = coverage_of(small_dataset.probe, small_dataset.positions[~clean.held_out], small_dataset.object_shape)
    np.testing.assert_allclose(clean.shown.coverage, expected, atol=1e-3)
    np.testing.assert_array_equal(watched(small_dataset, 1).held_out, clean.held_out)


class Turning(nn.Module):
    """Knows the true object, but gives each group a phase of its own: diffraction does not tell it."""

    joins_frames = True

    def __init__(self, truth: np.ndarray, size: int) -> None:
        super().__init__()
        self.truth, self.size, self.phases = torch.from_numpy(truth)[None], size, np.random.default_rng(1)

    def forward(
        self, amplitudes: Tensor, probe: Tensor, mask: Tensor, positions: Tensor, propagator: Propagator
    ) -> Tensor:
        return extract_patches(self.truth, positions, self.size) * self.turn(len(positions))

    def tile(self, amplitudes: Tensor, *others: object) -> tuple[Tensor, Tensor]:
        # As an object of its own that begins a few pixels inside the frame.
        return self.truth[0, 3:, 2:] * self.turn(1)[0, 0], torch.tensor([3, 2])

    def turn(self, groups: int) -> Tensor:
        return torch.from_numpy(np.exp(2j * np.pi * self.phases.random((groups, 1, 1, 1)))).to(torch.complex64)


class TurningEach(Turning):
    joins_frames = False


@pytest.mark.parametrize("kind", [Turning, TurningEach])
def test_groups_take_the_phase_of_the_image(small_dataset: Dataset, lit: np.ndarray, kind: type):
    network = network_for(small_dataset, kind(small_dataset.truth, small_dataset.size))
    live = LiveReconstruction(network, small_dataset.object_shape)
    at_once = 1 if kind is TurningEach else 7
    assert deviation(fed(live, small_dataset, at_once), small_dataset.truth, lit) < 0.02


def test_networks_of_groups_of_fixed_size_serve_too(small_dataset: Dataset):
    model = build_model(ModelSettings(name="unet", features=4, depth=1), small_dataset.size, 4)
    live = LiveReconstruction(network_for(small_dataset, model, groups=4), small_dataset.object_shape)
    fed(live, small_dataset, 3)
    expected = coverage_of(small_dataset.probe, small_dataset.positions, small_dataset.object_shape)
    np.testing.assert_allclose(live.shown.coverage, expected, atol=1e-3)


def test_a_picture_is_drawn_with_what_made_it(small_dataset: Dataset, tmp_path: Path):
    live = LiveReconstruction(untrained(small_dataset), small_dataset.object_shape)
    live.add(small_dataset.frames[:32], small_dataset.positions[:32])
    amplitude, phase = tmp_path / "amplitude.png", tmp_path / "phase.png"
    draw_live(live, amplitude, phase, {"frames": 32})
    assert read_provenance(phase) == {"frames": 32}
    shown, coverage = np.asarray(Image.open(amplitude)), live.shown.coverage.numpy()
    assert shown.shape == small_dataset.object_shape
    assert (shown[coverage == 0] == 0).all()
    bright = coverage > 0.5 * coverage.max()
    assert np.corrcoef(shown[bright], np.abs(live.shown.object.numpy())[bright])[0, 1] > 0.95
    assert sorted(path.name for path in tmp_path.iterdir()) == ["amplitude.png", "phase.png"]


def test_a_network_that_does_not_suit_the_scan_is_refused(small_dataset: Dataset, tmp_path: Path):
    groups = {"size": 1, "neighbours": 30, "per_anchor": 1}
    model = {"name": "unet", "features": 4, "depth": 1, "iterations": 2, "share_weights": False}
    network = build_model(ModelSettings(**model), 16, 1)
    state = {f"network.{name}": value for name, value in network.state_dict().items()}
    state |= {"probe_pairs": torch.ones(1, 1, 16, 16, 2), "probe_scale": torch.ones(1), "log_flux": torch.zeros(())}
    content = {"ptychoflow": {"model": model, "training": {"groups": groups}}, "state_dict": state}
    path = tmp_path / "model.ckpt"
    torch.save(content, path)
    device, mask = torch.device("cpu"), torch.ones(16, 16, dtype=torch.bool)
    probe = torch.ones(1, 16, 16, dtype=torch.complex64)
    scan = Path("scan.cxi")
    assert load_trained(path, "dataset", 3 * probe, mask, device, scan).scale == 3
    own = load_trained(path, "checkpoint", None, mask, device, scan)
    np.testing.assert_allclose(own.probe, (1 + 1j) * probe)
    with pytest.raises(InputError, match=r"scan\.cxi has frames of 32 pixels"):
        load_trained(path, "dataset", torch.ones(1, 32, 32) + 0j, torch.ones(32, 32) > 0, device, scan)
    with pytest.raises(InputError, match=r"scan\.cxi has no probe"):
        load_trained(path, "dataset", None, mask, device, scan)
    del content["state_dict"]["log_flux"]
    torch.save(content, path)
    with pytest.raises(InputError, match="does not fit this version"):
        load_trained(path, "dataset", probe, mask, device, scan)
