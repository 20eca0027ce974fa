"""Finds, reads and downloads WordNet 3.0, which METEOR needs for synonyms.

The places are searched in this order: the folder that the environment variable DEP_WORDNET names, the project's
`.cache/wordnet`, Debian's `wordnet-base`, and NLTK's own data. A missing WordNet is an error, since METEOR without
synonyms gives other values.

`make wordnet` (`dep.evaluation.wordnet_check`) downloads WordNet if it is missing, and checks a known score.
"""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tempfile
import warnings
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dep.utils.atomic_io import replacing
from dep.utils.errors import MissingFile

if TYPE_CHECKING:
    from nltk.corpus.reader.wordnet import WordNetCorpusReader
    from nltk.data import PathPointer

VARIABLE = "DEP_WORDNET"
DEBIAN = Path("/usr/share/wordnet")
_REPOSITORY = Path(__file__).resolve().parents[2]
CACHE = (_REPOSITORY if (_REPOSITORY / "pyproject.toml").exists() else Path.cwd()) / ".cache" / "wordnet"
FILES = tuple(f"{kind}.{pos}" for kind in ("index", "data") for pos in ("noun", "verb", "adj", "adv")) + tuple(
    f"{pos}.exc" for pos in ("noun", "verb", "adj", "adv")
)
"""The files that the reader needs. `lexnames` and `index.sense`, which Debian's package lacks, are not among them."""

LEXNAMES = (
    "adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body"
    " noun.cognition noun.communication noun.event noun.feeling noun.food noun.group noun.location"
    " noun.motive noun.object noun.person noun.phenomenon noun.plant noun.possession noun.process"
    " noun.quantity noun.relation noun.shape noun.state noun.substance noun.time verb.body verb.change"
    " verb.cognition verb.communication verb.competition verb.consumption verb.contact verb.creation"
    " verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative verb.weather"
    " adj.ppl"
)
"""WordNet's 45 lexicographer files in the order of their numbers (lexnames(5WN))."""

_FETCH = "run `make wordnet`, or `apt-get install wordnet-base`, or `python -m nltk.downloader wordnet`"
_HOW = f"{_FETCH}, or name a folder with WordNet's files in {VARIABLE}"


def locate() -> Path | PathPointer:
    """Find WordNet on this machine.

    Returns:
        A folder, or a pointer into NLTK's zip file.

    Raises:
        MissingFile: WordNet is not on this machine, or DEP_WORDNET names a folder that lacks files.
    """
    named = os.environ.get(VARIABLE)
    if named:
        missing = [name for name in FILES if not (Path(named) / name).is_file()]
        if missing:
            raise MissingFile(f"{VARIABLE}={named} lacks WordNet's {', '.join(missing)}; unset it and {_FETCH}")
        return Path(named).resolve()
    for folder in (CACHE, DEBIAN):
        if all((folder / name).is_file() for name in FILES):
            return folder.resolve()  # NLTK refuses symbolic links
    from nltk.data import find

    for resource in ("corpora/wordnet", "corpora/wordnet.zip/wordnet/"):
        try:
            return find(resource)
        except LookupError:
            continue
    raise MissingFile(f"WordNet, which METEOR needs for synonyms, is not in {CACHE}, {DEBIAN} or NLTK's data: {_HOW}")


@lru_cache(maxsize=1)
def wordnet() -> WordNetCorpusReader:
    """Return the WordNet reader; the first call of a process reads the files, which takes about a second.

    Raises:
        MissingFile: WordNet is not on this machine; the message says how to get it.
    """
    return read(locate())


def read(root: Path | PathPointer) -> WordNetCorpusReader:
    """Read the WordNet at `root` without the files `lexnames` and `index.sense`."""
    import nltk.data
    from nltk.corpus.reader.wordnet import WordNetCorpusReader

    class Reader(WordNetCorpusReader):
        def open(self, file: str) -> Any:
            if file == "lexnames":
                return io.StringIO("".join(f"{i:02d}\t{name}\t0\n" for i, name in enumerate(LEXNAMES.split())))
            return super().open(file)

        def map_wn(self, version: str = "wordnet") -> None:
            """Skip the mapping between WordNet versions, which needs `index.sense` and serves only other languages."""

    if isinstance(root, Path) and str(root) not in nltk.data.path:
        nltk.data.path.append(str(root))  # NLTK only opens files below its path
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "multilingual functions are not available"
        return Reader(str(root) if isinstance(root, Path) else root, None)


def fetch() -> None:
    """Download WordNet: Debian's package into CACHE (needs no root), or else NLTK's copy into NLTK's data.

    Raises:
        MissingFile: neither can be downloaded.
    """
    errors = []
    if shutil.which("apt-get") and shutil.which("dpkg"):
        with tempfile.TemporaryDirectory() as scratch:
            step = _run(["apt-get", "download", "wordnet-base"], scratch)
            if step.returncode and os.geteuid() == 0:  # a fresh container has no package list yet
                _run(["apt-get", "update"], scratch)
                step = _run(["apt-get", "download", "wordnet-base"], scratch)
            if step.returncode == 0:
                package = next(Path(scratch).glob("wordnet-base*.deb"))
                step = _run(["dpkg", "-x", str(package), "unpacked"], scratch)
            if step.returncode == 0:
                with replacing(CACHE) as temporary:
                    shutil.copytree(Path(scratch) / "unpacked" / "usr/share/wordnet", temporary)
                return
            errors.append(f"{' '.join(step.args)}: {(step.stderr.strip().splitlines() or ['failed'])[-1]}")
    else:
        errors.append("no apt-get here")
    import nltk

    if nltk.download("wordnet", quiet=True, raise_on_error=False):
        return
    errors.append("NLTK's server did not give it")
    raise MissingFile(f"cannot fetch WordNet ({'; '.join(errors)}): {_HOW}")


def _run(command: list[str], folder: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
