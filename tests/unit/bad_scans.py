"""Scans with one fault each, drawn by a number: what beamlines write when something went wrong, in several formats."""

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from ptychoflow.dataset.dataset import Dataset
from ptychoflow.settings.ingest import IngestSettings, PathSettings

FORMATS = ("tike", "npz", "hdf5", "ptychopinn")


@dataclass
class BadScan:
    """What a file is to hold, and what is true of it."""

    frames: np.ndarray
    positions: np.ndarray
    probe: np.ndarray
    fault: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    metres: float = 1.0


def bright_frames(scan: BadScan, random: np.random.Generator) -> BadScan:
    frames = scan.frames.astype(np.float64)
    for number in random.choice(len(frames), random.integers(1, 4), replace=False):
        factor = 10 ** random.uniform(0.8, 5)
        if random.random() < 0.5:
            frames[number] *= factor
        else:
            frames[number] = frames.mean() * factor * random.random(frames[number].shape)
    return replace(scan, frames=np.round(frames))


def lost_frames(scan: BadScan, random: np.random.Generator) -> BadScan:
    frames = scan.frames.astype(np.float64)
    value = random.choice([0.0, -1.0, np.nan, 65535.0, 2.0**32 - 1])
    frames[random.choice(len(frames), random.integers(1, 5), replace=False)] = value
    return replace(scan, frames=frames, fault=f"lost {value}")


def recurring_marks(scan: BadScan, random: np.random.Generator) -> BadScan:
    frames = scan.frames.astype(np.float64)
    value = random.choice([-1.0, -2.0, np.nan, 1e9, *(2.0 ** random.choice([16, 20, 24, 31, 32]) - 1,)])
    start = random.integers(0, frames.shape[1] - 4)
    if random.random() < 0.5:
        frames[:, start : start + random.integers(1, 4)] = value
    else:
        places = random.choice(frames[0].size, random.integers(1, 60), replace=False)
        frames.reshape(len(frames), -1)[:, places] = value
    return replace(scan, frames=frames, fault=f"marks {value}")


def noise(scan: BadScan, random: np.random.Generator) -> BadScan:
    spread = 10 ** random.uniform(-0.5, 1.0)
    return replace(scan, frames=scan.frames + random.normal(0, spread, scan.frames.shape), fault=f"noise {spread:.2g}")


def wrong_unit(scan: BadScan, random: np.random.Generator) -> BadScan:
    factor = float(random.choice([1e3, 1e6, 1e9, 1e-3, 1e-6]))
    return replace(scan, metres=factor, fault=f"unit {factor:g}")


def wrong_energy(scan: BadScan, random: np.random.Generator) -> BadScan:
    factor = float(random.choice([1e-3, 1e3]))
    return replace(scan, settings={"energy": 8850.0 * factor}, fault=f"energy {factor:g}")


def wrong_distance(scan: BadScan, random: np.random.Generator) -> BadScan:
    return replace(scan, settings={"detector_distance": 0.343 * 10 ** float(random.choice([-3, 3]))})


def surplus(scan: BadScan, random: np.random.Generator) -> BadScan:
    extra = int(random.integers(1, 5))
    if random.random() < 0.5:
        return replace(scan, frames=np.concatenate([scan.frames, scan.frames[:extra]]))
    return replace(scan, positions=scan.positions[extra:])


def corner(scan: BadScan, random: np.random.Generator) -> BadScan:
    return replace(scan, frames=np.fft.fftshift(scan.frames, axes=(1, 2)))


def shifted(scan: BadScan, random: np.random.Generator) -> BadScan:
    move = random.integers(4, 10, 2) * random.choice([-1, 1], 2)
    return replace(scan, frames=np.roll(scan.frames, tuple(move), axis=(1, 2)))


def scaled(scan: BadScan, random: np.random.Generator) -> BadScan:
    # A beam that is told by its brightest frame has the counts' scale, so this alone spoils no image.
    return replace(scan, frames=scan.frames * 10 ** random.uniform(-3, 3))


def dead_pixels(scan: BadScan, random: np.random.Generator) -> BadScan:
    frames = scan.frames.copy()
    places = random.choice(frames[0].size, random.integers(20, 200), replace=False)
    frames.reshape(len(frames), -1)[:, places] = 0
    return replace(scan, frames=frames)


FAULTS = {
    fault.__name__: fault
    for fault in (
        bright_frames,
        lost_frames,
        recurring_marks,
        noise,
        wrong_unit,
        wrong_energy,
        wrong_distance,
        surplus,
        corner,
        shifted,
        scaled,
        dead_pixels,
    )
}


def bad_scan(scan: Dataset, number: int) -> tuple[str, BadScan]:
    """Name of a fault and the scan that has it."""
    random = np.random.default_rng([14, number])
    name = list(FAULTS)[number % len(FAULTS)]
    whole = BadScan(scan.frames.astype(np.float64), scan.positions.copy(), scan.probe)
    return name, FAULTS[name](whole, random)


def stored(frames: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Frames in one of the types that hold their numbers; integers where they are whole."""
    kinds = [np.float32, np.float64]
    finite = frames[np.isfinite(frames)]
    if len(finite) == frames.size and np.array_equal(frames, np.round(frames)):
        for kind in (np.uint16, np.int32, np.uint32, np.int64):
            limits = np.iinfo(kind)
            if limits.min <= finite.min() and finite.max() <= limits.max:
                kinds.append(kind)
    elif random.random() < 0.5 and len(finite) == frames.size and np.abs(finite).max() < 2**30 and finite.max() > 100:
        return np.round(frames).astype(np.int32)
    return frames.astype(kinds[random.integers(len(kinds))])


def write(folder: Path, bad: BadScan, scan: Dataset, number: int) -> tuple[Path, IngestSettings]:
    """Write a bad scan in one of the formats; give the file and the settings that someone would read it with."""
    random = np.random.default_rng([15, number])
    kind = FORMATS[number // len(FAULTS) % len(FORMATS)]
    if bad.metres != 1 or bad.settings:
        kind = "hdf5"  # which has positions in metres
    frames = stored(bad.frames, random)
    geometry = {"energy": scan.energy, "detector_distance": scan.detector_distance}
    geometry["detector_pixel_size"] = scan.detector_pixel_size
    path = folder / f"scan.{'h5' if kind == 'hdf5' else 'npz'}"
    if kind == "tike":
        np.savez(path, data=np.fft.ifftshift(frames, axes=(1, 2)), scan=bad.positions, probe=bad.probe)
        return path, IngestSettings(**geometry | bad.settings)
    if kind == "ptychopinn":
        rows, columns = bad.positions.T
        np.savez(path, diff3d=frames, probeGuess=bad.probe, xcoords=columns, ycoords=rows)
        return path, IngestSettings(quantity="intensity", **geometry | bad.settings)
    metres = bad.positions * scan.pixel_size * bad.metres
    paths = PathSettings(frames="frames", positions="positions", probe="probe")
    if kind == "npz":
        np.savez(path, frames=frames, positions=metres, probe=bad.probe)
        return path, IngestSettings(paths=paths, **geometry | bad.settings)
    with h5py.File(path, "w") as file:
        file["frames"], file["positions"], file["probe"] = frames, metres, bad.probe
        for key, value in geometry.items():
            file[key] = value
    paths = replace(paths, **{key: key for key in geometry})
    return path, IngestSettings(paths=paths, **bad.settings)
