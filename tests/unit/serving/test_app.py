"""The server's routes, as OpenAI's client and others see them."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from dep.pipeline.personalizer import Ask, PastReview, Personalizer
from dep.serving.service import Service

if TYPE_CHECKING:
    import openai

KEY = "a key of the tests"
ITEM = {"id": "item1", "title": "thing 1", "rating": 4, "review_title": "fine"}
ASK = Ask(None, "thing 1", 4.0, "fine", user="user1", item_id="item1", max_new_tokens=12)


@pytest.fixture(scope="module")
def client(url: str) -> openai.OpenAI:
    import openai

    return openai.OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0)


@pytest.fixture(scope="module")
def http(url: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=60)


def test_a_chat_completion_is_the_users_review(client: openai.OpenAI, personalizer: Personalizer) -> None:
    answer = client.chat.completions.create(
        model="dep", messages=[], user="user1", max_tokens=12, extra_body={"item": ITEM}
    )
    assert answer.choices[0].message.content == personalizer.generate_many([ASK])[0]
    assert answer.choices[0].finish_reason in ("stop", "length")
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert [model.id for model in client.models.list()] == ["dep"]


def test_a_stream_has_the_same_text_and_ends_with_the_usage(client: openai.OpenAI, personalizer: Personalizer) -> None:
    stream = client.chat.completions.create(
        model="dep", messages=[], user="user1", max_completion_tokens=12, stream=True,
        stream_options={"include_usage": True}, extra_body={"item": ITEM},
    )  # fmt: skip
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == personalizer.generate_many([ASK])[0]
    assert len(chunks) > 4
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].usage is not None


def test_a_completion_takes_the_items_title_from_the_prompt_and_a_history_from_the_request(
    client: openai.OpenAI, personalizer: Personalizer
) -> None:
    past = {"item": "A harp", "text": "lovely strings .", "rating": 5, "peers": ["thin strings ."]}
    answer = client.completions.create(
        model="dep", prompt="A drum", max_tokens=8, seed=2, temperature=0.5, extra_body={"history": [past]}
    )
    history = [PastReview("A harp", "lovely strings .", 5.0, peers=["thin strings ."])]
    ask = Ask(history, "A drum", seed=2, temperature=0.5, max_new_tokens=8)
    assert answer.choices[0].text == personalizer.generate_many([ask])[0]
    pieces = client.completions.create(
        model="dep", prompt="A drum", max_tokens=8, seed=2, temperature=0.5, stream=True, extra_body={"history": [past]}
    )
    assert "".join(piece.choices[0].text for piece in pieces) == answer.choices[0].text


def test_the_last_message_of_the_user_names_the_item(client: openai.OpenAI, personalizer: Personalizer) -> None:
    messages = [{"role": "system", "content": "not read"}, {"role": "user", "content": "A flute"}]
    answer = client.chat.completions.create(model="dep", messages=messages, user="user1", max_tokens=6)  # type: ignore[call-overload]
    ask = Ask(None, "A flute", user="user1", max_new_tokens=6)
    assert answer.choices[0].message.content == personalizer.generate_many([ask])[0]


BODY = {"user": "user1", "item": ITEM, "max_tokens": 4}
PAST = {"item": "a", "text": "b"}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({**BODY, "model": "other"}, 404, "expected the model dep"),
        ({**BODY, "user": "nobody"}, 404, "nobody"),
        ({"user": "user1", "max_tokens": 4}, 400, "a title or an id"),
        ({**BODY, "history": []}, 400, "both"),
        ({"item": ITEM}, 400, "neither"),
        ({**BODY, "max_tokens": 65}, 400, "at most 64"),
        ({**BODY, "max_tokens": 0}, 400, "max_tokens"),
        ({**BODY, "temperature": 3}, 400, "temperature"),
        ({**BODY, "n": 2}, 400, "n:"),
        ({**BODY, "logit_bias": {}}, 400, "logit_bias"),
        ({"item": ITEM, "history": [PAST] * 5}, 400, "at most 4"),
        ({"item": ITEM, "history": [{**PAST, "peers": ["c"] * 5}]}, 400, "at most 4"),
        ({**BODY, "messages": [{"role": "user", "content": "x" * 17_000}]}, 413, "at most 16384 bytes"),
    ],
)
def test_a_wrong_request_is_refused_in_one_line(http: httpx.Client, body: dict, status: int, words: str) -> None:
    for stream in (False, True):
        answer = http.post("/v1/chat/completions", json={**body, "stream": stream})
        assert answer.status_code == status, answer.text
        assert words in answer.json()["error"]["message"]


def test_a_body_without_a_length_is_limited_too(http: httpx.Client) -> None:
    assert http.post("/reviews", content=(b"x" * 1000 for _ in range(20))).status_code == 413


def test_without_the_key_nothing_but_health_answers(
    url: str, service: Service, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert httpx.get(f"{url}/health").json() == {"status": "ok"}
    for given in ({}, {"Authorization": f"Bearer {KEY}x"}, {"Authorization": KEY}):
        for method, path in (("GET", "/metrics"), ("GET", "/v1/models"), ("POST", "/reviews"), ("DELETE", "/users/a")):
            answer = httpx.request(method, f"{url}{path}", headers=given)
            assert answer.status_code == 401
            assert KEY not in answer.text
    httpx.get(f"{url}/v1/models", headers={"Authorization": f"Bearer {KEY}"}).raise_for_status()
    printed = capfd.readouterr()
    assert KEY not in printed.out + printed.err + caplog.text + service.metrics.text().decode()


def test_a_page_elsewhere_cannot_reach_the_server_by_a_name_of_its_own(http: httpx.Client) -> None:
    assert http.get("/v1/models", headers={"Host": "evil.example"}).status_code == 421
    assert http.get("/v1/models", headers={"Host": "localhost:8000"}).status_code == 200


def test_a_user_is_served_after_the_first_post_and_unknown_after_the_deletion(
    http: httpx.Client, service: Service
) -> None:
    one = {"user": "ann/b", "item": "item1", "text": "a fine harp .", "rating": 5, "item_title": "thing 1"}
    body = {**BODY, "user": "ann/b", "item": {"title": "A drum"}}
    assert http.post("/v1/chat/completions", json=body).status_code == 404
    assert http.post("/reviews", json={"reviews": [one, {**one, "item": "item2"}]}).json() == {"stored": 2}
    assert http.post("/v1/chat/completions", json=body).status_code == 200
    again = {name: value for name, value in one.items() if name != "item_title"}
    assert http.post("/reviews", json={"reviews": [{**again, "text": "a finer harp ."}]}).json() == {"stored": 1}
    history = service.store.history("ann/b")  # type: ignore[union-attr]
    assert {past.review.item: past.review.item_title for past in history} == {"item1": "thing 1", "item2": "thing 1"}
    assert http.delete("/users/ann%2Fb").json() == {"deleted": 2}
    assert http.delete("/users/ann%2Fb").json() == {"deleted": 0}
    assert http.post("/v1/chat/completions", json=body).status_code == 404
    assert http.post("/reviews", json={"reviews": [one] * 9}).status_code == 400
    assert http.post("/reviews", json={"reviews": [{**one, "rating": 6}]}).status_code == 400


def test_reviews_of_one_post_without_a_time_are_in_the_order_of_the_post(http: httpx.Client, service: Service) -> None:
    items = ["m", "z", "a", "k"]
    for part in (items[:3], items[3:]):
        body = {"reviews": [{"user": "order", "item": item, "text": "a fine harp ."} for item in part]}
        http.post("/reviews", json=body).raise_for_status()
    found = [past.review.item for past in service.store.history("order")]  # type: ignore[union-attr]
    http.delete("/users/order").raise_for_status()
    assert found == [*reversed(items)]


def test_a_client_that_leaves_stops_its_text(http: httpx.Client, service: Service) -> None:
    with http.stream("POST", "/v1/chat/completions", json={**BODY, "max_tokens": 64, "stream": True}) as response:
        next(response.iter_lines())
    with pytest.raises(httpx.ReadTimeout):
        http.post("/v1/chat/completions", json={**BODY, "max_tokens": 64}, timeout=0.01)
    until = time.monotonic() + 30
    while service.engine.unfinished and time.monotonic() < until:
        time.sleep(0.01)
    assert service.engine.unfinished == 0


def test_metrics_count_requests_and_tokens_and_name_nobody(http: httpx.Client) -> None:
    http.post("/v1/chat/completions", json=BODY).raise_for_status()
    http.delete("/users/secret-name")
    text = http.get("/metrics").text
    assert 'dep_requests_total{route="/v1/chat/completions",status="200"}' in text
    assert 'dep_requests_total{route="/users/{user:path}",status="200"}' in text
    assert "dep_generated_tokens_total" in text
    assert "secret-name" not in text
    assert "user1" not in text
