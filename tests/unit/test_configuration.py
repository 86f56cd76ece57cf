"""What is written down twice says the same twice: schema and settings, environments and lock, reference and schema."""

import importlib.util
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import yaml
from snakemake.deployment.conda import Env

from ptychoflow.blind_settings import BlindReconstructionSettings
from ptychoflow.data.detector import DetectorSettings
from ptychoflow.data.ingest_settings import FrameSettings, IngestSettings, PathSettings, PositionSettings
from ptychoflow.settings import (
    BlindSettings,
    GroupSettings,
    InferenceSettings,
    ModelSettings,
    PretrainingSettings,
    RegionSettings,
    TrackingSettings,
    TrainingSettings,
)
from ptychoflow.simulation.guess import GuessSettings
from ptychoflow.simulation.objects import ObjectSettings
from ptychoflow.simulation.probes import ProbeSettings
from ptychoflow.simulation.recipe import RecipeSettings
from ptychoflow.simulation.scans import ScanSettings
from ptychoflow.simulation.settings import SimulationSettings
from ptychoflow.solver_settings import RefinementSettings, SolverSettings

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
    "guess": GuessSettings,
    "ingest": IngestSettings,
    "detector": DetectorSettings,
    "positions": PositionSettings,
    "frames": FrameSettings,
    "paths": PathSettings,
    "inference": InferenceSettings,
    "reconstruction": BlindReconstructionSettings,
    "blind": BlindSettings,
    "pretraining": PretrainingSettings,
    "recipe": RecipeSettings,
    "solver": SolverSettings,
    "refine": RefinementSettings,
}
# Keys of a section that are no field of its settings, and fields that an experiment sets by another key.
LOCATION = {"path", "url", "sha256", "dataset"}
ELSEWHERE = {"accelerator", "tags"}
OUTSIDE_THE_LOCK = {"pip", "python", "torchvision"}
CONDA_NAMES = {"python-isal": "isal", "pytorch": "torch"}


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


def values_of(key: str, node: object) -> Iterator[object]:
    """Every value that a key has anywhere in a config."""
    if isinstance(node, dict):
        yield from (value for name, value in node.items() if name == key)
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from values_of(key, child)


def test_shipped_configs_train_in_float32_on_every_processor():
    configs = {path: yaml.safe_load(path.read_text()) for path in (ROOT / "config").rglob("*.yaml")}
    found = [
        (path.name, value)
        for path, config in configs.items()
        if "schemas" not in path.parts
        for value in values_of("precision", config)
    ]
    assert len(found) >= 10
    assert {value for _, value in found} == {"32-true"}, found
    for path, config in configs.items():
        # What a config does not say would be auto, and another on the next processor.
        learned = [*values_of("training", config)] if "schemas" not in path.parts else []
        assert not learned or [*values_of("precision", config)], path


def lock() -> dict[str, str]:
    files = [ROOT / "envs/requirements.txt", ROOT / "envs/requirements-baseline.txt"]
    lines = [line for file in files for line in file.read_text().splitlines()]
    return dict(line.lower().split("==") for line in lines if not line.startswith("#"))


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_environments_have_the_versions_of_the_lock_or_end_with_them(path: Path):
    environment = yaml.safe_load(path.read_text())
    assert environment["channels"] == ["conda-forge", "nodefaults"]
    for pin in environment["dependencies"]:
        # What pip would bring stands in a script, so that conda has no part that it cannot pin.
        assert isinstance(pin, str)
        name, operator, rest = re.match(r"([\w-]+)(>=|=|$)(.*)", pin).groups()
        if name in OUTSIDE_THE_LOCK:
            continue
        version = lock()[CONDA_NAMES.get(name, name).lower()]
        if operator == ">=":
            assert re.fullmatch(rf"[\d.]+,<={re.escape(version)}", rest), pin
        else:
            assert rest.partition("=")[0] == version, pin


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_builds_for_cpus_are_never_those_for_cuda(path: Path):
    pins = [
        pin for pin in yaml.safe_load(path.read_text())["dependencies"] if pin.startswith(("pytorch", "torchvision"))
    ]
    build = "cuda*" if path.stem.endswith("-gpu") else "cpu_*"
    assert all(pin.endswith(f"={build}") for pin in pins), pins
    assert bool(pins) == (path.stem not in ("figures", "crate"))


def environment_writer() -> ModuleType:
    specification = importlib.util.spec_from_file_location("write_environments", ROOT / "envs/write_environments.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_environments_are_what_the_lock_makes_them():
    module = environment_writer()
    files = {path.stem for path in (ROOT / "envs").glob("*.yaml")}
    assert files == set(module.ENVIRONMENTS)
    for name in files:
        assert (ROOT / f"envs/{name}.yaml").read_text() == module.environment(name)
    scripts = {path.name.split(".")[0]: path for path in (ROOT / "envs").glob("*.post-deploy.sh")}
    assert scripts.keys() == module.BY_PIP.keys()
    assert all(path.read_text() == module.post_deploy(name) for name, path in scripts.items())
    assert set(module.SEEN) <= lock().keys()


def test_the_container_holds_every_environment_where_snakemake_looks_for_it():
    module = environment_writer()
    container = (ROOT / "envs/Dockerfile").read_text()
    assert container == module.container()
    for name in module.ENVIRONMENTS:
        files = {suffix: ROOT / f"envs/{name}.{suffix}" for suffix in ("yaml", "post-deploy.sh", "linux-64.pin.txt")}
        content = {suffix: path.read_bytes() if path.exists() else None for suffix, path in files.items()}
        described = SimpleNamespace(
            name=None,
            dir=None,
            content=content["yaml"],
            content_deploy=content["post-deploy.sh"],
            content_pin=content["linux-64.pin.txt"],
        )
        known = Env._get_hash(described, include_location=False, include_container_img=False)
        assert f" --prefix /conda-envs/{known}" in container


def test_the_lock_pins_every_package_exactly():
    lines = (ROOT / "envs/requirements.txt").read_text().splitlines()
    assert all("==" in line for line in lines if line and not line.startswith("#"))
    assert "torch==2.13.0" in lines
