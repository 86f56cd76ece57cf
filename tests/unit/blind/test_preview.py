"""Pictures of an image on its way: whole after the first iteration, seldom, and gone in the end."""

from pathlib import Path

import pytest
from matplotlib.image import imread

from ptychoflow.blind import preview
from ptychoflow.blind.pretrained import load_blind
from ptychoflow.blind.preview import Preview
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.provenance.embedded import read_provenance
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import simulate


@pytest.fixture
def solving(blind_weights: Path) -> BlindReconstruction:
    probe = ProbeSettings(kind="disk", disk_diameter=0.5, disk_curvature=4.0)
    recipe = SimulationSettings(size=32, probe=probe, scan=ScanSettings(frames=36, step=4), seed=3)
    dataset = simulate(recipe).validate("scan")
    settings = BlindReconstructionSettings(iterations=3, most_iterations=3, start="dataset", probe_modes=1)
    return BlindReconstruction(load_blind(blind_weights)[0], dataset, settings)


def test_both_pictures_show_the_first_iteration_and_then_what_costs_little(
    solving: BlindReconstruction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    look = Preview(tmp_path)
    drawn = []

    def shown(_) -> None:
        look(solving)
        drawn.append(read_provenance(look.phase)["iterations"])

    monkeypatch.setattr(preview, "SHARE", 0.0)  # however long drawing and these iterations take
    solving.run(shown)
    assert drawn == [1, 1, 1]
    monkeypatch.setattr(preview, "SHARE", 1e9)
    look(solving)
    assert read_provenance(look.phase)["iterations"] == 3
    assert imread(look.amplitude).shape == imread(look.phase).shape
    look.remove()
    assert not list(tmp_path.iterdir())
