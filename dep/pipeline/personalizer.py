"""Generates reviews for single users with a trained adapter: `dep.Personalizer`.

reviews -> embedder -> his (Eq. 2), diff (Eq. 4) -> prompt -> frozen LLM with the adapter -> text

`his` is the vector of a past review, and `diff` its difference from the mean of the peers' vectors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import torch
from huggingface_hub import ModelHubMixin

from dep.data.embedders.base import Embedder
from dep.data.prompts.builder import PromptBuilder
from dep.methods import METHODS
from dep.methods.memory_reader import HistoryReader, of_past_reviews
from dep.pipeline.adapter_folder import load_adapter
from dep.pipeline.arm import Arm
from dep.pipeline.personal.explain import Explanation, explain
from dep.pipeline.personal.folders import find, run_of
from dep.pipeline.personal.inputs import UNCHANGED, Ask, PastReview, Strength
from dep.pipeline.personal.latents import latents
from dep.pipeline.personal.requests import RequestBuilder
from dep.pipeline.personal.saving import save_adapter
from dep.pipeline.personal.stores import check_store, no_vectors, open_store
from dep.pipeline.personal.untrained import of_arm, without_adapter
from dep.pipeline.personal.users import RunUsers, Store, StoredItem, StoreUsers
from dep.pipeline.personal.writer import Writer
from dep.types import Branch

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedTokenizerBase

    from dep.store.peer_index import PeerIndex
    from dep.training.module import PersonalizationModule
    from dep.types import Request

__all__ = ["Ask", "PastReview", "Personalizer", "Strength"]


class Personalizer(ModelHubMixin, library_name="dep"):
    """Generates reviews for users from their past reviews; `from_pretrained` loads one.

        p = dep.Personalizer.from_pretrained("runs/demo/dep")
        p.generate(user="u017", item="A drum", rating=4.0, title="Loud")        # a user of the run
        past = [dep.PastReview("A harp", "Its strings are lovely.", 5.0)]
        p.generate(history=past, item="A drum", rating=4.0)                     # a user never seen
        p.generate_many([dep.Ask(past, item="A drum"), dep.Ask(past, item="A flute")])
        for piece in p.stream(dep.Ask(past, item="A drum")): print(piece, end="")
        print(p.explain(dep.Ask(past, item="A drum"), "I love its sound."))

    A `Personalizer` may be shared by threads: texts are generated and scored one call at a time.

    Args:
        module: the backbone with the adapter.
        tokenizer: the backbone's tokenizer.
        arm: the trained arm, with its configuration.
        embedder: embeds reviews as in the training; None for an arm that reads no vectors.
        folder: the adapter's folder; None for a method that trains none.
    """

    _hub_mixin_config = {"library_name": "dep"}  # noqa: RUF012 (of the mixin, which declares it without ClassVar)
    """The content of config.json, by which a hub counts downloads; adapter_config.json has the configuration."""

    def __init__(
        self, module: PersonalizationModule, tokenizer: PreTrainedTokenizerBase, arm: Arm,
        embedder: Embedder | None = None, folder: Path | None = None,
    ) -> None:  # fmt: skip
        self.module, self.tokenizer, self.arm, self.folder = module, tokenizer, arm, folder
        self._requests = RequestBuilder(arm, module.soft_prompt.adapter, embedder)
        self._writer = Writer(module, tokenizer, arm)
        if module.soft_prompt.acts_at_output:
            past_builder = PromptBuilder(tokenizer, of_past_reviews(arm.configured[0]))
            self._requests.past_reader = HistoryReader(past_builder, module.states)
        self._store: Store | None = None
        if folder is not None and run_of(folder):
            self._requests.users = RunUsers(folder, arm.needs_vectors)

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls, pretrained_model_name_or_path: str | Path, *, store: str | Path | Store | None = None, backbone: str = "",
        device: str = "auto", revision: str | None = None, token: str | bool | None = None,
        cache_dir: str | Path | None = None, force_download: bool = False, local_files_only: bool = False,
    ) -> Self:  # fmt: skip
        """Load an adapter, the backbone and the embedder that it was trained with.

        Args:
            pretrained_model_name_or_path: the adapter's folder (`runs/demo/dep/seed0`), its arm's (`runs/demo/dep`) or
                its run's (`runs/demo`); the name of an adapter of the package (`smollm2_english`); or `owner/name` on
                a model hub, which is fetched if it is not in the hub's cache.
            store: a `dep.PeerIndex` or its path, in which `user=...` is looked up instead of in the run.
            backbone: the name or folder of the backbone on this machine, if it is not the one of the configuration.
            device: where the backbone runs, such as `cpu` or `cuda`; `auto` for CUDA if there is one.
            revision: the branch, tag or commit on the hub.
            token: the hub's token; True for the one that is stored on this machine.
            cache_dir: the hub's cache.
            force_download: whether the adapter is fetched again.
            local_files_only: whether the hub is not asked.

        Raises:
            MissingFile: there is no such adapter or store, or a file is missing in the adapter's folder.
            FileNotFoundError: the backbone is not on this machine.
            DepError: the adapter was trained on another backbone or embedder, or the store has vectors of another.
        """
        found = find(
            pretrained_model_name_or_path, revision=revision, token=token, cache_dir=cache_dir,
            force_download=force_download, local_files_only=local_files_only,
        )  # fmt: skip
        if (found.folder / "adapter_config.json").is_file():
            loaded = load_adapter(found.folder, backbone, own_code=not found.from_hub)
        else:
            loaded = without_adapter(found.folder, backbone)
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        if loaded.arm.config.backbone.quantization == "none":  # a quantized one is where its loading has placed it
            loaded.module.to(device)
        self = cls(*loaded, found.folder)
        if store is not None:
            self.store = self.open_store(store) if isinstance(store, str | Path) else store
        return self

    def generate(
        self, history: Sequence[PastReview] | None = None, item: str = "", rating: float = math.nan, title: str = "",
        description: str = "", seed: int = 0, peers: Sequence[str] = (), *, user: str | None = None,
        category: str = "", item_id: str = "", strength: Strength = UNCHANGED, max_new_tokens: int | None = None,
        temperature: float | None = None, top_p: float | None = None, units: Mapping[int, float] | None = None,
    ) -> str:  # fmt: skip
        """Generate the review that the user would write about an item; `Ask` documents the arguments.

        Raises:
            DepError: there is neither a history nor a user, or the user is not known.
        """
        ask = Ask(
            history, item, rating, title, description, seed, peers, user, category, item_id, strength, max_new_tokens,
            temperature, top_p, units or {},
        )  # fmt: skip
        return self.generate_many([ask])[0]

    def generate_many(self, asks: Sequence[Ask]) -> list[str]:
        """Generate one review for each ask, several at a time.

        Each text is the one that the ask gives alone, up to rounding: sums in another order differ in the last digit,
        which changes a text only where two tokens are equally likely to that digit.

        Raises:
            DepError: for the reasons of `generate`.
        """
        return self._writer.texts([self._requests(ask) for ask in asks], asks)

    def stream(self, ask: Ask) -> Iterator[str]:
        """Generate a review and yield its text piece by piece; the pieces together are the text of `generate`.

        Generation begins with the first piece that is read, and ends early if the iterator is closed. Until then other
        threads wait with theirs.

        Raises:
            DepError: for the reasons of `generate`, before the first piece.
        """
        return self._writer.stream(self._requests(ask), ask)

    def likelihood(self, ask: Ask, text: str) -> float:
        """Compute how unlikely a text is as the answer to an ask.

        Returns:
            The negative log likelihood (NLL) in nats per token, with the token that ends the text.

        Raises:
            DepError: for the reasons of `generate`, or the text is empty.
        """
        return self.likelihood_many([ask], [text])[0]

    def likelihood_many(self, asks: Sequence[Ask], texts: Sequence[str]) -> list[float]:
        """Compute `likelihood` for each ask and its text, several at a time."""
        return self._writer.nll([self._requests(ask) for ask in asks], texts, asks)

    def explain(self, ask: Ask, text: str, latents: int = 8, peers: int = 16, progress: bool = True) -> Explanation:
        """Explain a text by the change of its NLL when past reviews, peers, vectors and latents are each left out.

        Args:
            ask: what the text answers.
            text: the text, generated or written by the user.
            latents: the largest number of latents; those are taken whose effect a gradient estimates to be largest.
            peers: the largest number of peers.
            progress: whether a progress bar is shown.

        Returns:
            The parts, the largest change first; it prints as a table.
        """
        return explain(self._requests, self._writer, ask, text, latents, peers, progress)

    def embed(self, texts: Sequence[str]) -> Tensor:
        """Embed reviews as in the training, for a store.

        Returns:
            The vectors [N, E] in float32; zeros [N, 1] for an adapter that reads no vectors.

        Raises:
            DepError: the adapter reads no vectors, but the store has those of an embedder.
        """
        if self._requests.embedder is None:
            return no_vectors(len(texts), self._store)
        return self._requests.embed(texts)

    def forget(self, reviews: Sequence[StoredItem]) -> None:
        """Drop what is kept in memory of reviews that leave a store; read them before: `forget(store.reviews(user))`.

        Vectors of other texts stay. Token ids and kept beginnings of prompts are dropped for all users.
        """
        self._requests.forget(reviews)
        self._writer.forget()

    def latents(self, vectors_NE: Tensor, branch: Branch = "diff") -> Tensor:
        """Compute the latents of vectors: what the adapter's compressor makes of them (Eq. 5).

        Args:
            vectors_NE: reviews' own vectors, or their differences from peers.
            branch: which of the two they are, `his` or `diff`.

        Returns:
            The activations [N, Z] of the units.

        Raises:
            DepError: the adapter has no compressor.
        """
        return latents(self.module.soft_prompt.adapter, vectors_NE, branch)

    def scales(self, branch: Branch) -> bool:
        """Return whether the adapter reads a branch, so that its `Strength` changes texts."""
        return self._requests.scales(branch)

    def warm_up(self) -> None:
        """Answer a short request, so that the first user does not wait for what is done only once."""
        past = PastReview("A lamp", "It is bright.", 5.0, peers=["It is dim."])
        self.generate([past], item="A lamp", rating=5.0, max_new_tokens=1)

    def prompt_tokens(self, ask: Ask) -> int:
        """Return the number of tokens in the prompt of an ask."""
        return len(self._writer.builder.build(self._requests(ask)).ids)

    def request(self, ask: Ask) -> Request:
        """Return what `generate` makes of an ask: the item, past reviews and their vectors; it raises the same."""
        return self._requests(ask)

    @property
    def writer(self) -> Writer:
        """What generates and scores texts; whoever runs the LLM apart from it holds its lock."""
        return self._writer

    @property
    def run_users(self) -> RunUsers | None:
        """What looks users up in the adapter's run; None without a run, or with a store."""
        users = self._requests.users
        return users if isinstance(users, RunUsers) else None

    @property
    def store(self) -> Store | None:
        """The store in which users are looked up; None for those of the run."""
        return self._store

    @store.setter
    def store(self, store: Store) -> None:
        check_store(store, self._requests.embedder)
        self._store = store
        self._requests.users = StoreUsers(store, self._requests.prompt.reads_differences)

    def baseline(self, method: Literal["rag", "non_perso"]) -> Personalizer:
        """Return the same LLM without the adapter: with past reviews as text (`rag`) or without any (`non_perso`).

        Both share the loaded backbone, and look users up in the same place.
        """
        config = replace(self.arm.config, method=METHODS.config_class(method)())
        arm = replace(self.arm, name=method, config=config)
        plain = Personalizer(*of_arm(arm, self.module.backbone, self.tokenizer))
        plain._store, plain._requests.users = self._store, self._requests.users
        return plain

    def open_store(self, path: str | Path, create: bool = False) -> PeerIndex:
        """Open a store of this adapter's embedder; set `store` to it to look users up there.

        Raises:
            DepError: the file is missing, is no store, or has vectors of another embedder.
        """
        return open_store(path, self._requests.embedder, create)

    def _save_pretrained(self, save_directory: Path) -> None:
        """Copy the adapter's folder, with a model card that has the results of its run.

        Raises:
            DepError: the method trains no adapter.
        """
        save_adapter(self.folder, self.arm.label, save_directory)
