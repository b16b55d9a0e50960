"""Secrets in commits, in layers of anybody's images, and what the second look costs."""

import gzip
import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from support import cases
from support.planted import FORMS, private_key
from support.programs import git

from lockstitch.audit.rule import CheckOptions, Finding
from lockstitch.audit.rules import sec
from lockstitch.audit.rules.sec import SEC001, SEC002, SEC003
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci import rootfs
from lockstitch.oci.model import INDEX_TYPE, MANIFEST_TYPE
from lockstitch.oci.reader import LayoutReader
from lockstitch.repository import file_cache
from lockstitch.secrets.patterns import may_have
from lockstitch.secrets.secret_files import secret_file
from lockstitch.secrets.text import Secret

TOKEN = FORMS["github-token"].secret(5)
OTHER = FORMS["huggingface-token"].secret(6)
HISTORY = CheckOptions(history=True)


def commit(folder: Path, files: Mapping[str, str | None]) -> str:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_text(text, encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "-b", "main")
    return tmp_path


# --- files


class Known:
    """A scanner that finds what it is told."""

    name = "known"

    def __init__(self, *places: tuple[str, int]) -> None:
        self._places = places

    def find(self, root: Path, names: Sequence[str]) -> list[Secret]:
        assert root.is_dir()
        return [found(path, line) for path, line in self._places if path in names]


def found(path: str, line: int) -> Secret:
    return Secret(
        path=path, line=line, column=1, rule="x", severity="high", excerpt="", found_by=("known",)
    )


def test_what_a_scanner_finds_beyond_our_own(repo: Path) -> None:
    allowed = "b = 1  # lockstitch: allow-secret -- made up\n"
    commit(repo, {"a.py": f"a = 1\n{allowed}c = 1\n"})
    scanner = Known(("a.py", 1), ("a.py", 2), ("a.py", 3), ("a.py", 3), ("gone.py", 1))
    more = sec._found_by(scanner, cases.repository(repo), [found("a.py", 1)])
    assert [(each.path, each.line) for each in more] == [("a.py", 3)]


@pytest.mark.parametrize("rule", [r for r in FORMS if not r.endswith("-literal")])
def test_the_quick_look_passes_no_secret_by(rule: str) -> None:
    form = FORMS[rule]
    for seed in range(20):
        text = "x = 1\n" + form.line.format(form.secret(seed)) + "\n"
        assert may_have(text.encode(), form.name), (rule, seed)
        assert may_have(text.encode("utf-16"), form.name)
    assert not may_have(b"import secrets\nkey = 'none'\n" * 50, "a.py")


