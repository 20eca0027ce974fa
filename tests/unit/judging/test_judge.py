"""What `dep judge` makes of a file of predictions on a small hand-made run, with a local server as language model."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from dep import cli
from dep.config.loader import load_arms, to_yaml
from dep.config.schema import build
from dep.data.dataset_store import load_dataset
from dep.evaluation.metrics import build_metrics
from dep.evaluation.scores import score_examples, summarise
from dep.utils.atomic_io import read_json, read_rows, write_json, write_rows, write_text

CONF = Path(__file__).resolve().parents[3] / "conf"
SMALL = ["source.users=12", "source.circles=2", "source.items_per_circle=12", "evaluate.n_boot=200",
         "evaluate.metrics.names=[rougeL,bleu]"]  # fmt: skip


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with runs/demo, whose arms' texts are made by hand from a small permuted world."""
    root = tmp_path_factory.mktemp("judge")
    words = [*SMALL, "arms=[non_perso,rag,constant]", "compare=[]", "source.permute=true",
             f"source.folder={root}/worlds", f"cache={root}/cache", f"runs={root}/runs"]  # fmt: skip
    run, configs = load_arms([CONF / "demo.yaml"], words)
    dataset, _ = load_dataset(root / "cache", build(run, "source"), run.protocol)
    folder, metrics, scores = root / "runs/demo", build_metrics(run.evaluate.metrics), {}
    for name, config in configs.items():
        rows = []
        for example in (e for e in dataset.examples if e.split == "test"):
            corpus = dataset.corpora[example.category]
            target = corpus.reviews[example.row]
            past = corpus.reviews[example.profile[-1]].text
            text = {"non_perso": "I loved it.", "rag": past, "constant": target.text[:30]}[name]
            rows.append(
                {"key": example.key, "category": example.category, "user": target.user, "item": target.item,
                 "item_title": corpus.items[target.item].title, "rating": target.rating, "title": target.title,
                 "reference": target.text, "prediction": text, "nll": 1.0}
            )  # fmt: skip
        arm = folder / name / "seed0"
        write_rows(arm / "predictions.jsonl", rows)
        scores[name, 0] = score_examples(rows, metrics)
        write_rows(arm / "scores.jsonl", scores[name, 0])
        write_text(arm / "config.yaml", to_yaml(config))
    write_text(folder / "config.yaml", to_yaml(run))
    write_json(folder / "results.json", summarise(scores, [], "demo", n_boot=10))
    write_json(folder / "run.json", {"command": "dep run demo arms=[rag]"})
    return root


def predictions(made: Path, change: Callable[[dict[str, Any]], str]) -> list[dict[str, Any]]:
    rows = read_rows(made / "runs/demo/rag/seed0/predictions.jsonl")
    return [{"key": row["key"], "prediction": change(row)} for row in rows]


def judged(made: Path, rows: list[dict[str, Any]], name: str, *words: str) -> dict[str, Any]:
    write_rows(made / f"{name}.jsonl", rows)
    assert cli.main(["judge", str(made / f"{name}.jsonl"), "--run", str(made / "runs/demo"), *words]) == 0
    return read_json(made / f"runs/demo/judge/{name}/judge.json")


def test_the_real_reviews_are_better_than_every_control_and_missing_controls_are_named(made: Path, capsys) -> None:
    found = judged(made, predictions(made, lambda row: row["reference"]), "real")
    told = found["made_of"]
    assert [part["arm"] for part in told["missing"]] == ["shuffled", "other_peers"]
    assert told["add"] == "dep run demo 'arms=[non_perso,rag,constant,shuffled,other_peers]'"
    assert "a gain is shown" in told["sentences"][0]
    assert "cannot be said" in told["sentences"][-2]
    folder = made / "runs/demo/judge/real"
    assert "What the gain is made of" in (folder / "judge.md").read_text()
    assert "constant" in (folder / "judge.html").read_text().lower()
    assert "A stranger's vectors and wrong peers are missing" in " ".join(capsys.readouterr().out.split())


