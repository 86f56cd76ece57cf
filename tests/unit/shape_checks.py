"""What checks the arguments of physics and models in tests: named by `--jaxtyping-packages` in pyproject.toml.

An annotation asks for kinds, shapes and numbers. A function that was called with the same of them before is not checked
again, which would take as long as what the tests compute.
"""

from collections.abc import Callable, Container, Hashable
from functools import wraps

from beartype import BeartypeConf, beartype
from torch import Tensor

# A whole number is a float, as it is to every type checker.
strictly = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: Callable) -> Callable:
    """Check the first call of a function with arguments of a kind, and all calls whose kind cannot be told."""
    strict, right = strictly(function), set()

    @wraps(function)
    def call(*arguments: object, **named: object) -> object:
        asked = (*map(facts, arguments), *((name, facts(value)) for name, value in named.items()))
        if asked in right:
            return function(*arguments, **named)
        result = strict(*arguments, **named)
        right.add(asked)
        return result

    return call


def facts(value: object) -> Hashable:
    """All of a value that an annotation may ask for."""
    kind = type(value)
    if isinstance(value, Tensor):
        return kind, value.dtype, value.shape
    if value is None or kind in (bool, int, str):
        return kind, value
    if isinstance(value, (tuple, list)):
        return kind, *map(facts, value)
    # What else holds things is equal to nothing.
    return object() if isinstance(value, Container) else kind
