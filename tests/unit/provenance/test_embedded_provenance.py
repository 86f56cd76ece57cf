"""What made a result is read back from the result alone, of every kind; what has none says so in one sentence."""

import json
from pathlib import Path

import h5py
import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from ptychoflow.dataset.cxi import keep_dataset, read_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.figures.result import save_figure
from ptychoflow.files import sha256_of
from ptychoflow.provenance.embedded import hdf5_attributes, read_provenance
from ptychoflow.provenance.record import circumstances, write_provenance
from ptychoflow.reconstruction.file import Reconstruction, write_reconstruction
from ptychoflow.reconstruction.pictures import save_images

FACTS = {"run_id": "abc", "seed": 3, "config": {"µ": [1.5, None], "name": "<&>\"'"}, "training": {"commit": "d" * 40}}


@pytest.fixture
def reconstruction(small_dataset: Dataset) -> Reconstruction:
    shape = small_dataset.object_shape
    return Reconstruction(
        object=small_dataset.truth,
        coverage=np.ones(shape, np.float32),
        halves=np.stack([small_dataset.truth] * 2),
        probe=small_dataset.probe,
        positions=small_dataset.positions,
        held_out=np.zeros(64, bool),
        pixel_size=small_dataset.pixel_size,
        provenance=FACTS,
    )


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_figure_says_what_made_it(suffix: str, tmp_path: Path):
    figure, _ = plt.subplots()
    save_figure(figure, FACTS, tmp_path / f"figure{suffix}")
    found = read_provenance(tmp_path / f"figure{suffix}")
    assert found.pop("drawn_by")["packages"]["matplotlib"]
    assert found == FACTS


def test_a_plain_picture_says_what_made_it(reconstruction: Reconstruction, tmp_path: Path):
    save_images(reconstruction, tmp_path / "amplitude.png", tmp_path / "phase.svg")
    for name in ("amplitude.png", "phase.svg"):
        assert read_provenance(tmp_path / name)["config"] == FACTS["config"]


def test_a_reconstruction_says_what_made_it(reconstruction: Reconstruction, tmp_path: Path):
    write_reconstruction(tmp_path / "reconstruction.h5", reconstruction)
    assert read_provenance(tmp_path / "reconstruction.h5") == FACTS
    with h5py.File(tmp_path / "reconstruction.h5") as file:
        assert (file.attrs["run_id"], file.attrs["seed"]) == ("abc", 3)


def test_attributes_hold_single_facts_beside_the_whole():
    attributes = hdf5_attributes(FACTS)
    assert attributes.keys() == {"run_id", "seed", "provenance"}
    assert json.loads(attributes["provenance"]) == FACTS


def test_a_dataset_and_its_record_say_the_same(small_dataset: Dataset, tmp_path: Path):
    dataset = read_cxi_of(small_dataset, tmp_path)
    record = read_provenance(tmp_path / "scan.json")
    assert record["data_sha256"] == sha256_of(tmp_path / "scan.cxi")
    assert record["program"] == dataset.provenance["program"] == "simulate.py"
    assert record.keys() > {"commit", "dirty", "packages", "started", "host"}
    assert read_provenance(tmp_path / "scan.cxi") == {"program": "simulate.py"}


def test_the_same_dataset_is_the_same_file(small_dataset: Dataset, tmp_path: Path):
    digests = []
    for name in ("first", "second"):
        read_cxi_of(small_dataset, tmp_path / name)
        digests.append(sha256_of(tmp_path / name / "scan.cxi"))
    assert digests[0] == digests[1]


def read_cxi_of(dataset: Dataset, folder: Path) -> Dataset:
    import dataclasses

    known = dataclasses.replace(dataset, provenance={"program": "simulate.py"})
    keep_dataset(folder / "scan.cxi", known, folder / "scan.json")
    return read_cxi(folder / "scan.cxi")


def test_a_checkpoint_says_what_made_it(tmp_path: Path):
    torch.save({"ptychoflow": {"provenance": FACTS}}, tmp_path / "model.ckpt")
    assert read_provenance(tmp_path / "model.ckpt") == FACTS


def test_circumstances_are_plain_and_of_this_code(tmp_path: Path):
    found = circumstances()
    write_provenance(tmp_path / "provenance.json", found)
    assert read_provenance(tmp_path / "provenance.json") == found
    # A build's own version may say for what it was made, as in 2.13.0+cu130.
    assert torch.__version__.split("+")[0] == found["packages"]["torch"].split("+")[0]
    assert isinstance(found["dirty"], bool)
    assert not found["commit"].endswith("-dirty")
    assert found["started"].endswith("+00:00")


@pytest.mark.parametrize("name", ["a.png", "a.svg", "a.h5", "a.cxi", "a.json", "a.ckpt"])
@pytest.mark.parametrize("content", [b"", b"neither this nor that", None])
def test_what_is_no_result_is_refused_in_one_sentence(name: str, content: bytes | None, tmp_path: Path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=rf"{name} (cannot be read|holds no provenance)"):
        read_provenance(tmp_path / name)


def test_a_foreign_picture_holds_none(tmp_path: Path):
    plt.imsave(tmp_path / "foreign.png", np.zeros((4, 4)))
    figure, _ = plt.subplots()
    figure.savefig(tmp_path / "foreign.svg")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["data"] = 1
    for suffix in ("png", "svg", "h5"):
        with pytest.raises(InputError, match="holds no provenance"):
            read_provenance(tmp_path / f"foreign.{suffix}")


def test_an_unknown_kind_of_file_is_refused_with_those_that_are_known(tmp_path: Path):
    with pytest.raises(InputError, match=r"notes.txt is of no kind .*: expected one of \.ckpt, \.cxi"):
        read_provenance(tmp_path / "notes.txt")
