"""Files behind a user and a password: who gets them, who never does, and what is left behind."""

import base64
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from support import projects
from support.server import Reply, Server, basic, serve
from support.world import World

from lockstitch.cli.main import main
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.net.credentials import Credentials
from lockstitch.net.download import Download, Fetcher
from lockstitch.oci.layout import Layout
from lockstitch.progress import Quiet
from lockstitch.store import Store

USER, PASSWORD = "bob", "s3cr3t-Pässword"
QUOTED = "s3cr3t-P%C3%A4ssword"
TOLD = basic(USER, PASSWORD)


@pytest.fixture
def server() -> Iterator[Server]:
    with serve() as made:
        made.protect("/files/", USER, PASSWORD)
        made.on("/files/f", Reply(body=b"12345"))
        yield made


def index(server: Server, user: str = USER, password: str = QUOTED) -> str:
    return server.address.replace("//", f"//{user}:{password}@") + "/simple"


def netrc(password: str = PASSWORD) -> None:
    path = Path.home() / ".netrc"
    path.write_text(f'machine 127.0.0.1 login {USER} password "{password}"\n', encoding="utf-8")


def read(server: Server, store: Store, path: str = "/files/f") -> bytes:
    fetcher = Fetcher(store, credentials=Credentials(), first_wait=0.001)
    return fetcher.read(f"{server.address}{path}", limit=9)


def told(server: Server) -> list[str]:
    return [asked.authorization for asked in server.asked]


def test_a_known_login_is_sent_at_once(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX", index(server))
    assert read(server, store) == b"12345"
    assert told(server) == [TOLD]


def test_netrc_is_for_those_who_ask(server: Server, store: Store) -> None:
    netrc()
    server.on("/open", Reply(body=b"1"))
    assert read(server, store, "/open") == b"1"
    fetcher = Fetcher(store, credentials=Credentials())
    for _ in range(2):  # a host that asked is told at once from then on
        assert fetcher.read(f"{server.address}/files/f", limit=9) == b"12345"
    assert told(server) == ["", "", TOLD, TOLD]


def test_a_download_goes_on_with_its_login(server: Server, store: Store) -> None:
    netrc()
    body = bytes(range(256)) * 2000
    url = server.on("/files/f", Reply(body=body, drop_at=300_000), Reply(body=body))
    download = Download(name="f", url=url, digest=of_bytes(body), size=len(body))
    fetcher = Fetcher(store, credentials=Credentials(), first_wait=0.001)
    fetcher.fetch([download], Quiet())
    assert store.has(download.digest)
    answered = [asked for asked in server.asked if asked.authorization == TOLD]
    assert [asked.range for asked in answered] == ["", "bytes=300000-"]


def test_a_login_is_looked_up_once_for_many_threads(server: Server, store: Store) -> None:
    netrc()
    credentials = Credentials()
    url = f"{server.address}/files/f"
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(credentials.asked, [url] * 16))
    assert len({id(login) for login in found}) == 1


