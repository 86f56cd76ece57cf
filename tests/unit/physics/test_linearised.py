"""Amplitudes to first order against finite differences, their adjoint, and least squares against the truth."""

import numpy as np
import pytest
import torch

from ptychoflow.blind.pupils import defocused, refocused
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.linearised import Change, LinearisedScan, least_squares

SIZE = 16


@pytest.fixture(params=[2**18, 2 * 2 * SIZE**2], ids=["whole", "two frames at a time"])
def scan(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> LinearisedScan:
    """A smooth object under a defocused pupil, in double precision."""
    monkeypatch.setattr("ptychoflow.physics.pieces.ON_A_CPU", request.param)
    generator = torch.Generator().manual_seed(0)
    frequency = torch.hypot(torch.fft.fftfreq(40)[:, None], torch.fft.fftfreq(40)[None, :])
    noise = torch.randn(40, 40, dtype=torch.complex128, generator=generator)
    canvas = 1 + 3 * torch.fft.ifft2(torch.fft.fft2(noise) * (frequency < 0.1))
    pupil = (torch.hypot(*torch.meshgrid(*[torch.fft.fftfreq(SIZE)] * 2, indexing="ij")) < 0.2).double()
    probe = torch.stack([defocused(pupil, 10.0), 0.3 * defocused(pupil, -5.0)]).to(torch.complex128)
    positions = 12 + 16 * torch.rand(9, 2, dtype=torch.float64, generator=generator)
    mask = torch.ones(SIZE, SIZE, dtype=torch.bool)
    mask[3:5] = False
    return at(canvas, probe, positions, mask)


def at(canvas: torch.Tensor, probe: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor) -> LinearisedScan:
    # Each frame has its own background, so that it is seen whether pieces of a scan have theirs.
    dark = torch.linspace(0.01, 0.02, len(positions), dtype=torch.float64)[:, None, None]
    found = LinearisedScan(canvas, probe, positions, mask, Propagator(SIZE), dark)
    found.prepare_geometry()
    found.given = (canvas, probe, positions, mask)
    return found


def random_change(scan: LinearisedScan, seed: int) -> Change:
    generator, (canvas, probe, *_) = torch.Generator().manual_seed(seed), scan.given
    return Change(
        torch.randn(canvas.shape, dtype=torch.complex128, generator=generator),
        torch.randn(probe.shape, dtype=torch.complex128, generator=generator),
        torch.randn(7, dtype=torch.float64, generator=generator),
    )


def test_derivatives_by_object_and_probe_are_those_of_the_model(scan: LinearisedScan):
    change, (canvas, probe, positions, mask) = random_change(scan, 1), scan.given
    change.geometry *= 0
    small = 1e-6
    ends = [
        at(canvas + sign * small * change.object, probe + sign * small * change.probe, positions, mask)
        for sign in (1, -1)
    ]
    expected = torch.where(mask, (ends[0].amplitudes - ends[1].amplitudes) / (2 * small), 0)
    torch.testing.assert_close(scan.forward(change), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("number", range(3))
def test_the_derivatives_by_defocus_and_astigmatism_are_those_of_the_model(scan: LinearisedScan, number: int):
    canvas, probe, positions, mask = scan.given
    ways = [np.eye(3)[number] * sign * 1e-4 for sign in (1, -1)]
    ends = [at(canvas, refocused(probe, *way), positions, mask) for way in ways]
    expected = torch.where(mask, (ends[0].amplitudes - ends[1].amplitudes) / 2e-4, 0)
    torch.testing.assert_close(scan.columns[4 + number], expected, atol=1e-5, rtol=1e-4)


def test_a_scan_and_its_object_deform_together():
    # Of an object that is a plane wave, the deformed one is known: its frequency is that of the patch's own pixels.
    rows, columns = torch.meshgrid(torch.arange(40.0).double(), torch.arange(40.0).double(), indexing="ij")
    # A curved Gaussian that ends well within its frame: nothing comes back at the other side of it.
    square = (torch.arange(SIZE) - SIZE // 2).double().square()
    probe = torch.exp((-0.2 + 0.03j) * (square[:, None] + square))[None]
    positions, middle = torch.tensor([[15.3, 20.6], [22.2, 17.9]], dtype=torch.float64), 20.0
    mask = torch.ones(SIZE, SIZE, dtype=torch.bool)

    def waves(change: np.ndarray) -> LinearisedScan:
        linear = torch.from_numpy(np.eye(2) + change)
        back = torch.linalg.inv(linear)
        row, column = (one[0] * (rows - middle) + one[1] * (columns - middle) for one in back)
        canvas = 1 + 0.3 * torch.exp(2j * torch.pi * (4 * row + 2 * column) / 40)
        return at(canvas, probe, middle + (positions - middle) @ linear.T, mask)

    # Scale, rotation, and the two that stretch: rows more than columns, and both towards each other.
    for number, way in enumerate([[[1, 0], [0, 1]], [[0, -1], [1, 0]], [[0.5, 0], [0, -0.5]], [[0, 0.5], [0.5, 0]]]):
        ends = [waves(sign * 1e-5 * np.array(way)) for sign in (1, -1)]
        expected = (ends[0].amplitudes - ends[1].amplitudes) / 2e-5
        torch.testing.assert_close(waves(np.zeros((2, 2))).columns[number], expected, atol=5e-5, rtol=1e-3)


def test_the_gradient_is_the_adjoint_of_the_derivative(scan: LinearisedScan):
    change = random_change(scan, 2)
    residual = torch.randn(scan.amplitudes.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    image, gradient = scan.forward(change), scan.adjoint(residual)
    assert float((image * residual).sum()) == pytest.approx(float(change.dot(gradient)), rel=1e-9)


def test_a_residual_is_what_amplitudes_lack_of_counts(scan: LinearisedScan):
    mask = scan.given[3]
    lacking = 1e-6 * torch.randn(scan.amplitudes.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    found = scan.residual((scan.amplitudes + lacking).square())
    torch.testing.assert_close(found, torch.where(mask, lacking, 0), rtol=1e-4, atol=1e-12)


def test_a_probe_that_changes_by_whole_pixels_does_so_in_both_directions():
    generator = torch.Generator().manual_seed(0)
    canvas, probe = (
        torch.randn(*shape, SIZE, dtype=torch.complex128, generator=generator) for shape in ((SIZE,), (2, SIZE))
    )
    canvas = torch.nn.functional.pad(canvas, (2, 2, 2, 2), value=1)
    mask = torch.ones(SIZE, SIZE, dtype=torch.bool)
    whole, apart = torch.tensor([[10.0, 10.0], [11.0, 9.0]]).double(), torch.tensor([[10.3, 9.8], [10.9, 9.4]]).double()
    scans = {
        (name, rounded): LinearisedScan(canvas, probe, positions, mask, Propagator(SIZE), whole_pixels=rounded)
        for name, positions in (("whole", whole), ("apart", apart))
        for rounded in (False, True)
    }
    change = Change(*(torch.randn_like(values) for values in (canvas, probe)), torch.zeros(0, dtype=torch.float64))
    residual = torch.randn(2, SIZE, SIZE, dtype=torch.float64, generator=generator)
    for scan in scans.values():
        told = scan.adjoint(residual).dot(change)
        torch.testing.assert_close(told, (scan.forward(change) * residual).sum())
    # Where frames lie on whole pixels the two are the same, and elsewhere they differ.
    torch.testing.assert_close(scans["whole", False].forward(change), scans["whole", True].forward(change))
    assert (scans["apart", False].forward(change) - scans["apart", True].forward(change)).abs().max() > 0.1


def test_least_squares_leave_little_of_what_a_change_makes(scan: LinearisedScan):
    residual = scan.forward(random_change(scan, 4).times(scan.preconditioner()))
    left = residual - scan.forward(least_squares(scan, residual, 60))
    assert float(left.square().sum()) < 1e-3 * float(residual.square().sum())
