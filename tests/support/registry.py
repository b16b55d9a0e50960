"""A registry on loopback, in this process, that misbehaves on order (distribution spec 1.1)."""

import json
import re
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from support.registry_handler import Fault, Running, Seen, digest_of
from support.server import answering, basic

__all__ = ["Fault", "Registry", "Seen", "digest_of", "run"]


class Registry:
    """What the registry holds, what it was asked, and how it is told to behave."""

    def __init__(self) -> None:
        self.address = ""  # host:port
        self.blobs: dict[str, dict[str, bytes]] = {}
        self.manifests: dict[str, dict[str, tuple[str, bytes]]] = {}
        self.uploads: dict[str, bytearray] = {}
        self.seen: list[Seen] = []
        self.early: list[str] = []  # manifests that came before their blobs
        self.has_referrers = True
        self.has_mount = True
        self.has_monolithic = True  # else 413 for a PUT with a whole blob
        self.least_chunk = 0
        self.elsewhere = ""  # the address that blobs are redirected to
        self.users: dict[str, str] = {}  # basic authentication when there is any
        self.token_life = 0  # tokens when above 0: seconds
        self.tokens: dict[str, set[str]] = {}  # token → `repository:action`
        self.asked_for_tokens: list[dict[str, str]] = []
        self._faults: list[tuple[str, re.Pattern[str], list[Fault]]] = []
        self.lock = threading.RLock()
        self.stalled = threading.Semaphore(0)  # released once for each request that stalls
        self.free = threading.Event()

    # --- for tests

    def fail(self, method: str, path: str, *faults: Fault) -> None:
        """Let the next requests of a method whose path has this pattern go wrong, in turn."""
        self._faults.append((method, re.compile(path), list(faults)))

    def fault(self, method: str, path: str) -> Fault:
        """Return what happens to a request, and forget it."""
        with self.lock:
            for wanted, pattern, faults in self._faults:
                if wanted == method and faults and pattern.search(path):
                    return faults.pop(0)
        return Fault()

    def holes(self) -> list[str]:
        """Return the manifests whose blobs or manifests are missing, now or when they came."""
        with self.lock:
            named = [(r, d, each[1]) for r, m in self.manifests.items() for d, each in m.items()]
            return self.early + [f"{r}@{d}" for r, d, data in named if self.missing(r, data)]

    def missing(self, repository: str, data: bytes) -> list[str]:
        """Return what a manifest needs and the repository lacks."""
        document = json.loads(data)
        blobs = [document["config"], *document["layers"]] if "layers" in document else []
        lacking = [b["digest"] for b in blobs if b["digest"] not in self.blobs.get(repository, {})]
        images = [each["digest"] for each in document.get("manifests", [])]
        return lacking + [d for d in images if d not in self.manifests.get(repository, {})]

    def add(self, repository: str, data: bytes) -> dict[str, object]:
        """Keep a blob and return its descriptor."""
        self.blobs.setdefault(repository, {})[digest_of(data)] = data
        kind = "application/vnd.oci.image.layer.v1.tar+gzip"
        return {"mediaType": kind, "digest": digest_of(data), "size": len(data)}

    def name(self, repository: str, tag: str, document: Mapping[str, object]) -> str:
        """Keep a manifest under its digest and a tag, and return the digest."""
        data = json.dumps(document).encode()
        entry = (str(document["mediaType"]), data)
        held = self.manifests.setdefault(repository, {})
        held[digest_of(data)] = held[tag] = entry
        return digest_of(data)

    def count(self, method: str, path: str = "") -> int:
        """Return how many requests of a method had this pattern in their path."""
        return sum(s.method == method and bool(re.search(path, s.path)) for s in self.seen)

    def received(self) -> int:
        """Return how many bytes of blobs came."""
        return sum(s.received for s in self.seen if "/blobs/" in s.path)

    def expire(self) -> None:
        """Let no token that was given hold any more."""
        with self.lock:
            self.tokens.clear()

    # --- logins

    def refuses(self, authorization: str, repository: str, *, write: bool) -> str | None:
        """Return the challenge for a request without the right, or None."""
        if self.token_life:
            rights = self.tokens.get(authorization.removeprefix("Bearer "))
            actions = ["pull", "push"] if write else ["pull"]
            wanted = {f"{repository}:{action}" for action in actions if repository}
            if rights is not None and wanted <= rights:
                return None
            scope = f',scope="repository:{repository}:{",".join(actions)}"' if repository else ""
            return f'Bearer realm="http://{self.address}/token",service="tests"{scope}'
        if self.users and authorization not in {basic(*pair) for pair in self.users.items()}:
            return 'Basic realm="tests"'
        return None

    def token(self, authorization: str, fields: dict[str, list[str]]) -> dict[str, object] | None:
        """Return a token for the scopes asked for, or None for a wrong login."""
        with self.lock:
            self.asked_for_tokens.append({key: " ".join(v) for key, v in fields.items()})
            right = {basic(*pair) for pair in self.users.items()}
            refresh = fields.get("refresh_token", [""])[0]
            if right and authorization not in right and refresh not in self.users.values():
                return None
            made = secrets.token_hex(8)
            scopes = [s.split(":") for value in fields.get("scope", []) for s in value.split()]
            self.tokens[made] = {f"{s[1]}:{each}" for s in scopes for each in s[2].split(",")}
            return {"token": made, "expires_in": self.token_life}


@contextmanager
def run() -> Iterator[Registry]:
    """Run a registry until the block ends."""
    made = Registry()
    with Running(made) as running, answering(running, made.free):
        made.address = f"127.0.0.1:{running.server_port}"
        yield made
