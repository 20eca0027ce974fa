"""Builds miniatures: tiny copies of an architecture with the same kinds of layers and random weights.

How a model treats padding, a cache or packed examples follows from its code and its configuration, not from its size,
so that a miniature can stand for the model in a trial. `miniature` shrinks every size in a configuration and keeps
everything else. A layer of each kind remains. Attention windows become a few tokens long, so that a prompt of ten
tokens exceeds them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM, PretrainedConfig, PreTrainedModel

from dep.models.backbones.gqa_attention import use_gqa_attention

WINDOW = 4
"""Tokens in the attention window of a miniature."""
VOCABULARY, POSITIONS = 96, 64
_LARGEST = 20_000_000
"""Largest number of parameters of a miniature; a larger one shows that the name of a size is missing below."""
_WIDTH, _HEADS, _HEAD, _SPREAD = 32, 4, 8, 0.3


def _named(size: int, names: str) -> dict[str, int]:
    return dict.fromkeys(names.split(), size)


_SIZES = {
    **_named(_WIDTH, "hidden_size n_embd d_model dim embedding_size embedding_dim word_embed_proj_dim lru_width "
                     "emb_dim dim_model embed_dim query_pre_attn_scalar laurel_rank hc_lowrank ple_embed_dim"),
    **_named(_HEADS, "num_attention_heads n_head n_heads num_heads decoder_attention_heads encoder_attention_heads "
                     "swa_num_attention_heads linear_num_value_heads linear_num_heads num_query_groups"),
    **_named(_HEAD, "head_dim d_kv global_head_dim swa_head_dim swa_v_head_dim dim_head linear_key_head_dim "
                    "kv_channels linear_head_dim linear_value_head_dim qk_nope_head_dim qk_rope_head_dim d_head "
                    "adapter_rank indexer_head_dim"),
    **_named(16, "qk_head_dim attention_head_dim"),
    **_named(4, "v_head_dim rotary_dim"),
    **_named(48, "intermediate_size n_inner ffn_dim decoder_ffn_dim encoder_ffn_dim dff moe_intermediate_size dim_ff "
                 "shared_expert_intermediate_size ffn_hidden_size block_ff_dim intermediate_size_mlp d_inner "
                 "expert_ffn_hidden_size shared_intermediate_size feed_forward_size mlp_hidden_size "
                 "moe_shared_expert_intermediate_size dense_intermediate_size"),
    **_named(2 * _WIDTH, "mamba_d_ssm attention_hidden_size"),
    **_named(8, "kv_lora_rank q_lora_rank o_lora_rank index_head_dim time_step_rank mamba_dt_rank mamba_d_state "
                "state_size ssm_state_size mamba_headdim mamba_d_head mamba_head_dim mamba_n_heads n_mamba_heads "
                "mamba_num_heads chunk_size mamba_chunk_size hidden_size_per_layer_input ffn_round_up_to_multiple_of"),
    **_named(4, "num_experts num_local_experts n_routed_experts moe_num_experts num_sparse_experts"),
    **_named(2, "full_attention_interval sliding_window_pattern attn_layer_period expert_layer_period "
                "num_experts_per_tok num_experts_per_token moe_topk moe_k moe_top_k index_n_heads top_k_experts "
                "linear_num_key_heads indexer_n_heads num_mem_blocks"),
    **_named(1, "attn_layer_offset expert_layer_offset first_k_dense_replace num_dense_layers n_group topk_group "
                "n_groups mamba_n_groups mamba_ngroups n_shared_experts indexer_kv_heads"),
    **_named(VOCABULARY, "vocab_size vocab_size_per_layer_input n_vocab"),
    **_named(POSITIONS, "max_position_embeddings n_positions n_ctx max_seq_len max_target_positions context_length "
                        "max_source_positions index_topk"),
    **_named(WINDOW, "sliding_window window_size attention_window_size local_attention attention_window "
                     "attention_chunk_size sliding_window_size"),
}  # fmt: skip
"""For each name of a size in transformers' configurations, the value that a miniature gets."""
_UPPER_BOUNDS = ("rotary_dim n_shared_experts num_experts_per_tok num_experts_per_token moe_topk moe_k "
                 "first_k_dense_replace num_dense_layers").split()  # fmt: skip
