"""Every shipped config plans the jobs that it should; a wrong one is refused with a sentence."""

import copy
import re
import subprocess
import time
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import pytest
import yaml
from workflow_runs import ROOT, SMALL, command_of, environment_of, planned, run_snakemake

SHIPPED = sorted(path for path in (ROOT / "config").rglob("*.yaml") if "schemas" not in path.parts)


def test_there_are_configs_to_plan():
    assert {"config.yaml", "siemens.yaml"} <= {path.name for path in SHIPPED}


STUDIES = [path for path in SHIPPED if path.parent.name == "studies"]
PLANS = [(path, None) for path in SHIPPED if path not in STUDIES] + [
    (path, scale) for path in STUDIES for scale in yaml.safe_load(path.read_text())["studies"][path.stem]["scales"]
]


@pytest.mark.parametrize(("config", "scale"), PLANS, ids=lambda part: getattr(part, "stem", part))
def test_shipped_config_plans_without_importing_torch(config: Path, scale: str | None, tmp_path: Path):
    decoy = tmp_path / "decoy"
    decoy.mkdir()
    (decoy / "torch.py").write_text("raise AssertionError('the plan imported torch')")
    chosen = ["--config", f"scale={scale}"] if scale else []
    result = run_snakemake(tmp_path, config, "--dry-run", *chosen, PYTHONPATH=str(decoy))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "imported torch" not in result.stdout + result.stderr
    jobs = planned(result.stdout)
    count = {
        rule: jobs.get(rule, 0) for rule in ("train", "pretrain", "reconstruct", "solve", "infer", "stitch", "evaluate")
    }
    assert count["train"] + count["pretrain"] + count["reconstruct"] >= 1
    assert count["infer"] == count["stitch"] == count["evaluate"] - count["solve"] - count["reconstruct"]
    if scale:
        studies = yaml.safe_load(config.read_text())["studies"]
        assert {"smoke", "paper"} <= set(studies[config.stem]["scales"])
        assert (jobs["tabulate_study"], jobs["plot_study"]) == (len(studies), len(studies))


def test_a_study_tells_mlflow_of_its_results_tables_and_figure(tmp_path: Path):
    study = yaml.safe_load((ROOT / "config/studies/overlap.yaml").read_text())
    study["studies"]["overlap"]["experiment"]["tracking"] = {"logger": ["csv", "mlflow"]}
    result = run_snakemake(tmp_path, study, "--dry-run", "--printshellcmds")
    jobs = planned(result.stdout)
    # Each result of a network is told of, without figures: those of studies are not drawn.
    assert (jobs["infer"], jobs["track_result"], jobs["track_study"]) == (6, 6, 1)
    assert "plot_reconstruction" not in jobs
    assert "--mlflow_experiment ptychoflow" in result.stdout


def test_a_study_may_stand_beside_experiments_and_be_asked_for_alone(tmp_path: Path):
    study = yaml.safe_load((ROOT / "config/studies/overlap.yaml").read_text())
    jobs = planned(run_snakemake(tmp_path, SMALL | study, "--dry-run", "studies").stdout)
    assert (jobs["train"], jobs["infer"], jobs["tabulate_study"]) == (4, 6, 1)
    everything = planned(run_snakemake(tmp_path, SMALL | study, "--dry-run").stdout)
    assert (everything["train"], everything["infer"]) == (5, 7)
    # Images of studies are looked at when they are asked for.
    assert everything["plot_reconstruction"] == everything["view"] == 1


