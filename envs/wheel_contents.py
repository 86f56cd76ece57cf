"""What a wheel has in another place than the repository; `pip install -e .` takes all from where it is."""

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
    """Puts the library at the top of the wheel and the workflow within it."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "editable":
            build_data["force_include"].update(PLACES)
