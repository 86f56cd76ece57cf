"""Where results stand, and what somebody hears who asks for one that is not there."""

import re
from collections.abc import Iterable

# In results/, results/{experiment}/, results/{experiment}/seed{seed}/ and in the folder of a dataset below.
FILES = ("runs.csv", "runs.html", "warnings.html", "crate.zip", "report.html", "config.yaml")
SECTIONS = ("benchmarks", "data", "logs", "mlflow", "raw", "studies")
EXPERIMENT_FILES = ("training.yaml", "solver.yaml", "reconstruction.yaml", "pretraining.yaml")
RUN_FILES = ("model.ckpt", "metrics.csv", "config.yaml", "provenance.json")
RUN_FOLDERS = ("logs", "benchmarks", "figures", "run")
PLAIN_PICTURES = ("reconstructed_amplitude.png", "reconstructed_phase.png")
RESULT_FILES = (
    *("predicted.h5", "reconstruction.h5", *PLAIN_PICTURES),
    *("provenance.json", "metrics.json", "correlation.csv", "view.html", "tracked.json"),
)
RESULT_FIGURES = ("reconstruction", "correlation", "probe", "scan")
STUDY_TABLES = ("results.csv", "table.csv", "table.md", "table.tex")
STUDY_FIGURES = ("figure.png", "figure.svg")
STUDY_FILES = (*STUDY_TABLES, *STUDY_FIGURES, "study.yaml", "tracked.json")
IMAGES = ("png", "svg")
RESERVED_EXPERIMENTS = frozenset({*FILES, *SECTIONS})
RESERVED_DATASETS = frozenset({*RUN_FILES, *RUN_FOLDERS})


def known_results(
    experiments: Iterable[str], datasets: Iterable[str], studies: Iterable[str], uncertain: Iterable[str] = ()
) -> str:
    """Regular expression of the files under results/ that some rule makes, for any seed.

    Parameters
    ----------
    experiments, datasets, studies : iterable of str
        Names that the config has.
    uncertain : iterable of str
        Experiments whose images tell by themselves how far they may be off.
    """
    experiment, dataset, study = (one_of(names) for names in (experiments, datasets, studies))
    run, figure = rf"{experiment}/seed\d+/", one_of(f"{name}.{suffix}" for name in RESULT_FIGURES for suffix in IMAGES)
    return "|".join(
        (
            f"{one_of(FILES)}$",
            "(?:benchmarks|logs|mlflow)/",
            rf"data/(?:benchmarks/|logs/|{dataset}\.(?:cxi|yaml|provenance\.json)$)",
            f"raw/(?:benchmarks|logs|{dataset})/",
            f"studies/{study}/(?:benchmarks/|logs/|{one_of(STUDY_FILES)}$)",
            f"{experiment}/(?:logs/|{one_of(EXPERIMENT_FILES)}$)",
            f"{experiment}/seeds/{dataset}/(?:benchmarks/|logs/|ensemble\\.h5$|figures/uncertainty\\.{one_of(IMAGES)}$)",
            f"{run}(?:benchmarks/|logs/|run/|{one_of(RUN_FILES)}$|figures/training\\.{one_of(IMAGES)}$)",
            rf"{one_of(uncertain)}/seed\d+/{dataset}/figures/uncertainty\.{one_of(IMAGES)}$",
            f"{run}{dataset}/(?:benchmarks/|logs/|parts/|{one_of(RESULT_FILES)}$|figures/{figure}$)",
        )
    )


def refusal(target: str, experiments: Iterable[str], datasets: Iterable[str], studies: Iterable[str]) -> str:
    """Say what there is instead of a file under results/ that no rule makes.

    Parameters
    ----------
    target : str
        Its path below results/.
    experiments, datasets, studies : iterable of str
        Names that the config has.
    """
    experiments, datasets, studies = list(experiments), list(datasets), list(studies)
    parts = target.split("/")
    folder = parts[-2] if len(parts) > 1 else ""
    if parts[0] == "data":
        expected = f"results/data/, a dataset, {_listed(datasets)}, and .cxi"
    elif parts[0] == "studies":
        expected = (
            f"results/studies/, a study, {_listed(studies)}, and one of {', '.join((*STUDY_TABLES, *STUDY_FIGURES))}"
        )
    elif folder == "figures" and "seeds" in parts:
        expected = "figures/uncertainty.png or .svg"
    elif folder == "figures":
        expected = (
            "figures/training.png or .svg in the folder of a seed, in that of a dataset below figures/ and one of "
            + ", ".join(f"{name}.{IMAGES[0]}" for name in RESULT_FIGURES)
            + ", or .svg; uncertainty where reconstruction.uncertainty is true"
        )
    else:
        expected = (
            f"results/ and one of {', '.join(FILES)}, or results/{{experiment}}/seed{{number}}/ and one of "
            f"{', '.join(RUN_FILES)}, or {{dataset}}/ below that and one of {', '.join(RESULT_FILES)}, "
            f"figures/{RESULT_FIGURES[0]}.png"
        )
    known = f"experiments are {_listed(experiments)}, datasets {_listed(datasets)}, studies {_listed(studies)}"
    return f"results/{target} is no result of this config: expected {expected}; {known}"


def one_of(names: Iterable[str]) -> str:
    """Regular expression that matches these names and nothing else; never matches when there are none."""
    return f"(?:{'|'.join(map(re.escape, names)) or '(?!)'})"


def _listed(names: list[str]) -> str:
    """Names in a row, of many the first."""
    shown = names if len(names) <= 12 else [*names[:12], f"and {len(names) - 12} more"]
    return ", ".join(shown) or "none"
