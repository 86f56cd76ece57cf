"""What a GPU would refuse, told without one: whole reconstructions on a second device, see elsewhere.py."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from elsewhere import elsewhere

from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.models.blind import Blind
from ptychoflow.pretraining.moments import ObservedScan, Recorder
from ptychoflow.settings.blind import BlindSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import simulate


def test_it_refuses_what_a_gpu_refuses():
    with elsewhere() as there:
        away, number = torch.arange(12.0).view(3, 4).to(there), torch.tensor([1])
        assert away.device == there
        assert away[:, number].device == there
        assert float((away * torch.tensor(2.0)).sum()) == 132
        assert away.cpu().tolist()[2] == [8, 9, 10, 11]
        assert float(away.index_select(0, number.to(there)).sum()) == 22
        away[0] += 1
        assert away.cpu()[0].tolist() == [1, 2, 3, 4]
        for refused in (
            lambda: away.index_select(0, number),
            lambda: away * torch.ones(4),
            lambda: torch.ones(4)[number.to(there)],
            lambda: torch.where(torch.ones(4) > 0, away, 0),
        ):
            with pytest.raises(RuntimeError, match="takes tensors on the CPU and elsewhere"):
                refused()
        with pytest.raises((RuntimeError, TypeError)):
            away.numpy()


QUICK = {"iterations": 5, "most_iterations": 5, "held_out": 0.1}
WAYS = {
    "as it comes": {"probe_modes": 2},
    "positions and light": {"probe_modes": 1, "solve_positions": True, "solve_brightness": True},
    "from the photons": {"probe_modes": 1, "start": "photons", "orientation": True},
    "with its doubt": {"probe_modes": 1, "uncertainty": True},
    "without a guess": {"probe_modes": 1},
}


@pytest.fixture(scope="module")
def unknown(small_dataset: Dataset) -> Dataset:
    """The small scan as if its truth were not known, so that halves are made."""
    return replace(small_dataset, truth=None, true_positions=None)


@pytest.mark.parametrize("way", WAYS)
def test_a_whole_reconstruction_stays_on_its_device(unknown: Dataset, small_cxi: Path, way: str):
    settings = BlindReconstructionSettings(**QUICK | WAYS[way])
    dataset = replace(unknown, probe_known=way != "without a guess")
    expected = reconstruct(dataset, small_cxi, settings, show=lambda progress: None)
    with elsewhere() as there:
        found = reconstruct(dataset, small_cxi, settings, device=there, show=lambda progress: None)
    # Rounding differs, as where convolutions choose their way by the device.
    assert found.provenance["held_out_deviance"] == pytest.approx(expected.provenance["held_out_deviance"], rel=0.05)
    assert found.provenance["start"]["name"] == expected.provenance["start"]["name"]
    assert np.abs(found.object - expected.object).mean() < 0.05 * np.abs(expected.object).mean()


def test_where_frames_overlap_little_it_stays_there_too():
    sparse = simulate(
        SimulationSettings(size=32, probe=ProbeSettings(kind="disk"), scan=ScanSettings(frames=64, step=9.0), seed=1)
    ).validate("sparse")
    network, told = Blind(BlindSettings(features=4, depth=1)), []
    settings = BlindReconstructionSettings(**QUICK | {"probe_modes": 1})
    for device in (None, "elsewhere"):
        with elsewhere() if device else nullcontext(torch.device("cpu")) as place:
            told.append(BlindReconstruction(network, sparse, settings, device=place).run().deviance)
    assert told[1] == pytest.approx(told[0], rel=0.05)


def test_tuning_stays_on_its_device(small_dataset: Dataset):
    settings = BlindReconstructionSettings(**QUICK | {"probe_modes": 1, "most_iterations": 5})
    gradients = []
    for device in (None, "elsewhere"):
        with elsewhere() if device else nullcontext(torch.device("cpu")) as place:
            torch.manual_seed(0)
            network = Recorder(BlindSettings(features=4, depth=1)).to(place)
            scan = ObservedScan(small_dataset, np.arange(64), settings, 0.3)
            moment = scan.moments(network, 1, place)[-1]
            before, after = moment.deviances(network, 40, 8, torch.Generator().manual_seed(0))
            after.backward()
            assert float(after.detach()) == pytest.approx(float(before), rel=1e-5)
            gradients.append(network.correction.exit.weight.grad.cpu())
    assert (gradients[1] - gradients[0]).norm() < 0.05 * gradients[0].norm()
