"""Tuning on scans: what it is given and what not, that it learns to explain what it was not given, and its file."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import ptychoflow
from ptychoflow.blind.pretrained import load_blind
from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.blind.result import BlindResult
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.models.blind import Blind
from ptychoflow.models.trained import load_checkpoint
from ptychoflow.pretraining.moments import Moment, ObservedScan, Recorder
from ptychoflow.pretraining.tuning import TuningRun
from ptychoflow.pretraining.tuning_module import Tuning, TuningData
from ptychoflow.settings.blind import BlindSettings, TuningSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.settings.tracking import TrackingSettings
from ptychoflow.simulation.dataset import simulate
from ptychoflow.training.checkpoint import load_network

SMALL = BlindSettings(features=4, depth=1)
BLIND = BlindReconstructionSettings(
    iterations=8, most_iterations=8, probe_modes=1, held_out=0.1, start="dataset", smoothing=False
)
SETTINGS = TuningSettings(max_epochs=2, steps_per_epoch=4, held_out=0.1, window=40, accelerator="cpu")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def faint() -> Dataset:
    """64 frames of 32×32 pixels of lines, with so few photons that an image is mostly noise."""
    settings = SimulationSettings(
        size=32, probe=ProbeSettings(kind="disk", flux=2e3), scan=ScanSettings(frames=64, step=3.0), seed=5
    )
    return simulate(settings).validate("faint")


@pytest.fixture(scope="module")
def file(faint: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tuning") / "faint.cxi"
    write_cxi(path, faint)
    return path


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small blind network that was not trained."""
    path = tmp_path_factory.mktemp("weights") / "model.ckpt"
    description = {"model": vars(SMALL), "result": "pretrained", "provenance": {}, "fingerprint": "", "seed": 0}
    torch.save({"ptychoflow": description, "state_dict": Blind(SMALL).state_dict()}, path)
    return path


def run(folder: Path, file: Path, weights: Path, seed: int = 0, **settings: object) -> TuningRun:
    return TuningRun(
        output_dir=folder / "out",
        run_dir=folder / "run",
        data=[file],
        settings=replace(SETTINGS, **settings),
        reconstruction=BLIND,
        init_from=weights,
        seed=seed,
        tracking=TrackingSettings(logger="csv"),
    )


def moments(faint: Dataset, seed: int = 0) -> tuple[np.ndarray, Recorder, list[Moment]]:
    data, network = TuningData([faint], BLIND, SETTINGS, seed), Recorder(SMALL)
    return data.kept[0], network, data.scans[0].moments(network, 17, CPU)


def test_frames_that_judge_an_image_are_those_that_no_tuning_of_its_seed_sees(faint: Dataset):
    for seed in (0, 3):
        kept = TuningData([faint], BLIND, SETTINGS, seed).kept[0]
        judges = BlindReconstruction(Recorder(SMALL), faint, BLIND, seed).held_out
        assert np.array_equal(np.setdiff1d(np.arange(64), kept), judges)
        # With fewer of them held out, those that are left judge.
        fewer = replace(BLIND, held_out=0.05)
        assert np.isin(BlindReconstruction(Recorder(SMALL), faint, fewer, seed).held_out, judges).all()


def test_what_is_to_be_explained_was_not_given(faint: Dataset):
    kept, network, found = moments(faint)
    targets = found[0].targets.numpy()
    assert len(found) == BLIND.iterations
    assert len(targets) == round(SETTINGS.targets * len(kept))
    assert np.isin(targets, kept).all()
    # Other photons in those frames make no other states.
    other = copy.copy(faint)
    other.frames = faint.frames.copy()
    other.frames[targets] = np.random.default_rng(0).poisson(5.0, other.frames[targets].shape)
    again = ObservedScan(other, kept, replace(BLIND, learned=False), SETTINGS.targets).moments(network, 17, CPU)
    plain = ObservedScan(faint, kept, replace(BLIND, learned=False), SETTINGS.targets).moments(network, 17, CPU)
    for one, two in zip(plain, again, strict=True):
        torch.testing.assert_close(one.state.objects, two.state.objects, rtol=0, atol=0)