def test_a_dataset_may_be_another_with_refined_positions(tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["datasets"]["mended"] = {"refine": {"dataset": "seen", "rounds": 3}}
    config["experiments"]["small"]["train"] = ["mended"]
    result = run_snakemake(tmp_path, config, "--dry-run", "--printshellcmds")
    jobs = planned(result.stdout)
    assert (jobs["refine"], jobs["simulate"], jobs["train"]) == (1, 2, 1)
    assert "--data results/data/seen.cxi --output results/data/mended.cxi" in result.stdout


def test_networks_solvers_and_ensembles_are_planned(tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"] |= {
        "small": config["experiments"]["small"] | {"seeds": [0, 1, 2]},
        "again": {"test": ["seen"], "network_of": "small", "seeds": [0]},
        "solved": {"test": ["unseen"], "solver": {"epochs": 2}, "start_from": "small", "seeds": [0]},
    }
    jobs = planned(run_snakemake(tmp_path, config, "--dry-run").stdout)
    assert (jobs["train"], jobs["infer"], jobs["solve"], jobs["evaluate"]) == (3, 4, 1, 5)
    assert (jobs["combine_seeds"], jobs["plot_uncertainty"]) == (1, 1)


def test_the_pretrained_network_is_planned_as_one_job_for_each_scan(tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"] = {
        "first": {"network": "pretrained", "test": ["seen", "unseen"], "seeds": [0, 1]},
        "solved": {"test": ["unseen"], "solver": {"epochs": 2}, "start_from": "first", "seeds": [0]},
    }
    result = run_snakemake(tmp_path, config | {"parts": 4}, "--dry-run", "--printshellcmds")
    jobs = planned(result.stdout)
    assert (jobs["reconstruct"], jobs["reconstruction_settings"], jobs["solve"], jobs["evaluate"]) == (4, 1, 1, 5)
    assert not jobs.keys() & {"train", "infer_part", "stitch_part"}
    assert "--model_path pretrained --test_data results/data/seen.cxi" in result.stdout
    assert "plot_own_uncertainty" not in jobs
    config["experiments"]["first"]["reconstruction"] = {"uncertainty": True}
    assert planned(run_snakemake(tmp_path, config, "--dry-run").stdout)["plot_own_uncertainty"] == 4


def test_the_pretrained_network_is_tuned_once_for_each_seed_and_then_reconstructs(tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"] = {
        "tuned": {"init_from": "pretrained", "train": ["seen"], "test": ["seen", "unseen"], "seeds": [0, 1]},
        "again": {"init_from": "tuned", "train": ["unseen"], "test": ["unseen"], "seeds": [1]},
    }
    result = run_snakemake(tmp_path, config, "--dry-run", "--printshellcmds")
    jobs = planned(result.stdout)
    assert (jobs["tune"], jobs["tuning_settings"], jobs["reconstruct"], jobs["evaluate"]) == (3, 2, 5, 5)
    assert not jobs.keys() & {"train", "infer", "stitch", "pretrain"}
    assert "--init_from pretrained --output_dir results/tuned/seed0" in result.stdout
    assert "--init_from results/tuned/seed1/model.ckpt --output_dir results/again/seed1" in result.stdout
    assert "--model_path results/tuned/seed0/model.ckpt --test_data results/data/seen.cxi" in result.stdout


def test_two_seeds_and_two_test_datasets_share_what_they_can(tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"] |= {"seeds": [0, 1], "test": ["seen", "unseen"]}
    jobs = planned(run_snakemake(tmp_path, config, "--dry-run").stdout)
    assert (jobs["simulate"], jobs["training_settings"], jobs["train"], jobs["infer"]) == (2, 1, 2, 4)


def test_a_missing_local_file_is_fetched_from_its_address(tmp_path: Path):
    jobs = planned(run_snakemake(tmp_path, ROOT / "config/real/siemens.yaml", "--dry-run").stdout)
    assert jobs["fetch"] == 1


def command_of_train(folder: Path, config: dict) -> str:
    output = run_snakemake(folder, config, "--dry-run", "--printshellcmds").stdout
    return next(line for line in output.splitlines() if "/train.py" in line)


def test_what_a_training_runs_on_is_told_by_the_config(tmp_path: Path):
    config = copy.deepcopy(SMALL)
    assert "--accelerator cpu" in command_of_train(tmp_path, config)
    config["experiments"]["small"]["device"] = "gpu"
    assert "--accelerator gpu" in command_of_train(tmp_path, config)
    assert "srun" not in command_of_train(tmp_path, config)
    config["experiments"]["small"]["training"] |= {"num_nodes": 2, "devices": 4}
    # Within a job, srun knows neither how many processes were asked for nor their cores.
    launched = "srun --nodes=2 --ntasks=8 --ntasks-per-node=4 --cpus-per-task=2 python"
    assert launched in command_of_train(tmp_path, config)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("results/smal/seed3/model.ckpt", "results/ and one of runs.csv"),
        ("results/run.csv", "results/ and one of runs.csv"),
        ("results/small/seed3/unseen/figures/image.png", "figures/training.png or .svg in the folder of a seed"),
        ("results/data/sen.cxi", "results/data/, a dataset, seen, unseen, and .cxi"),
        ("results/studies/dose/table.csv", "results/studies/, a study, none, and one of results.csv"),
    ],
)
def test_a_wrong_target_hears_what_there_is(target: str, expected: str, tmp_path: Path):
    result = run_snakemake(tmp_path, SMALL, "--dry-run", target)
    assert result.returncode != 0
    assert f"{target} is no result of this config: expected {expected}" in result.stdout
    assert "experiments are small, datasets seen, unseen, studies none" in result.stdout


