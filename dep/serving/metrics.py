"""What the server counts, in Prometheus' format; no name of a user and no text is in it."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The metrics of one server."""

    def __init__(self) -> None:
        self._registry = own = CollectorRegistry()
        labels = ["route", "status"]
        self.requests = Counter("dep_requests", "Requests by route and status", labels, registry=own)
        self.seconds = Histogram("dep_request_seconds", "Time to the end of a response", ["route"], buckets=_SECONDS,
                                 registry=own)  # fmt: skip
        self.first = Histogram("dep_first_token_seconds", "Time to the first piece of a stream", buckets=_SECONDS,
                               registry=own)  # fmt: skip
        self.tokens = Counter("dep_generated_tokens", "Tokens written", registry=own)
        self.prompt_tokens = Counter("dep_prompt_tokens", "Tokens of prompts", registry=own)
        self.rows = Histogram("dep_rows_in_step", "Texts written side by side, for each token",
                              buckets=(1, 2, 4, 8, 16, 32), registry=own)  # fmt: skip
        self.reviews = Counter("dep_reviews_stored", "Reviews stored", registry=own)
        self.deleted = Counter("dep_reviews_deleted", "Reviews deleted", registry=own)

    def watch_unfinished(self, count: Callable[[], int]) -> None:
        """Show the number of requests that wait or are being written."""
        gauge = Gauge("dep_unfinished_requests", "Requests that wait or are being written", registry=self._registry)
        gauge.set_function(count)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return bytes(generate_latest(self._registry))