def test_of_a_large_object_fewer_moments_are_kept(faint: Dataset, monkeypatch: pytest.MonkeyPatch):
    _, network, everything = moments(faint)
    state_bytes = sum(part.numel() * part.element_size() for part in vars(everything[0].state).values())
    monkeypatch.setattr("ptychoflow.pretraining.moments.MOST_BYTES", 3 * state_bytes)
    _, _, found = moments(faint)
    assert [one.progress for one in found] == [everything[2].progress, everything[5].progress]
    assert network.kept is None


def test_a_network_that_changes_nothing_explains_frames_as_before(faint: Dataset):
    _, network, found = moments(faint)
    before, after = found[-1].deviances(network, 40, 8, torch.Generator().manual_seed(0))
    torch.testing.assert_close(before, after)
    after.backward()
    assert network.correction.exit.weight.grad.abs().max() > 0


def test_the_gradient_is_that_of_differences(faint: Dataset):
    _, network, found = moments(faint)
    network.double()
    moment, weight = found[-1], network.correction.exit.weight
    torch.nn.init.normal_(weight, std=0.1, generator=torch.Generator().manual_seed(0))

    def after() -> torch.Tensor:
        return moment.deviances(network.float(), 40, 8, torch.Generator().manual_seed(0))[1]

    (gradient,) = torch.autograd.grad(after(), network.float().correction.exit.weight)
    direction, step = gradient / gradient.norm(), 0.02
    told = []
    with torch.no_grad():
        for sign in (1, -1):
            network.correction.exit.weight += sign * step * direction
            told.append(float(after()))
            network.correction.exit.weight -= sign * step * direction
    assert (told[0] - told[1]) / (2 * step) == pytest.approx(float(gradient.norm()), rel=0.03)


def test_it_learns_to_explain_frames_that_no_step_has_seen():
    settings = SimulationSettings(
        size=32, probe=ProbeSettings(kind="disk", flux=1e4), scan=ScanSettings(frames=256, step=2.5), seed=5
    )
    scan = ObservedScan(simulate(settings).validate("many"), np.arange(256), BLIND, 0.6)
    torch.manual_seed(0)
    network = Recorder(SMALL)
    found = scan.moments(network, 17, CPU)
    module = Tuning(network, replace(SETTINGS, window=200), 0)
    module.log = module.log_dict = lambda *args, **options: None
    optimizer = torch.optim.AdamW(network.correction.parameters(), lr=3e-3)
    seen = [replace(moment, targets=moment.targets[::2]) for moment in found]
    unseen = [replace(moment, targets=moment.targets[1::2]) for moment in found]

    def change() -> float:
        with torch.no_grad():
            pairs = [one.deviances(network, 200, 99, torch.Generator().manual_seed(1)) for one in unseen]
        return float(sum(after - before for before, after in pairs) / sum(before for before, _ in pairs))

    assert change() == pytest.approx(0, abs=1e-6)
    for number in range(120):
        optimizer.zero_grad()
        module.training_step([seen[number % len(seen)]], number).backward()
        optimizer.step()
    assert change() < -0.015


def test_the_part_that_is_corrected_lies_within_the_object(faint: Dataset):
    _, network, found = moments(faint)
    network.correction.exit.bias.data += 0.5
    height, width = found[0].state.objects.shape[-2:]
    for window in (8, 10_000):
        before, after = found[-1].deviances(network, window, 4, torch.Generator().manual_seed(2))
        assert torch.isfinite(after)
        assert after != before
    assert window > max(height, width)


def test_tuning_twice_gives_the_same_bits_and_going_on_after_an_interruption_too(
    tmp_path: Path, file: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
):
    whole = load_checkpoint(run(tmp_path / "whole", file, weights).run())
    assert any(
        (value != load_checkpoint(weights)["state_dict"][name]).any() for name, value in whole["state_dict"].items()
    )
    collect = ObservedScan.moments

    def interrupt(self: ObservedScan, network: Recorder, seed: int, device: torch.device) -> list[Moment]:
        if seed == 2:  # the second epoch's
            raise KeyboardInterrupt
        return collect(self, network, seed, device)

    monkeypatch.setattr(ObservedScan, "moments", interrupt)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        run(tmp_path / "parts", file, weights).run()
    monkeypatch.setattr(ObservedScan, "moments", collect)
    assert not (tmp_path / "parts/out/model.ckpt").exists()
    resumed = load_checkpoint(run(tmp_path / "parts", file, weights).run())
    for name, value in whole["state_dict"].items():
        torch.testing.assert_close(resumed["state_dict"][name], value, rtol=0, atol=0)