def test_what_only_others_have_is_said_to_be_theirs(tmp_path: Path):
    study = yaml.safe_load((ROOT / "config/studies/overlap.yaml").read_text())
    config = SMALL | study
    config["experiments"] = SMALL["experiments"] | {"solved": {"solver": {"epochs": 1}, "test": ["unseen"]}}
    for target, expected in (
        ("results/studies/overlap/tracked.json", "a study with mlflow in the tracking.logger of its trainings: none"),
        ("results/solved/seed0/model.ckpt", "an experiment that is trained, or has pretrain: small, "),
        ("results/small/solver.yaml", "an experiment with solver: solved"),
    ):
        result = run_snakemake(tmp_path, config, "--dry-run", target)
        assert result.returncode != 0
        assert f"{target} is no result of this config: expected it of {expected}" in result.stdout + result.stderr


@pytest.mark.parametrize(
    "target",
    ["results/small/seed9/model.ckpt", "results/small/seed3/unseen/figures/scan.svg", "results/crate.zip", "figures"],
)
def test_any_result_can_be_asked_for_by_name(target: str, tmp_path: Path):
    result = run_snakemake(tmp_path, SMALL, "--dry-run", target)
    assert result.returncode == 0, result.stdout + result.stderr
    assert planned(result.stdout)["train"] == 1


def test_a_thousand_jobs_are_planned_in_seconds(tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["experiments"]["small"]["seeds"] = list(range(100))
    before = getrusage(RUSAGE_CHILDREN)
    command = command_of(tmp_path, config, "--dry-run", "--quiet", "all")
    result = subprocess.run(command, capture_output=True, text=True, env=environment_of())
    after = getrusage(RUSAGE_CHILDREN)
    assert re.search(r"^total +1010$", result.stdout, re.MULTILINE), result.stdout + result.stderr
    # On a quiet machine it takes less than 4 s of one processor, 1.4 of them to start Snakemake.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 8


@pytest.mark.parametrize("companion", [None, "motors.h5"])
def test_a_companion_is_an_input_where_it_is_named(companion: str | None, tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["datasets"]["seen"] = {"ingest": {"path": str(tmp_path / "scan.h5"), "companion": companion}}
    (tmp_path / "scan.h5").touch()
    result = run_snakemake(tmp_path, config, "--dry-run", "results/data/seen.cxi")
    # A file that is not there is missed as an input.
    assert (result.returncode == 0) == (companion is None), result.stdout + result.stderr
    assert ("motors.h5" in result.stdout + result.stderr) == (companion is not None)


def test_a_scan_is_split_into_as_many_parts_as_the_config_says(tmp_path: Path):
    jobs = planned(run_snakemake(tmp_path, SMALL | {"parts": 4}, "--dry-run").stdout)
    assert (jobs["infer_part"], jobs["stitch_part"], jobs["merge_round"], jobs["merge_parts"]) == (4, 8, 1, 1)
    assert "infer" not in jobs


# Sentences on every key are asked for in tests/unit; here, that they come from a dry run, alone and soon.
@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        (("experiments", "small", "training", "max_epochs"), 0, "is 0: expected a whole number of at least 1"),
        (("experiments", "small", "training", "learning_rate"), -5, "is -5: expected a number above 0"),
        (("datasets", "seen", "simulate", "scan", "frames"), -4, "is -4: expected a whole number of at least 2"),
        (("experiments", "small", "traning"), {}, "experiments.small has traning: expected training, seeds"),
        (("experiments", "small", "model", "name"), "unett", "is unett: expected one of unrolled, unet, autoencoder"),
        (("datasets",), {}, "experiments.small.train names seen: expected datasets in the config, and there are none"),
        (("experiments",), {}, "the config has defaults, datasets, but neither experiments nor studies"),
    ],
)
def test_a_wrong_value_is_refused_at_once_in_one_sentence(
    path: tuple[str, ...], value: object, sentence: str, tmp_path: Path
):
    config = copy.deepcopy(SMALL)
    place = config
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    started = time.perf_counter()
    result = run_snakemake(tmp_path, config, "--dry-run")
    assert result.returncode != 0
    # A busy machine is slower than the target of 5 s; what it takes is the processor's time.
    assert time.perf_counter() - started < 30
    said = result.stdout + result.stderr
    assert "Traceback" not in said
    assert [line for line in said.splitlines() if sentence in line]
    assert "InputFunctionException" not in said


