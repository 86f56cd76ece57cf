"""``python -m ptychoflow`` is the command ``ptychoflow``, where that is on no path."""

if __name__ == "__main__":
    from ptychoflow.running.command import main

    main()
