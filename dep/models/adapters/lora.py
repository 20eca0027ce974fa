"""LoRA (Hu et al., 2022) as an adapter: it trains low-rank updates of the frozen LLM's own layers.

    h = W x + 2 B A x,   A [R, in] drawn at random, B [out, R] zero at first

R is the rank. The factors A and B are the adapter's parameters. Forward hooks add the updates while the LLM reads a
batch. The LLM's own modules do not change, so that arms with and without LoRA share one loaded backbone.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from dep.models.adapters.base import Adapter, AdapterParts
from dep.models.backbones.layers import decoder_layers
from dep.models.settings import LoRAConfig
from dep.types import Batch
from dep.utils.errors import DepError

SCALE = 2.0
"""The factor on the update, which LoRA calls alpha / R; here alpha is 2 R."""
_TARGETS = ("q_proj", "v_proj", "query_key_value", "c_attn", "Wqkv", "qkv_proj", "att_proj")
"""How transformers' architectures name query and value projections; a fused projection is updated as a whole."""


class LowRankUpdates(nn.Module):
    """Holds the factors A and B for every updated layer.

    Args:
        model: the frozen LLM; only the sizes of its layers are read.
        config: the rank, and the names of the layers to update.

    Raises:
        DepError: no layer of the LLM has one of the names.
    """

    def __init__(self, model: PreTrainedModel, config: LoRAConfig) -> None:
        super().__init__()
        self.names = _target_names(model, config)
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        for name in self.names:
            inputs, outputs = _sizes(model.get_submodule(name))
            a_RI = torch.empty(config.rank, inputs)
            nn.init.kaiming_uniform_(a_RI, a=math.sqrt(5))
            self.down[_key(name)] = nn.Parameter(a_RI)
            self.up[_key(name)] = nn.Parameter(torch.zeros(outputs, config.rank))

    @contextmanager
    def attached(self, model: PreTrainedModel) -> Iterator[None]:
        """Add the updates to `model` inside the `with` block."""
        handles = [model.get_submodule(name).register_forward_hook(self._hook(_key(name))) for name in self.names]
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _hook(self, key: str) -> Any:
        a_RI, b_OR = self.down[key], self.up[key]

        def add(layer: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> Tensor:
            update = nn.functional.linear(nn.functional.linear(args[0].to(a_RI.dtype), a_RI), b_OR)
            return output + (SCALE * update).to(output.dtype)

        return add


class LoRAAdapter(Adapter):
    """`lora`: low-rank updates of the LLM, the same for every user, without soft tokens.

    This control measures the effect of training inside the LLM.
    """

    depends_on_user = False
    needs_branches = False
    rows_alike = True

    def __init__(self, updates: LowRankUpdates) -> None:
        super().__init__()
        self.updates = updates
        self._of_user: list[LowRankUpdates] = []  # a list, since a user's updates are no part of what is saved

    @classmethod
    def from_parts(cls, parts: AdapterParts) -> LoRAAdapter:
        """Build the adapter for the layers in `soft_prompt.lora.targets`, or else for query and value projections."""
        return cls(LowRankUpdates(parts.model, parts.soft_prompt.lora))

    def attached(self, model: PreTrainedModel, batch: Batch) -> AbstractContextManager[object]:
        """Return a context manager inside which `model` computes with the updates, those of a user included."""
        context = ExitStack()
        for updates in (self.updates, *self._of_user):
            context.enter_context(updates.attached(model))
        return context

    def reference(self, model: PreTrainedModel) -> AbstractContextManager[object]:
        """Return a context without a user's updates; without the adapter's own as well if no user's are attached."""
        return self.updates.attached(model) if self._of_user else nullcontext()

    @contextmanager
    def of_user(self, updates: LowRankUpdates) -> Iterator[None]:
        """Inside the `with` block, `attached` also adds the updates of one user."""
        self._of_user = [updates]
        try:
            yield
        finally:
            self._of_user = []


def _target_names(model: PreTrainedModel, config: LoRAConfig) -> list[str]:
    """Return the dotted names of the layers to update, in the order of the model."""
    targets = tuple(config.targets or _TARGETS)
    inside = {id(module) for layer in decoder_layers(model) for module in layer.modules()}
    linear = [name for name, module in model.named_modules() if id(module) in inside and _is_linear(module)]
    names = [name for name in linear if name.rpartition(".")[2] in targets]
    if not names:
        available = sorted({name.rpartition(".")[2] for name in linear})
        raise DepError(
            "soft_prompt.lora.targets", f"layers of {type(model).__name__} by name", ", ".join(targets),
            f"name some of {', '.join(available)}",
        )  # fmt: skip
    return names


def _is_linear(module: nn.Module) -> bool:
    return getattr(getattr(module, "weight", None), "dim", lambda: 0)() == 2 and not isinstance(module, nn.Embedding)


def _sizes(layer: nn.Module) -> tuple[int, int]:
    """Return the input and output size of a linear layer; transformers' Conv1D stores its weight transposed."""
    inputs, outputs = getattr(layer, "in_features", None), getattr(layer, "out_features", None)
    if inputs is None or outputs is None:
        weight: Any = layer.weight
        inputs, outputs = weight.shape
    return int(inputs), int(outputs)


def _key(name: str) -> str:
    """Convert a layer's name to a parameter's name, which must not contain a dot."""
    return name.replace(".", "_")
