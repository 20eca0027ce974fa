"""Runs a frozen encoder with OpenVINO, which gives the same vectors as torch and is faster on a CPU."""

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
"""Number of input components of a layer that share one scale in eight bits."""


class _Hidden(nn.Module):
    """Wraps an encoder so that its last hidden state is its only output."""

    def __init__(self, encoder: PreTrainedModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        hidden: Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return hidden


def run_by_openvino(encoder: PreTrainedModel, precision: str, eight_bits: bool = False) -> None:
    """Replace the forward pass of `encoder` by one in OpenVINO, which several threads may call at once.

    Args:
        encoder: a text encoder on the CPU, which is changed in place. Afterwards it takes only ids and a mask, and
            returns only the last hidden state.
        precision: `float32`, or `bfloat16` on processors that support it.
        eight_bits: whether matrix products use integers of eight bits, with one scale for each token; see `int8`.

    Raises:
        ModuleNotFoundError: OpenVINO is not installed, or NNCF for eight bits.
        DepError: the precision is neither of the two.
    """
    precisions = {"float32": "f32", "bfloat16": "bf16"}
    if precision not in precisions:
        raise DepError(
            "embedder.runtime=openvino", f"dtype {' or '.join(precisions)}", precision,
            "set embedder.dtype to one of them, or embedder.runtime=torch",
        )  # fmt: skip
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]  # no usage reports
    try:
        import openvino

        if eight_bits:
            import nncf  # noqa: F401  (checked before the work begins)
    except ModuleNotFoundError as error:
        raise DepError(
            f"embedder.runtime=openvino: expected the package {error.name} (extra `openvino`), found none; install it, "
            "or set embedder.runtime=torch"
        ) from error
    encoder.float().eval()
    if eight_bits:
        smooth(encoder)
    encoder.loss_type = "ForMaskedLM"  # tracing reads the loss, and transformers would warn that an encoder has none
    example = {name: torch.ones(2, 8, dtype=torch.long) for name in ("input_ids", "attention_mask")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns that it may fix lengths; a test checks that it does not
        model = openvino.convert_model(_Hidden(encoder).eval(), example_input=example)
    threads = torch.get_num_threads()
    hints = {
        "INFERENCE_NUM_THREADS": threads, "NUM_STREAMS": threads, "INFERENCE_PRECISION_HINT": precisions[precision],
    }  # fmt: skip
    if eight_bits:
        model, hints = compressed(model), hints | {"DYNAMIC_QUANTIZATION_GROUP_SIZE": _GROUP}
    compiled = openvino.Core().compile_model(model, "CPU", hints)
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
