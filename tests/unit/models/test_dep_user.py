"""DEP's user encoder against loops, its invariances, and its place in the prompt."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from dep.data.collate import Collator
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.methods.dep_user import DEPUser
from dep.models.adapters.dep_user.adapter import DEPUserAdapter
from dep.models.adapters.dep_user.attention import Block
from dep.models.adapters.dep_user.settings import DEPUserConfig
from dep.models.compressors.settings import NoCompressorConfig
from dep.models.projector import Projector
from dep.models.settings import ProjectorConfig, SoftPromptConfig
from dep.models.soft_prompt import build_soft_prompt
from dep.types import HIS_SLOT, Batch, Item, Request, Review, Slot, UserHistory, UserHistoryBatch

E, W, D = 5, 8, 6
SMALL = DEPUserConfig(tokens=3, width=W, layers=1, heads=2)
ABLATIONS = [
    {}, {"layers": 0}, {"reviews": False}, {"differences": False}, {"conditioned": False}, {"target_peers": False},
    {"tokens": 1}, {"reviews": False, "differences": False},
]  # fmt: skip


def random_history(length: int, seed: int, peers: bool = True) -> UserHistory:
    g = torch.Generator().manual_seed(seed)
    his, item, diff = torch.randn(3, length, E, generator=g).unbind()
    count = torch.randint(0, 4, (length,), generator=g).float() * peers
    query, item_peers = torch.randn(2, E, generator=g).unbind()
    return UserHistory(
        his, item, torch.rand(length, generator=g) * 4 + 1, torch.arange(length).flip(0) * 7.0, 0, query,
        diff=diff * (count > 0)[:, None], peers=count, asked_rating=1.0 + seed % 5,
        item_peers=item_peers * (seed % 2) * peers, item_peer_count=seed % 2 * 3 * peers,
    )  # fmt: skip


def batch_of(*histories: UserHistory) -> Batch:
    ids = torch.zeros(len(histories), 1, dtype=torch.long)
    return Batch(["k"] * len(histories), ids, ids, ids, user_history=UserHistoryBatch.of(histories))


def adapter(**fields: object) -> DEPUserAdapter:
    """Build an adapter all of whose weights are random, so that no gate or scale hides a mistake."""
    config = replace(SMALL, **fields)
    torch.manual_seed(0)
    statistics = {"his": (torch.randn(E), torch.rand(E) + 0.5), "diff": (torch.randn(E), torch.rand(E) + 0.5)}
    built = DEPUserAdapter(config, Projector(ProjectorConfig(hidden=7), W, D, ["user"], 1.0), E, statistics)
    for parameter in built.parameters():
        nn.init.normal_(parameter, std=0.5)
    return built.eval()


def tokens(built: DEPUserAdapter, *histories: UserHistory) -> Tensor:
    with torch.no_grad():
        return built(batch_of(*histories)).vectors["user"]


def normed(x: Tensor, layer: nn.LayerNorm | None = None) -> Tensor:
    mean = sum(x) / len(x)
    deviation = (sum((c - mean) ** 2 for c in x) / len(x) + 1e-5) ** 0.5
    out = torch.stack([(c - mean) / deviation for c in x])
    return out if layer is None else out * layer.weight + layer.bias


def blocked(block: Block, x: Tensor, memory: list[Tensor]) -> Tensor:
    """One query's block: each head's weights and mean are loops over the memory."""
    heads, a = block.attention.heads, block.attention
    query = a.query(normed(x, block.norm)).split(W // heads)
    seen = [normed(m, block.norm_memory) for m in memory]
    read = []
    for head in range(heads):
        keys = [a.key(m).split(W // heads)[head] for m in seen]
        scores = [math.exp(float(query[head] @ key) / math.sqrt(W // heads)) for key in keys]
        values = [a.value(m).split(W // heads)[head] for m in seen]
        read.append(sum(s / sum(scores) * v for s, v in zip(scores, values, strict=True)))
    x = x + a.out(torch.cat(read))
    hidden = block.mlp[0](normed(x, block.norm_mlp))
    return x + block.mlp[2](torch.stack([h * 0.5 * (1 + math.erf(h / math.sqrt(2))) for h in hidden]))


def gate(g: nn.Module, count: float) -> float:
    return 1 / (1 + math.exp(-float(g.slope * math.log(1 + count) + g.start)))


def peer_vector(module: nn.Module, x: Tensor, count: float) -> Tensor:
    if count == 0:
        return module.absent
    return gate(module.gate, count) * module.linear(x) + math.log(1 + count) * module.count


def stars(module: nn.Module, rating: float) -> Tensor:
    low = min(int(rating), 4)
    weights = module.linear.weight
    return (low + 1 - rating) * weights[:, low - 1] + (rating - low) * weights[:, low]


def by_loops(built: DEPUserAdapter, past: UserHistory) -> Tensor:
    """One user's soft tokens, review by review, without padding, masks or batched products."""
    encoder, std = built.encoder, {name: (s.mean, s.std) for name, s in built.standardizers.items()}
    his, diff = ([(x - std[b][0]) / std[b][1] for x in getattr(past, b)] for b in ("his", "diff"))
    counts = past.peers.tolist()
    states = [encoder.start]
    for i in range(len(his)):
        e = encoder.events
        x = e.item(past.item[i] * E**0.5) + stars(e.stars, float(past.rating[i]))
        x = x + math.log(1 + float(past.days[i])) * e.age
        x = x if e.review is None else x + e.review(his[i])
        x = x if e.difference is None else x + peer_vector(e.difference, diff[i], counts[i])
        states.append(normed(x, e.norm))
    for block in encoder.blocks:
        states = [blocked(block, x, states) for x in states]
    request, added = torch.zeros(W), torch.zeros(len(encoder.queries_MW), W)
    if encoder.request is not None:
        r = encoder.request
        x = r.query(past.query * E**0.5) + stars(r.stars, past.asked_rating)
        if r.peers is not None:
            peers = (past.item_peers - std["his"][0]) / std["his"][1]
            x = x + peer_vector(r.peers, peers, past.item_peer_count)
        request = normed(x, r.norm)
    if encoder.pooled is not None:
        p, means = encoder.pooled, []
        if p.reviews:
            means.append(normed(sum(his) / len(his)) if his else torch.zeros(E))
        if p.gate is not None:
            sure = [gate(p.gate, n) if n else 0.0 for n in counts]
            known = sum(s * x / sum(sure) for s, x in zip(sure, diff, strict=True)) if sum(sure) else torch.zeros(E)
            means.append(normed(known) if sum(sure) else known)
        added = p.linear(torch.cat(means)).reshape(-1, W)
    out = [
        encoder.scale * normed(blocked(encoder.read, query + request, states), encoder.norm) + own
        for query, own in zip(encoder.queries_MW, added, strict=True)
    ]
    return torch.stack([built.projector(x, "user") for x in out])


