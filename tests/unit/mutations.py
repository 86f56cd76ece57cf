"""Damage to foreign files, each fixed by its number; run as a program, it reads them in a process of its own.

After a line ``ready``, each line ``name number`` on standard input is answered by ``outcome: …`` on standard output:
what became of reading it.
"""

import json
import shutil
import sys
import traceback
import warnings
from pathlib import Path

import h5py
import numpy as np
from foreign_files import WRITERS

from ptychoflow.dataset.cxi import read_cxi, write_cxi
from ptychoflow.errors import InputError
from ptychoflow.ingest import rehearsal
from ptychoflow.ingest.readers import read_dataset
from ptychoflow.settings.ingest import IngestSettings

STRUCTURAL = 0.6
"""Share of the mutations that change what a file says; the others change its bytes."""
STACKS = (".npy", ".tif", ".zip", ".json", "")
"""Files that say nothing but their one array, or of whose structure nothing is known here."""


def mutate(path: Path, random: np.random.Generator) -> str:
    """Change one file in place; give what was done."""
    if path.is_dir():
        return mutate_folder(path, random)
    if path.suffix in STACKS or (path.suffix == ".mat" and not h5py.is_hdf5(path)):
        pass
    elif path.suffix != ".npz" and random.random() < STRUCTURAL:
        return mutate_hdf5(path, random)
    elif path.suffix == ".npz" and random.random() < STRUCTURAL:
        return mutate_npz(path, random)
    content = bytearray(path.read_bytes())
    kind = random.choice(["truncate", "flip", "scramble", "zero", "signature"])
    if kind == "truncate":
        content = content[: random.integers(0, len(content))]
    elif kind == "flip":
        for place in random.integers(0, len(content), random.integers(1, 30)):
            content[place] ^= 1 << random.integers(0, 8)
    elif kind == "signature":
        # Where structures begin, damage is met at once.
        marks = (b"TREE", b"HEAP", b"SNOD", b"OHDR", b"FRHP", b"GCOL", b"PK\x01\x02", b"PK\x03\x04")
        places = [n for mark in marks for n in _places(bytes(content), mark)] or [0]
        start = random.choice(places)
        for place in start + random.integers(0, 96, random.integers(1, 6)):
            content[min(place, len(content) - 1)] = random.integers(0, 256)
    else:
        start = random.integers(0, len(content))
        length = int(random.integers(1, 200))
        size = len(content[start : start + length])
        content[start : start + length] = bytes(size) if kind == "zero" else random.bytes(size)
    path.write_bytes(content)
    return str(kind)


def mutate_folder(path: Path, random: np.random.Generator) -> str:
    """Change what a store says of an array, or its bytes, or take a file away."""
    files = sorted(file for file in path.rglob("*") if file.is_file())
    texts = [file for file in files if file.name == "zarr.json"]
    file = files[random.integers(len(files))] if random.random() < 0.5 else texts[random.integers(len(texts))]
    if random.random() < 0.1:
        file.unlink()
        return f"missing {file.name}"
    if file not in texts or random.random() >= STRUCTURAL:
        return mutate(file, random)
    facts = json.loads(file.read_text())
    key = str(random.choice(sorted(facts)))
    odd = [None, "pickle", -1, 0, 1e300, [], {}, [10**9, 10**9], [0], "object", True, [{"name": "no such codec"}]]
    facts[key] = odd[random.integers(len(odd))]
    file.write_text(json.dumps(facts))
    return f"odd {key} in {file.parent.name}"


def _places(content: bytes, mark: bytes) -> list[int]:
    places, start = [], content.find(mark)
    while start >= 0:
        places.append(start)
        start = content.find(mark, start + 1)
    return places


def odd_value(random: np.random.Generator, shape: tuple[int, ...]) -> tuple[str, object]:
    """Something else than what stands under a key."""
    odd = {
        "text": "some words",
        "bytes": np.bytes_(b"abc"),
        "nan": np.full(shape, np.nan),
        "infinite": np.full(shape, np.inf),
        "negative": np.full(shape, -1.0),
        "zero": np.zeros(shape),
        "one": np.float64(1.0),
        "huge": np.full(shape, 1e300),
        "tiny": np.full(shape, 1e-300),
        "largest": np.full(shape, 2**64 - 1, np.uint64),
        "complex": np.full(shape, 1 + 1j),
        "bool": np.ones(shape, bool),
        "int8": np.ones(shape, np.int8),
        "float16": np.full(shape, 6e4, np.float16),
        "longer": np.ones((*shape[:1], 3, *shape[1:])),
        "shorter": np.ones(shape[1:]),
        "cut": np.ones(tuple(max(0, n - 1) for n in shape)),
        "empty": np.ones((0, *shape[1:])),
        "wide": np.ones((1, *shape)),
        "records": np.zeros(shape, np.dtype([("a", "f4"), ("b", "i2")])),
        "parts": np.zeros(shape, np.dtype([("real", "f8"), ("imag", "f8")])),
        "turned": np.ones(shape[::-1]),
    }
    kind = str(random.choice(list(odd)))
    return kind, odd[kind]