def test_what_was_clean_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.py").write_text("a = 1\n")
    (tmp_path / "b.py").write_text(f"T = '{TOKEN}'\n")
    monkeypatch.setattr(file_cache, "_FRESH", -1.0)
    read: list[str] = []
    original = file_cache._data

    def data(repository: object, name: str) -> bytes:
        read.append(name)
        return original(repository, name)

    monkeypatch.setattr(file_cache, "_data", data)
    for expected in (["a.py", "b.py"], ["b.py"], ["b.py"]):
        read.clear()
        assert [each.path for each in cases.check(tmp_path, SEC001)] == ["b.py"]
        assert read == expected
    (tmp_path / "a.py").write_text(f"T = '{OTHER}'\n")
    assert [each.path for each in cases.check(tmp_path, SEC001)] == ["a.py", "b.py"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a.py").write_text(f"T = '{TOKEN}'\n")
    root = tmp_path / "root"
    root.mkdir()
    (root / "link.py").symlink_to(outside / "a.py")
    (root / "folder").symlink_to(outside)
    assert cases.check(root, SEC001) == []


def test_an_env_file_is_named_with_what_it_holds() -> None:
    text = "A_TOKEN=1a2b3c4d\nB_PASSWORD='p w'\nC_KEY=x\nD_API_KEY=${OTHER}\nE_SECRET=zz9\n"
    assert secret_file(".env", lambda: text) == ("`A_TOKEN`, `B_PASSWORD`, `E_SECRET`", 1)
    assert secret_file(".env.example", lambda: text) is None
    assert secret_file("a.py", lambda: pytest.fail("nobody reads it")) is None


# --- commits


def history(folder: Path) -> list[Finding]:
    return cases.check(folder, SEC002, options=HISTORY)


def test_a_secret_that_was_taken_out_is_found_where_it_came_in(repo: Path) -> None:
    commit(repo, {"app.py": "a = 1\n"})
    bad = commit(repo, {"app.py": f"a = 1\nb = 2\nT = '{TOKEN}'\n"})
    commit(repo, {"app.py": "a = 1\n"})
    commit(repo, {"app.py": f"T = '{TOKEN}'\n"})
    (found,) = history(repo)
    assert found.path == "app.py"
    assert found.message.startswith(
        f"the commit {bad[:12]} added a secret (github-token) in line 3"
    )
    assert TOKEN not in found.message
    assert TOKEN[4:] not in repr(found)


def test_other_branches_and_files_that_are_gone_count(repo: Path) -> None:
    commit(repo, {"a.py": "a = 1\n"})
    git(repo, "checkout", "-q", "-b", "other")
    commit(repo, {"dir with space/ü.py": f"T = '{TOKEN}'\n"})
    commit(repo, {"dir with space/ü.py": None, "key.txt": private_key(1)})
    git(repo, "checkout", "-q", "main")
    assert [finding.path for finding in history(repo)] == ["dir with space/ü.py", "key.txt"]


def test_lines_that_look_like_a_patch_are_lines(repo: Path) -> None:
    text = f"++ b/other.py\n@@ -1 +1 @@\n\0diff --git a/x b/x\nT = '{TOKEN}'\n-- a/x\n"
    commit(repo, {"notes.txt": text.replace("\0", "")})
    commit(repo, {"notes.txt": "--- a/x\n+++ b/y\n"})
    commit(repo, {"last.py": f"T = '{OTHER}'"})
    assert [finding.path for finding in history(repo)] == ["last.py", "notes.txt"]


def test_settings_of_the_repository_change_nothing(repo: Path) -> None:
    commit(repo, {".gitattributes": "*.py diff=evil\n", "a.py": f"T = '{TOKEN}'\n"})
    for name, value in (
        ("diff.noprefix", "true"),
        ("diff.external", "touch ran; false"),
        ("diff.evil.textconv", "touch ran; false"),
        ("core.fsmonitor", "touch ran; false"),
        ("log.showSignature", "true"),
        ("color.ui", "always"),
    ):
        git(repo, "config", name, value)
    assert [finding.path for finding in history(repo)] == ["a.py"]
    assert not (repo / "ran").exists()


def test_a_folder_of_a_repository_has_its_own_history(repo: Path) -> None:
    commit(repo, {"a.py": f"T = '{TOKEN}'\n", "sub/b.py": f"T = '{OTHER}'\n"})
    assert [finding.path for finding in history(repo / "sub")] == ["b.py"]


# --- images


def tar(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def blob(layout: Path, data: bytes, kind: str = "application/json") -> dict[str, object]:
    digest = of_bytes(data)
    path = layout / "blobs" / "sha256" / digest.hex
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return {"mediaType": kind, "digest": digest, "size": len(data)}


def layout(folder: Path, layers: Mapping[bytes, str], config: object = None) -> Path:
    listed = [blob(folder, data, kind) for data, kind in layers.items()]
    document = json.dumps({"config": {}} if config is None else config).encode()
    manifest = {"config": blob(folder, document), "layers": listed}
    inner = {"manifests": [blob(folder, json.dumps(manifest).encode(), MANIFEST_TYPE)]}
    index = {"manifests": [blob(folder, json.dumps(inner).encode(), INDEX_TYPE)]}
    (folder / "index.json").write_text(json.dumps(index))
    return folder


GZIP = "application/vnd.docker.image.rootfs.diff.tar.gzip"
TAR = "application/vnd.docker.image.rootfs.diff.tar"


def leaks(root: Path, place: Path) -> list[str]:
    found = cases.check(root, SEC003, options=CheckOptions(images=(place,)))
    return [each.message.partition("holds a secret ")[2] for each in found]


def test_layers_are_read_when_their_layout_is_named(tmp_path: Path) -> None:
    deep, wheel = "a/" * 60 + "settings.py", "opt/app/site-packages/x/a.py"
    files = {
        deep: f"T = '{TOKEN}'\n".encode(),
        "root/.netrc": b"machine a.test login b password kd93jf8sK2\n",
        "usr/lib/python3/dist-packages/x/test.pem": private_key(1).encode(),
        wheel: f"T = '{OTHER}'\n".encode(),
        "big.bin": b"\0" * (2 << 20) + TOKEN.encode(),
        "app/data.bin": b"\0\1" + TOKEN.encode(),
    }
    place = layout(tmp_path / "images", {gzip.compress(tar(files)): GZIP})
    assert leaks(tmp_path, place) == [
        "(a password) in `/root/.netrc`",
        f"(github-token) in `/{deep}` line 1: ghp_… (40 characters)",
        f"(huggingface-token) in `/{wheel}` line 1: hf_{OTHER[3]}… (37 characters)",
    ]


def test_a_configuration_leaks_by_history_labels_and_commands(tmp_path: Path) -> None:
    config = {
        "config": {"Labels": {"by": TOKEN}, "Cmd": ["run", f"--token={OTHER}"], "Env": ["A=b", 3]},
        "history": [
            {"created_by": "RUN |2 A=1 GIT_TOKEN=kd93jf8sK2 /bin/sh -c pip install ."},
            {"created_by": "/bin/sh -c #(nop)  ENV DB_PASSWORD=hK93nd72Lq"},
            {"created_by": 7},
        ],
    }
    place = layout(tmp_path / "images", {}, config)
    assert [leak.partition(":")[0] for leak in leaks(tmp_path, place)] == [
        "(docker-secret-literal) in step 2 of its history",
        "(env-secret-literal) in step 1 of its history",
        "(github-token) in the label `by`",
        "(huggingface-token) in its Cmd",
    ]


def member(kind: bytes, size: bytes, data: bytes = b"") -> bytes:
    head = b"n".ljust(124, b"\0") + size.ljust(12, b"\0") + b"\0" * 12
    block = head + b" " * 8 + kind + b"\0" * 355
    return head + b"%06o\0 " % sum(block) + kind + b"\0" * 355 + data


@pytest.mark.parametrize(
    ("data", "kind", "said"),
    [
        (member(b"L", b"77777777"), TAR, "a header says that 16,777,215 bytes follow"),
        (member(b"0", b"\xff" * 12), TAR, "a header says that -1 bytes follow"),
        (member(b"0", b"9z"), TAR, "invalid header"),
        (gzip.compress(tar({"a": b"b" * 9999}))[:60], GZIP, "cut off"),
        (b"\x1f\x8b" + b"\xff" * 60, GZIP, "Error"),
    ],
    ids=["name", "size", "digits", "cut", "deflate"],
)
def test_a_layer_that_means_harm_ends_in_words(
    tmp_path: Path, data: bytes, kind: str, said: str
) -> None:
    place = layout(tmp_path / "images", {data: kind})
    (image,) = LayoutReader(place).images()
    with pytest.raises(LockstitchError, match="the layer sha256:") as caught:
        list(rootfs.small_files(image.layers[0].chunks(), image.layers[0].name, 1 << 20))
    assert said in caught.value.message
    assert leaks(tmp_path, place) == []


def test_a_layer_that_grows_for_ever_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rootfs, "_MOST_BYTES", 1 << 20)
    place = layout(tmp_path / "images", {gzip.compress(tar({"a": b"\0" * (1 << 20)})): GZIP})
    (image,) = LayoutReader(place).images()
    with pytest.raises(LockstitchError, match="it is larger than 1,048,576 bytes"):
        list(rootfs.small_files(image.layers[0].chunks(), image.layers[0].name, 1 << 10))


def test_indexes_within_indexes_end(tmp_path: Path) -> None:
    place = layout(tmp_path / "images", {})
    described = json.dumps(
        blob(place, b'{"config": {"digest": "sha256:../../etc"}}', MANIFEST_TYPE)
    )
    for text in (
        '{"manifests": [' + ",".join([described] * 300) + "]}",
        '{"manifests": [{"digest": "../../../etc/passwd"}]}',
        "[" * 100_000,
        "[]",
    ):
        (place / "index.json").write_text(text)
        with pytest.raises(LockstitchError):
            list(LayoutReader(place).images())