@pytest.mark.parametrize("fields", ABLATIONS, ids=str)
def test_the_soft_tokens_are_those_of_a_loop_over_reviews_and_heads(fields: dict[str, object]) -> None:
    built = adapter(**fields)
    histories = [random_history(n, seed) for n, seed in ((4, 1), (1, 2), (0, 3), (6, 4))]
    out = tokens(built, *histories)
    with torch.no_grad():
        for got, history in zip(out, histories, strict=True):
            assert torch.allclose(got, by_loops(built, history), atol=2e-5)


def test_padding_and_the_order_of_a_batch_change_no_number() -> None:
    built = adapter()
    histories = [random_history(n, seed) for n, seed in ((2, 1), (7, 2), (0, 3), (1, 4))]
    together = tokens(built, *histories)
    assert torch.allclose(together.flip(0), tokens(built, *histories[::-1]), atol=1e-6)
    for at, history in enumerate(histories):
        assert torch.allclose(together[at], tokens(built, history)[0], atol=1e-6)


def test_the_order_of_past_reviews_does_not_matter_but_their_age_does() -> None:
    built, past = adapter(), random_history(5, 1)
    order = torch.tensor([3, 0, 4, 2, 1])
    fields = ("his", "item", "rating", "days", "diff", "peers")
    moved = replace(past, **{name: getattr(past, name)[order] for name in fields})
    assert torch.allclose(tokens(built, past), tokens(built, moved), atol=1e-5)
    assert not torch.allclose(tokens(built, past), tokens(built, replace(past, days=past.days * 9)), atol=1e-3)


def test_every_part_of_a_history_reaches_the_tokens_and_an_ablation_cuts_exactly_its_part() -> None:
    past = replace(random_history(4, 1), peers=torch.tensor([2.0, 1.0, 3.0, 1.0]))
    changes = {
        "his": replace(past, his=-past.his), "item": replace(past, item=-past.item),
        "rating": replace(past, rating=6 - past.rating), "days": replace(past, days=past.days + 9),
        "diff": replace(past, diff=-past.diff), "peers": replace(past, peers=past.peers * 9),
        "query": replace(past, query=-past.query), "asked_rating": replace(past, asked_rating=5.0),
        "item_peers": replace(past, item_peers=-past.item_peers), "item_peer_count": replace(past, item_peer_count=99),
    }  # fmt: skip

    def read_by(built: DEPUserAdapter) -> set[str]:
        plain = tokens(built, past)
        return {name for name, other in changes.items() if not torch.equal(plain, tokens(built, other))}

    of_request = {"query", "asked_rating", "item_peers", "item_peer_count"}
    assert read_by(adapter()) == set(changes)
    assert read_by(adapter(differences=False)) == set(changes) - {"diff", "peers"}
    assert read_by(adapter(reviews=False)) == set(changes) - {"his"}
    assert read_by(adapter(conditioned=False)) == set(changes) - of_request
    assert read_by(adapter(target_peers=False)) == set(changes) - {"item_peers", "item_peer_count"}


