"""Stores vectors under the digest of their text, so that a text that is in the store is never embedded again.

    <folder>/shard-<number>.safetensors    vectors [S, E] float32, digests [S, 16] uint8

A digest is the first 16 bytes of a text's SHA-256. A shard is a file with the vectors of up to 1024 texts. Shards are
added and never changed, and each is renamed into place when it is complete, so that an interrupted run continues after
its last shard. A damaged shard is ignored, and its texts are embedded again. Only one process at a time adds shards;
reading needs no lock. The parts of a joined embedder have shards of their own, which they share with the same embedder
where it is used alone.

The last bits of a vector can depend on which texts share its batch. The order of texts (longest first), the shards and
the chunks are therefore fixed: an interrupted store ends with the same bytes as one that was filled without a break.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from dep.data.embedders.base import Embedder
from dep.data.embedders.joined import Joined
from dep.data.vectors.mapped_folder import folder_lock
from dep.utils.atomic_io import replacing
from dep.utils.errors import DepError
from dep.utils.hashing import short_digest
from dep.utils.progress import stage

_SHARD = 1024
"""Texts in a shard. An interruption loses at most one shard."""
_CHUNK = 128
"""Texts in one call of the embedder, after which the progress bar is updated."""


class TextStore:
    """The vectors of one embedder on disk; a text is embedded when it is first added.

    Args:
        folder: the folder of the shards; each embedder has its own.
        embedder: computes the missing vectors.
    """

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        self.folder, self.embedder = folder, embedder

    def add(self, texts: Sequence[str], title: str) -> None:
        """Embed the texts that are not in the store yet; each distinct text once, the longest first.

        Because of this order, a batch that is too large for the memory fails at the start.

        Args:
            texts: the texts.
            title: the title of the progress bar.
        """
        if not self._missing(texts):
            return
        with folder_lock(self.folder):
            missing = self._missing(texts)  # another process may have added some in the meantime
            number = 1 + max((int(path.stem.removeprefix("shard-")) for path in self._paths()), default=-1)
            with stage(f"embedding {title}: {len(missing)} texts", sum(map(len, missing)), bool(missing)) as advance:
                for at, first in enumerate(range(0, len(missing), _SHARD)):
                    shard = missing[first : first + _SHARD]
                    chunks = []
                    for start in range(0, len(shard), _CHUNK):
                        chunk = shard[start : start + _CHUNK]
                        chunks.append(self.embedder.encode(chunk))
                        advance(sum(map(len, chunk)))
                    self._write(number + at, shard, torch.cat(chunks))

    def width(self) -> int:
        """Return E, the width of the vectors; it is read from a shard, or from the embedder if there is no shard."""
        for path in self._paths():
            if (shard := _read(path, self.embedder.fingerprint())) is not None:
                return shard[0].shape[1]
        return self.embedder.dim

    def read_into(self, out_NE: Tensor, texts: Sequence[str]) -> None:
        """Copy vectors from the shards.

        Args:
            out_NE: [N, E], is written; its row n becomes the vector of `texts[n]`.
            texts: the N texts, which must all be in the store.

        Raises:
            DepError: the vector of a text is missing.
        """
        rows: dict[bytes, list[int]] = {}
        for row, text in enumerate(texts):
            rows.setdefault(short_digest(text), []).append(row)
        for path in self._paths():
            shard = _read(path, self.embedder.fingerprint())
            if shard is None:
                continue
            vectors_SE, digests = shard
            pairs = [(at, row) for at, digest in enumerate(digests) for row in rows.pop(digest, ())]
            if pairs:
                sources, targets = torch.tensor(pairs).unbind(1)
                out_NE[targets] = vectors_SE[sources]
        if rows:
            raise DepError(
                str(self.folder), f"the vectors of all {len(texts)} texts", f"{len(rows)} texts without a vector",
                "run again; missing texts are embedded again. If that does not help, delete the folder",
            )  # fmt: skip

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("shard-*.safetensors"))

    def _missing(self, texts: Sequence[str]) -> list[str]:
        stored: set[bytes] = set()
        for path in self._paths():
            if (shard := _read(path, self.embedder.fingerprint())) is not None:
                stored.update(shard[1])
        distinct = (text for text in set(texts) if short_digest(text) not in stored)
        return sorted(distinct, key=lambda text: (-len(text), text))

    def _write(self, number: int, texts: Sequence[str], vectors_SE: Tensor) -> None:
        digests = torch.frombuffer(bytearray(b"".join(map(short_digest, texts))), dtype=torch.uint8).view(-1, 16)
        with replacing(self.folder / f"shard-{number:08d}.safetensors") as temporary:
            tensors = {"vectors": vectors_SE.contiguous(), "digests": digests}
            save_file(tensors, temporary, {"embedder": self.embedder.fingerprint()})


class JoinedTextStore:
    """The vectors of a joined embedder, put together from the stores of its parts.

    Args:
        root: the folder of all embedders.
        embedder: the joined embedder.
        group: names the texts; each group has its own shards.
    """

    def __init__(self, root: Path, embedder: Joined, group: str) -> None:
        self.parts = [text_store(root, part, group) for part in embedder.parts]
        self.scale = embedder.scale

    def add(self, texts: Sequence[str], title: str) -> None:
        """Embed the texts that a part's store lacks; see `TextStore.add`."""
        for part in self.parts:
            part.add(texts, title)

    def width(self) -> int:
        """Return E, the sum of the parts' widths."""
        return sum(part.width() for part in self.parts)

    def read_into(self, out_NE: Tensor, texts: Sequence[str]) -> None:
        """Copy the parts' vectors side by side, and scale them; see `TextStore.read_into`."""
        for part, columns_NE in zip(
            self.parts, out_NE.split([part.width() for part in self.parts], dim=1), strict=True
        ):
            part.read_into(columns_NE, texts)
        out_NE *= self.scale


def text_store(root: Path, embedder: Embedder, group: str) -> TextStore | JoinedTextStore:
    """Return the store of an embedder's vectors below `root` for a group of texts, such as those of a category."""
    if isinstance(embedder, Joined):
        return JoinedTextStore(root, embedder, group)
    return TextStore(root / embedder.fingerprint()[:12] / group, embedder)


def _read(path: Path, fingerprint: str) -> tuple[Tensor, list[bytes]] | None:
    """Read a shard's vectors [S, E], memory-mapped, and digests; None if it is damaged or from another embedder."""
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("embedder") != fingerprint:
                return None
            packed = file.get_tensor("digests").contiguous().numpy().tobytes()
            return file.get_tensor("vectors"), [packed[at : at + 16] for at in range(0, len(packed), 16)]
    except (FileNotFoundError, SafetensorError):
        return None
