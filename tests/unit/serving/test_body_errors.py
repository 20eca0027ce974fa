"""What the server answers to bodies that are wrong: the field, what was expected, what was found, the way out."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import httpx
import pytest
from starlette.testclient import TestClient

from dep.serving.app import build_app
from dep.serving.metrics import Metrics
from dep.serving.settings import ServeConfig

ONE = {"user": "ann", "item": "harp", "text": "a fine harp ."}
CHAT = "/v1/chat/completions"


@pytest.fixture(scope="module")
def http() -> Iterator[TestClient]:
    """A client of the routes; no request of these tests reaches what they do."""
    engine = SimpleNamespace(stop=lambda: None)
    service = SimpleNamespace(engine=engine, limits=ServeConfig(), metrics=Metrics())
    with TestClient(build_app(service), base_url="http://127.0.0.1") as client:  # type: ignore[arg-type]
        yield client


def refusal(answer: httpx.Response) -> str:
    assert answer.status_code == 400, answer.text
    return str(answer.json()["error"]["message"])


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("/reviews", ONE, "the body: expected a field 'reviews', found 'user', 'item', 'text'; add 'reviews'"),
        ("/reviews", {}, "the body: expected a field 'reviews', found no field; add 'reviews'"),
        (
            "/reviews", {"reviews": [{"user": "ann", "item": "harp", "txt": "fine"}]},
            "reviews.0: expected a field 'text', found 'user', 'item', 'txt'; rename 'txt' to 'text'",
        ),
        (
            "/reviews", {"reviews": [{**ONE, "stars": 5}]},
            "reviews.0: expected fields among user, item, text, rating, title, item_title, item_description, "
            "description, category, time, found 'stars'; leave 'stars' out",
        ),
        (
            "/reviews", {"reviews": [ONE, {**ONE, "rating": 9}]},
            "reviews.1.rating: Input should be less than or equal to 5, found 9",
        ),
        ("/reviews", [ONE], "the body: expected a JSON object, found [{"),
        (
            CHAT, {"user": "user1", "item": {"titel": "A drum"}},
            "item: expected fields among id, category, title, description, rating, review_title, found 'titel'; "
            "rename 'titel' to 'title'",
        ),
        (CHAT, {"user": "user1", "item": "A drum"}, "item: Input should be"),
    ],
)  # fmt: skip
def test_a_wrong_body_is_named_with_what_was_expected_and_found(
    http: TestClient, path: str, body: object, words: str
) -> None:
    assert words in refusal(http.post(path, json=body))


def test_a_body_that_is_not_json_is_named_with_the_place(http: TestClient) -> None:
    answer = http.post("/reviews", content='{"reviews": [{,}]}', headers={"Content-Type": "application/json"})
    assert "the body: expected JSON, found" in refusal(answer)
    assert "at character 14; mend it" in refusal(answer)


def test_a_body_without_the_type_of_json_is_told_which_header_to_send(http: TestClient) -> None:
    answer = http.post(
        "/reviews", content='{"reviews": []}', headers={"Content-Type": "application/x-www-form-urlencoded"}
    )
    assert "send the header `Content-Type: application/json`" in refusal(answer)
