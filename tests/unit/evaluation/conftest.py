"""Fixtures with a WordNet of two synsets in WordNet's file format, so that METEOR can be tested on any machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from dep.evaluation import wordnet

SYNSETS = {"noun": ("n", "10", ("film", "flick")), "verb": ("v", "30", ("begin", "start"))}


def write(folder: Path, synsets: dict[str, tuple[str, str, tuple[str, ...]]] | None = None) -> Path:
    """Write index, data and exception files into `folder` like Debian's package: no lexnames, no index.sense.

    `synsets` holds at most one for each part of speech: its letter, lexicographer file number and words.
    """
    synsets = SYNSETS if synsets is None else synsets
    folder.mkdir(parents=True)
    header = "  1 WordNet 3.0 Copyright 2006 by Princeton University.  \n"
    for pos in ("noun", "verb", "adj", "adv"):
        data, index = header, header
        if pos in synsets:
            letter, file_number, lemmas = synsets[pos]
            words = " ".join(f"{lemma} 0" for lemma in lemmas)
            data += f"{len(header):08d} {file_number} {letter} {len(lemmas):02x} {words} 000 00 | a gloss  \n"
            index += "".join(f"{lemma} {letter} 1 0 1 0 {len(header):08d}  \n" for lemma in sorted(lemmas))
        (folder / f"data.{pos}").write_text(data)
        (folder / f"index.{pos}").write_text(index)
        (folder / f"{pos}.exc").write_text("")
    return folder


@pytest.fixture(scope="session")
def write_wordnet():
    """Return the function that writes a small WordNet into a folder."""
    return write


@pytest.fixture
def small_wordnet(tmp_path, monkeypatch):
    """Return a folder with the small WordNet, and make METEOR use it."""
    folder = write(tmp_path / "small_wordnet")
    monkeypatch.setenv(wordnet.VARIABLE, str(folder))
    wordnet.wordnet.cache_clear()
    yield folder
    wordnet.wordnet.cache_clear()
