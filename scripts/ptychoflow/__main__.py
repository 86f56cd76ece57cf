"""``python -m ptychoflow`` is the command ``ptychoflow``, where that is on no path."""

from ptychoflow.command import main

if __name__ == "__main__":
    main()
