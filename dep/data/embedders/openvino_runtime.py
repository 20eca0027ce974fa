"""A frozen encoder computed by OpenVINO: on a processor faster than torch, with the same vectors."""

from __future__ import annotations

import sys
import warnings
from queue import SimpleQueue
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from dep.data.embedders.int8 import compressed, smooth
from dep.utils.errors import DepError

_GROUP = 64
"""Components of what enters a layer that share a scale, in eight bits."""


class _Hidden(nn.Module):
    def __init__(self, encoder: PreTrainedModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden: Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return hidden


def run_by_openvino(encoder: PreTrainedModel, precision: str, eight_bits: bool = False) -> None:
    """Let `encoder` give its last hidden states by OpenVINO from now on, to a caller a thread at a time.

    Cores that work on a batch each do not wait for one another.

    Args:
        encoder: of texts, on the CPU; anything but ids and mask is ignored from then on.
        precision: `float32` or `bfloat16` (on processors that have it).
        eight_bits: multiply in integers of eight bits (`eight_bits`), each token scaled by itself.

    Raises:
        ModuleNotFoundError: there is no OpenVINO, or no NNCF for eight bits.
        ValueError: the precision is another.
    """
    known = {"float32": "f32", "bfloat16": "bf16"}
    if precision not in known:
        raise DepError(
            f"embedder.runtime=openvino: expected dtype {' or '.join(known)}, found {precision}; set embedder.dtype "
            "to one of them, or embedder.runtime=torch"
        )
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # it would tell its makers of each use
    try:
        import openvino

        if eight_bits:
            import nncf  # noqa: F401  (asked for before the work begins)
    except ModuleNotFoundError as error:
        raise DepError(
            f"embedder.runtime=openvino: expected the package {error.name} (extra `openvino`), found none; install it, "
            "or set embedder.runtime=torch"
        ) from error
    encoder.float().eval()
    if eight_bits:
        smooth(encoder)
    example = {name: torch.ones(2, 8, dtype=torch.long) for name in ("input_ids", "attention_mask")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of lengths that tracing might fix: they stay open, which is tested
        made = openvino.convert_model(_Hidden(encoder).eval(), example_input=example)
    threads = torch.get_num_threads()
    hints = {
        "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": threads, "INFERENCE_PRECISION_HINT": known[precision],
    }  # fmt: skip
    if eight_bits:
        made, hints = compressed(made), hints | {"DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP}
    compiled = openvino.Core().compile_model(made, "CPU", hints)
    free: SimpleQueue[Any] = SimpleQueue()
    for _ in range(threads):
        free.put(compiled.create_infer_request())

    def forward(input_ids: Tensor, attention_mask: Tensor, **_: Any) -> BaseModelOutput:
        request = free.get()
        try:
            hidden = request.infer({0: input_ids.numpy(), 1: attention_mask.numpy()})[0]
            output: Any = torch.from_numpy(hidden.copy())
        finally:
            free.put(request)
        return BaseModelOutput(last_hidden_state=output)

    encoder.forward = forward
