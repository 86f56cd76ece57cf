import hashlib
import shutil
from pathlib import Path

import pytest
import torch
import yaml

from ptychoflow.blind.pretrained import SHIPPED, load_blind
from ptychoflow.models.blind import CHANNELS
from ptychoflow.models.trained import load_checkpoint
from ptychoflow.physics.patches import fourier_shift
from ptychoflow.pretraining.blind_run import LAST
from ptychoflow.pretraining.likeness import relative_error, trade, truth_as_seen
from ptychoflow.pretraining.run import REHEARSAL, Pretraining, rehearse
from ptychoflow.pretraining.scans import TrainingScans
from ptychoflow.pretraining.states import StateCrops, States
from ptychoflow.settings.blind import BlindSettings, PretrainingSettings
from ptychoflow.settings.recipe import RecipeSettings
from ptychoflow.settings.tracking import TrackingSettings

ROOT = Path(__file__).parents[3]
RECIPE = RecipeSettings(sizes=(32,), frames=16)


def pretraining(folder: Path, **settings: object) -> Pretraining:
    return Pretraining(
        output_dir=folder / "out",
        run_dir=folder / "run",
        model=BlindSettings(features=4, depth=1),
        settings=PretrainingSettings(**{**REHEARSAL, **settings}),
        recipe=RECIPE,
        tracking=TrackingSettings(logger="csv"),
    )


def shipped_recipe() -> Pretraining:
    """The recipe as its config has it."""
    given = yaml.safe_load((ROOT / "config/pretrained.yaml").read_text())["experiments"]["pretrained"]
    pretrain = given["pretrain"]
    recipe = {key: tuple(value) if isinstance(value, list) else value for key, value in pretrain["recipe"].items()}
    return Pretraining(
        output_dir=Path(),
        run_dir=Path(),
        model=BlindSettings(**pretrain["model"]),
        settings=PretrainingSettings(**pretrain["pretraining"]),
        recipe=RecipeSettings(**recipe),
        seed=given["seeds"][0],
    )


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path)["state_dict"]


def test_the_shipped_weights_belong_to_the_shipped_recipe():
    network, description = load_blind()
    assert SHIPPED.stat().st_size <= 1_000_000
    assert description["recipe_sha256"] == shipped_recipe().digest()
    assert description["provenance"]["commit"]
    assert all(torch.isfinite(value).all() for value in network.state_dict().values())
    assert network.correction.exit.weight.abs().max() > 1e-3


def test_the_code_trains_as_it_did_when_the_shipped_weights_were_made():
    _, description = load_blind()
    again = rehearse(shipped_recipe().recipe)
    assert again.keys() == description["rehearsal"].keys()
    # Other processors round otherwise.
    assert list(again.values()) == pytest.approx(list(description["rehearsal"].values()), rel=0.02)


@pytest.mark.slow
def test_training_twice_gives_the_same_bits_and_going_on_after_an_interruption_too(tmp_path: Path):
    whole = pretraining(tmp_path / "whole").run()
    again = pretraining(tmp_path / "again").run()
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(again)[name], value, rtol=0, atol=0)
    first = pretraining(tmp_path / "parts")

    class InterruptionError(Exception):
        pass

    from ptychoflow.pretraining.module import BlindTraining

    collect = BlindTraining.collect
    try:

        def interrupt(self: BlindTraining, batches: object, epoch: int) -> States:
            if epoch == 1:
                raise InterruptionError
            return collect(self, batches, epoch)

        BlindTraining.collect = interrupt
        with pytest.raises(InterruptionError):
            first.run()
    finally:
        BlindTraining.collect = collect
    assert not (tmp_path / "parts/out/model.ckpt").exists()
    resumed = pretraining(tmp_path / "parts").run()
    for name, value in weights(whole).items():
        torch.testing.assert_close(weights(resumed)[name], value, rtol=0, atol=0)


