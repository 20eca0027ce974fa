"""Adapters are the trained parts; each has a file here. A method chooses one by kind or as "my_module:MyAdapter"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dep.utils.registry import Registry

if TYPE_CHECKING:
    from dep.models.adapters.base import Adapter

ADAPTERS: Registry[Adapter] = Registry("adapter", default="dep")
ADAPTERS.add_plain("dep", "dep.models.adapters.dep:DEPAdapter")
ADAPTERS.add_plain("constant", "dep.models.adapters.constant:ConstantAdapter")
ADAPTERS.add_plain("pplug", "dep.models.adapters.pplug:PPlugAdapter")
ADAPTERS.add_plain("e2p", "dep.models.adapters.e2p:E2PAdapter")
ADAPTERS.add_plain("lpm", "dep.models.adapters.lpm:LPMAdapter")
ADAPTERS.add_plain("user_llm", "dep.models.adapters.user_llm.adapter:UserLLMAdapter")
ADAPTERS.add_plain("dep_user", "dep.models.adapters.dep_user.adapter:DEPUserAdapter")
ADAPTERS.add_plain("memory", "dep.models.adapters.memory:MemoryAdapter")
ADAPTERS.add_plain("lora", "dep.models.adapters.lora:LoRAAdapter")
ADAPTERS.add_plain("style_vector", "dep.models.adapters.style_vector:StyleVectorAdapter")
