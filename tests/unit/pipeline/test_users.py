"""What the LoRAs of single users are trained on, and what their keys depend on."""

from __future__ import annotations

from pathlib import Path

import torch

from dep.config.loader import load_arms
from dep.data.arm_requests import ArmRequests
from dep.data.prompts.builder import PromptBuilder
from dep.data.prompts.settings import PromptConfig
from dep.data.protocol import ReviewDataset
from dep.data.retrievers import Recency
from dep.models.backbones.load import load_tokenizer
from dep.models.settings import BackboneConfig
from dep.pipeline import scheduler
from dep.pipeline.arm import Arm
from dep.pipeline.keys import adapter_key, prediction_key, users_key
from dep.pipeline.stages.users import training_prompts
from dep.types import Corpus, Item, Review

CONF = Path(__file__).resolve().parents[3] / "conf"
WORDS = ("brass", "strings", "drums", "flutes")


def test_each_past_review_is_once_a_target_and_its_prompt_shows_only_older_ones() -> None:
    tokenizer = load_tokenizer(BackboneConfig())
    reviews = [Review("u", f"i{at}", f"the {word} of it", 4.0, f"title {at}", at) for at, word in enumerate(WORDS)]
    corpus = Corpus("Music", reviews, {review.item: Item(review.item, review.item) for review in reviews})
    dataset = ReviewDataset({"Music": corpus}, [], {"Music": torch.ones(4, dtype=torch.bool)})
    builder = PromptBuilder(tokenizer, PromptConfig(history=2))
    prompts = training_prompts(ArmRequests(dataset, None, Recency(), builder), "Music", (0, 1, 2))
    assert [prompt.kept for prompt in prompts] == [0, 1, 2]
    for at, prompt in enumerate(prompts):
        assert prompt.target == builder.target(reviews[at].text)
        text = tokenizer.decode(prompt.ids)
        assert f"title {at}" in text
        assert not any(f"title {later}" in text for later in range(at + 1, 4))
        assert all(f"title {older}" in text for older in range(at))


def arm(name: str, *overrides: str) -> Arm:
    _, configs = load_arms([CONF / "synthetic.yaml"], [f"arms=[{name}]", *overrides])
    return Arm(name, configs[name], 0, "reviews")


def test_the_control_and_another_way_of_decoding_use_the_same_loras() -> None:
    own, other = arm("oppu"), arm("oppu_others")
    assert users_key(own) == users_key(other) == users_key(arm("oppu", "generate.greedy=true"))
    assert prediction_key(own) != prediction_key(other)
    assert len(scheduler._groups([own, other])) == 1
    for override in ("method={kind: oppu, lr: 0.5}", "prompt.history=1", "protocol.min_text_chars=41"):
        changed = arm("oppu", override)
        assert prediction_key(changed) != prediction_key(own)
    assert users_key(arm("oppu", "method={kind: oppu, lr: 0.5}")) != users_key(own)


def test_a_task_lora_is_that_of_the_arm_lora_and_is_part_of_the_users_key() -> None:
    task = arm("oppu_task")
    assert task.method.trains
    assert not arm("oppu").method.trains
    assert adapter_key(task) == adapter_key(arm("lora"))
    assert users_key(task) != users_key(arm("oppu"))
    assert users_key(arm("oppu_task", "train.lr=0.5")) != users_key(task)
