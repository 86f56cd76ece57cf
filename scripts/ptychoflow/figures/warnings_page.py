"""All warnings of datasets and results on one page, each beside the settings that mend it."""

import json
import re
from collections import defaultdict
from dataclasses import fields, is_dataclass
from html import escape
from pathlib import Path
from typing import Any, get_type_hints

from ptychoflow.files import replacing
from ptychoflow.metrics.doubts import LEAST_EXPLAINED, doubts
from ptychoflow.provenance.embedded import read_provenance
from ptychoflow.settings.ingest import IngestSettings

PAGE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Warnings</title>
<style>body {{font-family: sans-serif}} td, th {{padding: .3em .8em; text-align: left}}</style></head>
<body>{body}</body></html>
"""
HEAD = "<tr><th>dataset</th><th>found in</th><th>warning</th><th>settings under ingest</th></tr>"
RESULT = re.compile(r"(?P<experiment>[^/]+)/seed(?P<seed>\d+)/(?P<dataset>[^/]+)/?$")


def warnings_of_data(record: Path) -> list[tuple[str, str, str]]:
    """Dataset, where it was found, and sentence of each warning in results/data/{dataset}.provenance.json.

    Raises
    ------
    InputError
        Where the record cannot be read.
    """
    name = record.name.removesuffix(".provenance.json")
    return [(name, "the data", sentence) for sentence in read_provenance(record).get("warnings", [])]


def warnings_of_result(folder: Path) -> list[tuple[str, str, str]]:
    """Dataset, where it was found, and sentence of each warning about results/{experiment}/seed{seed}/{dataset}.

    Raises
    ------
    InputError
        Where the record cannot be read.
    """
    provenance = read_provenance(folder / "provenance.json")
    scores = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    found = RESULT.search(folder.as_posix())
    where = f"{found['experiment']}, seed {found['seed']}" if found else str(folder)
    # A reconstruction that examines itself says more than its scores do.
    sentences = provenance.get("warnings")
    if sentences is None:
        # Of a score that an older file has not, nothing is said.
        sentences = doubts(defaultdict(lambda: None, {"explained_share": LEAST_EXPLAINED} | scores))
    return [(folder.name, where, sentence) for sentence in sentences]


def settings_named(sentence: str) -> list[str]:
    """Settings of a dataset that a warning names, between brackets or with their group before them."""
    bracketed = " ".join(re.findall(r"\(([^()]*)\)", sentence))
    known = _settings(IngestSettings)
    # Those to paste stand in their group: positions: {swap: true, …}.
    for group, pasted in re.findall(r"(\w+): \{([^{}]*)\}", bracketed):
        bracketed += "".join(f" {group}.{key}" for key in re.findall(r"(\w+):", pasted))
    named = [name for name in known if re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.]*\w)", bracketed)]
    named += [name for name in known if "." in name and name in sentence and name not in named]
    return named


def write_warnings(path: Path, warnings: list[tuple[str, str, str]]) -> None:
    """Write warnings (dataset, where it was found, sentence) as an HTML page that needs nothing else."""
    rows = [
        "".join(f"<td>{escape(cell)}</td>" for cell in (*warning, ", ".join(settings_named(warning[2]))))
        for warning in dict.fromkeys(warnings)
    ]
    body = "\n".join(f"<tr>{row}</tr>" for row in rows)
    table = (
        f"<table><thead>{HEAD}</thead><tbody>\n{body}\n</tbody></table>" if rows else "<p>There are no warnings.</p>"
    )
    with replacing(path) as temporary:
        temporary.write_text(PAGE.format(body=table), encoding="utf-8")


def _settings(group: type, before: str = "") -> list[str]:
    hints: dict[str, Any] = get_type_hints(group)
    names = []
    for field in fields(group):
        kind = hints[field.name]
        names += _settings(kind, f"{field.name}.") if is_dataclass(kind) else [f"{before}{field.name}"]
    return names
