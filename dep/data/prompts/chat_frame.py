"""Renders the chat template around a user's message, and removes the thoughts that some models write first."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dep.data.prompts.settings import PromptConfig
from dep.utils.errors import DepError
from dep.utils.hashing import json_digest

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_SYSTEM, _CONTENT, _ANSWER = "DEPxSYSTEMxDEP", "DEPxCONTENTxDEP", "DEPxANSWERxDEP"
"""Texts that take the place of the system text, the user's message and the answer while a template is rendered."""
_OPENED, _CLOSED = "<think>", "</think>"
_THINKING = re.compile(r"<(think|thinking|thought|seed:think)>.*?(?:</\1>|\Z)|\[THINK\].*?(?:\[/THINK\]|\Z)", re.DOTALL)
_END_OF_THINKING = re.compile(r".*(?:</(?:think|thinking|thought|seed:think)>|\[/THINK\])", re.DOTALL)


@dataclass(frozen=True)
class ChatFrame:
    """The text around the user's message in a chat of one turn.

    `pieces` are the texts before, between and after the places where the template shows the message (most templates
    show it once). `lead` is the white space that the template puts before an answer. `begins` holds the ids that the
    tokenizer puts before every text (BOS); it is empty if the tokenizer's own template writes these tokens.
    """

    pieces: tuple[str, ...]
    lead: str = ""
    begins: tuple[int, ...] = ()

    @property
    def digest(self) -> str:
        """SHA-256 of everything in the frame, which changes every day if the template writes the date."""
        return json_digest([self.pieces, self.lead, self.begins])


def chat_frame(system: str, config: PromptConfig, tokenizer: PreTrainedTokenizerBase) -> ChatFrame:
    """Render the chat template around a user's message that is not known yet.

    The result holds the system text exactly once. If the template has no system role or leaves the system's turn out,
    the system text stands before the user's message.

    Args:
        system: the system text.
        config: its `chat` and `template_arguments` are used.
        tokenizer: its chat template is used, if it has one.

    Raises:
        DepError: the template cannot be rendered, or does not show the message and the system text.
    """
    if config.chat == "public_code":
        before = f"<|im_start|>system\n{system}\n<|im_end|><|im_start|>user\n"
        return ChatFrame((before, "<|im_end|>\n<|im_start|>assistant\n"))
    if config.chat == "qwen":
        before = f"<|im_start|>system\n{system}<|im_end|>\n<|im_start|>user\n"
        return ChatFrame((before, "<|im_end|>\n<|im_start|>assistant\n"), begins=_begins(tokenizer))
    if not tokenizer.chat_template:
        return ChatFrame((f"{system}\n\n", "\n[Output Review Text]:"), begins=_begins(tokenizer))
    turns = [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _CONTENT}]
    pieces, found = _pieces(turns, config, tokenizer)
    if not _is_complete(pieces):
        turns = turns[1:]
        pieces, found = _pieces(turns, config, tokenizer)
        pieces[:1] = [f"{piece}{_SYSTEM}\n\n" for piece in pieces[:1]]
    if not _is_complete(pieces):
        raise DepError(
            "the tokenizer's chat template", "one that shows the user's message, and the system text once", found,
            "set prompt.chat=qwen, or give the tokenizer another chat_template",
        )  # fmt: skip
    lead = _lead(turns, config, tokenizer)
    thinks = bool(config.template_arguments.get("enable_thinking"))
    if not thinks and pieces[-1].rfind(_OPENED) > pieces[-1].rfind(_CLOSED):
        pieces[-1], lead = f"{pieces[-1].rstrip()}\n\n{_CLOSED}\n\n", ""  # as Qwen3 and R1 write empty thoughts
    return ChatFrame(tuple(piece.replace(_SYSTEM, system) for piece in pieces), lead)


def without_thinking(text: str) -> str:
    """Remove the thoughts that a model wrote between `<think>` and `</think>` or similar tags.

    If the end tag is missing, the rest of the text is removed. If the start tag is missing because the prompt holds it,
    everything before the end tag is removed.
    """
    text = _THINKING.sub("", text)
    return _END_OF_THINKING.sub("", text).strip()


def _render(turns: list[dict[str, str]], config: PromptConfig, tokenizer: PreTrainedTokenizerBase) -> str:
    """Render the template; if the last turn is the user's, the result extends to where the answer begins."""
    ask = turns[-1]["role"] == "user"
    arguments: dict[str, Any] = {**config.template_arguments}
    return str(tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=ask, **arguments))


def _pieces(
    turns: list[dict[str, str]], config: PromptConfig, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[str], str]:
    """Split the rendered template at the user's message; also describe the template for an error message."""
    try:
        text = _render(turns, config, tokenizer)
    except Exception as error:  # jinja has an error type of its own; templates without a system role raise it
        return [], f"the error {error}"
    return text.split(_CONTENT), f"{text[:200]!r}"


def _is_complete(pieces: list[str]) -> bool:
    """Return whether the template shows the user's message, and shows the system text exactly once."""
    return len(pieces) > 1 and sum(piece.count(_SYSTEM) for piece in pieces) == 1


def _lead(turns: list[dict[str, str]], config: PromptConfig, tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the white space that the template puts before the answer, as Llama 2's puts a blank; empty if none."""
    try:
        answered = _render([*turns, {"role": "assistant", "content": _ANSWER}], config, tokenizer)
        asked = _render(turns, config, tokenizer)
    except Exception:  # a template that is made for questions only
        return ""
    between = answered.removeprefix(asked).partition(_ANSWER)[0] if answered.startswith(asked) else ""
    return between if between.isspace() else ""


def _begins(tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Return the ids that the tokenizer puts before every text, such as BOS."""
    plain: list[int] = tokenizer.encode("a", add_special_tokens=False)
    whole: list[int] = tokenizer.encode("a")
    at = next((at for at in range(len(whole)) if whole[at : at + len(plain)] == plain), 0)
    return tuple(whole[:at])
