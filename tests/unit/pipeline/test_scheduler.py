"""The scheduler passes arms to its workers."""

from __future__ import annotations

import pickle

from dep.config.loader import load_arms
from dep.pipeline.arm import Arm
from dep.pipeline.keys import adapter_key


def test_an_arm_and_its_configuration_survive_pickling() -> None:
    run, configs = load_arms(["ablation"], ["train.lr=0.5"])
    assert pickle.loads(pickle.dumps(run)) == run
    for name, config in configs.items():
        arm = Arm(name, config, 0, "reviews")
        key = adapter_key(arm)
        copy = pickle.loads(pickle.dumps(arm))
        assert copy == arm
        assert adapter_key(copy) == key
