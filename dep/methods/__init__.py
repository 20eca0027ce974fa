"""One file per system of the comparison; `METHODS[kind]` is the class, `.Config` beside it its fields."""

from __future__ import annotations

from typing import Any

from dep.methods.base import Method
from dep.methods.controls.constant import ConstantPrompt
from dep.methods.controls.shuffled import Shuffled
from dep.methods.controls.untrained import Untrained
from dep.methods.controls.zeroed import Zeroed
from dep.methods.dep import DEP
from dep.methods.dpl import DPL
from dep.methods.non_perso import NonPerso
from dep.methods.pag import PAG
from dep.methods.pplug import PPlug
from dep.methods.rag import RAG
from dep.methods.user_llm import UserLLM

__all__ = ["METHODS", "Method"]

_ALL = (NonPerso, RAG, PAG, DPL, PPlug, UserLLM, DEP, ConstantPrompt, Shuffled, Zeroed, Untrained)
METHODS: dict[str, Any] = {method.kind: method for method in _ALL}
