"""The start of a blind reconstruction: what the photons tell of a probe that nobody wrote down, or wrote down wrong."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from blind_scans import likeness, plain_engine, settings_of, small_scan

from ptychoflow.blind.candidates import GIVEN, Candidate, candidates_from
from ptychoflow.blind.pupils import embedded, pupil_of
from ptychoflow.blind.search import Start, search
from ptychoflow.blind.solve import BlindReconstruction
from ptychoflow.blind.start import find_start, middle_of
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.position_axes import ORIENTATIONS, orientations, turned
from ptychoflow.physics.diffraction import Propagator
from ptychoflow.physics.geometry import wavelength_of

DETECTOR = {"detector_pixel_size": 150e-6}
NEAR = {"propagation": "near", "detector_distance": 0.01, "detector_pixel_size": 0.5e-6}
DEFOCUS = 40e-6


def zone_plate(defocus: float = DEFOCUS, **guess: object) -> Dataset:
    """64 frames of 32×32 pixels under the defocused beam of a zone plate."""
    beam = {"kind": "zone_plate", "zone_plate_diameter": 100e-6, "defocus": defocus, "flux": 1e6}
    return small_scan(probe=beam, guess=guess, **DETECTOR)


def started(dataset: Dataset, every_orientation: bool = False) -> Start:
    """The start that a dataset's frames tell, beside its probe where it knows one."""
    counts = torch.fft.ifftshift(torch.from_numpy(dataset.frames), dim=(-2, -1))
    return find_start(
        plain_engine(),
        counts,
        dataset.positions,
        torch.fft.ifftshift(torch.from_numpy(dataset.mask)),
        counts.mean(dim=0),
        Propagator(dataset.size, dataset.fresnel_number),
        torch.from_numpy(dataset.probe) if dataset.probe_known else None,
        every_orientation,
    )


def defocus_of(dataset: Dataset, defocus: float = DEFOCUS) -> float:
    """λ z over the square of a pixel."""
    return wavelength_of(dataset.energy) * defocus / dataset.pixel_size**2


@pytest.mark.parametrize("defocus", [DEFOCUS, -DEFOCUS])
def test_the_defocus_of_a_zone_plate_is_found_from_nothing_with_its_sign(defocus: float):
    dataset = zone_plate(defocus, kind="none")
    assert not dataset.probe_known
    found = started(dataset)
    # To a step of the row, here a sixth; what is left the trial has put right itself.
    assert found.candidate.defocus == pytest.approx(defocus_of(dataset, defocus), rel=0.2)
    assert likeness(found.probe, torch.from_numpy(dataset.true_probe)) > 0.95
    assert float(found.probe.abs().square().sum()) == pytest.approx(dataset.frames.sum(axis=(1, 2)).mean(), rel=0.4)
    wrong_side = "a pupil at defocus " + ("-" if defocus > 0 else "+")
    others = [error for name, error in found.errors.items() if name.startswith(wrong_side) and "+0 " not in name]
    assert len(others) == 8
    assert found.errors[found.candidate.name] < 0.2 * min(others)
    assert found.candidate.name in found.describe()


def test_the_start_is_sharper_than_the_row_of_candidates():
    # The trial solves for the probe from the candidate on: half a step off is no error left.
    dataset = zone_plate(kind="none")
    found, truth = started(dataset), torch.from_numpy(dataset.true_probe)
    assert likeness(found.probe, truth) > likeness(found.candidate.probe, truth)


@pytest.mark.slow
def test_a_right_probe_is_kept_and_a_wrong_one_is_replaced():
    kept = started(zone_plate())
    assert kept.candidate.given
    wrong = started(zone_plate(defocus_factor=-1.0))
    assert not wrong.candidate.given
    assert wrong.candidate.defocus > 0
    assert wrong.errors["the file's probe"] > 5 * min(wrong.errors.values())
    flat = started(zone_plate(kind="disk"))
    assert not flat.candidate.given
    assert flat.errors["the file's probe"] > 2 * min(flat.errors.values())


@pytest.mark.slow
@pytest.mark.parametrize("every_orientation", [False, True])
def test_a_wrong_probe_is_compared_after_as_many_iterations_as_the_winner(every_orientation: bool):
    dataset = zone_plate(defocus_factor=-1.0)
    found = started(dataset, every_orientation)
    assert not found.candidate.given
    written = {name: error for name, error in found.errors.items() if "under" not in name and GIVEN in name}
    best = min(written, key=written.get)
    # Tried alone, it is dropped by no round.
    counts = torch.fft.ifftshift(torch.from_numpy(dataset.frames), dim=(-2, -1))
    number = next((n for n, name in enumerate(ORIENTATIONS) if f"(positions: {name})" in best), 0)
    alone = Candidate(best, torch.from_numpy(dataset.probe), number, given=True, as_written=True)
    mask = torch.ones(32, 32, dtype=torch.bool)
    errors = search(plain_engine(), counts, dataset.positions, mask, Propagator(32), [alone]).errors
    assert written[best] == pytest.approx(errors[best], rel=0.01)


