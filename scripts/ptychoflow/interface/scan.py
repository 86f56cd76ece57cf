"""A scan that was read or simulated, as people hold it in Python."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from ptychoflow.configuration.reading import read_settings
from ptychoflow.dataset.cxi import write_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.dataset.raw_scan import Frames
from ptychoflow.figures.result import dataset_figure
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.ingest.rehearsal import is_ours
from ptychoflow.measurement.geometry_check import geometry_doubts
from ptychoflow.settings.ingest import IngestSettings
from ptychoflow.settings.simulation import SimulationSettings
from ptychoflow.settings.training import FRAMES_IN_MEMORY
from ptychoflow.simulation.dataset import simulate as simulated


@dataclass(frozen=True, eq=False, repr=False)
class Scan:
    """A ptychographic scan, checked: what `ptychoflow.read` and `ptychoflow.simulate` give.

    Parameters
    ----------
    dataset : Dataset
        Counts, positions, probe, mask and geometry, as the library has them.
    file : Path
        Where it was read from, which results name and fingerprint.
    canonical : bool
        Whether that file is CXI of PtychoFlow, which says all about itself.
    """

    dataset: Dataset
    file: Path
    canonical: bool

    @property
    def frames(self) -> np.ndarray | Frames:
        """(frames, N, N) float32, photon counts; read from the file as they are wanted where they are many."""
        return self.dataset.frames

    @property
    def positions(self) -> np.ndarray:
        """(frames, 2) float64, (row, column) pixels of the patch centres in the object frame."""
        return self.dataset.positions

    @property
    def probe(self) -> np.ndarray:
        """(modes, N, N) complex64, Σ|P|² = photons in the empty beam; see `probe_known`."""
        return self.dataset.probe

    @property
    def probe_known(self) -> bool:
        """Whether the probe is more than what the frames look like, since the file has none."""
        return self.dataset.probe_known

    @property
    def mask(self) -> np.ndarray:
        """(N, N) bool, True for good pixels."""
        return self.dataset.mask

    @property
    def pixel_size(self) -> float:
        """Metres at the sample."""
        return self.dataset.pixel_size

    @property
    def energy(self) -> float:
        """Photon energy in electronvolts."""
        return self.dataset.energy

    @property
    def truth(self) -> np.ndarray | None:
        """(H, W) complex64, the true object of a simulation; None of a measured scan."""
        return self.dataset.truth

    @property
    def warnings(self) -> list[str]:
        """What is doubtful about the scan, a sentence each."""
        return list(self.dataset.provenance.get("warnings", []))

    @property
    def provenance(self) -> dict[str, Any]:
        """What made it, as plain containers."""
        return self.dataset.provenance

    def plot(self) -> np.ndarray:
        """Draw positions, photons, mean frame and probe.

        Returns
        -------
        ndarray
            (2, 3) of matplotlib's axes, whose ``figure`` saves or changes the picture.
        """
        figure = dataset_figure(self.dataset)
        return axes_of(figure.axes, (2, 3))

    def save(self, path: str | Path) -> "Scan":
        """Write it as CXI, whole or not at all: what the workflow and other programs read.

        Returns
        -------
        Scan
            The same scan, now of that file.
        """
        write_cxi(Path(path), self.dataset)
        return Scan(self.dataset, Path(path), canonical=True)

    def __len__(self) -> int:
        return len(self.dataset.frames)

    def __repr__(self) -> str:
        size, nanometres = self.dataset.size, 1e9 * self.pixel_size
        doubts = f", {len(self.warnings)} warnings" if self.warnings else ""
        return f"<Scan of {self.file.name}: {len(self)} frames of {size}×{size} pixels of {nanometres:.4g} nm{doubts}>"


def read(path: str | Path, *, frames_in_memory: int = FRAMES_IN_MEMORY, **settings: Any) -> Scan:
    """Read a scan of any format that docs/formats.md lists, and check it.

    What is doubtful about it is logged as warnings, which are seen unless they are caught, and kept as its `warnings`.

    Parameters
    ----------
    path : str or Path
        The file.
    frames_in_memory : int
        Where it holds more frames than that, they stay in the file until they are wanted.
    **settings : Any
        What the file does not say about itself, or says wrongly: the keys of ``ingest`` in config/README.md, such as
        ``energy=8000`` (electronvolts), ``detector_distance=2.1`` (metres), or sections as dictionaries, such as
        ``positions={"unit": "micrometres"}`` and ``paths={"frames": "data", "positions": "xy"}``.

    Returns
    -------
    Scan
        The scan.

    Raises
    ------
    InputError
        Where the file cannot be read, is of no known format, or holds something that cannot be right; and for settings
        that are none.
    """
    path, told = Path(path), read_settings(IngestSettings, settings)
    dataset, ours = read_dataset(path, told, frames_in_memory), is_ours(path, told)
    if not ours and told.measure is not False:
        doubts = geometry_doubts(dataset, str(path), whole=bool(told.measure))
        if doubts:
            kept = dataset.provenance.get("warnings", [])
            dataset.provenance = dataset.provenance | {"warnings": [*kept, *doubts]}
    if not ours:
        dataset.provenance = dataset.provenance | {"settings": asdict(told)}
    return Scan(dataset, path, ours)


def simulate(path: str | Path, **settings: Any) -> Scan:
    """Simulate a scan whose object is known, and write it as CXI.

    Parameters
    ----------
    path : str or Path
        The file to write, named .cxi.
    **settings : Any
        The keys of ``simulate`` in config/README.md, such as ``seed=2``, ``size=64``,
        ``scan={"frames": 400, "step": 6}`` and ``object={"kind": "siemens_star"}``.

    Returns
    -------
    Scan
        With `truth`.

    Raises
    ------
    InputError
        For settings that are none, or cannot be.
    """
    told = read_settings(SimulationSettings, settings)
    dataset = simulated(told).validate(str(path))
    dataset.provenance = {"result": "dataset", "program": "ptychoflow.simulate", "settings": asdict(told)}
    return Scan(dataset, Path(path), canonical=True).save(path)


def axes_of(axes: list[Axes], shape: tuple[int, ...]) -> np.ndarray:
    """The axes of a figure, those of colour bars left out, in an array of a shape."""
    panels = [axis for axis in axes if axis.get_label() != "<colorbar>"]
    return np.array(panels, dtype=object).reshape(shape)
