"""What a Personalizer does for a practitioner: known and new users, lists, streams, strengths, likelihoods."""

from __future__ import annotations

import doctest
import importlib.util
import json
import math
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import huggingface_hub
import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

import dep
from dep.config.loader import load_arms
from dep.data.arm_requests import ArmRequests
from dep.models.backbones.load import DEMO, load
from dep.models.settings import BackboneConfig
from dep.pipeline import adapter_folder
from dep.pipeline.personal import folders, inputs, untrained
from dep.pipeline.personal.explain import Explanation
from dep.pipeline.resources import Resources
from dep.pipeline.store_update import open_store, update
from dep.types import Item
from dep.utils.errors import DepError


def _module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


library_run = _module("library_run")
_BACKBONES: dict[str, tuple[PreTrainedModel, PreTrainedTokenizerBase]] = {}
PAST = [
    dep.PastReview("A harp", "lovely strings .", 5.0, "lovely", time=1, peers=["thin strings .", "a fine harp ."]),
    dep.PastReview("A horn", "too loud for me .", 2.0, "loud", time=2, peers=["a loud horn ."]),
]  # fmt: skip
ASK = dep.Ask(PAST, item="A drum", rating=4.0, title="fine")


@pytest.fixture(scope="session", autouse=True)
def _one_backbone() -> Iterator[None]:
    """Load the demo's backbone once for all adapters of the run; other backbones are loaded as ever."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (adapter_folder, untrained):
            patch.setattr(module, "load_backbone", _loaded)
        yield


def _loaded(config: BackboneConfig) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    if config.name_or_path not in _BACKBONES:
        _BACKBONES[config.name_or_path] = load(config)
    return _BACKBONES[config.name_or_path]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return library_run.build_run(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="session")
def writer(run: Path) -> dep.Personalizer:
    return dep.Personalizer.from_pretrained(run / "dep")


@pytest.mark.parametrize("arm", [*library_run.ARMS, "rag"])
def test_every_kind_of_adapter_answers_alone_in_a_list_and_as_a_stream(run: Path, arm: str) -> None:
    p = dep.Personalizer.from_pretrained(run / arm)
    short = [] if arm != "user_llm_cross" else PAST[1:]  # whose attention needs one past review
    asks = [ASK, replace(ASK, history=short, seed=1), replace(ASK, item="A longer name of a drum", max_new_tokens=3)]
    together = p.generate_many(asks)
    assert together == [p.generate_many([ask])[0] for ask in asks]
    assert "".join(p.stream(ASK)) == together[0] == p.generate(PAST, item="A drum", rating=4.0, title="fine")
    assert math.isfinite(p.likelihood(ASK, "a fine drum ."))


def test_a_seed_decides_the_text_and_settings_of_an_ask_replace_those_of_the_adapter(writer: dep.Personalizer) -> None:
    texts = writer.generate_many([replace(ASK, seed=seed) for seed in (0, 1, 0)])
    assert texts[0] == texts[2] != texts[1]
    greedy = writer.generate_many([replace(ASK, seed=seed, temperature=0.0) for seed in (0, 1)])
    assert greedy[0] == greedy[1]
    assert len(writer.generate_many([replace(ASK, max_new_tokens=3)])[0]) < len(texts[0])


def test_a_stream_that_nobody_reads_to_the_end_stops_writing(writer: dep.Personalizer) -> None:
    stream = writer.stream(replace(ASK, max_new_tokens=2000))
    assert next(stream)
    assert isinstance(stream, Iterator)
    stream.close()  # type: ignore[attr-defined]
    assert writer.generate_many([ASK])  # the writer is free again


@pytest.mark.parametrize("arm", ["dep", "dep_memory", "dep_user"])
def test_forgotten_reviews_are_held_nowhere_and_what_the_llm_read_of_others_stays(
    run: Path, arm: str, kept: Callable[..., list[str]]
) -> None:
    p, backwards = dep.Personalizer.from_pretrained(run / arm), secrets.token_hex(12)

    def asks() -> list[dep.Ask]:
        own = replace(PAST[0], text=f"{backwards[::-1]} a fine harp .", item=f"{backwards[::-1]} the harp")
        return [ASK, replace(ASK, history=[own])]

    def reviews() -> list[dep.StoredReview]:
        (own,) = asks()[1].history or ()
        return [dep.StoredReview("c", "ann", "i", own.item, own.description, own.text, 5.0, own.title, 1)]

    texts = p.generate_many(asks())
    assert p.likelihood_many(asks(), texts)
    assert {"Part"} <= set(kept(backwards, p))
    states, others = p.module.states, {text for text in p._requests._memo if backwards[::-1] not in text}
    p.forget(reviews())
    assert kept(backwards, p) == []
    assert p._writer._kept._files.held() == []
    assert set(p._requests._memo) == others
    left = set(states._files.held())
    assert (len(left) == 4) == (arm == "dep_memory")  # states and expected tokens of the other's two reviews
    assert p.generate_many(asks()) == texts
    assert left <= set(states._files.held())


def _nlls(p: dep.Personalizer, *asks: dep.Ask) -> list[float]:
    return p.likelihood_many(asks, ["a fine drum ."] * len(asks))


def test_strength_one_is_unchanged_and_strength_zero_is_a_past_without_vectors(writer: dep.Personalizer) -> None:
    without_peers = replace(ASK, history=[replace(past, peers=()) for past in PAST])
    one, zero, none, double = _nlls(
        writer, replace(ASK, strength=dep.Strength(1, 1)), replace(ASK, strength=dep.Strength(1, 0)), without_peers,
        replace(ASK, strength=dep.Strength(1, 2)),
    )  # fmt: skip
    assert _nlls(writer, ASK) == pytest.approx([one], abs=1e-5)
    assert zero == pytest.approx(none, abs=1e-5)
    assert len({round(value, 4) for value in (one, zero, double)}) == 3
    request = writer._requests(replace(ASK, strength=dep.Strength(0, 0)))
    assert all(slot.his is None and slot.diff is None for slot in request.slots)


def test_strength_scales_deviations_from_the_average_vector(writer: dep.Personalizer) -> None:
    builder, adapter = writer._requests, writer.module.soft_prompt.adapter
    assert adapter is not None
    average_E = adapter.average("his")
    assert average_E is not None
    plain, half = (builder(replace(ASK, strength=dep.Strength(his=s))).slots[0].his for s in (1.0, 0.5))
    assert plain is not None
    assert half is not None
    assert torch.allclose(half, average_E + 0.5 * (plain - average_E), atol=1e-6)


def test_an_adapter_that_reads_no_vectors_stores_none_and_refuses_a_store_that_has_them(
    run: Path, tmp_path: Path
) -> None:
    p = dep.Personalizer.from_pretrained(run / "dep_memory")
    review = dep.StoredReview("c", "ann", "i", "A harp", "", "i never sleep without its strings .", 5.0, "mine", 1)
    with p.open_store(tmp_path / "own.sqlite", create=True) as own:
        p.store = own
        own.add([review], p.embed([review.text]))
        assert p.embed(["a", "b"]).tolist() == [[0.0], [0.0]]
        with_user, without = p.likelihood_many(
            [dep.Ask(None, "A drum", 4.0, user="ann"), dep.Ask([], "A drum", 4.0)], ["i never sleep ."] * 2
        )
        assert with_user != pytest.approx(without, abs=1e-4)
    with p.open_store(tmp_path / "own.sqlite") as again:
        assert again.width == 1
    with dep.PeerIndex.open(tmp_path / "others.sqlite", width=8, embedder="some embedder") as others:
        p.store = others
        with pytest.raises(dep.DepError, match=r"store: expected one without vectors.*found one with.*`dep update`"):
            p.embed([review.text])


def test_strengths_of_zero_at_the_output_leave_what_everybody_gets_and_each_is_explained(run: Path) -> None:
    p = dep.Personalizer.from_pretrained(run / "dep_memory")
    without_text = replace(p._requests.prompt, history=0)
    p._requests.prompt = without_text  # so that nothing but the output depends on the past
    empty = replace(ASK, history=[])
    one, no_his, no_diff, neither, nobody, double = _nlls(
        p, ASK, replace(ASK, strength=dep.Strength(his=0)), replace(ASK, strength=dep.Strength(diff=0)),
        replace(ASK, strength=dep.Strength(0, 0)), empty, replace(ASK, strength=dep.Strength(diff=2)),
    )  # fmt: skip
    assert neither == pytest.approx(nobody, abs=1e-5)
    assert len({round(value, 4) for value in (one, no_his, no_diff, neither, double)}) == 5
    changes = {part.name: part.change for part in p.explain(ASK, "a fine drum .").of("vectors")}
    assert changes == {"his": pytest.approx(no_his - one, abs=1e-4), "diff": pytest.approx(no_diff - one, abs=1e-4)}


def test_without_strength_a_user_encoder_reads_a_user_without_past_reviews(run: Path) -> None:
    p = dep.Personalizer.from_pretrained(run / "e2p")
    off, empty = _nlls(p, replace(ASK, strength=dep.Strength(his=0)), ASK)
    assert off != pytest.approx(empty, abs=1e-6)
    history = p._requests(replace(ASK, strength=dep.Strength(his=0))).user_history
    assert history is not None
    adapter = p.module.soft_prompt.adapter
    assert adapter is not None
    assert torch.allclose(history.his, adapter.average("his").expand_as(history.his))  # type: ignore[union-attr]


@pytest.mark.parametrize("arm", ["dep", "dep_user", "rag"])
def test_a_user_of_the_run_gets_the_request_of_the_run(run: Path, arm: str) -> None:
    p = dep.Personalizer.from_pretrained(run / arm / "seed0")
    users = p._requests.users
    resources, config = users.resources, users.config  # type: ignore[attr-defined]
    dataset = resources.prepared(config)
    cache = resources.cache(config) if p.arm.needs_vectors else None
    requests = ArmRequests(dataset, cache, p._requests._retriever, p._writer.builder).requests("test")
    expected = requests[0]
    found = p._requests(
        dep.Ask(
            user=expected.user, item=expected.item.item, rating=expected.rating, title=expected.title,
            category=expected.category,
        )
    )  # fmt: skip
    assert found.item.title == expected.item.title
    assert p._writer.builder.build(found).ids == p._writer.builder.build(replace(expected, text="")).ids
    for mine, theirs in zip(found.slots, expected.slots, strict=True):
        assert not p._requests.branches or (_same(mine.his, theirs.his) and _same(mine.diff, theirs.diff))
    if expected.user_history is not None:
        assert found.user_history is not None
        for name in ("his", "diff", "peers", "item_peers", "query"):
            assert _same(getattr(found.user_history, name), getattr(expected.user_history, name)), name


def _same(a: Tensor | None, b: Tensor | None) -> bool:
    return a is b is None or (a is not None and b is not None and torch.allclose(a, b, atol=1e-6))


def test_an_unknown_user_and_an_ask_without_a_past_are_refused_in_one_line(writer: dep.Personalizer) -> None:
    for ask, message in (
        (dep.Ask(item="A drum"), "expected history="),
        (dep.Ask([], item="A drum", user="ann"), "found both"),
        (dep.Ask(item="A drum", user="nobody"), "user 'nobody': expected a user of"),
    ):
        with pytest.raises(DepError, match=message) as error:
            writer.generate_many([ask])
        assert "\n" not in str(error.value)


@pytest.fixture
def store(writer: dep.Personalizer, tmp_path: Path) -> Path:
    """A store with ann's past, and what others wrote about the same items."""
    own = [
        dep.StoredReview("Music", "ann", past.item, past.item, "", past.text, past.rating, past.title, past.time)
        for past in PAST
    ]
    others = [
        replace(row, user=f"u{n}", text=text)
        for row, past in zip(own, PAST, strict=True)
        for n, text in enumerate(past.peers)
    ]
    bell = dep.StoredReview("Music", "u0", "b1", "A bell", "It rings.", "clear .", 4.0, "", 3)
    rows = [*own, *others, bell]
    with dep.PeerIndex.open(tmp_path / "store.sqlite", width=8) as index:
        index.add(rows, writer.embed([row.text for row in rows]))
    return tmp_path / "store.sqlite"


