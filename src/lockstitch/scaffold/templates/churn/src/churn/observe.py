"""What the service tells about itself: one line of JSON a request, and metrics for Prometheus.

Neither ever holds a customer's data: not a body, not a query, not a path that is none of ours.
"""

import json
import logging
import re
import sys
import time
import traceback
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from contextvars import ContextVar
from datetime import UTC, datetime

import prometheus_client as prometheus
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from churn.limits import refuse

METHODS = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
HUNG_UP = 499  # in log and metrics only: the client did not wait for the answer

_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_log = logging.getLogger("churn")
_request_id: ContextVar[str] = ContextVar("request_id")


class Metrics:
    """Counts requests and predictions."""

    def __init__(self, model_sha256: str) -> None:
        """Start from zero, in a registry of its own."""
        self._registry = registry = prometheus.CollectorRegistry()
        prometheus.ProcessCollector(registry=registry)
        info = prometheus.Info("model", "The model that is served", registry=registry)
        info.info({"sha256": model_sha256})
        self._requests = prometheus.Counter(
            "http_requests", "Answers", ["path", "status"], registry=registry
        )
        self._seconds = prometheus.Histogram(
            "http_request_duration_seconds",
            "Time from a request to the end of its answer",
            ["path"],
            buckets=BUCKETS,
            registry=registry,
        )
        self._predictions = prometheus.Counter(
            "predictions", "Customers by what was predicted", ["churn"], registry=registry
        )

    def request(self, path: str, status: int, seconds: float) -> None:
        """Count a request."""
        self._requests.labels(path, str(status)).inc()
        self._seconds.labels(path).observe(seconds)

    def predictions(self, churn: Iterable[bool]) -> None:
        """Count customers by what they were said to do."""
        for answer, customers in Counter(churn).items():
            self._predictions.labels("true" if answer else "false").inc(customers)

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it."""
        return prometheus.generate_latest(self._registry)


class Observed:
    """Wraps an application: gives each request an id, logs it and counts it."""

    def __init__(
        self, app: ASGIApp, metrics: Metrics, paths: Collection[str], closing: Callable[[], bool]
    ) -> None:
        """Keep the paths that may be named, and what tells when connections must close."""
        self._app = app
        self._metrics = metrics
        self._paths = frozenset(paths)
        self._closing = closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Have a request answered."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        identity = request_id(scope)
        _request_id.set(identity)
        status = 0

        async def identified(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = [*message["headers"], (b"x-request-id", identity.encode())]
                if self._closing():  # so that the client sends its next request elsewhere
                    headers.append((b"connection", b"close"))
                message = {**message, "headers": headers}
            await send(message)

        try:
            await self._app(scope, receive, identified)
        except Exception:
            _log.exception("failed")
            if not status:
                await refuse(identified, 500, "the service failed; its log says where")
        finally:
            self._finish(scope, status or HUNG_UP, time.perf_counter() - started)

    def _finish(self, scope: Scope, status: int, seconds: float) -> None:
        """Log and count a request."""
        path = scope["path"] if scope["path"] in self._paths else "other"
        method = scope["method"] if scope["method"] in METHODS else "other"
        self._metrics.request(path, status, seconds)
        milliseconds = round(seconds * 1000, 3)
        facts = {"method": method, "path": path, "status": status, "ms": milliseconds}
        _log.info("request", extra={"facts": facts})


def request_id(scope: Scope) -> str:
    """Return the X-Request-ID that came with a request if it is short and plain, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(value):
            return str(value, "ascii")
    return uuid.uuid4().hex


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line; of an error its kind and place, as its text may quote a customer."""
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line = {
            "time": when.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if identity := _request_id.get(None):
            line["request_id"] = identity
        line |= getattr(record, "facts", {})
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
            line["stack"] = "".join(traceback.format_tb(record.exc_info[2]))
        return json.dumps(line)


def log_to_stdout() -> None:
    """Send what this process logs to stdout, as lines of JSON."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