"""Names of sizes that keep their value if it is smaller than that in `_SIZES`."""
LAYER_COUNTS = "num_hidden_layers n_layer n_layers num_layers decoder_layers encoder_layers num_blocks".split()
_KEY_VALUE_HEADS = "num_key_value_heads num_kv_heads num_global_key_value_heads swa_num_key_value_heads".split()
_TOKENS = "bos_token_id eos_token_id pad_token_id decoder_start_token_id forced_eos_token_id sep_token_id".split()
_ATTENTION_LAYERS = "attn_layer_indices full_attn_idxs hybrid_layer_ids".split()
"""Names under which a configuration without layer types lists its attention layers."""
_DROPPED = ("dtype torch_dtype _name_or_path architectures transformers_version quantization_config model_type "
            "id2label label2id per_layer_config output_attentions output_hidden_states "
            "return_dict").split()  # fmt: skip


def shrink(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Shrink all sizes among the fields of a configuration, and leave its other fields unchanged.

    Args:
        fields: the fields of the configuration, from `config.to_dict()`.
    """
    heads = next((fields[name] for name in ("num_attention_heads", "n_head", "n_heads") if fields.get(name)), 0)
    count = next((int(fields[name]) for name in LAYER_COUNTS if isinstance(fields.get(name), int)), 2)
    shared = fields.get("num_kv_shared_layers") or 0
    chosen = _chosen_layers(fields, count, shared)
    small: dict[str, Any] = {}
    for name, value in fields.items():
        if name in _DROPPED:
            continue
        if name in LAYER_COUNTS and isinstance(value, int):
            small[name] = len(chosen)
        elif name == "num_kv_shared_layers":
            small[name] = sum(at >= count - shared for at in chosen)
        elif name in _ATTENTION_LAYERS and value:
            small[name] = [1]
        elif isinstance(value, (list, tuple)) and len(value) == count > 1 and name not in _TOKENS:
            small[name] = [_size(name, value[at], heads) for at in chosen]
        elif isinstance(value, (list, tuple)):
            small[name] = [_size(name, entry, heads) for entry in value]
        elif isinstance(value, Mapping) and name.endswith("_config"):
            plain = PretrainedConfig().to_dict()
            small[name] = {key: v for key, v in shrink(value).items() if key not in plain}
        else:
            small[name] = _size(name, value, heads)
    if {"expand", "num_heads"} <= fields.keys():  # Mamba 2: expand x width = heads x head
        small["num_heads"] = int(small["expand"] * _WIDTH // _HEAD)
    return small


def _size(name: str, value: Any, heads: int) -> Any:
    """Return the value that a field of the configuration gets in a miniature."""
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if name in _SIZES and value > 0:
        return min(value, _SIZES[name]) if name in _UPPER_BOUNDS else _SIZES[name]
    if name in _KEY_VALUE_HEADS and value:
        return _HEADS if value == heads else min(value, 2)
    return value % VOCABULARY if name in _TOKENS else value


def _chosen_layers(fields: Mapping[str, Any], count: int, shared: int) -> Sequence[int]:
    """Return the indices of the layers to keep: at least two, and the first of each kind."""
    lists = [v for v in fields.values() if isinstance(v, (list, tuple)) and len(v) == count > 1]
    kinds = [(at >= count - shared, *(str(column[at]) for column in lists)) for at in range(count)]
    first = {kind: at for at, kind in reversed(list(enumerate(kinds)))}
    spare = [at for at in range(count) if at not in first.values()]
    chosen = [*first.values(), *spare[: max(0, 2 - len(first))]]
    return sorted(chosen)


def miniature_config(config: PretrainedConfig) -> PretrainedConfig:
    """Return the miniature's configuration for the text model that `config` describes."""
    text = config.get_text_config(decoder=True)
    return AutoConfig.for_model(text.model_type, **shrink(text.to_dict()))


def miniature(config: PretrainedConfig, seed: int = 0) -> PreTrainedModel:
    """Build a tiny random copy of an architecture, in float32 on the CPU and in eval mode.

    Args:
        config: the configuration of a causal LM of transformers.
        seed: the seed of the weights.

    Raises:
        ValueError: a size in the configuration has an unknown name.
        Exception: whatever transformers raises for this architecture.
    """
    small = miniature_config(config)
    with torch.device("meta"):
        size = sum(p.numel() for p in AutoModelForCausalLM.from_config(small).parameters())
    if size > _LARGEST:
        raise ValueError(f"a miniature of {config.model_type} has {size:,} parameters, more than {_LARGEST:,}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: PreTrainedModel = AutoModelForCausalLM.from_config(small, dtype=torch.float32)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0.0, _SPREAD)
                else:  # a scale that starts at zero would hide what it scales
                    parameter.add_(_SPREAD * torch.randn_like(parameter))
    use_gqa_attention(model)
    return model.eval().requires_grad_(False)
