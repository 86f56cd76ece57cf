"""The page of one result, driven in a real browser: zoom, frames, scales, profile, day and night, by keyboard too."""

import base64
import dataclasses
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browsers import Evaluate, complaints, drive, needs_browser, requests
from PIL import Image

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.figures.drawing import phase_scale
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.photons import modelled_frames, photon_deviances
from ptychoflow.reconstruction.scoring import score
from ptychoflow.reconstruction.stitching import coverage_of
from ptychoflow.view.page import write_view
from ptychoflow.view.patterns import STEPS, binned, chosen_frames, frame_deviances, levels, packed_patterns
from ptychoflow.view.pictures import coded, mode_pictures, object_maps

DOUBT = "the <probe> is guessed"


@pytest.fixture(scope="module")
def made(small_dataset: Dataset) -> Reconstruction:
    modes = np.concatenate([small_dataset.probe, 0.5 * np.roll(small_dataset.probe, 3, axis=-1)])
    shape = small_dataset.object_shape
    return Reconstruction(
        object=small_dataset.truth,
        coverage=coverage_of(modes, small_dataset.positions, shape),
        halves=np.full((2, *shape), np.nan, np.complex64),
        probe=modes.astype(np.complex64),
        positions=small_dataset.positions,
        held_out=np.arange(64) % 8 == 0,
        pixel_size=2e-8,
        provenance={"method": "pretrained", "deviances": [9.0, 3.0, 1.5], "warnings": [DOUBT], "commit": "abc"},
    )