def mutate_npz(path: Path, random: np.random.Generator) -> str:
    with np.load(path) as source:
        arrays = dict(source)
    key = str(random.choice(sorted(arrays)))
    kind, value = odd_value(random, arrays[key].shape)
    if random.random() < 0.2:
        kind = "missing"
        del arrays[key]
    elif random.random() < 0.1:
        kind, arrays[key] = "pickled", np.array([{"any": "object"}], dtype=object)
    else:
        arrays[key] = value
    np.savez(path, **arrays)
    return f"{kind} {key}"


def mutate_hdf5(path: Path, random: np.random.Generator) -> str:
    with h5py.File(path, "r+") as file:
        keys: list[str] = []
        file.visit(keys.append)
        key = str(random.choice(sorted(keys)))
        item = file[key]
        shape = item.shape if isinstance(item, h5py.Dataset) else (3,)
        attributes = dict(item.attrs)
        kind = str(
            random.choice(["missing", "group", "loop", "nowhere", "outside", "vast", "null", "attribute", "odd"])
        )
        if random.random() < 0.4:
            kind = "odd"
        if kind == "attribute":
            holder = random.choice([name for name in ("/", key, *keys) if len(file[name].attrs)] or [key])
            names = sorted(file[holder].attrs) or ["units"]
            _, value = odd_value(random, (1,))
            file[holder].attrs[random.choice(names)] = value
            return f"attribute {holder}"
        del file[key]
        if kind == "group":
            file.create_group(f"{key}/{key.split('/')[-1]}")
        elif kind == "loop":
            file[key], file[f"{key}_"] = h5py.SoftLink(f"/{key}_"), h5py.SoftLink(f"/{key}")
        elif kind == "nowhere":
            file[key] = h5py.SoftLink("/no/such/place")
        elif kind == "outside":
            file[key] = h5py.ExternalLink(random.choice([path.name, "no-such-file.h5"]), f"/{key}")
        elif kind == "vast":
            vast = tuple(int(10 ** random.integers(3, 10)) for _ in shape) or (10**9,)
            file.create_dataset(key, shape=vast, dtype="f4", chunks=tuple(min(n, 16) for n in vast))
        elif kind == "null":
            file[key] = h5py.Empty("f4")
        elif kind == "odd":
            other, value = odd_value(random, shape)
            file[key] = value
            kind = f"odd {other}"
        if key in file and kind.startswith("odd"):
            file[key].attrs.update(attributes)
    return f"{kind} {key}"


def outcome(folder: Path, name: str, number: int, first: str, settings: IngestSettings) -> str:
    """Damage a copy of the files of a format, read it and write what was read; tell what became of it."""
    place = Path(shutil.copytree(folder / name, folder / f"{name}-{number}"))
    random = np.random.default_rng([number, *name.encode()])
    path, files = place / first, sorted(place.iterdir())
    done = mutate(path if random.random() < 0.6 else files[random.integers(len(files))], random)
    try:
        write_cxi(place / "output.cxi", read_dataset(path, settings))
        result = "read"
    except InputError as error:
        sentence = str(error)
        result = "refused" if "\n" not in sentence and sentence.startswith(str(place)) else f"no sentence: {sentence}"
        if sorted(place.iterdir()) != files:
            result = f"left something behind: {sentence}"
    except BaseException:
        result = "error: " + " | ".join(traceback.format_exc().splitlines()[-6:])
    shutil.rmtree(place)
    return f"{result} ({done})"


def main(folder: Path) -> None:
    """Answer the lines on standard input; the folder has the scan, and gets the files."""
    warnings.simplefilter("ignore")
    rehearsal.SILENCE = 5.0
    scan = read_cxi(folder / "scan.cxi")
    written: dict[str, tuple[str, IngestSettings]] = {}
    print("ready", flush=True)
    for line in sys.stdin:
        name, number = line.split()
        if name not in written:
            (folder / name).mkdir(exist_ok=True)
            path, settings = WRITERS[name](folder / name, scan)
            written[name] = path.name, settings
        print("outcome:", outcome(folder, name, int(number), *written[name]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
