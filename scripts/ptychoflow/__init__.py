"""PtychoFlow: physics-informed neural reconstruction of scanning diffraction data.

The library is a set of plain modules that know nothing of Snakemake and read no configuration by themselves:

- ``physics``: the differentiable diffraction model, patches of an object at sub-pixel positions, losses.
- ``simulation``: objects, probes and scans to make datasets with a known answer.
- ``data``: the canonical CXI dataset, readers of other formats, groups of frames, the Lightning data module.
- ``models``: networks that turn diffraction amplitudes into object patches, in a registry by name.
- ``training``: the Lightning module and the run that trains, resumes and publishes a checkpoint.
- ``inference``, ``stitching``, ``reconstruction``: from a checkpoint to one image of the object.
- ``metrics``, ``figures``: scores and pictures of a reconstruction.
"""

import os

__version__ = "0.1.0"

# Threads of OpenMP that spin while they wait take the core from the one they wait for, wherever other programs run too.
# Read when torch is loaded, which is later.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"} & os.environ.keys():
    os.environ["OMP_WAIT_POLICY"], os.environ["GOMP_SPINCOUNT"] = "PASSIVE", "0"