def test_a_store_s_user_gets_the_text_of_the_same_history(run: Path, store: Path) -> None:
    p = dep.Personalizer.from_pretrained(run / "dep", store=store)
    known = dep.Ask(user="ann", item="A drum", rating=4.0, title="fine")
    assert p.generate_many([known]) == p.generate_many([ASK])
    assert p.likelihood(known, "a fine drum .") == pytest.approx(p.likelihood(ASK, "a fine drum ."), abs=1e-6)
    own = p._requests.background(dep.Ask(user="ann", item="A harp"))
    assert [past.item for past in own.history] == ["A horn"]
    assert p._requests.background(dep.Ask(user="ann", item="b1")).item == Item("item", "A bell", "It rings.")
    assert p._requests.background(dep.Ask(user="ann", item="A chime", item_id="b1")).item.title == "A chime"
    with pytest.raises(DepError, match="expected a user of the store, found none"):
        p.generate(user="bob", item="A drum")


def test_a_store_that_cannot_be_used_is_refused_in_one_line(
    run: Path, writer: dep.Personalizer, tmp_path: Path
) -> None:
    with pytest.raises(DepError, match=r"no\.sqlite: expected a store, found none; .*dep update"):
        dep.Personalizer.from_pretrained(run / "dep", store=tmp_path / "no.sqlite")
    with pytest.raises(DepError, match=r"store: expected vectors of width 8 .*, found 9"):
        writer.store = dep.PeerIndex.open(tmp_path / "wide.sqlite", width=9)
    with pytest.raises(DepError, match=r"store: expected vectors of style:8 .*, found aa;"):
        writer.store = dep.PeerIndex.open(tmp_path / "other.sqlite", width=8, embedder="aa")
    assert writer.store is None