def test_on_a_permuted_world_every_test_review_has_another_user_s_traits(made: Path) -> None:
    rows = predictions(made, lambda row: row["prediction"])
    rows[0]["prediction"] = " "
    found = judged(made, rows, "copied")
    assert found["notes"] == [f"1 of the {len(rows)} texts is empty, and an empty text scores 0."]
    assert found["permuted"]["permuted"] == found["permuted"]["requests"] > 20
    assert found["made_of"]["sentences"][1].startswith(
        "Over rag, which reads past reviews as text: no difference is shown"
    )


def test_the_judged_system_with_a_stranger_s_past_is_its_own_control(made: Path) -> None:
    assert cli.main(["judge", "--run", str(made / "runs/demo")]) == 0
    requests = {row["key"]: row for row in read_rows(made / "runs/demo/judge/requests.jsonl")}
    assert all(requests[row["stranger"]]["user"] != row["user"] for row in requests.values())
    rows = predictions(made, lambda row: row["reference"])
    by_key = {row["key"]: row["prediction"] for row in rows}
    strange = [{**row, "prediction": by_key[requests[row["key"]]["stranger"]]} for row in rows]
    write_rows(made / "strange.jsonl", strange)
    found = judged(made, rows, "own", f"evaluate.judge.stranger={made}/strange.jsonl")
    assert "In sum: own uses this user's past" in " ".join(found["made_of"]["sentences"])
    same = judged(made, rows, "same", f"evaluate.judge.stranger={made}/own.jsonl")
    assert "nothing shows that same uses this user's past" in " ".join(same["made_of"]["sentences"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: [*rows[:1], {**rows[0], "prediction": "x"}, *rows[1:]],
            r"line 2: .*again, first on line 1; delete",
        ),
        (lambda rows: [{**rows[0], "key": "Books/99999"}, *rows[1:]], r"line 1: .*'Books/99999'; .*requests\.jsonl"),
        (lambda rows: rows[2:], r"found \d+; .* have none; add their lines"),
        (lambda rows: [{"key": rows[0]["key"], "predicton": "x"}, *rows[1:]], r"line 1: .*rename 'predicton'"),
        (lambda rows: [{**rows[0], "prediction": None}, *rows[1:]], r'line 1: .*null; write ""'),
        (lambda rows: [{**rows[0], "nll": 2.0}, *rows[1:]], r"line 2: .*since line 1 has it"),
        (lambda rows: [{**rows[0], "user": "nobody"}, *rows[1:]], r"line 1: .*the run's user"),
        (lambda rows: [*rows[:1], "oops"], r"line 2: expected a JSON object"),
        (lambda rows: [{"id": rows[0]["key"], "prediction": "x"}, *rows[1:]], r"line 1: .*rename 'id' to 'key'"),
        (lambda rows: [{"key": rows[0]["key"], "text": "x"}, *rows[1:]], r"line 1: .*rename 'text' to 'prediction'"),
        (lambda rows: [{**rows[0], "key": [1]}, *rows[1:]], r"line 1: .*found \[1\]; .*requests\.jsonl"),
        (
            lambda rows: [{**rows[0], "key": rows[0]["key"].split("/")[1]}, *rows[1:]],
            r"line 1: .*did you mean \w+/\d+\?",
        ),
        (lambda rows: [{**rows[0], "seed": True}, *rows[1:]], r"line 1: expected a whole number as `seed`"),
    ],
)
def test_a_wrong_line_is_named_with_the_way_out(made: Path, capsys, change: Any, message: str) -> None:
    write_rows(made / "bad.jsonl", change(predictions(made, lambda row: "text")))
    assert cli.main(["judge", str(made / "bad.jsonl"), "--run", str(made / "runs/demo")]) == 2
    assert re.search(message, capsys.readouterr().err)


def test_a_line_that_is_not_json_is_named(made: Path, capsys) -> None:
    (made / "broken.jsonl").write_text('\n{"key": \n')
    assert cli.main(["judge", str(made / "broken.jsonl"), "--run", str(made / "runs/demo")]) == 2
    assert "broken.jsonl, line 2: expected JSON" in capsys.readouterr().err


