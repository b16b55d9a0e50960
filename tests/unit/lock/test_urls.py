"""Addresses come from the index that uv is set up with, and nothing else comes with them."""

import dataclasses
import hashlib
import json
from pathlib import Path

import pytest
from support import errors, wheels
from support.server import Asked, Reply
from support.wheels import Index, Published
from support.world import World

from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.lock import urls
from lockstitch.python.locks import LockedWheel, Pinned, pylock
from lockstitch.python.target import Target

AMD = Target(platform="linux/amd64", python="3.11.2", glibc="2.36")
ARM = Target(platform="linux/arm64", python="3.11.2", glibc="2.36")
OTHER = Digest.of_hex("cd" * 32)
TIME = 1767323045  # of every file of the test index


def pin(file: Published, *, named: bool = True, index: str = "") -> Pinned:
    """Pin a file, by its name as Poetry does, or by its hash alone as requirements do."""
    return Pinned(
        name=file.name,
        version=file.filename.split("-")[1],
        hashes=frozenset({Digest.of_hex(file.sha256)}),
        filename=file.filename if named else "",
        index=index,
    )


def resolve(*pins: Pinned, root: Path, target: Target = AMD) -> list[LockedWheel]:
    return urls.resolve(pins, target, root)


def problems(*pins: Pinned, root: Path) -> list[tuple[str, str]]:
    return errors.problems(lambda: resolve(*pins, root=root))


@pytest.mark.parametrize("named", [True, False])
def test_a_pin_gets_its_address_size_and_time(world: World, tmp_path: Path, named: bool) -> None:
    file = world.index.publish(wheels.wheel("zeta", "1.0"))
    alpha = world.index.files["alpha-1.0-py3-none-any.whl"]
    assert resolve(pin(file, named=named), pin(alpha, named=named), root=tmp_path) == [
        LockedWheel(
            name=each.name,
            version="1.0",
            filename=each.filename,
            url=f"{world.server.address}{each.path}",
            digest=Digest.of_hex(each.sha256),
            size=len(each.data),
            uploaded=TIME,
        )
        for each in (alpha, file)
    ]


def test_a_hash_alone_chooses_the_best_wheel_that_it_allows(world: World, tmp_path: Path) -> None:
    tags = ["py3-none-any", "cp311-cp311-manylinux_2_36_x86_64", "cp311-cp311-win_amd64"]
    tags += ["cp311-cp311-manylinux_2_17_aarch64", "cp312-cp312-manylinux_2_17_x86_64"]
    any_, amd, windows, arm, _ = (
        world.index.publish(wheels.wheel("zeta", "1.0", tag=tag)) for tag in tags
    )
    every = [pin(any_, named=False), pin(amd), pin(windows), pin(arm)]
    all_of = dataclasses.replace(every[0], hashes=frozenset().union(*(p.hashes for p in every)))
    for target, wanted in ((AMD, amd), (ARM, arm)):
        assert resolve(all_of, root=tmp_path, target=target)[0].filename == wanted.filename
        assert resolve(every[0], root=tmp_path, target=target)[0].filename == any_.filename


def test_every_wheel_that_is_not_what_was_pinned_is_named_with_both_digests(
    world: World, tmp_path: Path
) -> None:
    files = world.index.files
    alpha, beta = (files[f"{name}-py3-none-any.whl"] for name in ("alpha-1.0", "beta-3.1"))
    gamma = pin(files["gamma-2.0-py3-none-any.whl"], named=False)
    windows = world.index.publish(wheels.wheel("zeta", "1.0", tag="cp311-cp311-win_amd64"))
    third = Digest.of_hex("ef" * 32)
    found = problems(
        dataclasses.replace(pin(alpha), hashes=frozenset({OTHER})),
        dataclasses.replace(pin(beta), filename="beta-3.1-cp311-cp311-linux_x86_64.whl"),
        dataclasses.replace(gamma, hashes=frozenset({OTHER, third})),
        pin(windows, named=False),
        root=tmp_path,
    )
    lost = "`beta 3.1`: the index has no `beta-3.1-cp311-cp311-linux_x86_64.whl`"
    another, gammas = "the index has another", files["gamma-2.0-py3-none-any.whl"].sha256
    first = f"`alpha 1.0`: {another} `alpha-1.0-py3-none-any.whl`: wanted sha256 {OTHER.hex}"
    third_ = f"`gamma 2.0`: {another} `gamma-2.0-py3-none-any.whl`: wanted sha256 {OTHER.hex}"
    assert [message for message, _ in found] == [
        f"{first}, found {alpha.sha256}",
        f"{lost}, which the lock pins",
        f"{third_} or 1 others, found {gammas}",
        "`zeta 1.0`: the index has no wheel for linux/amd64, CPython 3.11",
    ]
    assert all(hint for _, hint in found)


