"""What an image explains of its frames, against models that know all, nothing, and the opposite of the object."""

import dataclasses

import numpy as np
import pytest
from matplotlib.figure import Figure

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.metrics.doubts import LEAST_EXPLAINED, doubts, undetermined
from ptychoflow.reconstruction.file import Reconstruction
from ptychoflow.reconstruction.photons import explained_share, least_misfit, mean_frame_deviance, photon_scores
from ptychoflow.reconstruction.pictures import say_doubts
from ptychoflow.reconstruction.scoring import known_doubts, own_scores, score
from ptychoflow.reconstruction.stitching import coverage_of
from ptychoflow.settings.simulation import ObjectSettings, ProbeSettings, ScanSettings, SimulationSettings
from ptychoflow.simulation.dataset import expected_photons, simulate

HELD_OUT = np.arange(64) % 8 == 0


def made_of(dataset: Dataset, image: np.ndarray, held_out: np.ndarray = HELD_OUT) -> Reconstruction:
    return Reconstruction(
        object=image.astype(np.complex64),
        coverage=coverage_of(dataset.probe, dataset.positions, dataset.object_shape),
        halves=np.full((2, *image.shape), np.nan, np.complex64),
        probe=dataset.probe,
        positions=dataset.positions,
        held_out=held_out,
        pixel_size=1e-8,
    )


def scan(flux: float, phase: float = 1.0) -> Dataset:
    return simulate(
        SimulationSettings(
            size=32,
            object=ObjectSettings(kind="cells", phase_shift=phase, absorption=min(0.5, phase)),
            probe=ProbeSettings(kind="disk", flux=flux),
            scan=ScanSettings(frames=64, step=4.0),
            seed=1,
        )
    )


def expected_counts(dataset: Dataset) -> np.ndarray:
    """Frames as they would be with no noise in them."""
    return expected_photons(dataset.truth, dataset.positions, dataset.probe).astype(np.float32)


def test_the_deviance_of_the_mean_frame_is_the_one_that_is_written_out(small_dataset: Dataset):
    judges, used = np.flatnonzero(HELD_OUT), np.flatnonzero(~HELD_OUT)
    mask = np.random.default_rng(0).random((32, 32)) > 0.2
    frames = small_dataset.frames.astype(np.float64)
    mean, parts = frames[used].mean(axis=0), []
    for number in judges:
        modelled = np.maximum(mean * frames[number][mask].sum() / mean[mask].sum(), 1e-2)
        logarithm = frames[number] * np.log(np.where(frames[number] > 0, frames[number] / modelled, 1))
        parts.append(2 * (modelled - frames[number] + logarithm)[mask].mean())
    found = mean_frame_deviance(dataclasses.replace(small_dataset, mask=mask), judges, used)
    assert found == pytest.approx(np.mean(parts), rel=1e-4)


@pytest.mark.parametrize("flux", [1e4, 1e6, 1e8])
def test_the_truth_explains_all_and_other_objects_next_to_nothing(flux: float):
    dataset = scan(flux)
    assert photon_scores(made_of(dataset, dataset.truth), dataset)["explained_share"] == pytest.approx(1, abs=0.03)
    for other in (np.full_like(dataset.truth, np.abs(dataset.truth).mean()), dataset.truth[::-1, ::-1]):
        scores = own_scores(made_of(dataset, other), dataset)
        assert scores["explained_share"] < 0.1
        assert doubts(scores)[0].startswith("the photons do not determine the image: it explains ")


def test_a_share_between_is_that_of_the_deviances():
    assert explained_share(2.0, 1.0, 5.0, 1e6) == 0.75
    assert explained_share(9.0, 1.0, 5.0, 1e6) == -1
    assert explained_share(1.0, 1.0, 1.001, 1e4) is None


def test_frames_without_an_object_that_photons_could_tell_are_named():
    dataset = scan(3e3, phase=0.01)
    scores = own_scores(made_of(dataset, dataset.truth), dataset)
    # Even the true object explains no more than noise: such an image cannot be told from any other.
    assert scores["explained_share"] is None
    assert "differ from their mean by no more than photon noise" in doubts(scores)[0]
    assert scores["misfit"] == pytest.approx(1, abs=0.05)


