"""The bodies of requests, OpenAI's with `item` and `history` beside `user`, and how they become asks."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, model_validator

from dep.pipeline.personalizer import Ask, PastReview, Strength
from dep.serving.body_errors import check_fields
from dep.serving.settings import ServeConfig
from dep.store.reviews import StoredReview
from dep.utils.errors import DepError

Stars = Annotated[float, Field(ge=1, le=5)]
Name = Annotated[str, Field(min_length=1, max_length=512)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, found: object) -> object:
        if isinstance(found, dict):
            fields = cls.model_fields
            aliases = {name: field.validation_alias for name, field in fields.items()}
            known = [each for name, alias in aliases.items()
                     for each in (alias.choices if isinstance(alias, AliasChoices) else [name])]  # fmt: skip
            check_fields(found, [str(name) for name in known], [name for name in fields if fields[name].is_required()])
        return found


class ItemBody(_Body):
    """The item to review, and what the user gives it."""

    id: str = ""
    """The identifier of the item in the store or the run."""
    category: str = ""
    title: str = ""
    description: str = ""
    rating: Stars | None = None
    review_title: str = ""


class PastBody(_Body):
    """A past review of a user whom the store does not know."""

    item: str
    text: str
    rating: Stars | None = None
    title: str = ""
    description: str = ""
    time: int = 0
    peers: list[str] = []


class StrengthBody(_Body):
    """How strongly the vectors count."""

    his: Annotated[float, Field(ge=0, le=10)] = 1.0
    diff: Annotated[float, Field(ge=0, le=10)] = 1.0


class StreamOptions(_Body):
    """OpenAI's options of a stream."""

    include_usage: bool = False


class _Asked(_Body):
    model: str = ""
    user: Name | None = None
    item: ItemBody = ItemBody()
    history: list[PastBody] | None = None
    strength: StrengthBody = StrengthBody()
    seed: int = 0
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Literal[1] = 1
    stream: bool = False
    stream_options: StreamOptions | None = None

    @property
    def words(self) -> str:
        """What the request says in words: the item's title, where `item` has none."""
        return ""

    @property
    def longest(self) -> int | None:
        """The largest number of tokens that the request asks for."""
        return self.max_tokens

    def ask(self, limits: ServeConfig, longest: int) -> Ask:
        """Return the ask of a request.

        Args:
            limits: the limits of the server.
            longest: the adapter's own largest number of tokens.

        Raises:
            DepError: the request is larger than a limit, or says no item.
        """
        past = self.history or []
        for name, count in [("history", len(past)), *(("peers", len(one.peers)) for one in past)]:
            if count > limits.max_history:
                raise DepError(name, f"at most {limits.max_history} (max_history)", str(count))
        if (self.longest or 0) > limits.max_tokens:
            raise DepError("max_tokens", f"at most {limits.max_tokens}", str(self.longest))
        title = self.item.title or ("" if self.item.id else self.words)
        if not (title or self.item.id):
            raise DepError("item", "a title or an id, or the title as the last message", "none")
        history = None if self.history is None else [
            PastReview(p.item, p.text, _stars(p.rating), p.title, p.description, p.time, p.peers) for p in past
        ]  # fmt: skip
        known = self.user is not None
        return Ask(
            history, title or ("" if known else self.item.id), _stars(self.item.rating), self.item.review_title,
            self.item.description, self.seed, user=self.user, category=self.item.category,
            item_id=self.item.id if known else "", strength=Strength(self.strength.his, self.strength.diff),
            max_new_tokens=min(self.longest or longest, limits.max_tokens), temperature=self.temperature,
            top_p=self.top_p,
        )  # fmt: skip


class Part(_Body):
    """A part of a message; only text is read."""

    type: Literal["text"]
    text: str


class Message(_Body):
    """A message of a chat."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part]
    name: str = ""


class ChatBody(_Asked):
    """The body of POST /v1/chat/completions."""

    messages: list[Message] = []
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None

    @property
    def words(self) -> str:
        """The text of the last message of the role `user`."""
        for message in reversed(self.messages):
            if message.role == "user":
                content = message.content
                return content if isinstance(content, str) else "".join(part.text for part in content)
        return ""

    @property
    def longest(self) -> int | None:
        """The largest number of tokens that the request asks for."""
        return self.max_completion_tokens or self.max_tokens


class CompletionBody(_Asked):
    """The body of POST /v1/completions."""

    prompt: str = ""

    @property
    def words(self) -> str:
        """The prompt."""
        return self.prompt


class ReviewBody(_Body):
    """A review to store."""

    user: Name
    item: Name
    text: Annotated[str, Field(min_length=1)]
    rating: Stars | None = None
    title: str = ""
    item_title: str = ""
    description: Annotated[str, Field(validation_alias=AliasChoices("item_description", "description"))] = ""
    """Under the name that a table has for it (docs/own-data.md), too."""
    category: Annotated[str, Field(max_length=512)] = ""
    time: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    """Milliseconds since 1970; that of the post, if it is missing."""

    def stored(self, category: str, now: int) -> StoredReview:
        """Return the review as the store keeps it."""
        return StoredReview(
            self.category or category, self.user, self.item, self.item_title, self.description, self.text,
            _stars(self.rating), self.title, now if self.time is None else self.time,
        )  # fmt: skip


class ReviewsBody(_Body):
    """The body of POST /reviews."""

    reviews: list[ReviewBody]


def _stars(rating: float | None) -> float:
    return math.nan if rating is None else rating