def test_every_version_that_the_index_does_not_have_is_named(world: World, tmp_path: Path) -> None:
    files = world.index.files
    alpha = pin(files["alpha-1.0-py3-none-any.whl"])
    source = pin(files["only-source-1.0.tar.gz"], named=False)
    found = problems(
        alpha,
        dataclasses.replace(alpha, name="beta", version="9.9"),
        dataclasses.replace(source, version="1.0"),
        dataclasses.replace(alpha, name="nowhere"),
        root=tmp_path,
    )
    assert [message.partition(": ")[0] for message, _ in found] == [
        "`beta 9.9` has no wheel in the index",
        "`nowhere 1.0` has no wheel in the index",
        "`only-source 1.0` has no wheel in the index",
    ]
    assert "there is no version of beta==9.9" in found[0][0]


def test_what_is_known_is_not_asked_for(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = world.index.files["alpha-1.0-py3-none-any.whl"]
    found = resolve(pin(file), root=tmp_path)
    monkeypatch.setenv("LOCKSTITCH_UV", "no-such-program")
    assert urls.resolve([pin(file)], AMD, tmp_path, known=found) == found
    other = dataclasses.replace(pin(file), hashes=frozenset({OTHER}))
    with pytest.raises(LockstitchError, match="no-such-program"):
        urls.resolve([other], AMD, tmp_path, known=found)
    old = [dataclasses.replace(found[0], url=found[0].url.replace("//", "//me:secret@"))]
    assert urls.resolve([pin(file)], AMD, tmp_path, known=old) == found


def test_a_file_has_one_name_in_every_lock(world: World, tmp_path: Path) -> None:
    file = world.index.files["alpha-1.0-py3-none-any.whl"]
    spelled = file.filename.replace("alpha", "Alpha")
    world.server.on(f"/files/{spelled}", Reply(body=file.data))
    wanted = private(world, link=f"{world.server.address}/files/{spelled}", filename=spelled)
    index = f"mine={world.server.address}/private"
    (found,) = resolve(dataclasses.replace(wanted, index=index), root=tmp_path)
    assert found.filename == file.filename  # as `uv export` writes it
    assert found.url == f"{world.server.address}/files/{spelled}"
    assert urls.resolve([wanted], AMD, tmp_path, known=[found]) == [found]


def test_an_address_of_the_lock_is_kept(tmp_path: Path) -> None:
    filename = "alpha-1.0-py3-none-any.whl"
    direct = Pinned(
        name="alpha",
        version="1.0",
        hashes=frozenset({OTHER}),
        filename=filename,
        url=f"https://me:secret@host.test/{filename}",
    )
    (found,) = resolve(direct, root=tmp_path)
    assert (found.url, found.digest) == (f"https://host.test/{filename}", OTHER)
    assert (found.size, found.uploaded) == (None, 0)
    two = dataclasses.replace(direct, hashes=frozenset({OTHER, Digest.of_hex("ab" * 32)}))
    with pytest.raises(LockstitchError, match="is one file with 2 sha256 in the lock"):
        resolve(two, root=tmp_path)


def test_a_pin_is_looked_up_in_the_index_that_its_lock_names(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = Index(world.server)
    mine = private.publish(wheels.wheel("alpha", "1.0", {"alpha.py": b"mine"}))
    page = world.server.next(Asked(path="/simple/alpha/", range="", authorization=""))
    world.index.publish(wheels.wheel("alpha", "1.0"))
    world.server.on("/private/simple/alpha/", page)
    world.server.on("/files/alpha-1.0-py3-none-any.whl", Reply(body=mine.data))
    # Everything that could be asked before it must not be.
    monkeypatch.setenv("UV_INDEX", world.index.url)
    index = f"mine={world.server.address}/private/simple"
    beta = pin(world.index.files["beta-3.1-py3-none-any.whl"])
    world.server.asked.clear()
    found = resolve(pin(mine, index=index), beta, root=tmp_path)
    assert [wheel.digest.hex for wheel in found] == [mine.sha256, _digest(world, beta)]
    assert "/simple/alpha/" not in world.server.paths()
    assert "/private/simple/beta/" not in world.server.paths()


def _digest(world: World, wanted: Pinned) -> str:
    return world.index.files[wanted.filename].sha256


def test_the_projects_own_index_is_asked(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_DEFAULT_INDEX")
    table = f'[[tool.uv.index]]\nname = "here"\nurl = "{world.index.url}"\ndefault = true\n'
    (tmp_path / "pyproject.toml").write_text(table)
    alpha = world.index.files["alpha-1.0-py3-none-any.whl"]
    assert resolve(pin(alpha), root=tmp_path)[0].digest.hex == alpha.sha256


# --- secrets


def private(world: World, *, link: str, filename: str = "alpha-1.0-py3-none-any.whl") -> Pinned:
    """Publish `alpha` on a page of its own whose link to the file is this."""
    file = world.index.files["alpha-1.0-py3-none-any.whl"]
    page = {
        "meta": {"api-version": "1.0"},
        "name": "alpha",
        "files": [{"filename": filename, "url": link, "hashes": {"sha256": file.sha256}}],
    }
    headers = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
    world.server.on("/private/alpha/", Reply(body=json.dumps(page).encode(), headers=headers))
    return dataclasses.replace(pin(file), filename=filename)


@pytest.mark.parametrize("how", ["address", "variables", "netrc", "project"])
def test_an_index_with_a_password_works_and_leaves_none_behind(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    wanted = private(world, link="../../files/alpha-1.0-py3-none-any.whl")
    address = f"{world.server.address}/private"
    secret = address.replace("//", "//me:s3cret@")
    monkeypatch.setenv("UV_DEFAULT_INDEX", address)
    if how == "address":
        monkeypatch.setenv("UV_DEFAULT_INDEX", secret)
    elif how == "variables":
        monkeypatch.setenv("UV_INDEX_MINE_USERNAME", "me")
        monkeypatch.setenv("UV_INDEX_MINE_PASSWORD", "s3cret")
        wanted = dataclasses.replace(wanted, index=f"mine={address}")
    elif how == "netrc":
        (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password s3cret\n")
        (tmp_path / "netrc").chmod(0o600)
        monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
        page = world.server.next(Asked(path="/private/alpha/", range="", authorization=""))
        # uv looks there when it is asked to.
        challenge = Reply(status=401, headers={"WWW-Authenticate": "Basic"})
        world.server.on("/private/alpha/", challenge, page)
    else:
        monkeypatch.delenv("UV_DEFAULT_INDEX")
        table = f'[[tool.uv.index]]\nname = "here"\nurl = "{secret}"\ndefault = true\n'
        (tmp_path / "pyproject.toml").write_text(table)
    found = resolve(wanted, root=tmp_path)
    assert any(asked.authorization.startswith("Basic ") for asked in world.server.asked)
    assert "s3cret" not in repr(found)
    assert found[0].url == f"{world.server.address}/files/alpha-1.0-py3-none-any.whl"
    assert "s3cret" not in urls.dumps({"linux/amd64": found}, "3.11")


def test_a_password_in_a_link_is_left_out(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = f"{world.server.address}/files/alpha-1.0-py3-none-any.whl"
    wanted = private(world, link=file.replace("//", "//me:s3cret@"))
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{world.server.address}/private")
    assert resolve(wanted, root=tmp_path)[0].url == file


def test_a_signed_link_is_refused(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = f"{world.server.address}/files/alpha-1.0-py3-none-any.whl"
    wanted = private(world, link=f"{file}?X-Amz-Signature=s3cret")
    monkeypatch.setenv("UV_DEFAULT_INDEX", f"{world.server.address}/private")
    ((message, hint),) = problems(wanted, root=tmp_path)
    assert "is a signed address, which must not get into a lock" in message
    assert "s3cret" not in message + hint


@pytest.mark.parametrize("status", [401, 404, 500])
def test_no_password_is_in_what_uv_says(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    world.server.on("/private/alpha/", Reply(status=status))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    secret = world.server.address.replace("//", "//me:s3cret@") + "/private"
    monkeypatch.setenv("UV_DEFAULT_INDEX", secret)
    alpha = pin(world.index.files["alpha-1.0-py3-none-any.whl"])
    ((message, hint),) = problems(alpha, root=tmp_path)
    assert "s3cret" not in message
    assert "alpha" in message
    assert ".netrc" in hint


def test_an_index_that_does_not_answer_is_one_error(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:1/simple")
    files = world.index.files.values()
    found = problems(*(pin(f) for f in files if f.filename.endswith(".whl")), root=tmp_path)
    assert len(found) == 1
    assert found[0][0].startswith("uv could not ask the index for 6 packages\n")


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://u:p@h.test:8080/a%20b.whl?x=1#sha256=ab", "https://h.test:8080/a%20b.whl?x=1"),
        ("https://u@h.test/a.whl", "https://h.test/a.whl"),
        ("https://u:p@x@h.test/a.whl", "https://h.test/a.whl"),
        ("https://h.test/a@b.whl", "https://h.test/a@b.whl"),
    ],
)
def test_bare(url: str, wanted: str) -> None:
    assert urls.bare(url) == wanted


@pytest.mark.parametrize("url", ["https://[x", "https://h/a?TOKEN=1", "https://h/a?sig=x&b=1"])
def test_bare_refuses(url: str) -> None:
    with pytest.raises(LockstitchError) as caught:
        urls.bare(url)
    assert caught.value.hint


# --- what is written


def locked(name: str, tag: str, version: str = "1.0") -> LockedWheel:
    filename = f"{name}-{version}-{tag}.whl"
    return LockedWheel(
        name=name,
        version=version,
        filename=filename,
        url=f"https://host.test/{filename}",
        digest=Digest.of_hex(hashlib.sha256(filename.encode()).hexdigest()),
        size=7,
        uploaded=TIME,
    )


def test_the_lock_of_two_platforms_is_read_back() -> None:
    both = locked("both", "py3-none-any")
    amd = [both, locked("native", "cp311-cp311-manylinux_2_17_x86_64"), locked("v", "py3-none-any")]
    arm = [
        both,
        locked("native", "cp311-cp311-manylinux_2_17_aarch64"),
        locked("v", "py3-none-any", "2.0"),
        locked("one", "py3-none-any"),
    ]
    text = urls.dumps({"linux/arm64": arm, "linux/amd64": amd}, "3.11")
    assert pylock.select(text, AMD, "pylock.toml") == amd
    assert pylock.select(text, ARM, "pylock.toml") == sorted(arm)
    assert text.startswith(
        'lock-version = "1.0"\n'
        "environments = [\"sys_platform == 'linux' and platform_machine == 'x86_64'\", "
        "\"sys_platform == 'linux' and platform_machine == 'aarch64'\"]\n"
        'requires-python = "==3.11.*"\n'
        'created-by = "lockstitch"\n\n'
        '[[packages]]\nname = "both"\nversion = "1.0"\nwheels = [\n'
        '    { name = "both-1.0-py3-none-any.whl", '
        'url = "https://host.test/both-1.0-py3-none-any.whl", '
        "upload-time = 2026-01-02T03:04:05Z, size = 7, "
        f'hashes = {{ sha256 = "{both.digest.hex}" }} }},\n]\n\n'
    )
    assert text.count("marker = ") == 3


def test_a_lock_of_nothing_is_a_lock() -> None:
    text = urls.dumps({"linux/amd64": []}, "3.11")
    assert pylock.select(text, AMD, "pylock.toml") == []
