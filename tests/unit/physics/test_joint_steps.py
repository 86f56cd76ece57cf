"""Joint steps against the gradients that torch finds by itself, and their misfit against drawn photons."""

import pytest
import torch

from ptychoflow.physics import pieces
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.joint_steps import FLOOR, JointChange, joint_change, modelled_frames
from ptychoflow.physics.patches import fourier_shift

SIZE, SHAPE, BATCH, FRAMES = 16, (26, 29), 2, 5
PROPAGATORS = {"far": Propagator(SIZE), "near": Propagator(SIZE, 0.2, torch.complex128)}


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.complex128, generator=torch.Generator().manual_seed(seed))


def scans(modes: int, masked: bool = True) -> dict[str, torch.Tensor]:
    """Two scans of five frames between pixels that have nothing to do with their photons."""
    generator = torch.Generator().manual_seed(5)
    places = torch.rand(BATCH, FRAMES, 2, dtype=torch.float64, generator=generator)
    return {
        "objects": drawn(BATCH, *SHAPE, seed=0),
        "probes": drawn(BATCH, modes, SIZE, SIZE, seed=1),
        "amplitudes": drawn(BATCH, FRAMES, SIZE, SIZE, seed=2).abs(),
        "positions": SIZE // 2 + places * (torch.tensor(SHAPE) - SIZE),
        "mask": torch.rand(BATCH, 1, SIZE, SIZE, generator=generator) > (0.3 if masked else -1),
        "background": torch.tensor([0.3, 0.02], dtype=torch.float64),
        "scale": torch.tensor([3.0, 1e4], dtype=torch.float64),
    }