def test_a_file_that_is_one_list_is_refused_with_the_command_that_mends_it(made: Path, capsys) -> None:
    (made / "list.jsonl").write_text("[\n" + json.dumps({"key": "Books/1", "prediction": "x"}) + "\n]\n")
    assert cli.main(["judge", str(made / "list.jsonl"), "--run", str(made / "runs/demo")]) == 2
    assert "found the start of a list; write one object on each line, as `jq -c" in capsys.readouterr().err


@pytest.fixture
def server() -> Iterator[tuple[list[dict[str, Any]], str]]:
    """Serve a judge that prefers longer texts, always prefers A among equals, and does not answer about Non-Perso."""
    bodies: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            bodies.append(body)
            text = body["messages"][1]["content"]
            if "[Candidate]" in text:
                candidate = text.split("[Candidate]\n")[1]
                reply = (
                    "I cannot say."
                    if candidate == "I loved it."
                    else f"Well.\nScore: {min(9, len(candidate) // 20)}/10"
                )
            else:
                a, b = text.split("[Candidate A]\n")[1].split("\n\n[Candidate B]\n")
                reply = f"So.\nBetter: {'A' if len(a) >= len(b) else 'B'}"
            message = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": reply}}
            answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [message]}
            data = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield bodies, f"http://127.0.0.1:{http.server_port}/v1"
        http.shutdown()


def test_a_language_model_scores_and_compares_and_its_missing_answers_are_no_zeros(
    made: Path, server, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    bodies, url = server
    words = [f"evaluate.judge.url={url}", "evaluate.judge.model=m", "evaluate.judge.requests=6"]
    rows = predictions(made, lambda row: row["reference"])
    llm = judged(made, rows, "llm", *words)["llm"]
    assert len(bodies) == llm["calls"] == 6 * (4 + 2 * 3)
    scores = {row["arm"]: row for row in llm["scores"]}
    assert (scores["non_perso"]["value"], scores["non_perso"]["missing"]) == (None, 6)
    assert scores["judged"]["value"] > 3
    assert {row["arm"]: row["verdict"] for row in llm["differences"]}["non_perso"] == "no answers"
    preferred = {row["arm"]: row for row in llm["preferences"]}
    assert preferred["non_perso"]["value"] == 1
    assert preferred["non_perso"]["flips"] == 0
    assert [row["metric"] for row in llm["agreement"]] == ["rougeL", "bleu"]
    assert all(row["n"] == 18 and row["ci_low"] <= row["value"] <= row["ci_high"] for row in llm["agreement"])
    printed = capsys.readouterr().out
    assert all(len(line) <= 80 for line in printed.splitlines() if "arms=[" not in line and "judge.html" not in line)
    assert "…" not in printed
    assert "no difference shown" in printed.split("Share preferred to")[1]
    raw = read_rows(made / "runs/demo/judge/llm/replies.jsonl")
    assert len(raw) == 60
    assert "I cannot say." in {row["reply"] for row in raw}
    assert all("on a scale from 0 to 10" in row["system"] for row in raw if row["kind"] == "score")
    judged(made, rows, "llm", *words)
    assert len(bodies) == 60  # no question is asked twice


def test_where_the_order_decides_a_pair_counts_one_half(made: Path, server) -> None:
    _, url = server
    words = [f"evaluate.judge.url={url}", "evaluate.judge.model=m", "evaluate.judge.requests=3"]
    llm = judged(made, predictions(made, lambda row: row["prediction"]), "tie", *words)["llm"]
    (rag,) = (row for row in llm["preferences"] if row["arm"] == "rag")
    assert (rag["value"], rag["flips"], rag["verdict"]) == (0.5, 3, "no difference shown")


def test_a_server_that_is_not_there_is_reported_in_one_line(made: Path, capsys) -> None:
    write_rows(made / "gone.jsonl", predictions(made, lambda row: "text"))
    words = ["evaluate.judge.url=http://127.0.0.1:9/v1", "evaluate.judge.model=m", "evaluate.judge.retries=0"]
    assert cli.main(["judge", str(made / "gone.jsonl"), "--run", str(made / "runs/demo"), *words]) == 2
    assert "start the server, or correct evaluate.judge.url" in capsys.readouterr().err
