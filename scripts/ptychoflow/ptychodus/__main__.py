"""Ptychodus with PtychoFlow among its algorithms: ``python -m ptychoflow.ptychodus``, with Ptychodus' own arguments.

Ptychodus finds readers of files by itself. Its list of reconstructor libraries is written down in its program, so here
one more is added to that list before the program begins.
"""

import sys

try:
    from ptychodus.__main__ import main
    from ptychodus.model import core

    from ptychoflow.ptychodus.reconstructor import PtychoFlowLibrary
except ModuleNotFoundError as error:
    raise SystemExit(
        f"{error.name} is missing: expected Ptychodus and what it needs, as the extra ptychoflow[ptychodus] has them"
    ) from None


class ProcessingWithPtychoFlow(core.ProcessingCore):
    """Ptychodus' choice of algorithms, with one library more."""

    def __init__(self, task_manager, settings_registry, product_api, algorithm_libraries) -> None:
        libraries = [*algorithm_libraries, PtychoFlowLibrary(settings_registry)]
        super().__init__(task_manager, settings_registry, product_api, libraries)


if __name__ == "__main__":
    core.ProcessingCore = ProcessingWithPtychoFlow
    sys.exit(main())
