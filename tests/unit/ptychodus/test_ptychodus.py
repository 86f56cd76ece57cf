"""Ptychodus itself reads our files, hands over products and gets them back; its own model explains our frames."""

import dataclasses
import logging
import pickle
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from queue import Queue

import numpy as np
import pytest
import torch

pytest.importorskip("ptychodus.api.plugins", reason="ptychodus is not installed (envs/requirements-ptychodus.txt)")
pytest.importorskip("ptychodus.model", reason="what Ptychodus' own program needs is not installed")

from ptychodus.api.assemble import AssembledDiffractionData
from ptychodus.api.geometry import PixelGeometry
from ptychodus.api.io import load_product, save_diffraction_data, save_product
from ptychodus.api.object import Object, ObjectCenter
from ptychodus.api.plugins import PluginRegistry
from ptychodus.api.product import Product
from ptychodus.api.reconstruct import ReconstructInput, ReconstructOutput, prepare_reconstruct_input
from ptychodus.api.settings import SettingsRegistry
from ptychodus.api.simulate.diffraction import generate_diffraction_data
from ptychodus.model.processing import subprocess_reconstructor

import ptychodus.plugins
from ptychoflow.blind.reconstruction import reconstruct
from ptychoflow.blind.result import Progress
from ptychoflow.dataset.cxi import read_cxi, write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.interface.scan_to_image import by_trained_network
from ptychoflow.ptychodus.child import run_train, training_scans
from ptychoflow.ptychodus.products import dataset_of, reconstructed
from ptychoflow.ptychodus.reconstructor import PtychoFlowLibrary, PtychoFlowReconstructor, export_training_data
from ptychoflow.reconstruction.file import Reconstruction, write_reconstruction
from ptychoflow.settings.inference import InferenceSettings
from ptychoflow.settings.model import ModelSettings
from ptychoflow.settings.reconstruction import BlindReconstructionSettings
from ptychoflow.settings.simulation import ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.settings.training import TrainingSettings
from ptychoflow.simulation.dataset import simulate

ROOT = Path(__file__).parents[3]
# Between pixels Ptychodus moves the probe over the object, and with it near fields over the detector, which hold still.
NEAR = {"propagation": "near", "detector_distance": 0.05, "scan": ScanSettings(frames=36, step=4.0, jitter=0.0)}
SCANS = {
    "far": {},
    "modes": {"probe": ProbeSettings(kind="disk", modes=2)},
    "near": NEAR | {"detector_pixel_size": 0.65e-6},
    "cone": NEAR | {"detector_pixel_size": 2e-6, "source_distance": 0.05},
}


@pytest.fixture(scope="module")
def registry() -> Iterator[PluginRegistry]:
    """Ptychodus' plugins, with our folder of them where an installed wheel would have put its file."""
    with pytest.MonkeyPatch.context() as patch:
        own = str(ROOT / "scripts/ptychodus/plugins")
        patch.setattr(ptychodus.plugins, "__path__", [*ptychodus.plugins.__path__, own])
        yield PluginRegistry.load_plugins()


@pytest.fixture(scope="module", params=SCANS)
def scan(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Dataset, Path]:
    """A scan with a dead stripe, and its file: far and near fields, of a parallel and of a cone beam."""
    settings = {"size": 32, "seed": 3, "scan": ScanSettings(frames=36, step=4.0), "probe": ProbeSettings(kind="disk")}
    dataset = simulate(SimulationSettings(**settings | SCANS[request.param])).validate(request.param)
    dataset.mask[4:6, 20] = False
    dataset = dataclasses.replace(dataset, frames=dataset.frames * dataset.mask)
    path = tmp_path_factory.mktemp("scan") / f"{request.param}.cxi"
    write_cxi(path, dataset)
    return read_cxi(path), path


def handed(registry: PluginRegistry, path: Path) -> ReconstructInput:
    """What Ptychodus hands to a reconstructor for one of our scans, as its own readers and its own matching give it."""
    patterns = registry.diffraction_file_readers.get_strategy_by_name("PtychoFlow").read(path)
    (array,) = patterns
    assembled = AssembledDiffractionData(
        array.get_indexes(),
        array.get_patterns(),
        patterns.get_metadata().detector_pixel_geometry,
        patterns.get_bad_pixels(),
    )
    product = registry.product_file_readers.get_strategy_by_name("PtychoFlow").read(path)
    return prepare_reconstruct_input(assembled, product)


