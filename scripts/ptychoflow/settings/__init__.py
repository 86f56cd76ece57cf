"""Every setting that a config file or a command line may say, one section a module.

Types say what a value may be: its kind, its choices, its range. From them are made the flags of the programs, the check
of a config, its schema and the tables of config/README.md. No torch here, so that a program can answer ``--help`` and
the workflow can plan at once; nothing is imported here, so that a rule depends on the sections alone that it uses.
"""
