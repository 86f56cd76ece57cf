"""The gallery shows what its config makes, and its pictures are there and small."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[2]
specification = importlib.util.spec_from_file_location("make_gallery", ROOT / "docs/make_gallery.py")
gallery = importlib.util.module_from_spec(specification)
specification.loader.exec_module(gallery)


def test_the_gallery_has_every_result_of_its_config():
    experiments = yaml.safe_load((ROOT / "config/gallery.yaml").read_text())["experiments"]
    made = {f"{name}/seed0/{dataset}" for name, experiment in experiments.items() for dataset in experiment["test"]}
    assert set(gallery.SCANS) == made
    assert gallery.LOOKED_AT in made


def test_its_pictures_are_there_and_small():
    text = (ROOT / "docs/gallery.md").read_text(encoding="utf-8")
    pictures = re.findall(r"\]\((gallery/[^)]+)\)", text)
    assert len(pictures) == len(gallery.SCANS) + 1
    for picture in pictures:
        assert 5_000 < (ROOT / "docs" / picture).stat().st_size < 500_000
    for title, _ in gallery.SCANS.values():
        assert f"## {title}\n" in text


def test_a_result_that_is_missing_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(gallery, "DOCS", tmp_path)
    with pytest.raises(FileNotFoundError, match=r"metrics\.json"):
        gallery.main(tmp_path / "results")
    assert list(tmp_path.iterdir()) == []


def test_a_picture_keeps_its_shape_and_its_colours(tmp_path: Path):
    ramp = np.tile(np.linspace(0, 255, 2000), (500, 1)).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / "large.png")
    gallery.shrunk(tmp_path / "large.png", tmp_path / "small.png")
    with Image.open(tmp_path / "small.png") as image:
        assert image.size == (760, 190)
        assert np.abs(np.asarray(image.convert("L")).astype(int)[0] - np.linspace(0, 255, 760)).max() <= 2
