"""What the service counts, in Prometheus form; one registry per application."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


class Metrics:
    """The counters of one application."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._decisions = Counter(
            "candor_decisions",
            "Decisions recorded, by kind and outcome; repeated answers are not counted.",
            ["kind", "outcome"],
            registry=self.registry,
        )
        self._requests = Counter(
            "candor_http_requests",
            "Requests answered, by method, route and status.",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._latency = Histogram(
            "candor_http_request_seconds",
            "Seconds from the request's first byte to the answer's last, by route.",
            ["route"],
            buckets=_LATENCY_BUCKETS,
            registry=self.registry,
        )
        self._commits = Histogram(
            "candor_commit_batch_entries",
            "Entries made durable by one transaction.",
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )
        self._queue = Gauge(
            "candor_queue_entries", "Entries that wait to be recorded.", registry=self.registry
        )
        self._tree = Gauge(
            "candor_log_tree_size", "Entries in the log when last seen.", registry=self.registry
        )

        self._pulls = Counter(
            "candor_reference_pulls",
            "Pulls of reference tables, by table and result: loaded, unchanged or failed.",
            ["table", "result"],
            registry=self.registry,
        )

        self._node_calls = Counter(
            "candor_node_calls",
            "Decisions that rest on an outside node, by kind and result: answered, not-asked, or "
            "the failure's code.",
            ["kind", "result"],
            registry=self.registry,
        )

        self._vouching = Counter(
            "candor_vouching",
            "Timestamps and cosignatures asked for, by whom and result: kept, unchanged or failed.",
            ["by", "result"],
            registry=self.registry,
        )
        self._anchor_ages = Gauge(
            "candor_anchor_age_seconds",
            "Seconds since an authority's newest timestamp of the log, by its own clock.",
            ["authority"],
            registry=self.registry,
        )

    def count_vouching(self, by: str, result: str) -> None:
        """Count one query to a timestamping authority or one submission to a witness."""
        self._vouching.labels(by, result).inc()

    def watch_anchor(self, authority: str, age_seconds: Callable[[], float]) -> None:
        """Report the age of an authority's newest anchor whenever metrics are read."""
        self._anchor_ages.labels(authority).set_function(age_seconds)

    def count_node_call(self, kind: str, result: str) -> None:
        """Count one decision that an outside node was to make."""
        self._node_calls.labels(kind, result).inc()

    def count_pull(self, table: str, result: str) -> None:
        """Count one pull of a reference table."""
        self._pulls.labels(table, result).inc()

    def watch_queue(self, depth: Callable[[], int]) -> None:
        """Report `depth()` as the queue's length whenever metrics are read."""
        self._queue.set_function(lambda: float(depth()))

    def count_decision(self, kind: str, outcome: str) -> None:
        """Count one recorded decision."""
        self._decisions.labels(kind, outcome).inc()

    def count_commit(self, entries: int) -> None:
        """Count one durable batch."""
        self._commits.observe(entries)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(method, route, str(status)).inc()
        self._latency.labels(route).observe(seconds)

    def set_tree_size(self, tree_size: int) -> None:
        """Remember the log's size."""
        self._tree.set(tree_size)

    def render(self) -> bytes:
        """Return the text exposition."""
        return generate_latest(self.registry)
