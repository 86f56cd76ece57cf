"""Write a reconstruction into the files of other tools."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(reconstruction: Path, data: Path, output: list[Path]) -> None:
    """Write a reconstruction into files of other tools, whose suffixes tell the formats.

    Parameters
    ----------
    reconstruction : Path
        HDF5 file written by stitch.py, reconstruct.py, solve.py or watch.py.
    data : Path
        The dataset it was made from.
    output : list of Path
        Files to write: .cxi (Ptychodus, cdtools), .ptyr (ptypy), .npz (PtychoPINN), and .tif, which becomes two, with
        _amplitude and _phase in their names.
    """
    from ptychoflow.ingest.readers import read_dataset
    from ptychoflow.reconstruction.export import export
    from ptychoflow.reconstruction.file import read_reconstruction

    export(output, read_reconstruction(reconstruction), read_dataset(data))


if __name__ == "__main__":
    run_program(main)
