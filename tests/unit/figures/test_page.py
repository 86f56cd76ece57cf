"""The page that compares results, driven in a real browser: choose, move the sliders, sort, filter, by keyboard too."""

import asyncio
import base64
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import Evaluate, drive, needs_browser
from PIL import Image

from ptychoflow.figures.page import write_page
from ptychoflow.reconstruction.file import Reconstruction, write_reconstruction


def result(
    place: Path, experiment: str, dataset: str, score: float, contrast: float, features: int, seed: int = 0
) -> Path:
    folder = place / experiment / f"seed{seed}" / dataset
    folder.mkdir(parents=True)
    rows, columns = np.mgrid[:96, :128] / 16
    image = (1 - contrast * np.cos(rows) ** 2) * np.exp(1j * contrast * np.sin(columns))
    positions = np.stack(np.meshgrid(np.arange(16, 80, 4.0), np.arange(16, 112, 4.0), indexing="ij"), -1).reshape(-1, 2)
    y = np.arange(32) - 16
    probe = np.exp(-(y[:, None] ** 2 + y**2) / 32)[None].astype(np.complex64)
    made = Reconstruction(
        object=image.astype(np.complex64),
        coverage=np.ones((96, 128), np.float32),
        halves=np.full((2, 96, 128), np.nan, np.complex64),
        probe=probe,
        positions=positions,
        held_out=np.zeros(len(positions), bool),
        pixel_size=1e-8,
    )
    write_reconstruction(folder / "reconstruction.h5", made)
    config = {"model": {"name": "unet", "features": features}, "max_epochs": 10}
    provenance = {
        "method": "unet",
        "data_file": f"{dataset}.cxi",
        "seed": seed,
        "training": {"config": config, "data": [{"file": "seen.cxi"}]},
    }
    (folder / "provenance.json").write_text(json.dumps(provenance))
    (folder / "metrics.json").write_text(json.dumps({"phase_ssim": score, "frames": 100}))
    for epoch in (5, 10):
        drawn = folder.parent / f"run/images/epoch_{epoch:04d}/stitched"
        if not drawn.exists():
            drawn.mkdir(parents=True)
            for name in ("amp_pred", "phase_pred"):
                Image.fromarray(np.full((64, 64, 3), 10 * epoch, np.uint8)).save(drawn / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("page")
    folders = [
        result(place, "first", "grains", 0.7, 0.4, 8),
        result(place, "second", "grains", 0.9, 0.8, 16),
        result(place, "third", "grains", 0.8, 0.2, 16),
        result(place, "first", "wedge", 0.6, 0.4, 8, seed=1),
    ]
    write_page(place / "runs.html", folders)
    return place / "runs.html"


def data_of(page: Path) -> dict[str, Any]:
    return json.loads(page.read_text().split('id="data">')[1].split("</script>")[0])


def test_images_of_a_dataset_have_one_scale(page: Path):
    data = data_of(page)
    low, white = data["limits"]["grains"]["amplitude"]
    assert (low, white) == (0.0, pytest.approx(1.0, abs=0.01))
    black, white = data["limits"]["grains"]["phase"]
    assert black == -white
    assert 0.75 < white < 1.0  # 0.8 rad either way, and where the mean lies
    shades = {}
    for run in data["runs"]:
        if "grains" in run["images"]:
            file = base64.b64decode(run["images"]["grains"]["end"]["amplitude"])
            (page.parent / "one.webp").write_bytes(file)
            with Image.open(page.parent / "one.webp") as image:
                shades[run["name"]] = np.asarray(image.convert("L")).min() / 255
    # The darkest amplitude of each is one less its contrast.
    assert shades == pytest.approx({"first/seed0": 0.6, "second/seed0": 0.2, "third/seed0": 0.8}, abs=0.03)


def test_the_page_needs_nothing_else(page: Path):
    text = page.read_text()
    assert "http" not in text
    assert "<link" not in text


NAMES = "[...document.querySelectorAll('#body tr')].map(row => row.cells[1].textContent)"


@needs_browser
def test_two_runs_are_chosen_a_slider_moved_and_scores_sorted(page: Path, tmp_path: Path):
    async def steps(evaluate: Evaluate, call: Callable[..., Any]) -> None:
        async def press(key: str, code: int, text: str = "") -> None:
            for kind in ("keyDown", "keyUp"):
                given = {"text": text} if text and kind == "keyDown" else {}
                await call("Input.dispatchKeyEvent", type=kind, key=key, windowsVirtualKeyCode=code, **given)

        assert await evaluate(NAMES) == ["first/seed0", "first/seed1", "second/seed0", "third/seed0"]
        # Sorted by a score, by keyboard alone; what has none stands last.
        await evaluate("document.querySelector('[data-column=phase_ssim] button').focus()")
        await press("Enter", 13, "\r")
        assert await evaluate(NAMES) == ["second/seed0", "third/seed0", "first/seed0", "first/seed1"]
        assert await evaluate("document.querySelector('[data-column=phase_ssim]').ariaSort") == "descending"
        for row in (0, 2):
            await evaluate(f"document.querySelectorAll('#body input')[{row}].focus()")
            await press(" ", 32, " ")
        assert await evaluate("[...document.querySelectorAll('figcaption')].map(c => c.textContent)") == [
            "second/seed0, at the end",
            "first/seed0, at the end",
        ]
        scores = await evaluate("document.getElementById('scores').innerText")
        assert "0.9" in scores
        assert "0.7" in scores
        differing = await evaluate("document.getElementById('settings').innerText")
        assert "model.features" in differing
        assert "max_epochs" not in differing
        # The dataset seen in training has images of two epochs.
        await evaluate("document.getElementById('dataset').focus()")
        await press("ArrowRight", 39)
        assert await evaluate("document.getElementById('dataset-name').value") == "seen (training)"
        before = await evaluate("document.querySelector('#images img').src")
        await evaluate("document.getElementById('epoch').focus()")
        await press("ArrowLeft", 37)
        assert await evaluate("document.getElementById('epoch-name').value") == "5"
        assert await evaluate("document.querySelector('#images img').src") != before
        assert "epoch 5" in await evaluate("document.querySelector('figcaption').textContent")
        await evaluate("f = document.getElementById('filter'); f.value = 'features=16'")
        await evaluate("f.dispatchEvent(new Event('input'))")
        assert sorted(await evaluate(NAMES)) == ["second/seed0", "third/seed0"]
        assert "2 of 4 results, 2 chosen" in await evaluate("document.getElementById('count').textContent")

    drive(page, steps, tmp_path)


async def title(call: Callable[..., Any]) -> str:
    history = await call("Page.getNavigationHistory")
    return history["entries"][history["currentIndex"]]["title"]


@needs_browser
def test_a_result_with_a_page_of_its_own_leads_there(tmp_path: Path):
    folder = result(tmp_path, "the first", "grains", 0.7, 0.4, 8)
    (folder / "view.html").write_text("<title>looked at</title>")
    write_page(tmp_path / "runs.html", [folder, result(tmp_path, "second", "grains", 0.9, 0.8, 16)])

    async def steps(evaluate: Evaluate, call: Callable[..., Any]) -> None:
        await evaluate("document.querySelectorAll('#body input').forEach(box => box.click())")
        captions = await evaluate("[...document.querySelectorAll('figcaption')].map(c => c.textContent)")
        assert sorted(captions) == ["second/seed0, at the end", "the first/seed0, at the end · look at it"]
        await evaluate("document.querySelector('figcaption a').click()")
        # The browser is asked: a page that is left may never answer.
        deadline = time.monotonic() + 60
        while await title(call) != "looked at":
            assert time.monotonic() < deadline, "the page of the result did not open"
            await asyncio.sleep(0.05)

    drive(tmp_path / "runs.html", steps, tmp_path)
