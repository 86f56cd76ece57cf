"""What is written down twice says the same twice: schema and settings, environments and lock, reference and schema."""

from dataclasses import MISSING, fields
from pathlib import Path

import pytest
import yaml

from ptychoflow.data.readers import IngestSettings
from ptychoflow.settings import GroupSettings, ModelSettings, RegionSettings, TrackingSettings, TrainingSettings
from ptychoflow.simulation.objects import ObjectSettings
from ptychoflow.simulation.probes import ProbeSettings
from ptychoflow.simulation.scans import ScanSettings
from ptychoflow.simulation.settings import SimulationSettings

ROOT = Path(__file__).parents[2]
SCHEMA = yaml.safe_load((ROOT / "config/schemas/config.schema.yaml").read_text())
SECTIONS = {
    "model": ModelSettings,
    "training": TrainingSettings,
    "tracking": TrackingSettings,
    "groups": GroupSettings,
    "region": RegionSettings,
    "simulate": SimulationSettings,
    "object": ObjectSettings,
    "probe": ProbeSettings,
    "scan": ScanSettings,
    "ingest": IngestSettings,
}
# Keys of a section that are no field of its settings, and fields that an experiment sets by another key.
LOCATION = {"path", "url", "sha256"}
ELSEWHERE = {"accelerator", "tags"}
CONDA_NAMES = {"pytorch": "torch"}


@pytest.mark.parametrize("section", SECTIONS)
def test_the_schema_allows_exactly_the_fields_of_the_settings(section: str):
    definition = SCHEMA["definitions"][section]
    names = {field.name for field in fields(SECTIONS[section])}
    assert set(definition["properties"]) - LOCATION == names - ELSEWHERE
    assert definition["additionalProperties"] is False


@pytest.mark.parametrize("section", SECTIONS)
def test_the_reference_gives_every_key_with_its_default(section: str):
    text = (ROOT / "config/README.md").read_text().split(f"### `{section}`\n")[1].split("\n### ")[0]
    for field in fields(SECTIONS[section]):
        if field.name in ELSEWHERE:
            continue
        row = next((line for line in text.splitlines() if line.startswith(f"| `{field.name}` ")), None)
        assert row is not None, field.name
        if field.default is not MISSING:
            written = yaml.safe_load(row.split("|")[2].strip().strip("`"))
            kind = type(field.default)
            assert (kind(written) if kind in (float, tuple) else written) == field.default


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_environments_have_the_versions_of_the_lock(path: Path):
    lines = (ROOT / "envs/requirements.txt").read_text().splitlines()
    lock = dict(line.lower().split("==") for line in lines if not line.startswith("#"))
    environment = yaml.safe_load(path.read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    for pin in environment["dependencies"]:
        name, version = pin.split("=")
        if name != "python":
            assert lock[CONDA_NAMES.get(name, name).lower()] == version


def test_the_lock_pins_every_package_exactly():
    lines = (ROOT / "envs/requirements.txt").read_text().splitlines()
    assert all("==" in line for line in lines if line and not line.startswith("#"))
    assert "torch==2.13.0" in lines
