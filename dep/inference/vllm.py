"""Generates texts by vLLM from prompt embeddings, for many requests on a large GPU.

    prompts -> soft prompt (ours, as in training) -> embeddings [T, D] of each request -> vLLM -> ids -> text

vLLM gets every prompt only as embeddings. Its prefix cache is turned off: other engines used placeholder ids as the key
of this cache, and so gave one user's embeddings to another user. A prompt of three thousand tokens takes 21 MB for a 7B
model; `batch_size` prompts are in memory at a time. Greedy texts equal those of the engine `hf`. Drawn texts differ,
since vLLM's own random generator draws them, with a seed for each request.

vLLM needs an environment of its own (`make test-vllm` creates one), because it pins its dependencies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from dep.inference.generator import Generate, decoded
from dep.inference.settings import GenerateConfig
from dep.models.soft_prompt import SoftPrompt
from dep.types import Batch, Prompt
from dep.utils.errors import DepError
from dep.utils.hashing import seed_from
from dep.utils.optional_deps import missing_package
from dep.utils.progress import stage

_SHARE = 0.9
"""The share that vLLM takes of the GPU memory that the frozen model in the same process leaves free."""


class VLLM(Generate):
    """Generates one text for each prompt on vLLM's engine, which forms larger batches."""

    def __init__(
        self,
        config: GenerateConfig,
        folder: str,
        backbone: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        soft_prompt: SoftPrompt,
    ) -> None:
        """Start the engine, or reuse the running one.

        Args:
            config: the settings of generation.
            folder: the folder of the backbone's files, or its name on the hub.
            backbone: the loaded model, of which only the input embedding is used here.
            tokenizer: the backbone's tokenizer.
            soft_prompt: the soft prompt, from `build_soft_prompt`, trained or not.

        Raises:
            ValueError: the loaded model's layers differ from those in the files, which vLLM reads.
            DepError: vLLM is not installed.
        """
        if not soft_prompt.prefix_safe or soft_prompt.acts_at_output:
            raise DepError(
                "generate.engine=vllm: expected an adapter that acts on the prompt alone, found one that acts in the "
                "backbone's layers (LoRA, gated cross-attention) or at its output; set generate.engine=hf"
            )
        super().__init__(config, backbone, tokenizer, soft_prompt)
        self.embedding: Any = backbone.get_input_embeddings()
        self.engine = _engine(folder, str(backbone.dtype).removeprefix("torch."))
        rows = int(self.engine.llm_engine.model_config.get_vocab_size())
        self.forbidden = {token: -100.0 for token in self.suppressed if token < rows}

    def __call__(
        self,
        prompts: Sequence[Prompt],
        collate: Callable[[Sequence[Prompt]], Batch],
        plain: Sequence[Prompt] | None = None,
    ) -> Iterator[tuple[str, str]]:
        """Generate one text for each prompt, as `Generate.__call__` does."""
        with stage("generate", len(prompts), show=self.config.progress) as advance:
            for start in range(0, len(prompts), self.config.batch_size):
                chunk = prompts[start : start + self.config.batch_size]
                inputs = [{"prompt_embeds": self._embeds(prompt, collate)} for prompt in chunk]
                settings = [self._sampling(prompt.key) for prompt in chunk]
                outputs = self.engine.generate(inputs, settings, use_tqdm=False)
                for prompt, output in zip(chunk, outputs, strict=True):
                    yield prompt.key, decoded(self.tokenizer, list(output.outputs[0].token_ids), self.stop)
                advance(len(chunk))

    def close(self) -> None:
        """End the engine and its process; another `VLLM` of this backbone starts a new one."""
        self.engine.llm_engine.engine_core.shutdown()
        _engine.cache_clear()

    @torch.no_grad()
    def _embeds(self, prompt: Prompt, collate: Callable[[Sequence[Prompt]], Batch]) -> Tensor:
        batch = collate([prompt]).to(self.embedding.weight.device)
        return self.soft_prompt(batch, self.embedding).inputs_embeds[0].to("cpu", self.backbone.dtype)

    def _sampling(self, key: str) -> Any:
        from vllm import SamplingParams

        c = self.config
        greedy = c.greedy or c.temperature == 0
        return SamplingParams(
            temperature=0.0 if greedy else c.temperature,
            top_p=1.0 if greedy else c.top_p,
            max_tokens=c.max_new_tokens,
            seed=seed_from(f"{c.seed}/{key}", 4),
            stop_token_ids=self.stop,
            logit_bias=self.forbidden or None,
            detokenize=False,
        )


@lru_cache(maxsize=1)
def _engine(folder: str, dtype: str) -> Any:
    try:
        from vllm import LLM
    except ModuleNotFoundError as error:
        raise DepError(missing_package("generate.engine", "vllm") or str(error)) from error
    memory: dict[str, Any] = {"enforce_eager": True}
    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        memory = {"gpu_memory_utilization": _SHARE * free / total}
    return LLM(model=folder, dtype=dtype, enable_prompt_embeds=True, enable_prefix_caching=False, **memory)
