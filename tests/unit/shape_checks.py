"""What checks the arguments of physics and models in tests: named by `--jaxtyping-packages` in pyproject.toml."""

from beartype import BeartypeConf, beartype

# A whole number is a float, as it is to every type checker.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
