from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import nltk.data
import pytest

from dep.evaluation import wordnet as module
from dep.evaluation import wordnet_check
from dep.evaluation.metrics.meteor import Meteor


@pytest.fixture(autouse=True)
def no_wordnet(tmp_path, monkeypatch):
    """Hide the machine's WordNet; a test can write its own."""
    monkeypatch.delenv(module.VARIABLE, raising=False)
    monkeypatch.setattr(module, "CACHE", tmp_path / "cache" / "wordnet")
    monkeypatch.setattr(module, "DEBIAN", tmp_path / "debian")
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk_data")])
    module.wordnet.cache_clear()
    yield
    module.wordnet.cache_clear()


def synonyms(word: str) -> set[str]:
    return {name for synset in module.wordnet().synsets(word) for name in synset.lemma_names()}


def test_the_reader_needs_no_lexnames_and_no_index_sense(write_wordnet):
    write_wordnet(module.DEBIAN)
    assert synonyms("films") == {"film", "flick"}
    assert module.wordnet().synsets("film")[0].lexname() == "noun.communication"
    assert module.wordnet().get_version() == "3.0"


def test_the_folder_in_the_environment_variable_takes_precedence_over_debians(write_wordnet, tmp_path, monkeypatch):
    write_wordnet(module.DEBIAN)
    folder = write_wordnet(tmp_path / "other", {"noun": ("n", "10", ("film", "pic"))})
    monkeypatch.setenv(module.VARIABLE, str(folder))
    assert synonyms("film") == {"film", "pic"}


def test_an_environment_variable_that_names_no_wordnet_is_an_error(write_wordnet, tmp_path, monkeypatch):
    write_wordnet(module.DEBIAN)
    monkeypatch.setenv(module.VARIABLE, str(tmp_path / "typo"))
    with pytest.raises(FileNotFoundError, match=r"DEP_WORDNET=.*typo lacks .*index\.noun.*make wordnet"):
        module.wordnet()


def test_a_folder_behind_a_symbolic_link_is_read(write_wordnet, tmp_path, monkeypatch):
    write_wordnet(tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.setenv(module.VARIABLE, str(tmp_path / "link"))
    assert synonyms("film") == {"film", "flick"}


def test_nltks_own_folder_is_found(write_wordnet, tmp_path):
    write_wordnet(tmp_path / "nltk_data" / "corpora" / "wordnet")
    assert synonyms("begin") == {"begin", "start"}


def test_nltks_own_zip_file_is_found(write_wordnet, tmp_path):
    write_wordnet(tmp_path / "zipped" / "wordnet")
    (tmp_path / "nltk_data" / "corpora").mkdir(parents=True)
    shutil.make_archive(str(tmp_path / "nltk_data" / "corpora" / "wordnet"), "zip", tmp_path / "zipped", "wordnet")
    assert synonyms("begin") == {"begin", "start"}


def test_the_error_without_wordnet_says_how_to_get_it():
    with pytest.raises(FileNotFoundError, match=r"make wordnet.*wordnet-base.*nltk\.downloader.*DEP_WORDNET"):
        Meteor().per_example(["a film"], ["a flick"])


def test_the_check_prints_the_folder_and_a_known_score(write_wordnet, capsys):
    write_wordnet(module.DEBIAN)
    assert wordnet_check.main() == 0
    assert f"WordNet 3.0 in {module.DEBIAN}; METEOR of a known pair: 0.99769" in capsys.readouterr().out


def test_the_check_fails_if_synonyms_are_missing(write_wordnet, capsys):
    write_wordnet(module.DEBIAN, {})
    assert wordnet_check.main() == 1
    assert capsys.readouterr().err == (
        "error: METEOR of a known pair is 0.62500, expected 0.99769: WordNet is damaged\n"
    )


def test_the_check_unpacks_debians_package_into_the_cache(write_wordnet, monkeypatch, capsys):
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

    monkeypatch.setattr(module, "_run", run)
    monkeypatch.setattr(module.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(module.os, "geteuid", lambda: 0)
    assert wordnet_check.main() == 0
    assert commands == [
        ["apt-get", "download"],
        ["apt-get", "update"],
        ["apt-get", "download"],
        ["dpkg", "-x"],
    ]
    assert module.locate() == module.CACHE


def test_the_check_prints_one_line_if_nothing_can_be_fetched(monkeypatch, capsys):
    monkeypatch.setattr(module.shutil, "which", lambda name: None)
    monkeypatch.setattr(nltk, "download", lambda *args, **options: False)
    assert wordnet_check.main() == 1
    error = capsys.readouterr().err
    assert error.startswith("error: cannot fetch WordNet (no apt-get here; NLTK's server did not give it)")
    assert error.count("\n") == 1
