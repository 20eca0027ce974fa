"""Command that trains the adapter for SmolLM2 that comes with the package, and writes its card: `make adapter`.

It runs conf/smollm2_english.yaml and copies the adapter of its arm `dep_memory_notext`. Then it runs
conf/smollm2_held_out.yaml, whose users and items are in no training. The card says what the adapter gains there, with
intervals, also if it gains nothing.
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Mapping, Sequence

from omegaconf import OmegaConf

import dep
from dep.evaluation.metrics import metric_class
from dep.methods.trained import SHIPPED
from dep.pipeline.adapter_folder import FILES
from dep.pipeline.stages.calibrate import REPORT as CALIBRATED
from dep.pipeline.stages.calibrate import Calibration
from dep.utils.atomic_io import read_json, replacing, write_text

NAME = "smollm2_english"
ARM = "dep_memory_notext"
"""The arm whose adapter is shipped."""
_CARD = """# {name}

An adapter of DEP at the LLM's output (`method: dep_memory`) for the frozen language model SmolLM2-135M-Instruct
(`dep fetch smollm2`), {trainable:,} trained parameters. The prompt holds no past reviews. The LLM reads each past
review once. Where its states there resemble those of the text that it writes, the words that followed become likelier
(*his*). Words that the user writes more often than the LLM, corrected for everybody, expects become likelier too
(*diff*). The file also holds a sample of {others:,} tokens of the training's reviews, from which it recalls for every
user.

It was trained by `make adapter` (conf/smollm2_english.yaml) on the English world of this package, seed {world}:
synthetic reviews of {users} users in each of three categories, of whom {share:.0%} train. Seed {seed}, {epochs} epochs;
the first {first} train a correction that is the same for all, from which both arms start. Their last epoch:

| training | steps | first loss | last loss | loss on validation users |
|---|---|---|---|---|
{training}

Loss is the negative log likelihood of the real review (NLL), in nats per token. How much recall counts was then fitted
on the validation users: {calibration}. On {tests} reviews of {test_users}
users of the same world, on whom nothing was trained:

{trained_on}
On {held_out_tests} reviews of {held_out_users} users of English world {held_out_world}, whose items too are in no
training:

{held_out}
{verdict}

The reviews are synthetic, and the model is small. The numbers say nothing about real people.

```python
import dep

writer = dep.Personalizer.from_pretrained("this folder")
past = [dep.PastReview(item="A lamp", text="Bright.", rating=5.0, peers=["Too bright."])]
print(writer.generate(past, item="A chair", rating=4.0))
```
Licence: MIT, as the package.
"""


def main() -> None:
    """Run the training, its controls and the test on other users, and write the adapter's folder."""
    run = dep.run(NAME, *sys.argv[1:])
    source = run.folder / ARM / "seed0"
    SHIPPED.mkdir(exist_ok=True)
    with replacing(SHIPPED / NAME) as folder:
        folder.mkdir()
        for file in FILES:
            shutil.copyfile(source / file, folder / file)
    held_out = dep.run("smollm2_held_out", *sys.argv[1:])
    write_text(SHIPPED / NAME / "README.md", card(run, held_out))
    print((SHIPPED / NAME / "README.md").read_text(encoding="utf-8"))


