"""Adapters, one file each. A method names one by its kind, or by "my_module:MyAdapter"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dep.utils.registry import ComponentConfig, Registry

if TYPE_CHECKING:
    from dep.models.adapters.base import Adapter


@dataclass(kw_only=True)
class _DEP(ComponentConfig):
    kind: Literal["dep"] = "dep"


@dataclass(kw_only=True)
class _Constant(ComponentConfig):
    kind: Literal["constant"] = "constant"


@dataclass(kw_only=True)
class _PPlug(ComponentConfig):
    kind: Literal["pplug"] = "pplug"


@dataclass(kw_only=True)
class _UserLLM(ComponentConfig):
    kind: Literal["user_llm"] = "user_llm"


@dataclass(kw_only=True)
class _LoRA(ComponentConfig):
    kind: Literal["lora"] = "lora"


ADAPTERS: Registry[Adapter] = Registry("adapter", default="dep")
ADAPTERS.add(_DEP, "dep.models.adapters.dep:DEPAdapter")
ADAPTERS.add(_Constant, "dep.models.adapters.constant:ConstantAdapter")
ADAPTERS.add(_PPlug, "dep.models.adapters.pplug:PPlugAdapter")
ADAPTERS.add(_UserLLM, "dep.models.adapters.user_llm.adapter:UserLLMAdapter")
ADAPTERS.add(_LoRA, "dep.models.adapters.lora:LoRAAdapter")
