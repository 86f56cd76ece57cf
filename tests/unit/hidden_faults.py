"""Faults that no single frame shows: frames and positions that do not belong together, and counts that are none."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from bad_scans import BadScan

from ptychoflow.dataset.position_axes import turned
from ptychoflow.ingest.detector.orientation import oriented
from ptychoflow.settings.ingest import Orientation, PositionSettings

ORIENTATIONS: tuple[Orientation, ...] = (
    "flip_rows",
    "flip_columns",
    "flip_both",
    "transpose",
    "transpose_flip_rows",
    "transpose_flip_columns",
    "transpose_flip_both",
)


def mapped(positions: np.ndarray, scale: float, rotation: float) -> np.ndarray:
    """Positions (frames, 2) wider by a factor and turned by degrees about their mean, as `positions` of ingest say."""
    middle = positions.mean(axis=0)
    return middle + PositionSettings(scale=float(scale), rotation=float(rotation)).turned(positions - middle)


def pixel_off(scan: BadScan, random: np.random.Generator) -> BadScan:
    """A distance, an energy or a detector pixel that is wrong by 4 to 15 %, whichever way."""
    usual = {"detector_distance": 0.343, "energy": 8850.0, "detector_pixel_size": 75e-6}
    name = str(random.choice(list(usual)))
    factor = float((1 + random.uniform(0.04, 0.15)) ** random.choice([-1, 1]))
    return replace(scan, settings={name: usual[name] * factor}, fault=f"{name} × {factor:.3f}")


def frames_turned(scan: BadScan, random: np.random.Generator) -> BadScan:
    way: Orientation = ORIENTATIONS[random.integers(len(ORIENTATIONS))]
    return replace(scan, frames=oriented(scan.frames, way).copy(), fault=way)


def positions_turned(scan: BadScan, random: np.random.Generator) -> BadScan:
    way = int(random.integers(1, 8))
    return replace(scan, positions=turned(scan.positions, way), fault=f"orientation {way}")


def scan_askew(scan: BadScan, random: np.random.Generator) -> BadScan:
    degrees = float(random.uniform(1.5, 15) * random.choice([-1, 1]))
    return replace(scan, positions=mapped(scan.positions, 1.0, degrees), fault=f"{degrees:.1f}°")


def deformed(scan: BadScan, random: np.random.Generator) -> BadScan:
    """Axes of the stage that are neither alike nor square, by 2 to 6 %."""
    stretch, shear = random.uniform(0.02, 0.06, 2) * random.choice([-1, 1], 2)
    middle = scan.positions.mean(axis=0)
    settings = PositionSettings(stretch=1 + float(stretch), shear=float(shear))
    positions = middle + settings.turned(scan.positions - middle)
    return replace(scan, positions=positions, fault=f"stretch {1 + stretch:.3f}, shear {shear:.3f}")


def centre_off(scan: BadScan, random: np.random.Generator) -> BadScan:
    move = tuple(int(pixels) for pixels in random.integers(-2, 3, 2))
    move = move if any(move) else (1, 0)
    return replace(scan, frames=np.roll(scan.frames, move, axis=(1, 2)), fault=f"by {move} pixels")


def late_frames(scan: BadScan, random: np.random.Generator) -> BadScan:
    late = int(random.integers(1, 3))
    frames, positions = (scan.frames[late:], scan.positions[:-late])
    if random.random() < 0.5:
        frames, positions = scan.frames[:-late], scan.positions[late:]
    return replace(scan, frames=frames, positions=positions, fault=f"by {late} frames")


def swapped_frames(scan: BadScan, random: np.random.Generator) -> BadScan:
    count = len(scan.frames)
    some = random.choice(count, max(2, int(count * random.uniform(0.05, 0.3))), replace=False)
    frames = scan.frames.copy()
    frames[some] = frames[np.roll(some, 1)]
    return replace(scan, frames=frames, fault=f"{len(some)} of {count}")


def snake(scan: BadScan, random: np.random.Generator) -> BadScan:
    """Every second line was scanned backwards, and nobody wrote it down."""
    count = len(scan.frames)
    order, line = np.arange(count), round(count**0.5)
    for start in range(line, count, 2 * line):
        order[start : start + line] = order[start : start + line][::-1]
    return replace(scan, positions=scan.positions[order])


def slipped_stage(scan: BadScan, random: np.random.Generator) -> BadScan:
    positions, count = scan.positions.copy(), len(scan.positions)
    slip = random.uniform(2, 6, 2) * random.choice([-1, 1], 2)
    positions[int(count * random.uniform(0.2, 0.8)) :] += slip
    return replace(scan, positions=positions, fault=f"by {slip.round(1)}")


def drift(scan: BadScan, random: np.random.Generator) -> BadScan:
    end = random.uniform(3, 10, 2) * random.choice([-1, 1], 2)
    return replace(scan, positions=scan.positions + np.linspace(0, 1, len(scan.positions))[:, None] * end)


def _held(values: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, str]:
    """Values of which some in a row are as the first of those, and how many of how many."""
    held, count = values.copy(), len(values)
    length = int(random.integers(5, count // 3))
    start = int(random.integers(0, count - length))
    held[start : start + length] = held[start]
    return held, f"{length} of {count}"


def backlash(scan: BadScan, random: np.random.Generator) -> BadScan:
    """Frames lie apart along columns, by up to half a step, where the stage came from the other side."""
    ways = np.sign(np.diff(scan.positions[:, 1], prepend=scan.positions[0, 1]))
    pixels = float(random.uniform(0.5, 1.5))
    positions = scan.positions + 0.5 * pixels * np.outer(ways, [0, 1])
    return replace(scan, positions=positions, fault=f"of {pixels:.1f} pixels")


def unsteady_beam(scan: BadScan, random: np.random.Generator) -> BadScan:
    """Some frames lie on the detector a pixel beside the others."""
    moved = random.random(len(scan.frames)) < random.uniform(0.2, 0.9)
    frames = scan.frames.copy()
    for number in np.flatnonzero(moved):
        frames[number] = np.roll(frames[number], random.integers(-1, 2, 2), axis=(0, 1))
    return replace(scan, frames=frames, fault=f"{moved.sum()} of {len(frames)} frames")


def stuck_motor(scan: BadScan, random: np.random.Generator) -> BadScan:
    positions, fault = _held(scan.positions, random)
    return replace(scan, positions=positions, fault=fault)


def repeated_frames(scan: BadScan, random: np.random.Generator) -> BadScan:
    frames, fault = _held(scan.frames, random)
    return replace(scan, frames=frames, fault=fault)


def squared(scan: BadScan, random: np.random.Generator) -> BadScan:
    gain = float(random.choice([1.0, 1.0, 10 ** random.uniform(-1, 1)]))
    return replace(scan, frames=gain * scan.frames**2, fault=f"gain {gain:.2g}")


def rooted(scan: BadScan, random: np.random.Generator) -> BadScan:
    gain = float(random.choice([1.0, 1.0, 10 ** random.uniform(-0.3, 1)]))
    frames = gain * np.sqrt(scan.frames)
    whole = random.random() < 0.3
    return replace(scan, frames=np.round(frames) if whole else frames, fault=f"gain {gain:.2g}, whole {whole}")


def logarithms(scan: BadScan, random: np.random.Generator) -> BadScan:
    return replace(scan, frames=np.log1p(scan.frames) * 10 ** random.uniform(0, 2))


def normalised(scan: BadScan, random: np.random.Generator) -> BadScan:
    """Each frame over its own sum, or its largest count."""
    own = scan.frames.sum(axis=(1, 2)) if random.random() < 0.5 else scan.frames.max(axis=(1, 2))
    return replace(scan, frames=scan.frames / np.maximum(own, 1)[:, None, None] * 10 ** random.uniform(0, 6))


def flicker(scan: BadScan, random: np.random.Generator) -> BadScan:
    light = np.clip(1 + random.normal(0, random.uniform(0.2, 0.6), len(scan.frames)), 0.1, None)
    return replace(scan, frames=random.poisson(scan.frames * light[:, None, None]).astype(float))


def background(scan: BadScan, random: np.random.Generator) -> BadScan:
    rows, columns = np.indices(scan.frames.shape[1:]) / scan.frames.shape[-1]
    slope = random.uniform(-1, 1, 2) if random.random() < 0.5 else np.zeros(2)
    level = 10 ** random.uniform(-0.5, 2)
    image = level * np.clip(1 + slope[0] * rows + slope[1] * columns, 0, None)
    return replace(scan, frames=scan.frames + random.poisson(image, scan.frames.shape), fault=f"{level:.2g}, {slope}")


def clipped(scan: BadScan, random: np.random.Generator) -> BadScan:
    most = np.ceil(scan.frames.max() * 10 ** random.uniform(-2, -0.3))
    return replace(scan, frames=np.minimum(scan.frames, most), fault=f"at {most:g} of {scan.frames.max():g}")


def wrapped(scan: BadScan, random: np.random.Generator) -> BadScan:
    """Counts beyond the counter's depth began at 0 again."""
    bits = int(np.clip(np.log2(max(scan.frames.max(), 4)) - random.uniform(0, 4), 2, 32))
    return replace(scan, frames=scan.frames % 2**bits, fault=f"{bits} bits of {scan.frames.max():g}")