def test_a_detector_file_that_is_not_there_is_missed_as_an_input(tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["datasets"]["seen"] = {"ingest": {"path": __file__, "detector": {"dark_file": "dark.h5::d"}}}
    result = run_snakemake(tmp_path, config, "--dry-run")
    assert result.returncode != 0
    assert "dark.h5\n" in result.stdout + result.stderr


def test_what_yaml_takes_for_something_else_is_taken_as_it_is_meant(tmp_path: Path):
    text = """
    datasets: {2024: {simulate: {size: 32, seed: 1, detector_pixel_size: 75e-6, scan: {frames: 36, step: 4}}}}
    experiments: {42: {train: [2024], test: [2024], seeds: [0.0], training: {learning_rate: 1e-3, max_epochs: 2e0}}}
    """
    (tmp_path / "mine.yaml").write_text(text)
    result = run_snakemake(tmp_path, tmp_path / "mine.yaml", "--dry-run", "--printshellcmds")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "results/42/seed0/2024/reconstruction.h5" in result.stdout
    assert "learning_rate: 0.001" in result.stdout
    assert "max_epochs: 2" in result.stdout


def test_sections_may_be_given_on_the_command_line(tmp_path: Path):
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"datasets": SMALL["datasets"]}))
    sections = (
        "experiments={mine: {train: [seen], test: [unseen], seeds: [1], training: {max_epochs: 2, supervised: false}}}"
    )
    result = run_snakemake(tmp_path, tmp_path / "mine.yaml", "--dry-run", "--config", sections)
    assert result.returncode == 0, result.stdout + result.stderr
    assert planned(result.stdout)["train"] == 1
    wrong = sections.replace("max_epochs: 2", "max_epochs: 0")
    result = run_snakemake(tmp_path, tmp_path / "mine.yaml", "--dry-run", "--config", wrong)
    assert "experiments.mine.training.max_epochs is 0: expected" in result.stdout + result.stderr


def test_a_config_of_datasets_alone_is_not_mixed_with_the_demo(tmp_path: Path):
    result = run_snakemake(tmp_path, {"datasets": SMALL["datasets"]}, "--dry-run")
    assert result.returncode != 0
    assert "the config has datasets, but neither experiments nor studies: expected" in result.stdout + result.stderr


def test_a_damaged_record_ends_no_run(tmp_path: Path):
    (tmp_path / "results/data").mkdir(parents=True)
    for name in SMALL["datasets"]:
        (tmp_path / f"results/data/{name}.cxi").touch()
        (tmp_path / f"results/data/{name}.provenance.json").write_text('{"frames": [36')
    result = run_snakemake(tmp_path, SMALL, "--dry-run")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "results/data/seen.provenance.json does not tell the shape of" in result.stdout + result.stderr


def test_a_dataset_that_nothing_uses_is_warned_of(tmp_path: Path):
    config = copy.deepcopy(SMALL)
    config["datasets"]["forgotten"] = {"simulate": {"seed": 3}}
    result = run_snakemake(tmp_path, config, "--dry-run")
    assert result.returncode == 0
    assert "datasets.forgotten is used by no experiment" in result.stdout + result.stderr


# That all shipped configs survive this is asked of them in tests/unit, without Snakemake.
@pytest.mark.parametrize("name", ["config.yaml", "studies/sparse.yaml"])
def test_the_config_that_is_written_down_plans_the_same_again(name: str, tmp_path: Path):
    first = run_snakemake(tmp_path, ROOT / "config" / name, "--dry-run")
    made = run_snakemake(tmp_path, ROOT / "config" / name, "results/config.yaml")
    assert made.returncode == 0, made.stdout + made.stderr
    again = run_snakemake(tmp_path, tmp_path / "results/config.yaml", "--dry-run")
    assert again.returncode == 0, again.stdout + again.stderr
    # The config that is written is a result itself, and asked for by the report alone.
    assert planned(again.stdout) == planned(first.stdout)