@pytest.mark.parametrize("arm", ["dep", "dep_user"])
def test_a_run_s_store_gives_the_run_s_requests_until_a_review_is_added(run: Path, tmp_path: Path, arm: str) -> None:
    config, configs = load_arms([run / "config.yaml"])
    resources, path = Resources(config, Console(quiet=True)), tmp_path / "store.sqlite"
    index, created = open_store(path, resources, configs[arm])
    assert created
    category, corpus = next(iter(resources.prepared(configs[arm]).corpora.items()))
    user = corpus.reviews[0].user
    reviewed = {review.item for review in corpus.reviews if review.user == user}
    item = next(review.item for review in corpus.reviews if review.item not in reviewed)
    ask = dep.Ask(user=user, item=item, rating=4.0, category=category)
    p = dep.Personalizer.from_pretrained(run / arm)
    of_run, nll = p._requests(ask), p.likelihood(ask, "a fine drum .")
    p.store = index
    of_store = p._requests(ask)
    assert of_store.item == of_run.item
    assert [slot.review.text for slot in of_store.slots] == [slot.review.text for slot in of_run.slots]
    assert [slot.item.title for slot in of_store.slots] == [slot.item.title for slot in of_run.slots]
    assert p.likelihood(ask, "a fine drum .") == pytest.approx(nll, abs=1e-5)
    gong = dep.StoredReview(category, user, "new", "A gong", "", "too loud for me .", 1.0, "", 2**50)
    assert update(index, [gong], resources.cache(configs[arm]).embedder).new == 1
    assert "A gong" in [slot.item.title for slot in p._requests(ask).slots]
    assert p.likelihood(ask, "a fine drum .") != pytest.approx(nll, abs=1e-5)


