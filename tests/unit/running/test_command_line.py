"""Flags come from a function's signature; bad input ends in one sentence and status 2."""

import ast
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from ptychoflow.errors import InputError
from ptychoflow.running.command_line import run_program


@dataclass
class Settings:
    """Settings.

    Parameters
    ----------
    size : int
        A size.
    """

    size: int = 4

    def __post_init__(self) -> None:
        if self.size < 0:
            raise InputError(f"size is {self.size}: expected at least 0")


def call(*arguments: str) -> dict:
    heard = {}

    def main(data: Path, settings: Settings, quiet: bool = False) -> None:
        """Do the thing.

        Parameters
        ----------
        data : Path
            The data.
        settings : Settings
            The settings.
        quiet : bool
            Say nothing.
        """
        if str(data) == "bad":
            raise InputError("bad: found nothing,\n expected something")
        heard.update(data=data, size=settings.size, quiet=quiet)

    run_program(main, flat={"settings": Settings}, arguments=list(arguments))
    return heard


def test_fields_of_settings_are_flags_and_switches_stand_alone():
    assert call("--data", "x", "--quiet", "--size", "7") == {"data": Path("x"), "size": 7, "quiet": True}
    assert call("--data", "x", "--quiet", "false")["quiet"] is False


WAITING = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")


def environment_after(code: str, **given: str) -> dict[str, str]:
    """Variables of threads of a fresh Python that ran this, without those that are set here but for the given ones."""
    names = (*WAITING, "OMP_NUM_THREADS", "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE")
    clean = {name: value for name, value in os.environ.items() if name not in names}
    told = f"import os; print([[n, os.environ[n]] for n in {names} if n in os.environ])"
    command = [sys.executable, "-c", f"{code}; import sys; assert 'torch' not in sys.modules; {told}"]
    scripts = {"PYTHONPATH": str(Path(__file__).parents[3] / "scripts")}
    run = subprocess.run(command, env=clean | scripts | given, capture_output=True, text=True, check=True)
    return dict(ast.literal_eval(run.stdout))


@pytest.mark.parametrize(
    "given", [{}, {"OMP_WAIT_POLICY": "ACTIVE"}, {"GOMP_SPINCOUNT": "10000"}, {"KMP_BLOCKTIME": "200"}]
)
def test_threads_wait_without_spinning_unless_the_environment_says_so(given: dict[str, str]):
    expected = given or {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
    assert environment_after("import ptychoflow", **given) == expected


@pytest.mark.parametrize(("flags", "expected"), [("", "3"), ("threads=1", None)])
def test_programs_without_a_number_of_threads_start_no_more_than_there_are_cores_for(flags: str, expected: str | None):
    code = f"from ptychoflow.running.command_line import run_program; run_program(lambda {flags}: None, arguments=[])"
    bound = f"import os; os.sched_getaffinity = lambda process: {{0, 1, 2}}; {code}"
    assert environment_after(bound).get("OMP_NUM_THREADS") == expected
    assert environment_after(bound, OMP_NUM_THREADS="2")["OMP_NUM_THREADS"] == "2"


@pytest.mark.parametrize("written", ["-13.5e-6", "-1e3", "-2.5E-07", "-7.", "-4"])
def test_negative_numbers_of_any_form_are_values(written: str):
    heard = []

    def main(defocus: float) -> None:
        """Do the thing.

        Parameters
        ----------
        defocus : float
            A number.
        """
        heard.append(defocus)

    run_program(main, arguments=["--defocus", written])
    assert heard == [float(written)]


def test_flags_win_over_the_config_file(tmp_path: Path):
    config = tmp_path / "config.yaml"
    config.write_text("data: y\nsize: 9\n")
    assert call("--config", str(config)) == {"data": Path("y"), "size": 9, "quiet": False}
    assert call("--config", str(config), "--size", "2")["size"] == 2


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data", "bad"], "bad: found nothing, expected something"),
        (["--data", "x", "--size", "-1"], "size is -1: expected at least 0"),
        (["--data", "x", "--size", "many"], "many"),
        (["--data", "x", "--siz", "1"], "--siz"),
        (["--data", "x", "--other", "1"], "--other"),
        (["--size", "1"], "data"),
        (["--config", "/nowhere.yaml"], "/nowhere.yaml"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as stopped:
        call(*arguments)
    assert stopped.value.code == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert sentence in lines[0]


def test_help_tells_what_the_docstring_tells(capsys: pytest.CaptureFixture):
    with pytest.raises(SystemExit) as stopped:
        call("--help")
    assert stopped.value.code == 0
    output = capsys.readouterr().out
    for text in ("Do the thing.", "The data.", "A size.", "Say nothing."):
        assert text in output


def test_a_reader_that_has_enough_ends_a_program_without_a_word():
    code = (
        "from ptychoflow.running.command_line import run_program\n"
        "run_program(lambda: [print(number) for number in range(100_000)], arguments=[])"
    )
    command, scripts = [sys.executable, "-c", code], {"PYTHONPATH": str(Path(__file__).parents[3] / "scripts")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=os.environ | scripts, **pipes) as process:
        assert process.stdout.readline() == "0\n"
        process.stdout.close()
        assert (process.stderr.read(), process.wait()) == ("", 141)
