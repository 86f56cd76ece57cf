"""What is written down twice says the same twice: schema and settings, environments and lock, reference and schema."""

import importlib.util
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Annotated

import jsonschema
import pytest
import yaml
from snakemake.deployment.conda import Env

from ptychoflow.configuration import reference
from ptychoflow.running.command_line import run_program
from ptychoflow.settings.simulation import SimulationSettings as Simulated
from ptychoflow.settings.values import Range, shown
from ptychoflow.settings.workflow import WorkflowSettings

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "config/schemas/config.schema.yaml"
README = ROOT / "config/README.md"
CONFIGS = sorted(path for path in (ROOT / "config").rglob("*.yaml") if path != SCHEMA)
OUTSIDE_THE_LOCK = {"pip", "python", "torchvision"}
CONDA_NAMES = {"python-isal": "isal", "pytorch": "torch"}


def test_the_schema_is_what_the_settings_make_it():
    assert SCHEMA.read_text(encoding="utf-8") == reference.schema_text(), "run make schema"


def test_the_tables_of_the_reference_are_what_the_settings_make_them():
    text = README.read_text(encoding="utf-8")
    assert text == reference.readme_text(text), "run make schema"


def test_the_reference_has_a_table_of_every_section_and_a_meaning_of_every_key():
    text = README.read_text(encoding="utf-8")
    for name, settings in reference.sections().items():
        assert f"<!-- keys of {settings.__name__} -->" in text or name in ("dataset", "study", "overlay", "scale"), name
        meanings = reference.meanings_of(settings)
        assert all(meanings.get(field.name) for field in reference.keys(settings)), name
    # What is linked to is there.
    for name in re.findall(r"See \[`(\w+)`\]\(#\w+\)", text):
        assert f"### `{name}`\n" in text


def test_a_setting_that_is_added_comes_into_schema_and_tables():
    @dataclass
    class Added(WorkflowSettings):
        """A config with a key more.

        Parameters
        ----------
        brightness : int
            How bright it is.
        """

        brightness: Annotated[int, Range(at_least=3)] = 4

    field = next(field for field in fields(Added) if field.name == "brightness")
    assert reference.row(Added, field) == "| `brightness` | a whole number of at least 3 | `4` | How bright it is. |\n"


@pytest.mark.parametrize(
    "settings",
    [
        known
        for known in reference.sections().values()
        if known.__module__.rpartition(".")[2] not in ("experiment", "workflow") and known is not Simulated
    ],
)
def test_a_program_has_the_keys_of_a_section_as_flags_none_of_which_is_required(settings: type):
    heard = []

    def main(section: settings) -> None:
        heard.append(section)

    run_program(main, arguments=[])
    field = reference.keys(settings)[0]
    value = heard[0].__dict__[field.name]
    run_program(main, arguments=[f"--section.{field.name}", shown(value)])
    assert heard == [settings(), settings()]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_editors_find_the_schema_and_shipped_configs_agree_with_it(path: Path):
    text = path.read_text(encoding="utf-8")
    named = re.match(r"# yaml-language-server: \$schema=(\S+)\n", text)
    assert (path.parent / named[1]).resolve() == SCHEMA
    schema = yaml.safe_load(SCHEMA.read_text(encoding="utf-8"))
    # An editor reads YAML 1.2, where the keys of a mapping of JSON are text.
    config = json.loads(json.dumps(yaml.safe_load(text)))
    validator = jsonschema.Draft202012Validator(schema)
    assert [error.message for error in validator.iter_errors(config)] == []
    config["experiments"] = {"wrong": {"training": {"max_epochs": 0}}}
    assert not validator.is_valid(config)


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
    assert bool(pins) == (path.stem != "crate")


@pytest.mark.parametrize("path", sorted((ROOT / "envs").glob("*.yaml")), ids=lambda path: path.stem)
def test_where_tensors_are_their_axes_can_be_named(path: Path):
    packages = {re.match(r"[\w-]+", pin)[0] for pin in yaml.safe_load(path.read_text())["dependencies"]}
    assert ("jaxtyping" in packages) == ("pytorch" in packages)
    assert "beartype" not in packages


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


def test_what_is_installed_without_its_needs_changes_no_tested_version():
    tested = {line.lower().split("==")[0] for line in (ROOT / "envs/requirements.txt").read_text().splitlines()}
    for name in ("baseline", "ptychodus"):
        lines = (ROOT / f"envs/requirements-{name}.txt").read_text().lower().splitlines()
        assert not tested & {line.split("==")[0] for line in lines if not line.startswith("#")}


def test_every_profile_compares_the_bytes_of_files_that_were_touched():
    profiles = sorted((ROOT / "profiles").glob("*/config.yaml"))
    assert len(profiles) >= 4
    sizes = {path.parent.name: yaml.safe_load(path.read_text()).get("max-checksum-file-size") for path in profiles}
    assert sizes == dict.fromkeys(sizes, "100MB")