def test_an_explanation_is_the_change_of_likelihood_when_a_part_is_left_out(writer: dep.Personalizer) -> None:
    text = "a fine drum ."
    found = writer.explain(ASK, text, latents=3, progress=False)
    assert found.nll == pytest.approx(writer.likelihood(ASK, text), abs=1e-5)
    first = next(part for part in found.of("review") if part.at == 0)
    without = writer.likelihood(replace(ASK, history=PAST[1:]), text)
    assert first.change == pytest.approx(without - found.nll, abs=1e-4)
    assert [len(found.of(kind)) for kind in ("review", "peer", "vectors", "latent")] == [2, 3, 2, 3]
    thin = next(part for part in found.of("peer") if "thin strings" in part.name)
    left = [replace(PAST[0], peers=PAST[0].peers[1:]), PAST[1]]
    assert thin.change == pytest.approx(writer.likelihood(replace(ASK, history=left), text) - found.nll, abs=1e-4)
    changes = [abs(part.change) for part in found.parts]
    assert changes == sorted(changes, reverse=True)
    assert all(part.change for part in found.of("latent"))
    assert writer.likelihood(ASK, text) == pytest.approx(found.nll, abs=1e-5)  # every latent is back
    lines = str(found).splitlines()
    assert lines[0].startswith("NLL of the text: ")
    assert len({len(line) for line in lines[1:]}) == 1


