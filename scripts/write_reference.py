"""Write the schema of a config and the tables of config/README.md anew, after a change of a setting."""

from pathlib import Path

from ptychoflow.running.command_line import run_program


def main(folder: Path = Path(__file__).parents[1] / "config") -> None:
    """Write the schema of a config, for editors, and the tables of its README, both made of the types of the settings.

    Parameters
    ----------
    folder : Path
        Folder with README.md and schemas/config.schema.yaml.
    """
    from ptychoflow.configuration.reference import write_reference

    write_reference(folder)


if __name__ == "__main__":
    run_program(main)