def test_a_difference_counts_more_the_more_peers_it_comes_from_and_not_at_all_without() -> None:
    built = DEPUserAdapter(SMALL, Projector(ProjectorConfig(), W, D, ["user"], 1.0), E).eval()
    sure = built.encoder.events.difference.gate(torch.tensor([1.0, 2.0, 30.0]))
    assert torch.allclose(sure, torch.tensor([2 / 3, 3 / 4, 31 / 32]))
    past = replace(random_history(3, 1), peers=torch.zeros(3))
    assert torch.equal(tokens(built, past), tokens(built, replace(past, diff=past.diff + 100)))


def test_dropout_acts_in_training_alone() -> None:
    built, past = adapter(dropout=0.5), random_history(4, 1)
    assert torch.equal(tokens(built, past), tokens(built, past))
    built.train()
    assert not torch.allclose(tokens(built, past), tokens(built, past))


@pytest.mark.parametrize("fields", ABLATIONS, ids=str)
def test_a_gradient_reaches_every_weight(fields: dict[str, object]) -> None:
    torch.manual_seed(0)
    config = replace(SMALL, **fields)
    built = DEPUserAdapter(config, Projector(ProjectorConfig(), W, D, ["user"], 1.0), E)
    built(batch_of(random_history(5, 1), random_history(6, 2))).vectors["user"].pow(2).sum().backward()
    for name, parameter in built.named_parameters():
        # a bias of keys changes all scores of a softmax alike
        assert ".key.bias" in name or (parameter.grad is not None and parameter.grad.abs().max() > 0), name


def test_users_without_reviews_or_peers_get_finite_tokens_and_gradients() -> None:
    built = adapter().train()
    nobody = [random_history(0, 1, peers=False), random_history(3, 2, peers=False), random_history(1, 3)]
    for histories in (nobody, nobody[:1]):
        built.zero_grad()
        out = built(batch_of(*histories)).vectors["user"]
        out.sum().backward()
        assert torch.isfinite(out).all()
        assert all(torch.isfinite(p.grad).all() for p in built.parameters() if p.grad is not None)


def test_a_width_that_heads_do_not_divide_and_a_batch_without_users_are_refused() -> None:
    with pytest.raises(ValueError, match=r"dep_user\.heads"):
        adapter(heads=3)
    batch = batch_of(random_history(1, 0))
    batch.user_history = None
    with pytest.raises(ValueError, match=r"batch\.user_history.*prompt\.reads_user_history"):
        adapter()(batch)


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("place", ["inline", "late"])
def test_the_user_s_tokens_have_their_place_beside_past_reviews(model, tokenizer, place: str, text: bool) -> None:
    run = PromptConfig(history=2, text=text, slots=place)  # type: ignore[arg-type]
    prompt, soft = DEPUser(DEPUser.Config()).configure(run, SoftPromptConfig(dep_user=SMALL))
    assert prompt.reads_differences
    slots = tuple(
        Slot(Review("u", n, f"I liked {n}.", 4.0, "Fine", 0), Item(n, n.upper(), ""), torch.ones(E), torch.ones(E))
        for n in ("new", "old")
    )
    asked = [
        Request(str(n), "Books", "u", Item("i", "Thing", "Described."), 4.0, "Good", "It was fine.", slots,
                user_history=random_history(n, n))
        for n in (0, 3)
    ]  # fmt: skip
    builder = PromptBuilder(tokenizer, prompt, soft.branches, keeps_prefixes=True)
    prompts = [builder.build(request) for request in asked]
    soft_prompt = build_soft_prompt(
        soft, NoCompressorConfig(), ProjectorConfig(), width=E, model=model, tokenizer=tokenizer
    ).eval()
    assert soft_prompt.prefix_safe
    batch = Collator(tokenizer.pad_token_id)(prompts)
    with torch.no_grad():
        out = soft_prompt(batch, model.get_input_embeddings()).inputs_embeds
        at = batch.ids == tokenizer.convert_tokens_to_ids(HIS_SLOT)
        assert at.sum(1).tolist() == [3, 3]
        assert torch.allclose(out[at].reshape(2, 3, -1), soft_prompt.adapter(batch).vectors["user"])
    shown = tokenizer.decode(prompts[0].ids)
    assert ("I liked new." in shown) == text
    assert (shown.index("[User Embedding]") > shown.index("OLD")) == (place == "late")
    assert shown.index("[User Embedding]") < shown.index("[Output Review Rating]")
    kept = [tokenizer.decode(prompt.ids[: prompt.cuts[-1]]) for prompt in prompts]
    assert kept[0] == kept[1]
    assert kept[0].endswith("[User Embedding]:\n")