def test_another_recipe_starts_afresh(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    one = pretraining(tmp_path, max_epochs=1)
    one.fit()
    digest = hashlib.sha256((tmp_path / "run" / LAST).read_bytes()).hexdigest()
    with caplog.at_level("INFO"):
        pretraining(tmp_path, max_epochs=1, learning_rate=1e-4).fit()
    assert "starting afresh" in caplog.text
    assert hashlib.sha256((tmp_path / "run" / LAST).read_bytes()).hexdigest() != digest
    shutil.rmtree(tmp_path)


def test_scans_are_the_same_whenever_they_are_drawn():
    one, two = TrainingScans(RECIPE, 3, 2, 128, 2), TrainingScans(RECIPE, 4, 2, 128, 2)
    for first, second in zip(one[1], two[0], strict=True):
        torch.testing.assert_close(first, second, rtol=0, atol=0)
    assert one[0].truth.shape == (128, 128)
    # Mean photons of a frame, in units of the scale.
    power = torch.where(one[0].mask, one[0].amplitudes.square(), 0).sum(dim=(-2, -1)).mean()
    torch.testing.assert_close(one[0].probe.abs().square().sum(), power)


def smooth_objects(generator: torch.Generator) -> torch.Tensor:
    noise = torch.randn(2, 64, 64, dtype=torch.complex64, generator=generator)
    frequency = torch.fft.fftfreq(64)
    low = torch.exp(-((frequency[:, None] ** 2 + frequency**2) * 400))
    return 1 + torch.fft.ifft2(torch.fft.fft2(noise) * low) * 8


def test_what_object_and_probe_may_trade_is_no_error():
    generator = torch.Generator().manual_seed(0)
    truth = smooth_objects(generator)
    axis = torch.arange(32) - 16
    probe = torch.exp(-(axis[:, None] ** 2 + axis**2) / 30).to(torch.complex64)[None, None].expand(2, 1, 32, 32)
    shift, tilt = torch.tensor([[1.3, -0.7], [0.2, 2.1]]), torch.tensor([[0.01, -0.02], [0.0, 0.015]])
    far = torch.arange(64) - 32
    ramp = 2 * torch.pi * (tilt[:, 0, None, None] * far[:, None] + tilt[:, 1, None, None] * far)
    near = 2 * torch.pi * (tilt[:, 0, None, None] * axis[:, None] + tilt[:, 1, None, None] * axis)
    objects = fourier_shift(truth, shift) * torch.polar(torch.ones_like(ramp), ramp) * (0.7 + 0.4j)
    probes = fourier_shift(probe, shift[:, None]) * torch.polar(torch.ones_like(near), -near)[:, None]
    weight = torch.zeros(2, 64, 64)
    weight[:, 12:-12, 12:-12] = 1
    found, leaning = trade(objects, truth, weight, probes, probe)
    torch.testing.assert_close(found, -shift, atol=0.1, rtol=0)
    torch.testing.assert_close(leaning, -tilt, atol=2e-3, rtol=0)
    seen = truth_as_seen(objects, truth, weight, probes, probe)
    assert relative_error(objects, seen, weight).max() < 1e-3
    assert relative_error(objects, truth, weight).min() > 0.1


def test_parts_of_states_keep_what_belongs_together():
    generator = torch.Generator().manual_seed(1)
    seen = torch.randn(3, CHANNELS, 40, 40, generator=generator)
    truth = torch.view_as_complex(seen[:, :2].permute(0, 2, 3, 1).contiguous())
    weight = torch.zeros(3, 40, 40)
    weight[:, 10:35, 5:38] = 1
    crops = StateCrops(States(seen, seen[:, 4].abs(), truth, weight), 16, 5, 0)
    assert len(crops) == 15
    for index in range(len(crops)):
        part, level, true, lit = crops[index]
        # Objects are conjugated with their truth, and turned and mirrored with their light.
        torch.testing.assert_close(torch.view_as_complex(part[:2].permute(1, 2, 0).contiguous()), true)
        torch.testing.assert_close(level, part[4].abs())
        assert lit.all()
    torch.testing.assert_close(crops[3], crops[3], rtol=0, atol=0)
