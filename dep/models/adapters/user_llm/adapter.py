"""The adapter of User-LLM (Ning et al., 2025), which gives the LLM embeddings of a user's history.

    states = encoder(history),   memory = perceiver(states), or the states themselves

With the integration `soft_prompt`, the projector maps the memory to soft tokens, which stand before the request. With
`cross_attention`, every n-th layer of the frozen LLM attends to the memory.

Shapes: B users, L past reviews, W width of the encoder, M memory vectors per user; E and D as in `dep.types`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, ExitStack
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.models.adapters.base import Adapter, AdapterParts, SoftTokens, Statistics, user_history
from dep.models.adapters.lora import LowRankUpdates
from dep.models.adapters.user_llm.cross_attention import GatedCrossAttention, attached
from dep.models.adapters.user_llm.encoder import UserEncoder
from dep.models.adapters.user_llm.perceiver import Perceiver
from dep.models.adapters.user_llm.settings import UserLLMConfig
from dep.models.backbones.layers import decoder_layers
from dep.models.projector import Projector
from dep.types import Batch
from dep.utils.errors import DepError


class UserLLMAdapter(Adapter):
    """`user_llm`: a user encoder, and a projector or cross-attention that connects the encoder to the LLM.

    Args:
        config: the settings.
        width: E, the width of the vectors.
        categories: number of categories in the data.
        longest: the largest L.
        model: the frozen LLM.
        projector: maps W to D for the branch `user`; None for cross-attention.
        statistics: mean and standard deviation [E] of the reviews' vectors (branch `his`), with which the encoder's
            input is standardised; with None the input is only scaled.
    """

    statistics_of = ("his",)

    def __init__(
        self,
        config: UserLLMConfig,
        width: int,
        categories: int,
        longest: int,
        model: PreTrainedModel,
        projector: Projector | None,
        statistics: Statistics | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        w = config.encoder.width
        self.encoder = UserEncoder(config.encoder, width, categories, longest, (statistics or {}).get("his"))
        self.perceiver = Perceiver(w, config.latents, heads=config.encoder.heads) if config.latents else None
        self.projector = projector
        layers = [] if projector is not None else list(decoder_layers(model))[:: config.every]
        embedding: Any = model.get_input_embeddings()
        d = int(embedding.weight.shape[1])
        self.cross = nn.ModuleList(GatedCrossAttention(d, w, config.heads) for _ in layers)
        self.updates: LowRankUpdates | None = None

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> UserLLMAdapter:
        """Build the adapter with a projector or cross-attention, depending on `soft_prompt.user_llm.integration`."""
        settings, projector = parts.soft_prompt.user_llm, None
        if settings.integration == "soft_prompt":
            width = settings.encoder.width
            projector = parts.new_projector(width)
        adapter = cls(settings, parts.width, parts.categories, parts.longest, parts.model, projector, parts.statistics)
        if settings.strategy == "lora":
            adapter.updates = LowRankUpdates(parts.model, parts.soft_prompt.lora)
        return adapter

    @property
    def prefix_safe(self) -> bool:
        """False with cross-attention or LoRA, since the hidden states of all positions then depend on the adapter."""
        return not len(self.cross) and self.updates is None

    @property
    def rows_alike(self) -> bool:
        """False with cross-attention, in which each row attends to its own user's memory."""
        return not len(self.cross)

    @property
    def pretrainable(self) -> UserEncoder:
        """The user encoder, which is first trained on a task of its own."""
        return self.encoder

    def train(self, mode: bool = True) -> UserLLMAdapter:
        """Switch between training and eval mode; an encoder that is not trained stays in eval mode."""
        super().train(mode)
        if self.config.strategy == "projector":
            self.encoder.eval()
        return self

    def is_trained(self, name: str) -> bool:
        """Return whether a parameter is trained; those of the pretraining task and of a frozen encoder are not."""
        own_task = name.startswith(("encoder.next_", "encoder.sharpness"))
        return not (own_task or (self.config.strategy == "projector" and name.startswith("encoder.")))

    def param_groups(self) -> list[dict[str, Any]]:
        """Return two optimizer groups (`params`, `lr`): encoder with Perceiver, and cross-attention."""
        encoders = [self.encoder] if self.perceiver is None else [self.encoder, self.perceiver]
        return [
            {"params": [p for module in modules for p in module.parameters() if p.requires_grad], "lr": lr}
            for modules, lr in ((encoders, self.config.encoder_lr), ([self.cross], self.config.cross_lr))
        ]

    def memory(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Encode each user's history.

        Returns:
            The memory vectors [B, M, W], and a mask [B, M] that is True where a vector is not padding.

        Raises:
            DepError: the batch has no user history.
        """
        history = user_history(batch, self.encoder.review.weight, "User-LLM")
        states_BLW = self.encoder(history)
        if self.perceiver is None:
            return states_BLW, history.present
        memory_BMW = self.perceiver(states_BLW, history.present)
        return memory_BMW, history.present.new_ones(memory_BMW.shape[:2])

    def forward(self, batch: Batch) -> SoftTokens:
        """Compute the soft tokens [B, M, D] of the branch `user`."""
        assert self.projector is not None, "cross-attention has no soft tokens"
        memory_BMW, _ = self.memory(batch)
        return SoftTokens({"user": self.projector(memory_BMW, "user")}, {}, {})

    def attached(self, model: PreTrainedModel, batch: Batch) -> AbstractContextManager[object]:
        """Return a context manager that adds cross-attention and LoRA to `model`, as far as they are configured."""
        context = ExitStack()
        if self.updates is not None:
            context.enter_context(self.updates.attached(model))
        if len(self.cross):
            memory_BMW, present_BM = self.memory(batch)
            if not bool(present_BM.any(1).all()):
                way_out = "ask for users with past reviews, or set soft_prompt.user_llm.integration=soft_prompt"
                raise DepError("User-LLM's cross-attention", "at least one past review", "none", way_out)
            context.enter_context(attached(model, self.cross, self.config.every, memory_BMW, present_BM))
        return context
