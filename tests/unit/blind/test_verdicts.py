"""What frames that were left out say: of a change that is none, of one that helps, and where they hold only noise."""

import pytest
import torch

from ptychoflow.blind.verdicts import Verdict
from ptychoflow.physics.losses import poisson_deviance

FRAMES, SIZE = 6, 24
MASK = torch.ones(SIZE, SIZE, dtype=torch.bool)
MASK[3, 5] = False


def drawn(photons: float, contrast: float, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean intensities (FRAMES, SIZE, SIZE) of frames that differ, and counts of them."""
    random = torch.Generator().manual_seed(seed)
    relative = contrast * torch.randn(FRAMES, SIZE, SIZE, generator=random)
    intensity = photons * relative.exp()
    return intensity, torch.poisson(intensity, generator=random)


def test_the_mean_is_the_deviance_of_good_pixels():
    intensity, counts = drawn(20.0, 0.5, 0)
    found = Verdict(1.1 * intensity, counts, MASK, intensity.mean(dim=0))
    assert found.mean == pytest.approx(float(poisson_deviance(1.1 * intensity, counts, MASK)), rel=1e-5)
    assert (found.pixels[:, 3, 5] == 0).all()
    assert found.share < Verdict(intensity, counts, MASK, intensity.mean(dim=0)).share
    assert Verdict(intensity, counts, MASK, intensity.mean(dim=0)).share == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("photons", [0.05, 2.0, 500.0])
def test_a_change_that_is_as_often_right_as_wrong_is_hardly_ever_said_to_help(photons: float):
    taken, better = 0, 0
    for seed in range(200):
        intensity, counts = drawn(photons, 0.0, seed)
        size = 0.3 / photons**0.5
        change = size * torch.randn(FRAMES, SIZE, SIZE, generator=torch.Generator().manual_seed(1000 + seed))
        # Both are off alike, to opposite sides: none is better.
        one, other = (Verdict(intensity * (sign * change).exp(), counts, MASK, intensity[0]) for sign in (1.0, -1.0))
        taken += one.clearly_better_than(other)
        better += one.mean < other.mean
    # The lower deviance alone is a toss of a coin; two standard errors leave one in 44.
    assert 70 < better < 130
    assert taken <= 12


@pytest.mark.parametrize("photons", [2.0, 500.0])
def test_a_change_that_is_right_is_said_to_help(photons: float):
    intensity, counts = drawn(photons, 0.5, 3)
    mean = intensity.mean(dim=0)
    right, wrong = Verdict(intensity, counts, MASK, mean), Verdict(intensity.sqrt(), counts, MASK, mean)
    assert right.clearly_better_than(wrong)
    assert not wrong.clearly_better_than(right)
    assert not right.clearly_better_than(right)


def test_a_misfit_is_more_than_noise():
    intensity, counts = drawn(200.0, 0.5, 4)
    for factor, misfits in ((1.0, False), (1.02, False), (1.1, True)):
        assert Verdict(factor * intensity, counts, MASK, intensity.mean(dim=0)).misfits == misfits


def test_frames_that_differ_by_no_more_than_noise_determine_nothing():
    intensity, counts = drawn(2.0, 0.0, 5)
    assert not Verdict(intensity, counts, MASK, intensity[0]).determined
    intensity, counts = drawn(200.0, 0.5, 6)
    mean = intensity.mean(dim=0)
    assert Verdict(intensity, counts, MASK, mean).determined
    assert not Verdict(mean.expand_as(intensity), counts, MASK, mean).determined


def test_an_image_is_unfinished_where_it_is_right_in_the_main_and_leaves_more_than_noise():
    intensity, counts = drawn(500.0, 0.5, 7)
    mean = intensity.mean(dim=0)
    assert not Verdict(intensity, counts, MASK, mean).unfinished
    # A fifth of what frames differ by is wrong.
    off = mean + 0.8 * (intensity - mean)
    assert Verdict(off, counts, MASK, mean).unfinished
    # So it is here, but hidden by noise.
    few, rare = drawn(0.05, 0.5, 7)
    rare_mean = few.mean(dim=0)
    assert not Verdict(rare_mean + 0.8 * (few - rare_mean), rare, MASK, rare_mean).unfinished
    # What explains nothing is not nearly right.
    assert not Verdict(mean.expand_as(counts), counts, MASK, mean).unfinished


def test_what_is_explained_no_better_than_by_the_mean_frame_knows_nothing():
    intensity, counts = drawn(200.0, 0.5, 7)
    mean = intensity.mean(dim=0)
    light = counts.sum(dim=(-2, -1), keepdim=True) / mean.sum()
    # Of frames that no other has seen, a model tells a wrong one instead: worse than none.
    assert Verdict(intensity.roll(1, 0), counts, MASK, mean).knows_nothing
    half_way = (intensity * mean * light).sqrt()
    assert not Verdict(half_way, counts, MASK, mean).knows_nothing
    # Frames that differ by no more than noise have no more to tell than their mean, and that may be told well or badly.
    intensity, counts = drawn(2.0, 0.0, 5)
    assert not Verdict(2 * intensity, counts, MASK, intensity[0]).knows_nothing
