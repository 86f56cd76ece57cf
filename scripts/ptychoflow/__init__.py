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

__version__ = "0.1.0"