@contextmanager
def in_this_process(entry: str, payload: object, **_: object) -> Iterator[Iterator[tuple]]:
    """What Ptychodus' own function of the name does, but for the process."""
    queue: Queue = Queue()
    module, name = entry.split(":")
    getattr(import_module(module), name)(pickle.loads(pickle.dumps(payload)), queue)
    queue.put(None)
    yield iter(queue.get_nowait, None)


def told(reconstructor: PtychoFlowReconstructor, parameters: ReconstructInput) -> list[ReconstructOutput]:
    """Outputs of a reconstruction in this process, by what the other would be given."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess_reconstructor, "run_subprocess", in_this_process)
        return list(reconstructor.reconstruct(parameters))


def quick(**values: object) -> PtychoFlowReconstructor:
    """A reconstructor whose settings are those of a settings file of Ptychodus, for tests that shall not take long."""
    registry = SettingsRegistry()
    (reconstructor,) = PtychoFlowLibrary(registry)
    for group in ("PtychoFlow", "PtychoFlowTraining", "PtychoFlowModel"):
        for key, parameter in registry[group].parameters().items():
            if key in values:
                parameter.set_value_from_string(str(values[key]))
    return reconstructor


def small(**values: object) -> PtychoFlowReconstructor:
    few = {"Iterations": 6, "MostIterations": 6, "ReportInterval": 2, "HeldOut": 0.1, "Start": "dataset"}
    return quick(**few | values)


def test_ptychodus_finds_the_readers(registry: PluginRegistry):
    for kind in ("product", "probe", "object", "probe_position"):
        names = {plugin.simple_name for plugin in getattr(registry, f"{kind}_file_readers")}
        assert names >= {"PtychoFlow", "PtychoFlow_Reconstruction"}
    assert "PtychoFlow" in {plugin.simple_name for plugin in registry.diffraction_file_readers}


def test_a_scan_is_read_with_all_that_is_known_of_it(registry: PluginRegistry, scan: tuple[Dataset, Path]):
    dataset, path = scan
    patterns = registry.diffraction_file_readers.get_strategy_by_name("PtychoFlow").read(path)
    facts = patterns.get_metadata()
    np.testing.assert_array_equal(patterns[0].get_patterns(), dataset.frames)
    np.testing.assert_array_equal(patterns.get_bad_pixels(), ~dataset.mask)
    assert facts.photon_energy_eV == pytest.approx(dataset.energy, rel=1e-9)
    assert facts.detector_distance_m == pytest.approx(dataset.detector_distance, rel=1e-9)
    assert facts.probe_photon_count == pytest.approx(np.sum(np.abs(dataset.probe) ** 2), rel=1e-5)
    product = registry.product_file_readers.get_strategy_by_name("PtychoFlow").read(path)
    assert product.metadata.far_field == (dataset.propagation == "far")
    np.testing.assert_array_equal(product.probes.get_array()[0], dataset.probe)
    assert product.object_.get_geometry().pixel_width_m == pytest.approx(dataset.pixel_size, rel=1e-8, abs=0)
    # What it is to find out it is not told, but may be compared with.
    np.testing.assert_array_equal(product.object_.get_array(), 1)
    true = registry.object_file_readers.get_strategy_by_name("PtychoFlow").read(path)
    np.testing.assert_array_equal(true.get_layer(0), dataset.truth)


def test_the_model_of_ptychodus_explains_our_frames(registry: PluginRegistry, scan: tuple[Dataset, Path]):
    dataset, path = scan
    product = registry.product_file_readers.get_strategy_by_name("PtychoFlow").read(path)
    true = registry.object_file_readers.get_strategy_by_name("PtychoFlow").read(path)
    assert _misfit(dataset, dataclasses.replace(product, object_=true)) < 0.5
    shifted = dataclasses.replace(true.get_center(), x_m=dataset.pixel_size / 2)
    moved = Object(true.get_array(), true.get_pixel_geometry(), shifted)
    assert _misfit(dataset, dataclasses.replace(product, object_=moved)) > 1


def _misfit(dataset: Dataset, product: Product) -> float:
    """Mean square of roots of counts less those that Ptychodus models, in a free unit; 1/4 for Poisson counts."""
    modelled = generate_diffraction_data(product).get_patterns() * dataset.mask
    modelled *= dataset.frames.sum() / modelled.sum()
    return float(np.mean((np.sqrt(dataset.frames) - np.sqrt(modelled))[:, dataset.mask] ** 2))


def test_a_product_becomes_the_dataset_that_it_was(
    registry: PluginRegistry, scan: tuple[Dataset, Path], tmp_path: Path
):
    dataset, path = scan
    parameters = handed(registry, path)
    save_product(tmp_path / "product.h5", parameters.product)
    stored = dataclasses.replace(parameters, product=load_product(tmp_path / "product.h5"))
    placed = dataset_of(stored)
    found = placed.dataset
    np.testing.assert_allclose(found.positions, dataset.positions, rtol=1e-9)
    np.testing.assert_array_equal(found.frames, dataset.frames)
    np.testing.assert_array_equal(found.mask, dataset.mask)
    np.testing.assert_array_equal(found.probe, dataset.probe)
    assert found.object_shape == dataset.object_shape
    assert found.propagation == dataset.propagation
    for name in (
        "pixel_size",
        "energy",
        "detector_distance",
        "detector_pixel_size",
        "source_distance",
        "fresnel_number",
    ):
        expected = getattr(dataset, name)
        assert getattr(found, name) == (expected and pytest.approx(expected, rel=1e-6, abs=0)), name
    # Exported, it is a scan of our own.
    export_training_data(tmp_path / "exported.cxi", stored)
    np.testing.assert_array_equal(read_cxi(tmp_path / "exported.cxi").frames, dataset.frames)


def test_a_reconstruction_goes_through_ptychodus_and_is_ours(
    registry: PluginRegistry, scan: tuple[Dataset, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    dataset, path = scan
    parameters = handed(registry, path)
    # Whatever stands in bad pixels must not matter.
    patterns = np.where(dataset.mask, parameters.diffraction_patterns, 65535.0)
    outputs = told(small(), dataclasses.replace(parameters, diffraction_patterns=patterns))
    assert [output.progress for output in outputs] == [2, 4, 6, 6]
    assert [len(output.product.losses) for output in outputs] == [2, 4, 6, 6]
    settings = BlindReconstructionSettings(
        iterations=6, most_iterations=6, held_out=0.1, start="dataset", probe_modes=len(dataset.probe)
    )
    ours = reconstruct(dataclasses.replace(dataset, truth=None), path, settings)
    save_product(tmp_path / "product.h5", outputs[-1].product)
    read = load_product(tmp_path / "product.h5")
    np.testing.assert_allclose(read.object_.get_layer(0), ours.object, atol=1e-5)
    largest = np.abs(ours.probe).max()
    np.testing.assert_allclose(read.probes.get_array()[0], ours.probe, atol=1e-5 * largest)
    given = parameters.product
    for axis in ("x", "y"):
        was, found = (getattr(one.probe_positions, f"get_coordinates_{axis}_m")() for one in (given, read))
        np.testing.assert_allclose(found, was, rtol=1e-6)
    assert read.object_.get_geometry().pixel_width_m == pytest.approx(dataset.pixel_size, rel=1e-6, abs=0)
    assert [loss.value for loss in read.losses] == pytest.approx(ours.provenance["deviances"], rel=1e-3)
    assert "deviance of frames left out" in read.metadata.comments
    assert not [record for record in caplog.records if "65535" in record.message]
    # And as our own file.
    write_reconstruction(tmp_path / "reconstruction.h5", ours)
    again = registry.product_file_readers.get_strategy_by_name("PtychoFlow_Reconstruction").read(
        tmp_path / "reconstruction.h5"
    )
    np.testing.assert_array_equal(again.object_.get_layer(0), ours.object)
    np.testing.assert_array_equal(again.probes.get_array()[0], ours.probe)
    assert again.metadata.far_field == (dataset.propagation == "far")
    assert again.metadata.photon_energy_eV == pytest.approx(dataset.energy, rel=1e-9)
    assert again.metadata.magnification == pytest.approx(dataset.magnification, rel=1e-9)
    np.testing.assert_allclose(
        again.probe_positions.get_coordinates_x_m(), given.probe_positions.get_coordinates_x_m(), rtol=1e-6, atol=1e-15
    )


def test_positions_that_were_solved_for_come_out_in_metres(registry: PluginRegistry, small_cxi: Path):
    parameters = handed(registry, small_cxi)
    # A frame of its own, of odd width and off the middle.
    image = Object(
        np.ones((121, 133), np.complex64), parameters.product.object_.get_pixel_geometry(), ObjectCenter(3e-7, -2e-7)
    )
    product = dataclasses.replace(parameters.product, object_=image)
    placed = dataset_of(dataclasses.replace(parameters, product=product))
    assert placed.dataset.object_shape == (121, 133)
    moved = placed.dataset.positions + np.random.default_rng(1).normal(size=(64, 2))
    made = Reconstruction(
        object=image.get_layer(0),
        coverage=np.ones((121, 133), np.float32),
        halves=np.ones((2, 121, 133), np.complex64),
        probe=placed.dataset.probe,
        positions=moved,
        held_out=np.zeros(64, bool),
        pixel_size=placed.dataset.pixel_size,
    )
    out = reconstructed(product, placed, made)
    geometry = out.object_.get_geometry()
    # Ptychodus counts the middle of a patch from the middle of its first pixel.
    np.testing.assert_allclose(geometry.map_probe_positions_to_object_x_px(out.probe_positions) + 0.5, moved[:, 1])
    np.testing.assert_allclose(geometry.map_probe_positions_to_object_y_px(out.probe_positions) + 0.5, moved[:, 0])
    assert geometry.center_x_m == 3e-7
    np.testing.assert_array_equal(out.probe_positions.get_indexes(), product.probe_positions.get_indexes())


def test_a_product_whose_object_is_too_small_gets_a_frame_of_its_own(registry: PluginRegistry, small_cxi: Path):
    parameters = handed(registry, small_cxi)
    product = parameters.product
    tiny = Object(np.ones((8, 8), np.complex64), product.object_.get_pixel_geometry(), product.object_.get_center())
    for image in (tiny, Object(None, None, None)):
        placed = dataset_of(dataclasses.replace(parameters, product=dataclasses.replace(product, object_=image)))
        middle = np.array([placed.centre.y_m, placed.centre.x_m])
        metres = (placed.dataset.positions - np.array(placed.dataset.object_shape) / 2) * placed.dataset.pixel_size
        given = product.probe_positions
        places = np.stack([given.get_coordinates_y_m(), given.get_coordinates_x_m()], axis=1)
        np.testing.assert_allclose(metres + middle, places, rtol=1e-9, atol=1e-15)


def test_what_cannot_be_right_is_refused_in_a_sentence(
    registry: PluginRegistry, small_cxi: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    parameters = handed(registry, small_cxi)

    def with_metadata(**values: object) -> ReconstructInput:
        metadata = dataclasses.replace(parameters.product.metadata, **values)
        return dataclasses.replace(parameters, product=dataclasses.replace(parameters.product, metadata=metadata))

    with caplog.at_level(logging.WARNING):
        unknown = dataset_of(with_metadata(photon_energy_eV=0.0)).dataset
    assert "energy is not known, and taken as 8000" in caplog.text
    assert unknown.pixel_size == pytest.approx(parameters.product.probes.get_pixel_geometry().width_m, rel=1e-9, abs=0)
    with pytest.raises(InputError, match="energy must be known to propagate near fields"):
        dataset_of(with_metadata(photon_energy_eV=0.0, far_field=False))
    with pytest.raises(InputError, match="a beam that converges behind the sample"):
        dataset_of(with_metadata(focus_object_distance_m=0.1, far_field=False))
    oblong = PixelGeometry(1e-8, 2e-8)
    probes = type(parameters.product.probes)(parameters.product.probes.get_array(), None, oblong)
    with pytest.raises(InputError, match="expected a square"):
        dataset_of(dataclasses.replace(parameters, product=dataclasses.replace(parameters.product, probes=probes)))
    with pytest.raises(InputError, match="is no scan of PtychoFlow"):
        registry.product_file_readers.get_strategy_by_name("PtychoFlow").read(tmp_path / "nothing.cxi")
    with pytest.raises(InputError, match="neither scans"):
        run_train(quick()._build_train_payload(tmp_path, tmp_path), Queue())


@pytest.mark.slow
def test_it_runs_in_a_process_of_its_own(registry: PluginRegistry, small_cxi: Path):
    parameters = handed(registry, small_cxi)
    reconstructor = small(ProbeModes=2)
    outputs = []
    for output in reconstructor.reconstruct(parameters):
        assert reconstructor.get_progress_goal() == 6
        outputs.append(output)
    assert [output.progress for output in outputs] == [2, 4, 6, 6]
    assert outputs[-1].product.probes.num_incoherent_modes == 2


def test_a_model_that_is_none_is_refused(registry: PluginRegistry, small_cxi: Path, tmp_path: Path):
    reconstructor = small()
    (tmp_path / "model.ckpt").write_bytes(b"no checkpoint")
    reconstructor.load_model_from_file(tmp_path / "model.ckpt")
    with pytest.raises(InputError, match="is not a whole checkpoint of tensors"):
        told(reconstructor, handed(registry, small_cxi))


def test_a_network_is_trained_saved_opened_and_used(registry: PluginRegistry, small_cxi: Path, tmp_path: Path):
    parameters = handed(registry, small_cxi)
    settings = {"MaxEpochs": 2, "Accelerator": "cpu", "BatchSize": 16, "Precision": "32-true"}
    trainer = quick(**settings | {"Features": 4, "Iterations": 2})
    (tmp_path / "data").mkdir()
    trainer.export_training_data(tmp_path / "data" / "one.cxi", parameters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess_reconstructor, "run_subprocess", in_this_process)
        outputs = list(trainer.train(tmp_path / "data", tmp_path / "trained"))
    assert trainer.get_progress_goal() == 2
    assert [output.progress for output in outputs] == [1, 2]
    assert [loss.epoch for loss in outputs[-1].training_loss] == [1, 2]
    assert len(outputs[-1].validation_loss) == 2
    trainer.save_model(tmp_path / "saved.ckpt")
    opened = small()
    opened.load_model_from_file(tmp_path / "saved.ckpt")
    (output,) = told(opened, parameters)
    ours = by_trained_network(tmp_path / "saved.ckpt", dataset_of(parameters).dataset, small_cxi, InferenceSettings())
    area = ours.coverage > 0
    np.testing.assert_allclose(output.product.object_.get_layer(0)[area], ours.object[area], atol=1e-5)
    assert output.progress == opened.settings.reconstruction.values()["iterations"]


def test_the_shipped_network_is_there_from_the_beginning(tmp_path: Path):
    reconstructor = quick()
    assert reconstructor.is_model_loaded()
    reconstructor.save_model(tmp_path / "model.ckpt")
    assert torch.load(tmp_path / "model.ckpt", weights_only=True)["ptychoflow"]["result"] == "pretrained"


def test_its_settings_are_those_of_the_library():
    settings = quick().settings
    # A product has as many modes as it has, and no place for images of half the frames.
    usual = BlindReconstructionSettings(probe_modes=None, halves=False)
    assert settings.reconstruction.values() == vars(usual)
    assert TrainingSettings.of(settings.training.values()) == TrainingSettings(learn_flux=True)
    for name in "unrolled", "unet":
        values = quick(Name=name).settings.model.values()
        assert values["depth"] is None
        assert ModelSettings(**values) == ModelSettings(name=name)


def test_what_may_be_null_is_said_in_words(registry: PluginRegistry, small_cxi: Path):
    parameters = handed(registry, small_cxi)

    def asked(**said: object) -> dict:
        return quick(**said)._told(parameters, None).settings

    for said, meant in ({}, None), ({"SolveBrightness": "Auto"}, None), ({"SolveBrightness": True}, True):
        assert asked(**said)["solve_brightness"] is meant
    assert asked(SolveBrightness="false")["solve_brightness"] is False
    # Earlier versions wrote 0.
    modes = parameters.product.probes.num_incoherent_modes
    assert [asked(ProbeModes=said)["probe_modes"] for said in ("auto", "0", "3")] == [modes, modes, 3]
    assert quick(NGroups=12).settings.training.value("n_groups") == 12
    with pytest.raises(InputError, match="SolveBrightness is maybe: expected true or false, or auto"):
        asked(SolveBrightness="maybe")
    with pytest.raises(InputError, match="ProbeModes is -1: expected a whole number of at least 1, or auto"):
        asked(ProbeModes=-1)


def test_what_ptychodus_saves_it_reads_again(tmp_path: Path):
    before, after = SettingsRegistry(), SettingsRegistry()
    ((one,), (other,)) = (PtychoFlowLibrary(registry) for registry in (before, after))
    for key, value in {"ProbeModes": "2", "SolveBrightness": "true", "SolvePositions": "True"}.items():
        before["PtychoFlow"].parameters()[key].set_value_from_string(value)
    before.save_settings(tmp_path / "settings.ini")
    after.open_settings(tmp_path / "settings.ini")
    assert other.settings.reconstruction.values() == one.settings.reconstruction.values()
    assert other.settings.reconstruction.value("probe_modes") == 2


@pytest.fixture
def laid_out(registry: PluginRegistry, small_cxi: Path, tmp_path: Path) -> Path:
    """A folder of the kind that Ptychodus works on without a window."""
    parameters, folder = handed(registry, small_cxi), tmp_path / "input"
    folder.mkdir()
    save_product(folder / "product.h5", parameters.product)
    square = PixelGeometry(75e-6, 75e-6)
    patterns, bad = parameters.diffraction_patterns, parameters.bad_pixels
    save_diffraction_data(folder / "diffraction.h5", AssembledDiffractionData(np.arange(64), patterns, square, bad))
    return folder


def test_training_takes_what_ptychodus_lays_out(laid_out: Path, small_dataset: Dataset, tmp_path: Path):
    (scan,) = training_scans(laid_out, tmp_path)
    read = read_cxi(scan)
    np.testing.assert_array_equal(read.frames, small_dataset.frames)
    np.testing.assert_allclose(read.positions, small_dataset.positions, rtol=1e-9)


@pytest.mark.slow
def test_the_program_of_ptychodus_has_it_among_its_algorithms(laid_out: Path, small_dataset: Dataset, tmp_path: Path):
    lines = ["[Processing]", "Algorithm = ptychoflow_network", "[PtychoFlow]", "Iterations = 4", "MostIterations = 4"]
    (laid_out / "settings.ini").write_text("\n".join([*lines, "ReportInterval = 2", "Accelerator = cpu"]))
    command = [sys.executable, "-m", "ptychoflow.ptychodus", "--batch", "reconstruct"]
    done = subprocess.run(
        [*command, "-i", laid_out, "-o", tmp_path / "output"], cwd=ROOT / "scripts", capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "wrong scale" not in done.stdout
    found = [load_product(tmp_path / f"output/product.{number:06d}.h5") for number in (2, 4)]
    assert [len(product.losses) for product in found] == [2, 4]
    assert found[-1].object_.get_geometry().pixel_width_m == pytest.approx(small_dataset.pixel_size, rel=1e-8, abs=0)
    assert "PtychoFlow" in found[-1].metadata.comments


def test_progress_is_still_told_in_the_log(small_dataset: Dataset, small_cxi: Path, blind_weights: Path):
    seen: list[Progress] = []
    images = []
    settings = BlindReconstructionSettings(
        iterations=2, most_iterations=2, probe_modes=1, start="dataset", halves=False
    )
    reconstruct(
        small_dataset,
        small_cxi,
        settings,
        blind_weights,
        show=seen.append,
        look=lambda solving: images.append(solving.result().object),
    )
    assert [one.iteration for one in seen] == [1, 2]
    assert images[0].shape == small_dataset.object_shape
    assert not torch.equal(*images)
