"""MLflow makes the tables of a new store in dozens of steps, a second of them all; here, once for all stores."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import mlflow.store.db.utils
import pytest
from filelock import FileLock
from sqlalchemy import Engine


@pytest.fixture(scope="session", autouse=True)
def _tables_are_copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let stores of this process be copies of one that MLflow made; other processes make their own."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    make = mlflow.store.db.utils._initialize_tables

    def copy(engine: Engine) -> None:
        path = base / "mlflow.db"
        with FileLock(base / "mlflow.lock"):
            if not path.exists():
                make(engine)
                _copy(Path(engine.url.database), path)
                return
        _copy(path, Path(engine.url.database))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow.store.db.utils, "_initialize_tables", copy)
        yield


def _copy(source: Path, target: Path) -> None:
    with sqlite3.connect(source) as one, sqlite3.connect(target) as other:
        one.backup(other)