def test_an_adapter_without_vectors_explains_by_reviews_alone(run: Path) -> None:
    found = dep.Personalizer.from_pretrained(run / "rag").explain(ASK, "a fine drum .", progress=False)
    assert isinstance(found, Explanation)
    assert {part.kind for part in found.parts} == {"review"}


def test_a_baseline_shares_the_backbone_and_knows_no_vectors(writer: dep.Personalizer) -> None:
    rag, none = writer.baseline("rag"), writer.baseline("non_perso")
    assert rag.module.backbone is writer.module.backbone
    assert not rag._writer.builder.build(rag._requests(ASK)).vectors
    assert _nlls(none, ASK) == pytest.approx(_nlls(none, replace(ASK, history=[])))
    assert _nlls(rag, ASK) != pytest.approx(_nlls(rag, replace(ASK, history=[])))


def test_an_adapter_is_found_by_the_folder_of_its_run_and_its_arm(run: Path) -> None:
    assert folders.find(run).folder == folders.find(run / "dep").folder == run / "dep" / "seed0"
    assert folders.find("smollm2_english").folder.name == "smollm2_english"
    for wrong in ("no_such_adapter", run.parent, "dep/none"):
        with pytest.raises(FileNotFoundError, match="name the folder of a trained arm"):
            folders.find(wrong)