def bytes_swapped(scan: BadScan, random: np.random.Generator) -> BadScan:
    frames = np.minimum(scan.frames, 65535).astype(np.uint16)
    return replace(scan, frames=frames.byteswap().astype(float))


def module_gap(scan: BadScan, random: np.random.Generator) -> BadScan:
    frames, width = scan.frames.copy(), int(random.integers(1, 4))
    start = int(random.integers(2, frames.shape[1] - 5))
    (frames if random.random() < 0.5 else np.swapaxes(frames, 1, 2))[:, start : start + width] = 0
    return replace(scan, frames=frames, fault=f"{width} at {start}")


def spikes(scan: BadScan, random: np.random.Generator) -> BadScan:
    """Single pixels that count far too much: the same in all frames, or others in each."""
    frames, height = scan.frames.copy(), np.round(scan.frames.max() * 10 ** random.uniform(-1.5, 1.5))
    if random.random() < 0.5:
        places = random.choice(frames[0].size, random.integers(1, 6), replace=False)
        flat = frames.reshape(len(frames), -1)
        flat[:, places] += random.poisson(height, (len(frames), len(places)))
    else:
        number = random.integers(len(frames), size=len(frames) // 2)
        frames[number, *random.integers(frames.shape[1], size=(2, len(number)))] = height
    return replace(scan, frames=frames, fault=f"{height:g} beside {scan.frames.max():g}")


def wrong_probe(scan: BadScan, random: np.random.Generator) -> BadScan:
    kind = str(random.choice(["conjugated", "flat", "moved", "shrunk"]))
    probe = scan.probe
    if kind == "conjugated":
        probe = probe.conj()
    elif kind == "flat":
        probe = np.abs(probe).astype(np.complex64)
    elif kind == "moved":
        probe = np.roll(probe, tuple(random.integers(3, 8, 2)), axis=(1, 2))
    else:
        size = probe.shape[-1]
        rows = np.clip((np.arange(size) - size // 2) * 3 // 2 + size // 2, 0, size - 1)
        probe = probe[:, rows][:, :, rows]
    return replace(scan, probe=probe, fault=kind)


HIDDEN_FAULTS: dict[str, Callable[[BadScan, np.random.Generator], BadScan]] = {
    fault.__name__: fault
    for fault in (
        pixel_off,
        frames_turned,
        positions_turned,
        scan_askew,
        deformed,
        centre_off,
        late_frames,
        swapped_frames,
        snake,
        slipped_stage,
        drift,
        backlash,
        unsteady_beam,
        stuck_motor,
        repeated_frames,
        squared,
        rooted,
        logarithms,
        normalised,
        flicker,
        background,
        clipped,
        wrapped,
        bytes_swapped,
        module_gap,
        spikes,
        wrong_probe,
    )
}
"""By name."""