def card(run: dep.Run, held_out: dep.Run) -> str:
    """Write the model card.

    Args:
        run: the training and its controls.
        held_out: the same adapter on users of another world.
    """
    facts = read_json(run.folder / ARM / "seed0" / "adapter_config.json")
    settings, other = (read_json(one.folder / "run.json")["config"] for one in (run, held_out))
    trained = OmegaConf.load(run.folder / ARM / "seed0" / "config.yaml").train
    protocol, labels = settings["protocol"], _labels(run)
    tests, held_out_tests = run.predictions("non_perso"), held_out.predictions("non_perso")
    return _CARD.format(
        name=NAME, trainable=facts["trainable"], others=settings["soft_prompt"]["memory"]["others"],
        world=settings["source"]["seed"], users=settings["source"]["users"],
        share=1 - protocol["val_users"] - protocol["test_users"], epochs=trained.epochs,
        first=trained.warm_start_epochs, seed=facts["seed"],
        training="\n".join(_training(run, arm, labels[arm]) for arm in ("memory_constant_notext", ARM)),
        calibration=Calibration(**read_json(run.folder / ARM / "seed0" / CALIBRATED)).line,
        tests=len(tests), test_users=len({row["user"] for row in tests}), trained_on=_tables(run),
        held_out_tests=len(held_out_tests), held_out_users=len({row["user"] for row in held_out_tests}),
        held_out_world=other["source"]["seed"], held_out=_tables(held_out), verdict=_verdict(held_out),
    )  # fmt: skip


def _tables(run: dep.Run) -> str:
    """Write the tables of likelihoods and of paired differences."""
    labels, decimals = _labels(run), metric_class("nll").decimals
    lines = ["| arm | NLL | 95% over users |", "|---|---|---|"]
    for row in run.rows:
        if (row["metric"], row["category"]) == ("nll", "all"):
            value, low, high = (f"{row[name]:.{decimals}f}" for name in ("value", "ci_low", "ci_high"))
            lines.append(f"| {labels[row['arm']]} | {value} | {low} to {high} |")
    lines += ["", "| paired difference | NLL | 95% over users | p |", "|---|---|---|---|"]
    for row in run.comparisons:
        if (row["metric"], row["category"]) == ("nll", "all"):
            value, low, high = (f"{row[name]:+.{decimals}f}" for name in ("delta", "ci_low", "ci_high"))
            lines.append(f"| {labels[row['a']]} − {labels[row['b']]} | {value} | {low} to {high} | {row['p']:.4f} |")
    return "\n".join([*lines, ""])


def _verdict(held_out: dep.Run) -> str:
    """Say in words what the adapter gains for people on whom nothing was trained, and whether it reads who they are."""
    pairs = {
        (row["a"], row["b"]): row for row in held_out.comparisons if (row["metric"], row["category"]) == ("nll", "all")
    }
    gain, exchange = pairs[NAME, f"{NAME}_nobody"], pairs[f"{NAME}_others", NAME]
    gains = "gains from their past" if gain["ci_high"] < 0 else "gains nothing from their past that the interval shows"
    reads = (
        "Another user's past does worse: it reads who the user is."
        if exchange["ci_low"] > 0
        else "Another user's past does as well: it has learned how these reviews read, and nothing about the user."
    )
    if pairs[f"{NAME}_others", f"{NAME}_nobody"]["ci_high"] < 0:
        reads += " It does better than no past, so a part of the gain is how all these reviews read."
    return f"For these people the adapter {gains}. {reads}"


def _labels(run: dep.Run) -> dict[str, str]:
    return {arm: values["label"] for arm, values in read_json(run.folder / "results.json")["arms"].items()}


def _steps(run: dep.Run, arm: str) -> dict[int, Mapping[str, str]]:
    """Read the logged training steps of an arm."""
    with (run.folder / arm / "seed0" / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return {int(row["step"]): row for row in csv.DictReader(file) if row.get("train_lm")}


def _training(run: dep.Run, arm: str, label: str) -> str:
    """Write the card's row of one training."""
    steps = list(_steps(run, arm).values())
    with (run.folder / arm / "seed0" / "metrics.csv").open(newline="", encoding="utf-8") as file:
        validations: Sequence[str] = [row["val_nll"] for row in csv.DictReader(file) if row.get("val_nll")]
    first, last = (f"{float(steps[at]['train_lm']):.3f}" for at in (0, -1))
    return f"| {label} | {len(steps)} | {first} | {last} | {float(validations[-1]):.3f} |"


if __name__ == "__main__":
    main()