def test_a_uniform_image_is_right_where_photons_would_tell_of_more():
    for flux, told in ((3e3, False), (1e7, True)):
        dataset = scan(flux, phase=0.001)
        uniform = made_of(dataset, np.full_like(dataset.truth, np.abs(dataset.truth).mean()))
        scores = own_scores(uniform, dataset)
        assert (scores["featureless"], scores["collapsed"]) == (told, not told)
        assert bool(doubts(scores)) is not told
    # What such frames do not tell, an image cannot know.
    wedge = 1 + np.linspace(-0.1, 0.1, dataset.truth.shape[0], dtype=np.float32)[:, None] * np.ones_like(dataset.truth)
    (sentence,) = doubts(scores | {"variation": own_scores(made_of(dataset, wedge), dataset)["variation"]})
    assert sentence.startswith("the frames hardly differ in more than how bright they are")
    # An object that shows more than that is missed by it.
    dataset = scan(1e7)
    missed = own_scores(made_of(dataset, np.ones_like(dataset.truth)), dataset)
    assert not missed["featureless"]
    assert missed["collapsed"]


def test_frames_with_less_noise_than_photons_have_are_no_counts():
    dataset = scan(1e6)
    assert doubts(own_scores(made_of(dataset, dataset.truth), dataset)) == []
    mean = dataclasses.replace(dataset, frames=expected_counts(dataset))
    (sentence,) = doubts(own_scores(made_of(mean, mean.truth), mean))
    assert "less noise than photons" in sentence


def test_faults_of_a_model_in_some_pixels_do_not_hide_that_others_hold_too_little_noise():
    dataset, judges = scan(1e7), np.flatnonzero(HELD_OUT)
    counts = made_of(dataset, dataset.truth)
    assert least_misfit(counts, dataset, judges) == pytest.approx(1, abs=0.15)
    faint = scan(300.0)
    assert least_misfit(made_of(faint, faint.truth), faint, judges) is None
    expected, random = expected_counts(dataset), np.random.default_rng(5)
    calm = expected + np.sqrt(0.3 * expected) * random.normal(size=expected.shape)
    wrong = random.poisson(1.5 * expected)
    mixed = dataclasses.replace(dataset, frames=np.where(expected > 256, calm, wrong).astype(np.float32))
    assert least_misfit(counts, mixed, judges) == pytest.approx(0.3, abs=0.05)
    scores = own_scores(counts, mixed)
    assert scores["misfit"] > 0.9
    (sentence,) = (said for said in doubts(scores) if "less noise than photons do" in said)
    assert f"{scores['least_misfit']:.2g} times that of a perfect model where pixels are alike bright" in sentence


def test_frames_that_judge_are_no_part_of_the_mean_but_where_all_are():
    dataset = scan(1e6)
    fitted = photon_scores(made_of(dataset, dataset.truth, np.zeros(64, bool)), dataset)
    assert fitted["deviance"] is None
    assert fitted["explained_share"] == pytest.approx(1, abs=0.01)
    every = photon_scores(made_of(dataset, dataset.truth, np.ones(64, bool)), dataset)
    assert every["explained_share"] == pytest.approx(fitted["explained_share"])


def test_scores_and_sentences_agree():
    dataset = scan(1e6)
    image = made_of(dataset, dataset.truth)
    scores = score(image, dataset)[0]
    assert {key: scores[key] for key in own_scores(image, dataset)} == own_scores(image, dataset)
    assert undetermined(LEAST_EXPLAINED) == []
    (sentence,) = undetermined(LEAST_EXPLAINED - 0.01)
    assert f"explains {LEAST_EXPLAINED - 0.01:.0%} of what its frames differ by" in sentence
    assert "0%" in undetermined(-600.0)[0]


def test_a_figure_says_what_the_record_or_else_the_photons_doubt():
    dataset = scan(1e6)
    sound = made_of(dataset, dataset.truth)
    assert known_doubts(sound, dataset) == []
    empty = made_of(dataset, np.ones_like(dataset.truth))
    assert known_doubts(empty, dataset)[0].startswith("the photons do not determine the image")
    empty.provenance = {"warnings": ["what was seen then"]}
    assert known_doubts(empty, dataset) == ["what was seen then"]
    figure = Figure()
    say_doubts(figure, [])
    assert figure.get_supxlabel() == ""
    say_doubts(figure, known_doubts(empty, dataset))
    assert figure.get_supxlabel() == "Doubtful: what was seen then."
