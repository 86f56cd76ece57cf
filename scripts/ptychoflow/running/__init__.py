"""What a program has around it while it runs: command line, progress, warnings, hardware and extensions."""