def test_a_saved_adapter_writes_the_same_text_and_its_card_says_what_it_gains(
    run: Path, writer: dep.Personalizer, tmp_path: Path
) -> None:
    writer.save_pretrained(tmp_path / "saved")
    again = dep.Personalizer.from_pretrained(tmp_path / "saved")
    assert again.generate_many([ASK]) == writer.generate_many([ASK])
    card = (tmp_path / "saved" / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlibrary_name: dep\n")
    assert "| **DEP** | 1.1000 | 1.0500 to 1.1500 |" in card
    assert "It gains 0.1000 nats per token on RAG." in card
    assert "It gains nothing on Constant prompt that the interval shows." in card
    with pytest.raises(DepError, match="expected a trained adapter"):
        dep.Personalizer.from_pretrained(run / "rag").save_pretrained(tmp_path / "none")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_push_to_hub_uploads_the_saved_folder(writer: dep.Personalizer, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, list[str]] = {}
    hub = huggingface_hub.HfApi
    monkeypatch.setattr(hub, "create_repo", lambda self, repo_id, **_: huggingface_hub.RepoUrl(repo_id))
    monkeypatch.setattr(hub, "upload_folder", lambda self, folder_path, **_: sent.update(files=_names(folder_path)))
    writer.push_to_hub("ann/harps")
    assert sent["files"] == [
        "README.md", "adapter.safetensors", "adapter_config.json", "config.json", "embedder.safetensors",
    ]  # fmt: skip


def _hub(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[str]:
    asked: list[str] = []
    monkeypatch.setattr(huggingface_hub, "snapshot_download", lambda name, **_: asked.append(name) or str(folder))
    return asked


def test_a_hub_name_is_downloaded_and_may_choose_no_code(
    run: Path, writer: dep.Personalizer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(run / "dep" / "seed0", tmp_path / "snapshot")
    asked = _hub(monkeypatch, tmp_path / "snapshot")
    p = dep.Personalizer.from_pretrained("ann/harps")
    assert asked == ["ann/harps"]
    assert p.generate_many([ASK]) == writer.generate_many([ASK])
    path = tmp_path / "snapshot" / "adapter_config.json"
    facts = json.loads(path.read_text())
    facts["config"]["retriever"]["kind"] = "os:system"
    path.write_text(json.dumps(facts))
    with pytest.raises(DepError, match=r"retriever\.kind of .*expected a component of the package"):
        dep.Personalizer.from_pretrained("ann/harps")


def test_an_unreachable_hub_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FileNotFoundError, match="check the name, the connection and the token") as error:
        dep.Personalizer.from_pretrained("ann/no_such_harps", local_files_only=True)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", ["backbone", "embedder"])
def test_another_backbone_or_embedder_is_refused_in_one_line(run: Path, tmp_path: Path, part: str) -> None:
    shutil.copytree(run / "dep" / "seed0", tmp_path / "a")
    path = tmp_path / "a" / "adapter_config.json"
    facts = json.loads(path.read_text())
    if part == "embedder":
        facts["fingerprints"]["embedder"] = "0" * 64
    else:
        facts["config"]["backbone"]["name_or_path"] = str(_other_backbone(tmp_path))
    path.write_text(json.dumps(facts))
    with pytest.raises(DepError, match="another backbone" if part == "backbone" else "trained with") as error:
        dep.Personalizer.from_pretrained(tmp_path / "a")
    assert "\n" not in str(error.value)


def _other_backbone(folder: Path) -> Path:
    """Write a copy of the demo's backbone with another weight."""
    shutil.copytree(DEMO, folder / "other")
    (path,) = (folder / "other").glob("*.safetensors")
    weights = load_file(path)
    next(iter(weights.values())).add_(1.0)
    save_file(weights, path, {"format": "pt"})
    return folder / "other"


def test_the_examples_in_docstrings_run_as_written() -> None:
    done = doctest.testmod(inputs)
    assert done.attempted
    assert not done.failed


def test_the_lines_of_the_library_page_run_as_written(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = Path(__file__).resolve().parents[3] / "docs" / "library.md"
    names: dict[str, object] = {}
    p = dep.Personalizer.from_pretrained(run / "dep")
    user = next(iter(next(iter(p._requests.users.categories.values())).rows_of))  # type: ignore[attr-defined]
    for block in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
        if "owner/" not in block and "PeerIndex" not in block:
            lines = block.replace("runs/demo", str(run)).replace("u017", user)
            exec(compile(lines, "docs/library.md", "exec"), names)
    assert "NLL of the text" in capsys.readouterr().out


def test_units_of_the_compressor_are_set_for_one_ask_and_not_for_its_neighbour(writer: dep.Personalizer) -> None:
    latents = writer.latents(writer.embed(["a fine drum .", "a loud horn ."]), "his")
    assert latents.shape[0] == 2
    unit = int(latents.max(0).values.argmax())
    changed = replace(ASK, units={unit: 50.0 * float(latents.max())})
    plain, other, again = _nlls(writer, ASK, changed, ASK)
    assert plain == again != pytest.approx(other, abs=1e-5)
    assert _nlls(writer, changed) == pytest.approx([other], abs=1e-5)
    texts = writer.generate_many([ASK, changed, replace(ASK, units={unit: 0.0})])
    assert texts[0] == writer.generate_many([ASK])[0]
    with pytest.raises(DepError, match="units: expected numbers from 0 to"):
        writer.generate_many([replace(ASK, units={100_000: 0.0})])
    with pytest.raises(DepError, match="units: expected an adapter with a compressor"):
        writer.baseline("rag").likelihood(replace(ASK, units={0: 0.0}), "a drum")
