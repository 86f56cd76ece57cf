"""Readers of PtychoFlow's files for Ptychodus: patterns, products, positions, probes and objects."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from ptychodus.api.diffraction import DiffractionDataset, DiffractionFileReader, SimpleDiffractionDataset
from ptychodus.api.object import Object, ObjectFileReader
from ptychodus.api.plugins import (
    PluginRegistry,
    ProductProbeFileReader,
    ProductProbePositionFileReader,
)
from ptychodus.api.product import Product, ProductFileReader
from ptychodus.plugins.cxi_file import CXIDiffractionFileReader

from ptychoflow.dataset.cxi import is_own, read_cxi
from ptychoflow.dataset.dataset import Dataset
from ptychoflow.errors import InputError
from ptychoflow.ptychodus.products import product_of
from ptychoflow.reconstruction.file import read_reconstruction


class ScanPatternReader(DiffractionFileReader):
    """Reads patterns and bad pixels of a scan of PtychoFlow, as of any CXI file, with the photons of its beam."""

    def read(self, file_path: Path) -> DiffractionDataset:
        scan = _scan(file_path)
        patterns = CXIDiffractionFileReader().read(file_path)
        photons = round(float(np.sum(np.abs(scan.probe) ** 2, dtype=np.float64)))
        metadata = replace(patterns.get_metadata(), probe_photon_count=photons)
        return SimpleDiffractionDataset(metadata, patterns.get_layout(), list(patterns), patterns.get_bad_pixels())


class ScanReader(ProductFileReader):
    """Reads positions, probe and geometry of a scan of PtychoFlow, under an object that is 1 everywhere."""

    def read(self, file_path: Path) -> Product:
        scan = _scan(file_path)
        # What a reconstruction may begin with: a true object, if the file has one, is no part of it.
        empty = np.ones(scan.object_shape, np.complex64)
        return _product(scan, file_path, empty)


class TrueObjectReader(ObjectFileReader):
    """Reads the true object of a simulated scan of PtychoFlow, to compare with."""

    def read(self, file_path: Path) -> Object:
        scan = _scan(file_path)
        if scan.truth is None:
            raise InputError(f"{file_path} has no true object: expected a simulated scan, or a reconstruction.h5")
        return _product(scan, file_path, scan.truth).object_


class ReconstructionReader(ProductFileReader):
    """Reads object, probe, positions and geometry of a reconstruction.h5."""

    def read(self, file_path: Path) -> Product:
        made = read_reconstruction(file_path)
        record = made.provenance
        name, geometry = _name(file_path), record.get("geometry", {})
        return product_of(name, made.object, made.probe, made.positions, made.pixel_size, geometry, record)


def _product(scan: Dataset, path: Path, image: np.ndarray) -> Product:
    arrays = image, scan.probe, scan.positions, scan.pixel_size
    return product_of(_name(path), *arrays, scan.geometry, scan.provenance)


def _name(path: Path) -> str:
    """Stem of the file, after its folder's where every file of the kind is called alike."""
    return f"{path.parent.name}-{path.stem}" if path.stem == "reconstruction" else path.stem


def _scan(path: Path) -> Dataset:
    """Read a scan whose frames stay in their file."""
    if not is_own(path):
        raise InputError(
            f"{path} is no scan of PtychoFlow: expected one that ingest or simulate wrote (or the reader CXI)"
        )
    return read_cxi(path, frames_in_memory=0)


def register_plugins(registry: PluginRegistry) -> None:
    """Add the readers to those of Ptychodus, which calls this as it starts."""
    scans = {"simple_name": "PtychoFlow", "display_name": "PtychoFlow Scans (*.cxi)"}
    images = {"simple_name": "PtychoFlow_Reconstruction", "display_name": "PtychoFlow Reconstructions (*.h5)"}
    registry.diffraction_file_readers.register_plugin(ScanPatternReader(), **scans)
    registry.product_file_readers.register_plugin(ScanReader(), **scans)
    registry.probe_position_file_readers.register_plugin(ProductProbePositionFileReader(ScanReader()), **scans)
    registry.probe_file_readers.register_plugin(ProductProbeFileReader(ScanReader()), **scans)
    registry.object_file_readers.register_plugin(TrueObjectReader(), **scans)
    registry.register_product_file_reader_with_adapters(ReconstructionReader(), **images)
