"""The one error that a user causes and can mend."""


class InputError(ValueError):
    """A file, key or setting given by the user cannot be used.

    The message is one sentence that names the file or key, what was found and what was expected. Programs print it and
    exit with status 2.
    """
