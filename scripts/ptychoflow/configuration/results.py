"""Where results stand, and what somebody hears who asks for one that is not there."""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

# In results/, results/{experiment}/, results/{experiment}/seed{seed}/ and in the folder of a dataset below.
FILES = ("runs.csv", "runs.html", "warnings.html", "crate.zip", "report.html", "config.yaml")
SECTIONS = ("benchmarks", "data", "logs", "mlflow", "raw", "studies")
EXPERIMENT_FILES = ("training.yaml", "solver.yaml", "reconstruction.yaml", "pretraining.yaml", "tuning.yaml")
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
STUDY_FILES = (*STUDY_TABLES, *STUDY_FIGURES, "study.yaml")
IMAGES = ("png", "svg")
OF_SOME = {
    "training.yaml": "an experiment that is trained",
    "pretraining.yaml": "an experiment with pretrain",
    "tuning.yaml": "an experiment that tunes a blind network",
    "reconstruction.yaml": "an experiment with network, or one that tunes it",
    "solver.yaml": "an experiment with solver",
    "run": "an experiment that is trained, or has pretrain",
    "image": "an experiment that makes images",
    "predicted.h5": "an experiment that trains or borrows its network, where parts is 1",
    "tracked.json": "an experiment that trains or borrows its network",
    "uncertainty": "an experiment whose reconstruction.uncertainty is true",
    "tracked study": "a study with mlflow in the tracking.logger of its trainings",
}
"""What has a file, or files, that not all experiments or studies have."""
RESERVED_EXPERIMENTS = frozenset({*FILES, *SECTIONS})
RESERVED_DATASETS = frozenset({*RUN_FILES, *RUN_FOLDERS})


def known_results(
    experiments: Iterable[str],
    datasets: Iterable[str],
    studies: Iterable[str],
    having: Mapping[str, Iterable[str]] = MappingProxyType({"uncertainty": ()}),
) -> str:
    """Regular expression of the files under results/ that some rule makes, for any seed.

    Parameters
    ----------
    experiments, datasets, studies : iterable of str
        Names that the config has.
    having : mapping of str to iterable of str
        Experiments, or studies, that have the files of a key of `OF_SOME`; all of them for a key that is not there.
    """
    experiments, studies = tuple(experiments), tuple(studies)
    dataset, image = one_of(datasets), one_of(IMAGES)
    figure = one_of(f"{name}.{suffix}" for name in RESULT_FIGURES for suffix in IMAGES)
    below = {
        "": rf"(?:seed\d+/(?:{dataset}/)?)?(?:benchmarks|logs)/|seed\d+/(?:run|{dataset}/parts)/"
        rf"|seeds/{dataset}/(?:(?:benchmarks|logs)/|ensemble\.h5$|figures/uncertainty\.{image}$)",
        "run": rf"seed\d+/(?:{one_of(RUN_FILES)}|figures/training\.{image})$",
        "image": rf"seed\d+/{dataset}/(?:{one_of(set(RESULT_FILES) - set(OF_SOME))}|figures/{figure})$",
        "uncertainty": rf"seed\d+/{dataset}/figures/uncertainty\.{image}$",
        **{name: rf"{re.escape(name)}$" for name in EXPERIMENT_FILES},
        **{name: rf"seed\d+/{dataset}/{re.escape(name)}$" for name in RESULT_FILES if name in OF_SOME},
    }
    # Names are many, and looked through once for all that the same of them have.
    of: dict[tuple[str, ...], list[str]] = {}
    for key, files in below.items():
        of.setdefault(tuple(having.get(key, experiments)), []).append(files)
    return "|".join(
        (
            f"{one_of(FILES)}$",
            "(?:benchmarks|logs|mlflow)/",
            rf"data/(?:benchmarks/|logs/|{dataset}\.(?:cxi|yaml|provenance\.json)$)",
            f"raw/(?:benchmarks|logs|{dataset})/",
            f"studies/{one_of(studies)}/(?:benchmarks/|logs/|{one_of(STUDY_FILES)}$)",
            rf"studies/{one_of(having.get('tracked study', studies))}/tracked\.json$",
            *(f"{one_of(names)}/(?:{'|'.join(files)})" for names, files in of.items()),
        )
    )


def refusal(
    target: str,
    experiments: Iterable[str],
    datasets: Iterable[str],
    studies: Iterable[str],
    having: Mapping[str, Iterable[str]] = MappingProxyType({}),
) -> str:
    """Say what there is instead of a file under results/ that no rule makes.

    Parameters
    ----------
    target : str
        Its path below results/.
    experiments, datasets, studies : iterable of str
        Names that the config has.
    having : mapping of str to iterable of str
        As in `known_results`.
    """
    experiments, datasets, studies = list(experiments), list(datasets), list(studies)
    parts = target.split("/")
    folder = parts[-2] if len(parts) > 1 else ""
    if (key := _of_some(parts)) in having and re.match(known_results(experiments, datasets, studies, {}), target):
        expected = f"it of {OF_SOME[key]}: {_listed(list(having[key]))}"
    elif parts[0] == "data":
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


def _of_some(parts: list[str]) -> str:
    """Key of `OF_SOME` that a file's path below results/ belongs to."""
    name, stem = parts[-1], parts[-1].partition(".")[0]
    if parts[0] == "studies":
        return f"{stem} study"
    if len(parts) == 3 or stem == "training":
        return "run" if len(parts) > 2 else name
    if stem == "uncertainty":
        return stem
    return name if name in OF_SOME else "image"


def one_of(names: Iterable[str]) -> str:
    """Regular expression that matches these names and nothing else; never matches when there are none."""
    return f"(?:{'|'.join(map(re.escape, names)) or '(?!)'})"


def _listed(names: list[str]) -> str:
    """Names in a row, of many the first."""
    shown = names if len(names) <= 12 else [*names[:12], f"and {len(names) - 12} more"]
    return ", ".join(shown) or "none"
