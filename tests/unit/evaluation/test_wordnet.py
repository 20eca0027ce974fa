from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nltk.data
import pytest

from dep.evaluation import wordnet as room
from dep.evaluation import wordnet_check
from dep.evaluation.metrics.meteor import Meteor


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No WordNet on the machine, but for what a test puts there."""
    monkeypatch.delenv(room.VARIABLE, raising=False)
    monkeypatch.setattr(room, "CACHE", tmp_path / "cache" / "wordnet")
    monkeypatch.setattr(room, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk_data")])
    room.wordnet.cache_clear()
    yield
    room.wordnet.cache_clear()


def synonyms(word: str) -> set[str]:
    return {name for synset in room.wordnet().synsets(word) for name in synset.lemma_names()}


def test_debians_folder_is_read_without_lexnames_and_index_sense(write_wordnet):
    write_wordnet(room.DEBIAN)
    assert synonyms("films") == {"film", "flick"}
    assert room.wordnet().synsets("film")[0].lexname() == "noun.communication"
    assert room.wordnet().get_version() == "3.0"


def test_the_named_folder_goes_before_debians(write_wordnet, tmp_path, monkeypatch):
    write_wordnet(room.DEBIAN)
    named = write_wordnet(tmp_path / "mine", {"noun": ("n", "10", ("film", "pic"))})
    monkeypatch.setenv(room.VARIABLE, str(named))
    assert synonyms("film") == {"film", "pic"}


def test_a_named_folder_without_wordnet_is_an_error_even_where_debian_has_one(write_wordnet, tmp_path, monkeypatch):
    write_wordnet(room.DEBIAN)
    monkeypatch.setenv(room.VARIABLE, str(tmp_path / "typo"))
    with pytest.raises(FileNotFoundError, match=r"DEP_WORDNET=.*typo lacks .*index\.noun.*make wordnet"):
        room.wordnet()


def test_a_folder_behind_a_symbolic_link_is_read(write_wordnet, tmp_path, monkeypatch):
    write_wordnet(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv(room.VARIABLE, str(tmp_path / "link"))
    assert synonyms("film") == {"film", "flick"}


def test_nltks_own_folder_is_found(write_wordnet, tmp_path):
    write_wordnet(tmp_path / "nltk_data" / "corpora" / "wordnet")
    assert synonyms("begin") == {"begin", "start"}


def test_nltks_own_zip_file_is_found(write_wordnet, tmp_path):
    write_wordnet(tmp_path / "zipped" / "wordnet")
    (tmp_path / "nltk_data" / "corpora").mkdir(parents=True)
    shutil.make_archive(str(tmp_path / "nltk_data" / "corpora" / "wordnet"), "zip", tmp_path / "zipped", "wordnet")
    assert synonyms("begin") == {"begin", "start"}


def test_without_wordnet_meteor_is_an_error_that_says_how_to_get_it():
    with pytest.raises(FileNotFoundError, match=r"make wordnet.*wordnet-base.*nltk\.downloader.*DEP_WORDNET"):
        Meteor().per_example(["a film"], ["a flick"])


def test_setting_up_says_where_wordnet_is_and_checks_a_score(write_wordnet, capsys):
    write_wordnet(room.DEBIAN)
    assert wordnet_check.main() == 0
    assert f"WordNet 3.0 in {room.DEBIAN}; METEOR of a known pair: 0.99769" in capsys.readouterr().out


def test_setting_up_fails_where_synonyms_are_missing(write_wordnet, capsys):
    write_wordnet(room.DEBIAN, {})
    assert wordnet_check.main() == 1
    assert capsys.readouterr().err == (
        "error: METEOR of a known pair is 0.62500, expected 0.99769: WordNet is damaged\n"
    )


def test_setting_up_unpacks_debians_package_into_the_cache(write_wordnet, monkeypatch, capsys):
    commands = []

    def run(command: list[str], folder: str) -> subprocess.CompletedProcess[str]:
        commands.append(command[:2])
        if command[1] == "download":
            if ["apt-get", "update"] not in commands:
                return subprocess.CompletedProcess(command, 100, "", "E: Unable to locate package wordnet-base")
            (Path(folder) / "wordnet-base_3.0_all.deb").touch()
        if command[0] == "dpkg":
            write_wordnet(Path(folder) / command[3] / "usr/share/wordnet")
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(room, "_run", run)
    monkeypatch.setattr(room.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(room.os, "geteuid", lambda: 0)
    assert wordnet_check.main() == 0
    assert commands == [
        ["apt-get", "download"],
        ["apt-get", "update"],
        ["apt-get", "download"],
        ["dpkg", "-x"],
    ]
    assert room.locate() == room.CACHE


def test_setting_up_ends_with_one_clear_line_where_nothing_can_be_fetched(monkeypatch, capsys):
    monkeypatch.setattr(room.shutil, "which", lambda name: None)
    monkeypatch.setattr(nltk, "download", lambda *args, **options: False)
    assert wordnet_check.main() == 1
    error = capsys.readouterr().err
    assert error.startswith("error: cannot fetch WordNet (no apt-get here; NLTK's server did not give it)")
    assert error.count("\n") == 1