def test_a_redirect_to_another_port_gets_no_password(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX", index(server))
    with serve() as other:
        target = other.on("/there", Reply(body=b"1"))
        server.on("/files/f", Reply(status=302, headers={"Location": target}))
        assert read(server, store) == b"1"
        assert (told(server), told(other)) == ([TOLD], [""])


def test_a_redirect_on_the_same_host_keeps_the_login(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_INDEX", index(server))
    server.on("/files/f", Reply(status=302, headers={"Location": "../files/g"}))
    server.on("/files/g", Reply(body=b"1"))
    assert read(server, store) == b"1"
    assert told(server) == [TOLD, TOLD]


def test_a_redirect_gets_the_login_of_where_it_leads(
    server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve() as other:
        other.protect("/", "eve", "other")
        target = other.on("/there", Reply(body=b"1"))
        monkeypatch.setenv("UV_INDEX", f"{index(server)} {index(other, 'eve', 'other')}")
        server.on("/files/f", Reply(status=302, headers={"Location": target}))
        assert read(server, store) == b"1"
        assert (told(server), told(other)) == ([TOLD], [basic("eve", "other")])


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://127.0.0.1/f", "//[::1/x"])
def test_a_redirect_leads_to_http_only(target: str, server: Server, store: Store) -> None:
    server.on("/f", Reply(status=302, headers={"Location": target}))
    with pytest.raises(LockstitchError, match=r"is not an (http|address)"):
        read(server, store, "/f")


def test_without_a_login_the_error_says_how_to_give_one(server: Server, store: Store) -> None:
    with pytest.raises(LockstitchError) as caught:
        read(server, store)
    url = f"{server.address}/files/f"
    assert caught.value.message == (
        f"`{url}` answered HTTP 401: `127.0.0.1` wants a user and a password, and none is known"
    )
    assert "~/.netrc" in caught.value.hint
    assert "UV_INDEX_NAME_PASSWORD" in caught.value.hint
    assert "UV_KEYRING_PROVIDER=subprocess" in caught.value.hint
    assert told(server) == [""]


@pytest.mark.parametrize("where", ["UV_INDEX", "netrc"])
def test_a_wrong_login_is_refused_by_name_of_its_source(
    where: str, server: Server, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "netrc":
        netrc("wr0ngpass")
    else:
        monkeypatch.setenv("UV_INDEX", index(server, USER, "wr0ngpass"))
    with pytest.raises(LockstitchError) as caught:
        read(server, store)
    source = str(Path.home() / ".netrc") if where == "netrc" else where
    assert caught.value.message.endswith(f"HTTP 401: `127.0.0.1` refuses the login from {source}")
    assert "wr0ngpass" not in f"{caught.value.message} {caught.value.hint}"


def test_the_proxy_gets_its_own_login_and_not_the_one_in_an_address(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve() as proxy:
        monkeypatch.setenv("HTTP_PROXY", index(proxy).removesuffix("/simple"))
        proxy.on("http://index.example.test/f", Reply(body=b"1"))
        url = f"http://x:{QUOTED}@index.example.test/f"
        assert Fetcher(store, credentials=Credentials()).read(url, limit=1) == b"1"
        assert proxy.paths() == ["http://index.example.test/f"]
        assert told(proxy) == [""]  # a lock's own user and password are nobody's
        assert [asked.proxy for asked in proxy.asked] == [TOLD]


@pytest.mark.parametrize("proxy", [f"bob:{PASSWORD}@proxy", f"ftp://bob:{PASSWORD}@p", "http://["])
def test_a_wrong_proxy_is_not_quoted(
    proxy: str, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(LockstitchError) as caught:
        Fetcher(store).read("http://index.example.test/f", limit=1)
    assert "HTTP_PROXY" in caught.value.message
    assert PASSWORD not in f"{caught.value.message} {caught.value.hint}"


# --- the whole way: uv locks, lockstitch builds, and nothing is left behind


def ways(world: World, way: str, password: str) -> dict[str, str]:
    """Return the variables of a way to give the password; netrc is a file of the home folder."""
    quoted = QUOTED if password == PASSWORD else password
    if way == "address":
        url = world.index.url.replace("//", f"//{USER}:{quoted}@")
        return {"UV_DEFAULT_INDEX": url}
    if way == "netrc":
        netrc(password)
        return {}
    named = {"UV_DEFAULT_INDEX": f"priv={world.index.url}"}
    return named | {"UV_INDEX_PRIV_USERNAME": USER, "UV_INDEX_PRIV_PASSWORD": password}


def everything(*folders: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of all files, and of all that is in their layers."""
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            yield str(path), b""
            if path.is_file() and path.name != ".netrc":
                yield str(path), path.read_bytes()
                if path.read_bytes()[:2] == b"\x1f\x8b":
                    with tarfile.open(path) as layer:
                        for each in layer:
                            file = layer.extractfile(each) if each.isreg() else None
                            yield f"{path}:{each.name}", file.read() if file else b""


def leaks(text: str, *folders: Path, secret: str) -> list[str]:
    quoted = QUOTED if secret == PASSWORD else secret
    pairs = f"{USER}:{secret}".encode()
    wanted = [secret.encode(), quoted.encode(), base64.b64encode(pairs)]
    wanted += [base64.b64encode(secret.encode()), base64.urlsafe_b64encode(secret.encode())]
    found = [*everything(*folders), ("output", text.encode())]
    return [name for name, data in found if any(w in data or w in name.encode() for w in wanted)]


@pytest.mark.slow
def test_a_private_index_is_locked_and_built_and_leaves_no_trace(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    project = projects.write(tmp_path / "tiny")
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    monkeypatch.chdir(project)
    for folder in ("/simple/", "/files/"):
        world.server.protect(folder, USER, PASSWORD)
    for command, way, password, code in (
        ("lock", "address", "wr0ngpass", 1),  # uv says no
        ("lock", "address", PASSWORD, 0),
        ("lock --upgrade", "named", PASSWORD, 0),
        ("build", "named", "wr0ngpass", 1),
        ("build", "netrc", PASSWORD, 0),
    ):
        with monkeypatch.context() as patch:
            for name, value in ways(world, way, password).items():
                patch.setenv(name, value)
            assert main(command.split()) == code, (command, way)
    assert Layout(project / ".lockstitch" / "images").manifest_digest("serve")
    output = "".join(capfd.readouterr())
    assert "locked: uv.lock" in output
    folders = (project, Path(os.environ["LOCKSTITCH_CACHE"]))
    for secret in (PASSWORD, "wr0ngpass"):
        assert leaks(output, *folders, secret=secret) == []
    assert leaks(PASSWORD, *folders, secret=PASSWORD) == ["output"]  # it does look


def test_a_traceback_of_the_fetcher_shows_no_password(server: Server, store: Store) -> None:
    code = (
        "import sys\nfrom pathlib import Path\n"
        "from lockstitch.credentials import Credentials\nfrom lockstitch.fetch import Fetcher\n"
        "from lockstitch.store import Store\n"
        "Fetcher(Store(Path(sys.argv[1])), credentials=Credentials()).read(sys.argv[2], limit=9)\n"
    )
    netrc("wr0ngpass")
    words = [sys.executable, "-c", code, str(store.root), f"{server.address}/files/f"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert "Traceback" in done.stderr
    assert leaks(done.stderr + done.stdout, secret="wr0ngpass") == []  # noqa: S106 -- invented