@pytest.fixture(scope="module")
def page(made: Reconstruction, small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("view") / "view.html"
    write_view(place, made, small_dataset, *score(made, small_dataset), "first, seed 0, </script>small")
    return place


def data_of(page: Path) -> dict[str, Any]:
    return json.loads(page.read_text().split('id="data">')[1].split("</script>")[0])


def test_deviances_of_frames_have_the_mean_of_all(made: Reconstruction, small_dataset: Dataset):
    found, expected, most = frame_deviances(made, small_dataset)
    together = photon_deviances(made, small_dataset, np.arange(64))
    assert (found.mean(), expected.mean()) == pytest.approx(together, rel=1e-5)
    assert found[3] == pytest.approx(photon_deviances(made, small_dataset, np.array([3]))[0], rel=1e-5)
    assert most >= small_dataset.frames.max()


def test_frames_are_looked_at_without_a_warning_of_torch(made: Reconstruction, small_dataset: Dataset):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame_deviances(made, small_dataset)


def test_patterns_come_back_but_for_the_steps_of_their_scale(made: Reconstruction, small_dataset: Dataset):
    mask = np.ones((32, 32), bool)
    mask[3, 5] = False
    dataset = dataclasses.replace(small_dataset, mask=mask)
    deviances, _, most = frame_deviances(made, dataset)
    patterns = packed_patterns(made, dataset, deviances, most, 10**7)
    assert patterns.binning == 1
    assert len(patterns.images) == 64
    seen = np.asarray(Image.open(io.BytesIO(patterns.images[7])).convert("L")).astype(float)
    assert seen[3, 5] == 0
    seen[3, 5] = 1
    photons = 10 ** ((seen - 1) / STEPS[0] * patterns.top) - 1
    (_, modelled, counts) = next(modelled_frames(made, dataset, np.array([7])))
    step = patterns.top / STEPS[0]
    measured = np.where(mask, counts[0].numpy(), 0)
    np.testing.assert_allclose(np.log10(1 + photons[:, :32]), np.log10(1 + measured), atol=0.51 * step)
    whole = np.minimum(modelled[0].numpy(), most)
    np.testing.assert_allclose(np.log10(1 + photons[:, 32:]), np.log10(1 + whole), atol=0.51 * step)


def test_of_too_many_patterns_the_worst_are_kept(made: Reconstruction, small_dataset: Dataset):
    deviances, _, most = frame_deviances(made, small_dataset)
    room = 20 * sum(map(len, packed_patterns(made, small_dataset, deviances, most, 10**7).images)) // 64
    few = packed_patterns(made, small_dataset, deviances, most, room)
    assert (few.binning, few.steps) == (1, STEPS[-1])  # 32 pixels are not made fewer
    assert 20 <= len(few.frames) <= 40
    assert np.argmax(deviances) in few.frames
    assert list(few.frames) == sorted(set(few.frames))
    np.testing.assert_array_equal(chosen_frames(deviances, 64), np.arange(64))


def test_binning_takes_the_mean_of_good_pixels():
    frames = np.arange(16.0).reshape(1, 4, 4)
    mask = np.ones((4, 4), bool)
    mask[:2, :2], mask[0, 2] = False, False
    found = binned(frames, mask, 2)[0]
    assert np.isnan(found[0, 0])
    assert found[0, 1] == pytest.approx((3 + 6 + 7) / 3)
    assert levels(found[None], 84, 2.0)[0, 0, 0] == 0


def test_maps_come_back_from_their_codes(made: Reconstruction):
    maps = object_maps(made)
    values = maps.maps[1].values.copy()
    values[0, 0] = np.nan
    code = coded(values)
    steps = np.frombuffer(base64.b64decode(code["codes"]), "<u2").reshape(code["shape"]).astype(float)
    low, high = code["ends"]
    assert steps[0, 0] == 65535
    back = low + steps * (high - low) / 65534
    np.testing.assert_allclose(back[~np.isnan(values)], values[~np.isnan(values)], atol=1e-4)


def test_large_objects_are_averaged_where_they_lie(made: Reconstruction, monkeypatch: pytest.MonkeyPatch):
    whole = object_maps(made)
    monkeypatch.setattr("ptychoflow.view.pictures.OBJECT_PIXELS", whole.maps[0].values.size // 3)
    small = object_maps(made)
    assert small.binning == 2
    assert small.origin == whole.origin
    assert small.pixel == pytest.approx(2 * whole.pixel)
    assert small.maps[0].values.mean() == pytest.approx(whole.maps[0].values.mean(), rel=0.05)


def test_a_phase_that_goes_round_has_cyclic_colours():
    assert phase_scale(np.linspace(-np.pi, np.pi, 100)) == ((-np.pi, np.pi), "twilight_shifted")
    assert phase_scale(np.linspace(-1, 1, 1000))[1] == "gray"


def test_modes_are_told_by_their_light(made: Reconstruction):
    pictures, shares = mode_pictures(made.probe[::-1])
    assert shares == pytest.approx([0.8, 0.2], abs=1e-6)
    assert [picture.shape for picture in pictures] == [(32, 64)] * 2


def test_the_same_result_makes_the_same_page(
    made: Reconstruction, small_dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    scores = score(made, small_dataset)
    for name in ("first", "second"):
        # As in a process of its own.
        monkeypatch.setattr("bokeh.util.serialization._simple_id", 999)
        write_view(tmp_path / name, made, small_dataset, *scores, "title")
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_another_scan_is_refused(made: Reconstruction, small_dataset: Dataset, tmp_path: Path):
    fewer = dataclasses.replace(
        small_dataset, frames=small_dataset.frames[:9], positions=small_dataset.positions[:9], true_positions=None
    )
    with pytest.raises(InputError, match=r"64 frames and an object of .* expected those of the dataset, 9"):
        write_view(tmp_path / "view.html", made, fewer, {}, {}, "title")
    assert not (tmp_path / "view.html").exists()


MODEL = "Bokeh.documents[0].get_model_by_name"
VIEW = "(name => Bokeh.index.roots.find(view => view.model.name === name))"
RANGES = f"""['map0', 'map1', 'scan'].map(name => {MODEL}(name)).map(plot =>
[plot.x_range.start, plot.x_range.end, plot.y_range.start, plot.y_range.end].map(value => value.toFixed(4)).join())"""
PAINTED = f"""(name => {VIEW}(name).canvas_view.primary.ctx.canvas.toDataURL())"""
SETTLED = "new Promise(done => requestAnimationFrame(() => setTimeout(done, 100)))"
POINT = f"""(async (name, x, y) => {{
const view = {VIEW}(name);
view.el.scrollIntoView({{block: "center"}});
await {SETTLED};
const box = view.el.getBoundingClientRect(), frame = view.frame;
return [box.x + frame.x_scale.compute(x), box.y + frame.y_scale.compute(y)]; }})"""


@needs_browser
def test_a_result_is_looked_at(page: Path, made: Reconstruction, tmp_path: Path):
    async def steps(evaluate: Evaluate, call: Callable[..., Any]) -> None:
        async def press(key: str, code: int) -> None:
            text = {"text": key} if len(key) == 1 else {}
            await call("Input.dispatchKeyEvent", type="keyDown", key=key, windowsVirtualKeyCode=code, **text)
            await call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)
            await evaluate(SETTLED)

        async def mouse(kind: str, place: list[float], **more: Any) -> None:
            await call("Input.dispatchMouseEvent", type=kind, x=place[0], y=place[1], **more)

        async def click(place: list[float]) -> None:
            await mouse("mouseMoved", place)
            for kind in ("mousePressed", "mouseReleased"):
                await mouse(kind, place, button="left", clickCount=1)
            # A click waits for a second one that would make it double.
            await evaluate("new Promise(done => setTimeout(done, 500))")

        ready = "new Promise(done => { const look = () => document.documentElement.dataset.ready ? done(true)"
        assert await evaluate(f"{ready} : setTimeout(look, 20); look(); }})")
        # The sentence of the record stands there as text.
        assert DOUBT in await evaluate("document.querySelector('.doubts').innerText")
        assert "</script>small" in await evaluate("document.querySelector('h1').innerText")
        # The chosen frame is the worst of those shown, and both patterns are there.
        assert "misfit" in await evaluate("document.getElementById('frame-facts').innerText")
        assert (await evaluate(RANGES))[0].count(",") == 3
        # The wheel over the amplitude zooms the phase and the positions too.
        before = await evaluate(RANGES)
        assert len(set(before)) == 1
        x, y = 1e6 * made.pixel_size * (made.positions[27, ::-1] + 0.5)
        place = await evaluate(f"{POINT}('map0', {x}, {y})")
        await mouse("mouseMoved", place)
        await mouse("mouseWheel", place, deltaX=0, deltaY=-200)
        await evaluate(SETTLED)
        after = await evaluate(RANGES)
        assert len(set(after)) == 1
        assert after != before
        # So do keys, and another brings all of it back.
        await press("+", 187)
        assert len({*after, *(await evaluate(RANGES))}) == 2
        await press("0", 48)
        assert await evaluate(RANGES) == before
        # A click on a position shows its frame: what is drawn is what was measured.
        await click(await evaluate(f"{POINT}('scan', {x}, {y})"))
        assert await evaluate("document.documentElement.dataset.frame") == "27"
        assert f"Frame 27 at ({x:.3f}, {y:.3f}) µm, used" in await evaluate(
            "document.getElementById('frame-facts').innerText"
        )
        assert await evaluate(f"{MODEL}('frame').value") == 27
        shown = await evaluate(
            f"['measured', 'modelled'].map(name => [...{MODEL}(name).renderers[0].data_source.data.image[0]])"
        )
        data = data_of(page)["patterns"]
        with Image.open(io.BytesIO(base64.b64decode(data["images"][27]))) as image:
            seen = (np.asarray(image.convert("L")).astype(float) - 1) / data["steps"] * data["top"]
        for side, values in enumerate(shown):
            np.testing.assert_allclose(values, seen[:, 32 * side : 32 * side + 32].ravel(), atol=1e-5)
        await press("n", 78)
        assert await evaluate("document.documentElement.dataset.frame") == "28"
        # A slider moves the scale, and the picture changes.
        drawn = await evaluate(f"{PAINTED}('map0')")
        await evaluate(f"s = {MODEL}('scale0'); s.value = [s.value[0], s.value[1] * 0.8]; {SETTLED}")
        assert await evaluate(f"{MODEL}('map0').renderers[0].glyph.color_mapper.high === s.value[1]")
        assert await evaluate(f"{PAINTED}('map0')") != drawn
        # By keyboard too: the slider's right handle.
        high = await evaluate("s.value[1]")
        await evaluate(
            f"{VIEW}('scale0').el.shadowRoot.querySelectorAll('[role=slider]')[1].focus({{preventScroll: true}})"
        )
        await press("ArrowLeft", 37)
        assert await evaluate("s.value[1]") < high
        assert await evaluate(RANGES) == before
        # Two clicks are the ends of a profile.
        low, far = (1e6 * made.pixel_size * (made.positions[n, ::-1] + 0.5) for n in (9, 14))
        await evaluate("document.activeElement.blur()")
        for end in (low, far):
            await click(await evaluate(f"{POINT}('map1', {end[0]}, {end[1]})"))
        length = float((await evaluate("document.getElementById('length').innerText")).split()[0])
        # A click is as exact as a pixel of the screen.
        assert length == pytest.approx(1e3 * np.hypot(*(far - low)), rel=0.03)
        distance = await evaluate(f"[...{MODEL}('profile0').renderers[0].data_source.data.distance]")
        assert distance[-1] == pytest.approx(length, abs=0.1)
        # A number that is typed moves one end.
        await evaluate(f"{MODEL}('x0').value = {low[0] + 0.1}; {SETTLED}")
        assert f"{length:.1f} nm long" != await evaluate("document.getElementById('length').innerText")
        values = await evaluate(f"[...{MODEL}('profile0').renderers[0].data_source.data.value]")
        assert min(values) >= np.abs(made.object).min() - 1e-3
        # Night, and the ink of the plots with it.
        ink = "getComputedStyle(document.querySelector('main')).color"
        day = await evaluate(ink), await evaluate(f"{PAINTED}('correlation')")
        await press("d", 68)
        night = await evaluate(ink), await evaluate(f"{PAINTED}('correlation')")
        assert day[0] != night[0]
        assert day[1] != night[1]

    told = drive(page, steps, tmp_path)
    assert complaints(told) == []
    assert requests(told) == [page.as_uri()]


@needs_browser
def test_rows_run_down_the_screen(small_dataset: Dataset, made: Reconstruction, tmp_path: Path):
    """The upper right quarter of an object is the upper right one of its picture."""
    image = np.full_like(made.object, 0.2)
    image[: image.shape[0] // 2, image.shape[1] // 2 :] = 1
    marked = dataclasses.replace(made, object=image)
    write_view(tmp_path / "view.html", marked, small_dataset, {}, {}, "title")
    corners = f"""(() => {{ const view = {VIEW}("map0"), frame = view.frame.bbox;
const canvas = view.canvas_view.primary.ctx.canvas, wide = canvas.width / view.canvas_view.bbox.width;
const at = (x, y) => view.canvas_view.primary.ctx.getImageData(wide * (frame.x0 + x * frame.width),
wide * (frame.y0 + y * frame.height), 1, 1).data[0];
return [[.2, .2], [.8, .2], [.2, .8], [.8, .7]].map(([x, y]) => at(x, y)); }})()"""

    async def steps(evaluate: Evaluate, call: Callable[..., Any]) -> None:
        await evaluate("new Promise(done => setTimeout(done, 1500))")
        assert np.greater(await evaluate(corners), 128).tolist() == [False, True, False, False]

    drive(tmp_path / "view.html", steps, tmp_path)