def intensity_of(objects: torch.Tensor, probes: torch.Tensor, positions: torch.Tensor, propagator: Propagator):
    """Frames (batch, frames, N, N) written out one by one, patches by slices."""
    frames = []
    for canvas, modes, places in zip(objects, probes, positions, strict=True):
        for place in places:
            corner = (place - SIZE // 2).round().long()
            fraction = place - SIZE // 2 - corner
            row, column = (int(part) for part in corner)
            waves = fourier_shift(modes, fraction[None]) * canvas[row : row + SIZE, column : column + SIZE]
            if propagator.transfer is None:
                far = torch.fft.fft2(waves, norm="ortho")
            else:
                # The same near field, moved back to where the frame stands.
                far = fourier_shift(propagator(waves), -fraction[None])
            frames.append(far.abs().square().sum(dim=0))
    return torch.stack(frames).unflatten(0, positions.shape[:2])


@pytest.mark.parametrize("name", PROPAGATORS)
@pytest.mark.parametrize("modes", [1, 3])
@pytest.mark.parametrize("masked", [False, True])
def test_changes_are_minus_the_gradients_of_the_amplitude_error(name: str, modes: int, masked: bool):
    scan, propagator = scans(modes, masked), PROPAGATORS[name]
    objects, probes = (scan[key].requires_grad_() for key in ("objects", "probes"))
    intensity = intensity_of(objects, probes, scan["positions"], propagator) + scan["background"][:, None, None, None]
    squares = torch.where(scan["mask"], ((intensity + FLOOR).sqrt() - scan["amplitudes"]).square(), 0)
    squares.sum().backward()
    with torch.no_grad():
        change = joint_change(**scan, propagator=propagator)
    # torch's gradient of a real function by a complex number is twice the one by its conjugate.
    torch.testing.assert_close(-2 * change.objects, objects.grad)
    torch.testing.assert_close(-2 * change.probes, probes.grad)
    torch.testing.assert_close(change.misfit, squares.detach().sum(dim=(1, 2, 3)))


@pytest.mark.parametrize("name", PROPAGATORS)
def test_modelled_frames_are_those_that_are_written_out(name: str):
    scan, propagator = scans(2), PROPAGATORS[name]
    keys = ("objects", "probes", "positions")
    found = modelled_frames(*(scan[key] for key in keys), propagator, scan["background"])
    expected = intensity_of(*(scan[key] for key in keys), propagator)
    torch.testing.assert_close(found - scan["background"][:, None, None, None], expected)


@pytest.mark.parametrize("name", PROPAGATORS)
def test_frames_of_other_brightness_ask_by_their_gradient_too(name: str):
    scan, propagator = scans(2), PROPAGATORS[name]
    scan["brightness"] = torch.tensor([[1.0, 0.2, 3.0, 0.5, 1.4], [2.0, 1.0, 0.7, 0.1, 1.2]], dtype=torch.float64)
    objects, probes = (scan[key].requires_grad_() for key in ("objects", "probes"))
    light, background = scan["brightness"][..., None, None], scan["background"][:, None, None, None]
    intensity = light * intensity_of(objects, probes, scan["positions"], propagator) + background
    squares = torch.where(scan["mask"], ((intensity + FLOOR).sqrt() - scan["amplitudes"]).square(), 0)
    squares.sum().backward()
    with torch.no_grad():
        change = joint_change(**scan, propagator=propagator)
        places = scan["positions"], propagator, scan["background"], scan["brightness"]
        torch.testing.assert_close(modelled_frames(objects, probes, *places), intensity)
    torch.testing.assert_close(-2 * change.objects, objects.grad)
    torch.testing.assert_close(-2 * change.probes, probes.grad)
    torch.testing.assert_close(change.misfit, squares.detach().sum(dim=(1, 2, 3)))
    once = joint_change(**scan | {"brightness": torch.ones(BATCH, FRAMES).double()}, propagator=propagator)
    del scan["brightness"]
    for key, value in vars(joint_change(**scan, propagator=propagator)).items():
        torch.testing.assert_close(getattr(once, key), value)


def test_few_photons_are_asked_for_without_bias_on_request_and_many_as_ever():
    scan = scans(2)
    for scale, alike in ((1e6, True), (1.0, False)):
        scan["scale"] = torch.full((BATCH,), scale, dtype=torch.float64)
        plain, other = (joint_change(**scan, propagator=PROPAGATORS["far"], unbiased=how) for how in (False, True))
        for name in ("objects", "probes"):
            assert torch.allclose(getattr(plain, name), getattr(other, name), rtol=1e-4, atol=1e-6) == alike
        for name in ("light", "transmission", "slope", "curvature", "misfit", "noise"):
            torch.testing.assert_close(getattr(plain, name), getattr(other, name))


@pytest.mark.parametrize("pixels", [1, 2**20])
def test_light_falls_as_bright_as_the_frame_is(pixels: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pieces, "ON_A_CPU", pixels)
    scan = scans(2)
    scan["brightness"] = torch.full((BATCH, FRAMES), 3.0, dtype=torch.float64)
    bright = joint_change(**scan, propagator=PROPAGATORS["far"])
    plain = joint_change(**scan | {"brightness": None}, propagator=PROPAGATORS["far"])
    torch.testing.assert_close(bright.light, 3 * plain.light)
    torch.testing.assert_close(bright.transmission, 3 * plain.transmission)


def test_the_light_is_what_fell_on_object_and_probe():
    scan = scans(2)
    scan["positions"] = scan["positions"].round()
    change = joint_change(**scan, propagator=PROPAGATORS["far"])
    light = torch.zeros(BATCH, *SHAPE, dtype=torch.float64)
    transmission = torch.zeros(BATCH, SIZE, SIZE, dtype=torch.float64)
    for number in range(BATCH):
        for row, column in (scan["positions"][number] - SIZE // 2).long():
            here = (number, slice(row, row + SIZE), slice(column, column + SIZE))
            light[here] += scan["probes"][number].abs().square().sum(dim=0)
            transmission[number] += scan["objects"][here].abs().square()
    torch.testing.assert_close(change.light, light)
    torch.testing.assert_close(change.transmission, transmission)


def test_the_step_of_the_background_is_newton_s_on_the_likelihood():
    scan = scans(2)
    scan["scale"] = torch.full((BATCH,), 1e6, dtype=torch.float64)  # many photons: none is bounded
    counts = scan["amplitudes"].square()
    waves = intensity_of(scan["objects"], scan["probes"], scan["positions"], PROPAGATORS["far"])
    background = scan["background"].clone().requires_grad_()

    def likelihood(level: torch.Tensor) -> torch.Tensor:
        intensity = waves + level[:, None, None, None] + FLOOR
        return torch.where(scan["mask"], counts * intensity.log() - intensity, 0).sum()

    (slope,) = torch.autograd.grad(likelihood(background), background)
    hessian = torch.autograd.functional.hessian(likelihood, scan["background"])
    change = joint_change(**scan, propagator=PROPAGATORS["far"])
    torch.testing.assert_close(change.slope, slope, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(change.curvature, -hessian.diagonal(), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(change.background_step, -slope / hessian.diagonal(), rtol=1e-6, atol=1e-6)


def test_steps_find_the_background_of_photons_that_were_drawn():
    scan = scans(1)
    scan["objects"] = scan["objects"] * 0.2
    scan["scale"] = torch.tensor([1.0, 30.0], dtype=torch.float64)
    photons = scan["scale"][:, None, None, None].square()
    truth = torch.tensor([0.5, 0.05], dtype=torch.float64)
    keys = ("objects", "probes", "positions")
    expected = modelled_frames(*(scan[key] for key in keys), PROPAGATORS["far"], truth)
    torch.manual_seed(0)
    scan["amplitudes"] = (torch.poisson(expected * photons) / photons).sqrt()
    scan["background"] = torch.zeros(BATCH, dtype=torch.float64)
    for _ in range(60):
        step = joint_change(**scan, propagator=PROPAGATORS["far"]).background_step
        scan["background"] = (scan["background"] + 0.5 * step).clamp_min(0)
    torch.testing.assert_close(scan["background"], truth, rtol=0.1, atol=0)


@pytest.mark.parametrize("photons", [0.1, 0.3, 1.0, 3.0, 10.0, 1e2, 1e4])
def test_the_misfit_of_a_perfect_model_is_its_noise(photons: float):
    # A pinhole: its far field is even, of as many photons in each pixel.
    probes = torch.zeros(1, 1, 64, 64, dtype=torch.complex128)
    probes[..., 32, 32] = 64.0
    objects, positions = torch.ones(1, 64, 64, dtype=torch.complex128), torch.full((1, 4, 2), 32.0, dtype=torch.float64)
    torch.manual_seed(1)
    counts = torch.poisson(torch.full((1, 4, 64, 64), photons, dtype=torch.float64))
    change = joint_change(
        objects,
        probes,
        (counts / photons).sqrt(),
        positions,
        torch.ones(1, 1, 64, 64, dtype=torch.bool),
        Propagator(64),
        torch.zeros(1, dtype=torch.float64),
        torch.tensor([photons**0.5], dtype=torch.float64),
    )
    assert float(change.misfit / change.noise) == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("pixels", [1, 2 * BATCH * 2 * SIZE**2, 3 * BATCH * 2 * SIZE**2])
def test_pieces_add_up_to_the_whole(pixels: int, monkeypatch: pytest.MonkeyPatch):
    scan = scans(2)
    whole = joint_change(**scan, propagator=PROPAGATORS["near"])
    monkeypatch.setattr(pieces, "ON_A_CPU", pixels)
    cut = joint_change(**scan, propagator=PROPAGATORS["near"])
    for name, value in vars(whole).items():
        torch.testing.assert_close(getattr(cut, name), value)


def test_bad_pixels_ask_for_nothing():
    scan = scans(2)
    before = joint_change(**scan, propagator=PROPAGATORS["far"])
    scan["amplitudes"] = torch.where(scan["mask"], scan["amplitudes"], 1e5)
    for name, value in vars(joint_change(**scan, propagator=PROPAGATORS["far"])).items():
        torch.testing.assert_close(value, getattr(before, name))


def test_steps_are_whole_where_most_light_falls_and_damped_elsewhere():
    nothing = torch.zeros(1)
    light = torch.tensor([[[1.0, 0.1], [0.0, 0.5]]])
    change = JointChange(3j * light + 0, light, 3j * light[:, None], light, *[nothing] * 4)
    step = 3j * torch.tensor([[[1 / 1.1, 0.5], [0.0, 0.5 / 0.6]]])
    before, size, damping = torch.full_like(step, 1 - 2j), torch.tensor([0.5]), torch.tensor([0.1])
    torch.testing.assert_close(change.stepped_objects(before, size, damping), before + 0.5 * step)
    probes = change.stepped_probes(before[:, None], size, damping)
    torch.testing.assert_close(probes, (before + 0.5 * step)[:, None])
    assert change.background_step == 0
