"""Methods are the systems that are compared; each has a file here, and the controls are in `controls`."""

from __future__ import annotations

from dep.methods.base import Method
from dep.methods.controls.constant import ConstantPrompt
from dep.methods.controls.rag_stranger import RAGStranger
from dep.methods.controls.shuffled import Shuffled
from dep.methods.controls.untrained import Untrained
from dep.methods.controls.zeroed import Zeroed
from dep.methods.dep import DEP
from dep.methods.dep_memory import DEPMemory
from dep.methods.dep_user import DEPUser
from dep.methods.dpl import DPL
from dep.methods.e2p import E2P
from dep.methods.lora import LoRA
from dep.methods.lpm import LPM
from dep.methods.non_perso import NonPerso
from dep.methods.oppu import OPPU
from dep.methods.pag import PAG
from dep.methods.pplug import PPlug
from dep.methods.rag import RAG
from dep.methods.style_vector import StyleVector
from dep.methods.trained import Trained
from dep.methods.user_llm import UserLLM
from dep.utils.registry import Registry

__all__ = ["METHODS", "Method"]

METHODS: Registry[Method] = Registry("method", default="dep")
METHODS.add(NonPerso.Config, "dep.methods.non_perso:NonPerso")
METHODS.add(RAG.Config, "dep.methods.rag:RAG")
METHODS.add(PAG.Config, "dep.methods.pag:PAG")
METHODS.add(DPL.Config, "dep.methods.dpl:DPL")
METHODS.add(PPlug.Config, "dep.methods.pplug:PPlug")
METHODS.add(E2P.Config, "dep.methods.e2p:E2P")
METHODS.add(LPM.Config, "dep.methods.lpm:LPM")
METHODS.add(UserLLM.Config, "dep.methods.user_llm:UserLLM")
METHODS.add(LoRA.Config, "dep.methods.lora:LoRA")
METHODS.add(StyleVector.Config, "dep.methods.style_vector:StyleVector")
METHODS.add(OPPU.Config, "dep.methods.oppu:OPPU")
METHODS.add(DEP.Config, "dep.methods.dep:DEP")
METHODS.add(DEPUser.Config, "dep.methods.dep_user:DEPUser")
METHODS.add(DEPMemory.Config, "dep.methods.dep_memory:DEPMemory")
METHODS.add(Trained.Config, "dep.methods.trained:Trained")
METHODS.add(ConstantPrompt.Config, "dep.methods.controls.constant:ConstantPrompt")
METHODS.add(RAGStranger.Config, "dep.methods.controls.rag_stranger:RAGStranger")
METHODS.add(Shuffled.Config, "dep.methods.controls.shuffled:Shuffled")
METHODS.add(Zeroed.Config, "dep.methods.controls.zeroed:Zeroed")
METHODS.add(Untrained.Config, "dep.methods.controls.untrained:Untrained")
