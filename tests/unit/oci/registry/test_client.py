"""Schemes, logins, tokens and tries."""

import json
import threading
from pathlib import Path

import pytest
from support.registry import Fault, Registry

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.oci.model import MANIFEST_TYPE, Descriptor
from lockstitch.oci.reference import Reference
from lockstitch.oci.registry.client import Client, RegistryError, challenges, is_loopback
from lockstitch.oci.registry.repository import Repository

CONFIG = {"mediaType": "a/b", "digest": "sha256:" + "0" * 64, "size": 2}
DOCUMENT = {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": CONFIG, "layers": []}


@pytest.fixture
def login(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.users = {"ada": "secret"}
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    entry = {"username": "ada", "password": "secret"}
    document = {"auths": {registry.address: entry}}
    (tmp_path / "config.json").write_text(json.dumps(document))


@pytest.fixture(autouse=True)
def named(registry: Registry) -> None:
    registry.name("app", "1", DOCUMENT)


def challenge(header: str) -> list[tuple[str, dict[str, str]]]:
    return [(each.scheme, dict(each.parameters)) for each in challenges(header)]


def test_challenges_are_read_as_servers_write_them() -> None:
    assert challenge('Bearer realm="https://a.test/t?x=1,2",service=s,scope="a:b:pull,push"') == [
        ("bearer", {"realm": "https://a.test/t?x=1,2", "service": "s", "scope": "a:b:pull,push"})
    ]
    assert challenge(r'Negotiate, Basic realm="a \"b\"", BEARER Realm="c"') == [
        ("negotiate", {}),
        ("basic", {"realm": 'a "b"'}),
        ("bearer", {"realm": "c"}),
    ]
    assert challenge("") == challenge("!!") == []


def test_a_login_is_sent_only_when_it_is_wanted(
    registry: Registry, repository: Repository, login: None
) -> None:
    registry.users = {}
    repository.manifest("1")
    assert all("Authorization" not in seen.headers for seen in registry.seen)
    registry.users = {"ada": "secret"}
    repository.manifest("1")
    assert registry.seen[-1].status == 200


def test_without_a_login_the_error_says_what_to_type(
    registry: Registry, repository: Repository
) -> None:
    registry.users = {"ada": "secret"}
    with pytest.raises(RegistryError, match="refuses a request without login") as info:
        repository.manifest("1")
    assert info.value.status == 401
    assert info.value.codes == ("UNAUTHORIZED",)
    assert f"login {registry.address}" in info.value.hint


def test_a_wrong_login_is_named_by_its_file(
    registry: Registry, repository: Repository, login: None, tmp_path: Path
) -> None:
    registry.users = {"ada": "changed"}
    with pytest.raises(RegistryError, match=f"refuses the login from {tmp_path}") as info:
        repository.manifest("1")
    assert "secret" not in info.value.message


def test_one_token_serves_all_threads(registry: Registry, repository: Repository) -> None:
    registry.token_life = 300
    threads = [threading.Thread(target=repository.manifest, args=("1",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registry.asked_for_tokens == [{"service": "tests", "scope": "repository:app:pull"}]
    assert registry.count("GET", "/v2/$") == 1


def test_a_token_is_got_with_the_login(
    registry: Registry, repository: Repository, login: None
) -> None:
    registry.token_life = 300
    repository.manifest("1")
    assert registry.asked_for_tokens[0]["account"] == "ada"
    assert sum("Basic" in seen.headers.get("Authorization", "") for seen in registry.seen) == 1


def test_an_identity_token_gets_tokens(
    registry: Registry, repository: Repository, login: None, tmp_path: Path
) -> None:
    registry.token_life = 300
    document = {"auths": {registry.address: {"identitytoken": "secret"}}}
    (tmp_path / "config.json").write_text(json.dumps(document))
    repository.manifest("1")
    (asked,) = registry.asked_for_tokens
    assert (asked["grant_type"], asked["refresh_token"]) == ("refresh_token", "secret")


def test_a_token_is_renewed_when_the_registry_does_not_take_it(
    registry: Registry, repository: Repository
) -> None:
    registry.token_life = 300
    repository.manifest("1")
    registry.expire()
    repository.manifest("1")
    assert len(registry.asked_for_tokens) == 2


def test_a_token_that_is_about_to_end_is_renewed_before(
    registry: Registry, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.token_life = 300
    repository.manifest("1")
    later = 10**9
    monkeypatch.setattr("lockstitch.clock.monotonic", lambda: later)
    repository.manifest("1")
    assert len(registry.asked_for_tokens) == 2
    assert registry.count("GET", "manifests/") == 2


def test_a_registry_that_takes_no_token_is_not_asked_for_ever(
    registry: Registry, repository: Repository
) -> None:
    registry.token_life = 300
    wanted = {"WWW-Authenticate": f'Bearer realm="http://{registry.address}/token"'}
    registry.fail("GET", "manifests/", *[Fault(status=401, headers=wanted)] * 20)
    with pytest.raises(RegistryError, match="HTTP 401"):
        repository.manifest("1")
    assert registry.count("GET", "manifests/") == 3


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        (Fault(status=200, body=b"{}"), "answered with what is no token"),
        (Fault(status=200, body=b"["), "answered with what is no token"),
        (Fault(status=200, body=b'{"token": "a\\r\\nX: y"}'), "answered with what is no token"),
        (Fault(status=403), "gives nobody no token: HTTP 403"),
    ],
)
def test_a_token_that_is_none_is_refused(
    registry: Registry, repository: Repository, fault: Fault, why: str
) -> None:
    registry.token_life = 300
    registry.fail("GET", "/token", fault)
    with pytest.raises(LockstitchError, match=why):
        repository.manifest("1")


@pytest.mark.parametrize("realm", ["http://example.test/token", "/token", "file:///etc/passwd"])
def test_a_realm_must_be_https_as_the_registry(
    registry: Registry, repository: Repository, realm: str
) -> None:
    fault = Fault(status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}"'})
    registry.fail("GET", "/v2/$", fault)
    if realm.startswith("/"):
        registry.token_life = 300
        repository.manifest("1")
        return
    with pytest.raises(RegistryError, match="which is not an https address"):
        repository.manifest("1")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=500),
        Fault(status=429, headers={"Retry-After": "0"}),
        Fault(status=408),
        Fault(drop=True),
    ],
)
def test_what_may_go_better_is_tried_again(
    registry: Registry, repository: Repository, fault: Fault
) -> None:
    registry.fail("GET", "/v2/$", fault)
    registry.fail("GET", "manifests/", *[fault] * 4)
    repository.manifest("1")
    registry.fail("GET", "manifests/", *[fault] * 5)
    with pytest.raises(RegistryError, match=r"the manifest `1` of `.*/app`: (HTTP|no answer)"):
        repository.manifest("1")


def test_the_seconds_of_a_registry_s_retry_after_are_waited(
    registry: Registry, repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    monkeypatch.setattr("lockstitch.clock.sleep", waits.append)
    fault = Fault(status=429, headers={"Retry-After": "7"})
    far = Fault(status=503, headers={"Retry-After": "86400"})
    registry.fail("GET", "manifests/", fault, far)
    repository.manifest("1")
    assert waits == [7, 60]


def test_a_refusal_is_shown_as_the_registry_said_it(
    registry: Registry, repository: Repository
) -> None:
    body = json.dumps(
        {"errors": [{"code": "DENIED", "message": "no\x1b[2J way"}, {"code": "UNSUPPORTED"}]}
    ).encode()
    registry.fail("GET", "manifests/", Fault(status=403, body=body))
    with pytest.raises(RegistryError, match=r"HTTP 403, DENIED: no \[2J way; UNSUPPORTED") as info:
        repository.manifest("1")
    assert info.value.codes == ("DENIED", "UNSUPPORTED")


@pytest.mark.parametrize("body", [b"<html>", b'{"errors": 3}', b'{"errors": [[]]}', b"\xff"])
def test_a_refusal_without_words_has_its_number(
    registry: Registry, repository: Repository, body: bytes
) -> None:
    registry.fail("GET", "manifests/", Fault(status=400, body=body))
    with pytest.raises(RegistryError, match=r"HTTP 400$"):
        repository.manifest("1")


def test_other_machines_are_asked_over_https_only(monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_loopback("localhost:5000")
    assert is_loopback("[::1]:5000")
    assert is_loopback("a.localhost")
    assert not is_loopback("localhost.example.test")
    asked: list[str] = []

    def request(self: object, method: str, url: str, **_: object) -> None:
        asked.append(url)
        raise LockstitchError("stop")

    monkeypatch.setattr("lockstitch.net.transport.Transport.request", request)
    for client in (Client(), Client(insecure=["example.test"])):
        with pytest.raises(LockstitchError, match="stop"):
            Repository(client, Reference.parse("example.test/app")).manifest("1")
    assert asked == ["https://example.test/v2/", "http://example.test/v2/"]
    with pytest.raises(LockstitchError, match="stop"):
        Repository(Client(), Reference.parse("python")).manifest("3.11")
    assert asked[-1] == "https://registry-1" + ".docker.io/v2/"


def test_a_registry_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    repository = Repository(Client(first_wait=0), Reference.parse("127.0.0.1:9/app"))
    with pytest.raises(
        RegistryError, match=r"the registry `127\.0\.0\.1:9` did not answer: connection refused"
    ):
        repository.blob(Descriptor(media_type="a/b", digest=Digest(CONFIG["digest"]), size=1)).send(
            None
        )