def test_what_comes_out_reconstructs_and_says_what_it_saw(
    tmp_path: Path, faint: Dataset, file: Path, weights: Path, monkeypatch: pytest.MonkeyPatch
):
    checkpoint = run(tmp_path, file, weights, max_epochs=1).run()
    network, description = load_blind(checkpoint)
    assert sum(value.numel() for value in network.parameters()) < 140_000
    assert description["parent"]["checkpoint_sha256"]
    assert description["provenance"]["stage"] == "finetune"
    image = reconstruct(faint, file, BLIND, checkpoint)
    assert image.provenance["method"] in {"tuned", "plain iterations"}
    assert not np.isin(np.flatnonzero(image.held_out), description["scans"][0]["frames"]).any()
    with monkeypatch.context() as patch:
        # It is refused before a start is looked for.
        patch.delattr("ptychoflow.blind.solve.start_of_scan")
        with pytest.raises(InputError, match=r"frames of .* are among those that .* was tuned on: expected the seed"):
            reconstruct(faint, file, BLIND, checkpoint, seed=1)
    # Of another scan all frames may judge.
    other = tmp_path / "other.cxi"
    write_cxi(other, replace(faint, frames=faint.frames + 1))
    assert reconstruct(faint, other, BLIND, checkpoint, seed=1).provenance["weights"]["stage"] == "finetune"


@pytest.mark.parametrize(("worse", "method"), [(True, "plain iterations"), (False, "tuned")])
def test_an_image_is_no_worse_than_without_what_was_tuned(
    tmp_path: Path,
    faint: Dataset,
    file: Path,
    weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    worse: bool,
    method: str,
):
    checkpoint, run_through = run(tmp_path, file, weights, max_epochs=1).run(), BlindReconstruction.run
    expected = reconstruct(faint, file, replace(BLIND, learned=False)).object

    def judged(self: BlindReconstruction, shown: object = None) -> BlindResult:
        result = run_through(self, shown)
        if self.settings.learned:
            result.deviance *= 2 if worse else 0.5
            result.object = result.object * 1.5  # to know it by
        return result

    monkeypatch.setattr(BlindReconstruction, "run", judged)
    image = reconstruct(faint, file, BLIND, checkpoint)
    assert image.provenance["method"] == method
    assert np.allclose(image.object, expected) == worse


def test_the_other_program_says_where_a_blind_network_is_tuned(tmp_path: Path, faint: Dataset, weights: Path):
    with pytest.raises(InputError, match=r"has a blind network, which train.py does not train: expected tune"):
        load_network(None, load_checkpoint(weights), weights)


def test_in_python_it_is_one_call(tmp_path: Path, faint: Dataset, file: Path, weights: Path):
    checkpoint = ptychoflow.tune(
        file,
        tmp_path,
        reconstruction={"iterations": 4, "most_iterations": 4, "probe_modes": 1},
        init_from=weights,
        max_epochs=1,
        steps_per_epoch=2,
    )
    assert checkpoint == tmp_path / "model.ckpt"
    assert load_blind(checkpoint)[1]["provenance"]["config"]["tuning"]["steps_per_epoch"] == 2


def test_too_few_frames_are_refused(tmp_path: Path, faint: Dataset, weights: Path):
    few = replace(faint, frames=faint.frames[:9], positions=faint.positions[:9], true_positions=None)
    write_cxi(tmp_path / "few.cxi", few)
    with pytest.raises(InputError, match=r"few.cxi has 9 frames, of which tuning.targets leaves .* at least 4 such"):
        run(tmp_path, tmp_path / "few.cxi", weights)
    with pytest.raises(InputError, match=r"tuning.targets is 0\.0: expected a share above 0"):
        TuningSettings(targets=0.0)


def test_scans_take_turns(faint: Dataset):
    data = TuningData([faint] * 5, BLIND, replace(SETTINGS, scans_per_epoch=2), 0)
    turns = [data._turn(epoch) for epoch in range(5)]
    assert {len(turn) for turn in turns} == {2}
    seen = [id(scan) for turn in turns for scan in turn]
    assert {seen.count(id(scan)) for scan in data.scans} == {2}
    everything = TuningData([faint] * 3, BLIND, SETTINGS, 0)
    assert len(everything._turn(4)) == 3
