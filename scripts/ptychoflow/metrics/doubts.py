"""What makes an image doubtful, in sentences that a user sees: published images look alike, right or wrong."""

import logging

log = logging.getLogger(__name__)

LARGEST_MISFIT = 1.3
"""Deviance as a share of a perfect model's from which something in the model is wrong."""
LEAST_MISFIT = 0.7
"""Such a share below which frames that were left out hold less noise than photons have; sound ones have 0.94, and 0.96
where they have the least."""
LARGEST_REST = 0.06
"""Share of what frames differ by that an image may leave unexplained, whatever its misfit: with many photons a good
image has a large one. Sound scans of the development draw of tests/benchmarks/spoilt_scans.py leave up to that much."""
ALWAYS_SAID = 100.0
"""Misfit that is said however little is left: a hundred times the noise hides what would tell right from wrong."""
MUCH_LEFT = 0.02
"""Share of what frames differ by that an image may leave unexplained and be as good as iterations make it."""
LARGEST_LATTICE_SHARE = 0.05
"""Share of the variance in the scan's lattice that is seen: sound images have below 0.01, bad ones above 0.1."""
LEAST_EXPLAINED = 0.4
"""Share of what frames differ by that an image must explain: calibrated on random scans, see docs/pretrained.md."""
LEAST_VARIATION = 0.02
"""Standard deviation of an image as a share of its mean amplitude, below which it shows next to nothing."""


def doubts(scores: dict[str, float | int | None]) -> list[str]:
    """Say what is wrong with an image, each in one sentence with its likely causes.

    Parameters
    ----------
    scores : dict
        As `ptychoflow.reconstruction.scoring.score` gives them.
    """
    misfit = scores["misfit"]
    sentences = [] if misfit is None or scores["featureless"] else undetermined(scores["explained_share"])
    if scores["featureless"] and (scores["variation"] or 0) >= LEAST_VARIATION:
        sentences.append(
            "the frames hardly differ in more than how bright they are, and nothing else made the image: whether "
            "positions, their orientation and the geometry are right these photons do not tell; more contrast or more "
            "photons would"
        )
    told = [number for number in (misfit, scores["least_misfit"]) if number is not None]
    if scores["deviance"] is not None and told and min(told) < LEAST_MISFIT:
        where = "" if misfit == min(told) else " where pixels are alike bright"
        sentences.append(
            "the frames that were left out hold less noise than photons do: their deviance is "
            f"{min(told):.2g} times that of a perfect model{where}, expected at least {LEAST_MISFIT:g} times; the "
            "numbers are likely to be roots, means or shares of counts (quantity, detector.photons_per_count)"
        )
    if misfits(scores):
        name = "deviance" if scores["deviance"] is not None else "fitted_deviance"
        sentences.append(
            f"the image does not explain its photons: their deviance of {scores[name]:.3g} is {misfit:.3g} times that "
            f"of a perfect model, expected at most {LARGEST_MISFIT:g} times; likely causes are the probe, the "
            "positions, the mask, a background, the orientation of the frames, or light of several modes"
        )
    for key, part in (("lattice_share", "phase"), ("amplitude_lattice_share", "amplitude")):
        share = scores[key]
        if share is not None and share > LARGEST_LATTICE_SHARE:
            sentences.append(
                f"the {part} shows the lattice of the scan, {share:.1%} of its variance, expected at most "
                f"{LARGEST_LATTICE_SHARE:.0%}; likely causes are a wrong centre of the frames, a wrong defocus of the "
                "probe, or wrong positions, unless the sample itself repeats so"
            )
    if scores["collapsed"]:
        sentences.append("the image has collapsed: it is empty or unlike the true object")
    return sentences


def misfits(scores: dict[str, float | int | None]) -> bool:
    """Whether an image leaves more of its photons unexplained than noise and a good image would; see `doubts`."""
    misfit, share = scores["misfit"], scores["explained_share"]
    if misfit is None or misfit <= LARGEST_MISFIT:
        return False
    return misfit > ALWAYS_SAID or share is None or 1 - share > LARGEST_REST


def much_left(scores: dict[str, float | int | None]) -> bool:
    """Whether an image leaves more than noise and the best of iterations would, too little of it to be warned of."""
    misfit, share = scores["misfit"], scores["explained_share"]
    return misfit is not None and misfit > LARGEST_MISFIT and share is not None and 1 - share > MUCH_LEFT


def undetermined(share: float | None) -> list[str]:
    """Say where the photons do not determine the image, by the share of what frames differ by that it explains."""
    if share is None:
        return [
            "the photons do not determine the image: the frames differ from their mean by no more than photon noise; "
            "likely causes are too few photons, or an object too weak for them"
        ]
    if share >= LEAST_EXPLAINED:
        return []
    return [
        f"the photons do not determine the image: it explains {max(share, 0):.0%} of what its frames differ by, "
        f"expected at least {LEAST_EXPLAINED:.0%}; likely causes are too little overlap, too few photons, or a wrong "
        "probe or geometry, and the image should not be trusted"
    ]


def report(scores: dict[str, float | int | None]) -> None:
    """Print how well an image explains its photons, and warn of what is doubtful."""
    log.info(misfit_line(scores))
    for sentence in doubts(scores):
        log.warning(sentence)


def misfit_line(scores: dict[str, float | int | None]) -> str:
    """How well an image explains its photons, for a person to read."""
    name, frames = ("deviance", "held-out") if scores["deviance"] is not None else ("fitted_deviance", "fitted")
    return (
        f"deviance of the {frames} frames {scores[name]:.4g}, that of a perfect model "
        f"{scores['expected_deviance']:.4g}: misfit {scores['misfit']:.3g}"
    )
