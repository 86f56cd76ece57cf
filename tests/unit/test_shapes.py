"""Wrong shapes are refused by name where tensors enter physics and models, in tests; elsewhere nothing is checked."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from jaxtyping import TypeCheckError

from ptychoflow.models.blocks import AmplitudePhaseHead
from ptychoflow.models.scan_frames import ScanFrames
from ptychoflow.physics.diffraction import Propagator, exit_waves
from ptychoflow.physics.patches import add_patches, extract_patches
from ptychoflow.physics.position_steps import MeasuredFrames

SCRIPTS = Path(__file__).parents[2] / "scripts"
ROOMS = [SCRIPTS / "ptychoflow/physics", SCRIPTS / "ptychoflow/models"]
N = 16


def waves(*shape: int) -> torch.Tensor:
    return torch.ones(*shape, dtype=torch.complex64)


def test_a_probe_of_another_size_is_named_with_its_axes():
    assert exit_waves(waves(3, N, N), waves(2, N, N)).shape == (3, 2, N, N)
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'probe'.*c64\[2,8,8\].*\*#axes modes N N.*N=16"):
        exit_waves(waves(3, N, N), waves(2, 8, 8))


def test_counts_in_place_of_complex_patches_are_named():
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'patches'.*f32\[3,16,16\].*Complex"):
        exit_waves(torch.ones(3, N, N), waves(2, N, N))


def test_positions_of_another_number_of_frames_are_named():
    frames = torch.ones(5, N, N)
    rest = torch.ones(N, N, dtype=torch.bool), Propagator(N), torch.tensor(0.0)
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'positions'.*f32\[4,2\].*frames 2.*frames=5"):
        MeasuredFrames(waves(64, 64), waves(1, N, N), frames, torch.full((4, 2), 32.0), *rest)


def test_positions_of_frames_of_several_scans_have_the_axis_of_scans():
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'positions'.*f32\[4,2\].*batch patches 2"):
        extract_patches(waves(1, 64, 64), torch.full((4, 2), 32.0), N)


def test_whole_and_broken_pixels_are_not_mistaken():
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'corner'.*f32\[1,4,2\].*Int"):
        add_patches(torch.ones(1, 4, N, N), torch.full((1, 4, 2), 20.0), (64, 64))


def test_what_a_class_of_several_tensors_is_made_of_is_checked_together():
    mask, scale = torch.ones(1, 1, N, N, dtype=torch.bool), torch.ones(1)
    assert ScanFrames(torch.ones(1, 5, N, N), torch.ones(3, 5, 2), mask, scale, Propagator(N)).positions.shape[0] == 3
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'mask'.*bool\[16,16\].*#batch 1 N N"):
        ScanFrames(torch.ones(1, 5, N, N), torch.ones(1, 5, 2), mask[0, 0], scale, Propagator(N))


def test_a_network_is_checked_as_well():
    with pytest.raises(TypeCheckError, match=r"(?s)parameter 'x'.*f32\[4,16,16\].*batch parts H W"):
        AmplitudePhaseHead()(torch.ones(4, N, N))


def test_a_result_of_another_shape_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.fft, "fft2", lambda waves, norm: waves[..., :-1])
    with pytest.raises(TypeCheckError, match=r"(?s)return value.*c64\[2,16,15\].*\*axes N N"):
        Propagator(N)(waves(2, N, N))


def test_programs_check_nothing():
    code = f"""
import sys
import torch
from ptychoflow.models import build_model
from ptychoflow.physics.diffraction import exit_waves
assert "beartype" not in sys.modules
assert not hasattr(exit_waves, "__wrapped__")
assert exit_waves(torch.ones(3, {N}, {N}), torch.ones(1, {N}, {N})).shape == (3, 1, {N}, {N})
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


PLAIN = {"models.trained.network_weights"}
"""Functions whose tensors may have any shape."""


def public_functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    """Functions and methods of physics and models that anybody may call, by their full name."""
    for path in (path for room in ROOMS for path in sorted(room.glob("*.py"))):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name.startswith("_"):
                continue
            for each in node.body if isinstance(node, ast.ClassDef) else [node]:
                if isinstance(each, ast.FunctionDef) and (each.name == "__init__" or not each.name.startswith("_")):
                    yield f"{path.parent.name}.{path.stem}.{each.name}", each


def test_tensors_of_public_functions_have_named_axes():
    bare = set()
    for name, function in public_functions():
        arguments = (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)
        hints = [ast.unparse(hint) for hint in (*(each.annotation for each in arguments), function.returns) if hint]
        # Axes follow a tensor as a string.
        bare |= {name for hint in hints if re.search(r"\bTensor\b(?!, ')", hint)}
    assert bare == PLAIN
