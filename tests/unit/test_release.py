"""The version stands in three places, and says the same in each."""

import tomllib
from itertools import chain
from pathlib import Path

import yaml
from packaging.requirements import Requirement

from ptychoflow import __version__

ROOT = Path(__file__).parents[2]


def test_the_citation_is_of_the_version_at_hand():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == __version__
    assert {"cff-version", "message", "title", "authors", "license"} <= citation.keys()


def test_the_changelog_has_the_version_or_what_comes_into_it():
    headings = [line for line in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8").splitlines() if line[:4] == "## ["]
    assert headings[0] == "## [Unreleased]" or headings[0].startswith(f"## [{__version__}] - ")


def test_actions_are_pinned_and_may_only_read_unless_they_must_write():
    for path in (ROOT / ".github/workflows").glob("*.yml"):
        text = path.read_text(encoding="utf-8")
        workflow = yaml.safe_load(text)
        assert workflow["permissions"] == {"contents": "read"}, path
        for job in workflow["jobs"].values():
            assert "timeout-minutes" in job, path
            for step in job["steps"]:
                _, _, version = step.get("uses", "@" + 40 * "0").partition("@")
                assert len(version) == 40, (path, step)
                int(version, 16)


def test_the_guide_for_contributors_names_files_that_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    library = ROOT / "scripts/ptychoflow"
    for name in (
        "formats/hdf5.py",
        "ingest/readers.py",
        "settings/ingest.py",
        "settings/model.py",
        "models/__init__.py",
    ):
        assert name.replace("__", r"\_\_") in text or name in text, name
        assert (library / name).exists() or (library / "ingest" / name).exists(), name
    for name in ("rules/common.smk", "envs/write_environments.py", "tests/unit/foreign_files.py", "docs/formats.md"):
        assert name in text, name
        assert (ROOT / name).exists(), name


def test_what_the_package_asks_for_is_what_was_tested():
    files = sorted((ROOT / "envs").glob("requirements*.txt"))
    lines = "\n".join(file.read_text(encoding="utf-8") for file in files).splitlines()
    pins = [line.split("==") for line in lines if "==" in line]
    tested = {name.lower().replace("_", "-"): version for name, version in pins}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    extras = project["project"]["optional-dependencies"].values()
    for text in chain(project["build-system"]["requires"], project["project"]["dependencies"], *extras):
        requirement = Requirement(text)
        assert tested[requirement.name] in requirement.specifier, text


def test_the_catalog_of_workflows_finds_what_it_shows():
    readme = (ROOT / "README.md").read_text(encoding="utf-8").lower()
    assert "snakemake" in readme
    assert "workflow" in readme
    assert (ROOT / "Snakefile").exists()
    assert list((ROOT / "rules").glob("*.smk"))
    assert (ROOT / "config/README.md").read_text(encoding="utf-8").startswith("# Configuration")
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert usage["report"] is usage["software-stack-deployment"]["conda"] is True
    assert usage["mandatory-flags"]["desc"]
    # Its table of parameters has the type, the description and the default of each property.
    schema = yaml.safe_load((ROOT / "config/schemas/config.schema.yaml").read_text())
    assert all(entry["description"] for entry in schema["properties"].values())
