"""What frames ask of objects, against each frame by itself and against the gradients that torch finds by itself."""

import pytest
import torch
from torch import Tensor

from ptychoflow.physics import object_steps
from ptychoflow.physics.diffraction import Propagator, incoherent_sum
from ptychoflow.physics.object_steps import placed_frames, total_change
from ptychoflow.physics.patches import add_patches, crop_patches, fourier_shift, split_positions
from ptychoflow.physics.steps import object_change, wave_change

SIZE, SHAPE = 8, (14, 16)
PROPAGATORS = {"far": Propagator(SIZE), "near": Propagator(SIZE, 0.2, torch.complex128)}


@pytest.fixture(params=PROPAGATORS)
def propagator(request: pytest.FixtureRequest) -> Propagator:
    return PROPAGATORS[request.param]


def parts(modes: int) -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(0)

    def waves(*shape: int) -> Tensor:
        return torch.randn(*shape, dtype=torch.complex128, generator=draw)

    positions = 5 + 4 * torch.rand(2, 5, 2, dtype=torch.float64, generator=draw)
    corner, fraction = split_positions(positions, SIZE)
    return {
        "amplitudes": 3 * torch.rand(2, 5, SIZE, SIZE, dtype=torch.float64, generator=draw),
        "probes": fourier_shift(waves(2, 1, modes, SIZE, SIZE), fraction[:, :, None]),
        "mask": torch.rand(2, SIZE, SIZE, generator=draw) > 0.2,
        "corner": corner,
        "fraction": fraction,
        "objects": 1 + waves(2, *SHAPE),
    }


def asked(parts: dict[str, Tensor], propagator: Propagator) -> Tensor:
    frames = {name: part for name, part in parts.items() if name != "objects"}
    return total_change(parts["objects"], placed_frames(**frames, shape=SHAPE, propagator=propagator))


@pytest.mark.parametrize("modes", [1, 2])
def test_it_is_the_sum_of_what_each_frame_asks(propagator: Propagator, modes: int):
    given = parts(modes)
    mask, moved = given["mask"][:, None], propagator.moved(given["fraction"])
    patches = crop_patches(given["objects"], given["corner"], SIZE)
    change = wave_change(patches, given["amplitudes"], given["probes"], mask, moved)
    expected = add_patches(object_change(change, given["probes"]), given["corner"], SHAPE)
    torch.testing.assert_close(asked(given, propagator), expected)


@pytest.mark.parametrize("modes", [1, 2])
def test_it_is_minus_the_gradient_of_the_amplitude_error(propagator: Propagator, modes: int):
    given = parts(modes)
    given["objects"].requires_grad_()
    patches = crop_patches(given["objects"], given["corner"], SIZE)
    waves = propagator.moved(given["fraction"])(given["probes"] * patches[:, :, None])
    lacking = ((incoherent_sum(waves) + 1e-8).sqrt() - given["amplitudes"]) * given["mask"][:, None]
    (gradient,) = torch.autograd.grad(lacking.square().sum(), given["objects"])
    torch.testing.assert_close(-2 * asked(given, propagator).detach(), gradient)


@pytest.mark.parametrize("at_once", [10, 3])
@pytest.mark.parametrize("modes", [1, 2])
def test_its_gradient_is_that_of_finite_differences(
    propagator: Propagator, modes: int, at_once: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(object_steps, "PIXELS_AT_ONCE", at_once * modes * SIZE**2)
    given = parts(modes)
    objects = given["objects"].requires_grad_()
    assert torch.autograd.gradcheck(
        lambda objects: asked(given | {"objects": objects}, propagator), (objects,), fast_mode=True
    )


def test_frames_in_pieces_ask_the_same_to_the_bit(monkeypatch: pytest.MonkeyPatch):
    given = parts(2)
    whole = asked(given, PROPAGATORS["far"])
    monkeypatch.setattr(object_steps, "PIXELS_AT_ONCE", 1)
    assert torch.equal(asked(given, PROPAGATORS["far"]), whole)


def test_a_gradient_that_would_be_lost_is_refused():
    given = parts(1)
    with pytest.raises(ValueError, match="expected them detached"):
        asked(given | {"probes": given["probes"].requires_grad_()}, PROPAGATORS["far"])
