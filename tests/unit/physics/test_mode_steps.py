"""Steps on modes among patterns, from intensities that are known to be made of them."""

import pytest
import torch

from ptychoflow.physics.mode_steps import ModeFit, patterns_of


def probe_of(modes: int, size: int = 16) -> torch.Tensor:
    """A curved Gaussian beam that ends well within its frame, and beside it noise under the same envelope."""
    axis = torch.arange(size, dtype=torch.float64) - size // 2
    square = axis[:, None] ** 2 / 6 + axis**2 / 4
    noise = torch.randn(modes, size, size, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    noise[0] = 1
    return 0.5 ** torch.arange(modes)[:, None, None] * noise * torch.polar(torch.exp(-square), 0.2 * square)


def test_patterns_are_the_modes_and_derivatives_of_the_first():
    probe, size = probe_of(2), 16
    axis = torch.arange(size, dtype=torch.float64) - size // 2
    rows, columns = axis[:, None] * probe.new_ones(()), axis[None] * probe.new_ones(())
    # Of exp(-(1 - 0.2 i)(y² / 6 + x² / 4)).
    factor = -(1 - 0.2j)
    by_row, by_column = factor * rows / 3, factor * columns / 2
    expected = [by_row, by_column, by_row**2 + factor / 3, by_row * by_column, by_column**2 + factor / 2]
    found = patterns_of(probe)
    torch.testing.assert_close(found[:2], probe)
    for pattern, closed in zip(found[2:], expected, strict=True):
        closed = closed * probe[0]
        torch.testing.assert_close(pattern, closed * (probe[0].norm() / closed.norm()), rtol=0, atol=2e-3)


def test_a_flat_probe_has_no_derivatives():
    assert patterns_of(torch.ones(1, 8, 8, dtype=torch.complex64))[1:].abs().max() == 0


def moved_by(step: float, modes: int, bad: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Relative misfit of frames whose modes differ by a change among patterns, before and after a step is fitted."""
    generator = torch.Generator().manual_seed(modes)
    probe = probe_of(modes)
    patterns = patterns_of(probe)
    patches = 1 + 0.5 * torch.randn(40, 1, 16, 16, dtype=torch.complex128, generator=generator)
    waves = torch.fft.fft2(patches * patterns, norm="ortho")
    change = step * torch.randn(modes, len(patterns), dtype=torch.complex128, generator=generator)

    def intensity(change: torch.Tensor) -> torch.Tensor:
        own = waves[:, :modes] + torch.einsum("mp,fpij->fmij", change, waves)
        return own.abs().square().sum(dim=1) + 0.01

    counts, mask = intensity(change), torch.ones(16, 16, dtype=torch.bool)
    shown = counts.clone()
    if bad:
        mask[3, 4:9] = False
        shown[:, 3, 4:9] = 1e6
    fit = ModeFit(modes)
    for some in torch.arange(len(waves)).split(15):
        fit.add(waves[some], shown[some], torch.tensor(0.01), mask, torch.tensor(1e6))
    found = fit.change().to(change)
    assert found.shape == change.shape
    size = (counts - intensity(0 * change)).norm()
    return size / counts.norm(), (counts - intensity(found)).norm() / size


@pytest.mark.parametrize("modes", [1, 2, 3])
@pytest.mark.parametrize("bad", [False, True])
def test_a_small_change_is_found_but_for_what_no_photon_tells(modes: int, bad: bool):
    before, left = moved_by(1e-3, modes, bad)
    assert before > 1e-4
    assert left < 0.03


def test_what_is_left_of_a_change_falls_with_its_size():
    # Gauss-Newton's error is of second order.
    assert moved_by(2e-2, 2)[1] < 0.3


def test_modes_that_explain_all_photons_stay():
    waves = torch.fft.fft2(patterns_of(probe_of(2)), norm="ortho")[None]
    fit = ModeFit(2)
    counts = waves[:, :2].abs().square().sum(dim=1) + 0.01
    fit.add(waves, counts, torch.tensor(0.01), torch.ones(16, 16, dtype=torch.bool), torch.tensor(1e6))
    assert fit.change().abs().max() < 1e-7
