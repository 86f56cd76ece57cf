"""What wheel and sdist have beside what stands in the repository; `pip install -e .` takes all from where it is."""

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PLACES = {
    "scripts/ptychoflow": "ptychoflow",
    "scripts/ptychodus": "ptychodus",  # where Ptychodus looks for readers
    "Snakefile": "ptychoflow/workflow/Snakefile",
    "LICENSE": "ptychoflow/workflow/LICENSE",
    ".gitignore": "ptychoflow/workflow/.gitignore",
}


class WheelContents(BuildHookInterface):
    """Puts the library at the top of the wheel and the workflow within it, and says in either which commit they are."""

    written: Path | None = None

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        wheel = self.target_name == "wheel"
        if wheel:
            build_data["force_include"].update(PLACES)
        sys.path.insert(0, str(Path(self.root, "scripts")))
        from ptychoflow.provenance.record import ARCHIVED, repository_commit

        commit = repository_commit()
        if commit != "unknown":
            self.written = Path(tempfile.mkdtemp())
            Path(self.written, ARCHIVED).write_text(f"node: {commit}\n", encoding="utf-8")
            build_data["force_include"][str(self.written / ARCHIVED)] = f"ptychoflow/{ARCHIVED}" if wheel else ARCHIVED

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self.written is not None:
            shutil.rmtree(self.written)