def test_a_guess_of_any_power_is_the_same_guess():
    dataset = zone_plate()
    one, other = (started(replace(dataset, probe=dataset.probe * np.complex64(c))) for c in (1.0, 30j))
    assert other.candidate.given
    assert other.errors == pytest.approx(one.errors, rel=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("number", [1, 3, 6])
def test_the_orientation_is_found_with_a_right_probe(number: int):
    dataset = zone_plate()
    found = started(replace(dataset, positions=turned(dataset.positions, number)), every_orientation=True)
    assert found.candidate.given
    again = turned(turned(dataset.positions, number), found.candidate.orientation)
    offset = again - again.mean(axis=0) - dataset.positions + dataset.positions.mean(axis=0)
    np.testing.assert_allclose(offset, offset[:1].repeat(len(offset), axis=0), atol=1e-9)


@pytest.mark.parametrize("number", [5])
def test_the_orientation_is_found_without_a_probe_up_to_the_twin(number: int):
    dataset = zone_plate(kind="none")
    found = started(replace(dataset, positions=turned(dataset.positions, number)), every_orientation=True)
    again = turned(turned(dataset.positions, number), found.candidate.orientation)
    slope = (again - again.mean(axis=0)) / (dataset.positions - dataset.positions.mean(axis=0))
    # A scan turned by half a circle and the other defocus diffract alike.
    sign = np.sign(np.median(slope))
    np.testing.assert_allclose(slope, sign, rtol=0.2)
    assert np.sign(found.candidate.defocus) == sign


def test_positions_are_not_turned_for_a_twin_that_explains_the_photons_as_well():
    # A flat disk is the conjugate of itself.
    dataset = small_scan(probe={"disk_curvature": 0.0}, seed=3)
    found = BlindReconstruction(plain_engine(), dataset, settings_of(start="best", orientation=True)).start
    assert found.candidate.given
    assert found.candidate.orientation == 0
    unturned = found.errors[found.candidate.name]
    turned_round = found.errors[found.candidate.name.replace(*(list(ORIENTATIONS)[n] for n in (0, 3)))]
    assert turned_round < unturned < 1.2 * turned_round


def test_a_near_field_is_propagated_back():
    dataset = small_scan(probe={"kind": "diffuser"}, guess={"kind": "none"}, **NEAR)
    found = started(dataset)
    assert list(found.errors) == ["the mean frame propagated back"]
    assert found.errors["the mean frame propagated back"] < 0.05
    propagator = Propagator(32, dataset.fresnel_number)
    mean = torch.fft.ifftshift(torch.from_numpy(dataset.frames), dim=(-2, -1)).mean(dim=0)
    (candidate,) = candidates_from(pupil_of(mean), None, propagator, False)
    torch.testing.assert_close(propagator(candidate.probe[0]).abs().square(), mean, rtol=1e-3, atol=mean.max() * 1e-5)


def test_a_wide_far_field_is_searched_on_its_middle():
    dataset = zone_plate(kind="none")
    padded = np.pad(dataset.frames, ((0, 0), (48, 48), (48, 48)))
    wide = replace(
        dataset,
        frames=padded,
        mask=np.ones((128, 128), bool),
        positions=4 * dataset.positions,
        probe=np.ones((1, 128, 128), np.complex64),
        object_shape=tuple(4 * edge for edge in dataset.object_shape),
    )
    found = started(wide)
    assert found.probe.shape == (1, 128, 128)
    assert found.candidate.probe.shape == (1, 64, 64)
    # In pixels of the frames of 64 that the trial was made with, half as fine as those given.
    assert found.candidate.defocus == pytest.approx(4 * defocus_of(dataset), rel=0.1)
    truth = embedded(torch.from_numpy(dataset.true_probe), 128)
    assert likeness(found.probe, truth) > 0.95
    assert float(found.probe.abs().square().sum()) == pytest.approx(
        float(dataset.frames.sum(axis=(1, 2)).mean()), rel=1e-3
    )


@pytest.mark.parametrize("number", range(8))
def test_turned_positions_go_with_turned_frames(number: int):
    # The same scan seen in a mirror; with fractions of a pixel, the finest details would be sampled elsewhere.
    dataset = small_scan(scan={"step": 4.0, "jitter": 0.0})
    rows, columns, swap = orientations()[number]

    def mirrored(images: np.ndarray) -> np.ndarray:
        images = np.swapaxes(images, -1, -2) if swap else images
        for axis, sign in ((-2, rows), (-1, columns)):
            if sign < 0:
                images = np.roll(np.flip(images, axis), 1, axis)
        return np.ascontiguousarray(images)

    def error_of(frames: np.ndarray, probe: np.ndarray, orientation: int) -> float:
        tried = Candidate("tried", torch.from_numpy(probe), orientation)
        counts = torch.fft.ifftshift(torch.from_numpy(frames), dim=(-2, -1))
        mask = torch.ones(32, 32, dtype=torch.bool)
        return search(plain_engine(), counts, dataset.positions, mask, Propagator(32), [tried]).errors["tried"]

    right = error_of(dataset.frames, dataset.probe, 0)
    assert error_of(mirrored(dataset.frames), mirrored(dataset.probe), number) == pytest.approx(right, rel=0.02)
    if number:
        assert error_of(mirrored(dataset.frames), mirrored(dataset.probe), 0) > 5 * right


def test_the_frames_in_the_middle_of_a_scan_are_chosen():
    line = np.stack([np.arange(100.0), np.zeros(100)], axis=1)
    chosen = middle_of(line, 10)
    assert sorted(chosen) == list(chosen) == list(range(45, 55))
    assert len(middle_of(line, 1000)) == 100


def test_a_diffuser_that_nobody_wrote_down_is_found_at_more_length():
    dataset = small_scan({"kind": "diffuser", "diffuser_grain": 3.0}, {"jitter": 0.3}, {"kind": "none"})
    found = BlindReconstruction(plain_engine(), dataset, settings_of(start="best")).start
    assert found.candidate.name.endswith("at length")
    assert found.verdict.share > 0.9
    quick = min(error for name, error in found.errors.items() if not name.endswith("at length"))
    assert found.errors[found.candidate.name] < 0.1 * quick
    # Light that fills its frame lies anywhere: alike up to a shift.
    one, other = (torch.fft.fft2(probe[0]) for probe in (found.probe, torch.from_numpy(dataset.true_probe)))
    alike = torch.fft.ifft2(one * other.conj(), norm="forward").abs().max() / one.norm() / other.norm()
    assert alike > 0.95


def test_a_start_that_explains_its_frames_is_not_looked_for_again():
    dataset = zone_plate(kind="none")
    found = BlindReconstruction(plain_engine(), dataset, settings_of(start="best")).start
    assert not found.doubtful
    assert not any(name.endswith("at length") for name in found.errors)


def test_the_file_s_probe_is_kept_where_photons_hardly_tell_a_better_one():
    beam = {"kind": "zone_plate", "zone_plate_diameter": 100e-6, "defocus": DEFOCUS}
    chosen = {}
    for flux in (3e2, 1e6):
        dataset = small_scan(beam | {"flux": flux}, guess={"defocus_factor": 0.6}, **DETECTOR)
        found = BlindReconstruction(plain_engine(), dataset, settings_of(start="best")).start
        best = min(found.errors, key=found.errors.__getitem__)
        assert best != GIVEN, "expected another candidate with a lower error"
        chosen[flux] = found.candidate.as_written
    assert chosen == {3e2: True, 1e6: False}


@pytest.mark.parametrize(("step", "kept"), [(4.0, False), (14.0, True)])
def test_the_file_s_probe_is_kept_where_frames_hardly_overlap(step: float, kept: bool):
    # Frames that judge a trial see what no other frame has lit: none of the candidates explains them.
    dataset = small_scan({"disk_curvature": 5.0}, {"step": step}, {"defocus_factor": 0.5})
    found = started(dataset)
    best = min(found.errors, key=found.errors.__getitem__)
    assert best != GIVEN, "expected another candidate with a lower error"
    assert found.candidate.as_written == kept
    assert found.verdict.knows_nothing == kept
    # Other pupils, of which one was taken before, come to 0.5.
    assert likeness(found.probe, torch.from_numpy(dataset.true_probe)) > 0.8


def test_a_better_start_is_taken_where_frames_that_overlap_are_explained_badly():
    # Wrong positions leave more than the mean frame does; what frames share still tells probes apart.
    dataset = small_scan({"disk_curvature": 5.0}, {"position_error": 2.0}, {"kind": "disk"})
    found = started(dataset)
    assert found.verdict.knows_nothing
    assert not found.candidate.as_written
