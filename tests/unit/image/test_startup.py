"""What packages run at each start of Python is told when a lock brings it."""

import json
from pathlib import Path

import pytest
from support import projects, wheels
from support.world import World

from lockstitch.cli.main import main
from lockstitch.digest import of_bytes
from lockstitch.image import startup
from lockstitch.net.download import Fetcher
from lockstitch.store import Store

HOOK = b"import os; exec(open(os.environ['HOME']).read())\n"
MODULE = {"gamma/__init__.py": b""}


@pytest.mark.parametrize(
    ("name", "data", "lines"),
    [
        ("x.pth", HOOK, [f"`x.pth`: {HOOK.decode().strip()}"]),
        ("x.pth", b"../beside\n# import os\n import os\nimportant\n", []),
        ("x.pth", b"folder\nimport\tos\n", ["`x.pth`: import\tos"]),
        ("x.pth", b"import " + b"a" * 200, [f"`x.pth`: import {'a' * 93}"]),
        ("gamma/x.pth", HOOK, []),
        ("gamma-2.1.data/purelib/x.pth", b"import os", ["`x.pth`: import os"]),
        ("gamma-2.1.data/platlib/x.pth", b"import os", ["`x.pth`: import os"]),
        ("gamma-2.1.data/purelib/in/x.pth", HOOK, []),
        ("gamma-2.1.data/data/lib/python3/site-packages/x.pth", b"import a", ["`x.pth`: import a"]),
        ("gamma-2.1.data/data/share/x.pth", HOOK, []),
        ("sitecustomize.py", b"x = 1\n", ["`sitecustomize.py` (8bf6893b)"]),
        ("x.pth", bytes(2 << 20), ["`x.pth` of 2097152 bytes"]),
    ],
)
def test_what_a_wheel_runs(name: str, data: bytes, lines: list[str], store: Store) -> None:
    _, wheel = wheels.wheel("gamma", "2.1", {**MODULE, name: data})
    store.put(wheel)
    assert startup.known(of_bytes(wheel), store) == lines


def test_what_is_no_wheel_or_not_here_is_unknown(store: Store) -> None:
    _, source = wheels.sdist("gamma", "2.1")
    store.put(source)
    assert startup.known(of_bytes(source), store) is None
    assert startup.known(of_bytes(b""), store) is None


def test_only_what_is_new_is_told(world: World, store: Store) -> None:
    files = {
        "old": {**MODULE, "a.pth": b"import a\n"},
        "same": {**MODULE, "a.pth": b"import a\n", "gamma/x.py": b""},
        "more": {**MODULE, "a.pth": b"import a\nimport b\n"},
    }
    made = {name: wheels.wheel("gamma", "2.1", each)[1] for name, each in files.items()}
    places = {}
    for number, (name, data) in enumerate(made.items()):
        filename = f"gamma-{number}-py3-none-any.whl"
        world.index.publish((filename, data))
        address = f"{world.server.address}{world.index.files[filename].path}"
        places[name] = {"gamma": {of_bytes(data): address}}
    fetcher = Fetcher(store)
    assert startup.new(places["old"], places["same"], store, fetcher) == {}
    assert startup.new(places["old"], places["old"], store, fetcher) == {}
    found = startup.new(places["old"], places["more"], store, fetcher)
    assert found == {"gamma": ["`a.pth`: import b"]}
    both = ["`a.pth`: import a", "`a.pth`: import b"]
    gone = {"gamma": {of_bytes(b"gone"): f"{world.server.address}/gone.whl"}}
    assert startup.new(gone, places["more"], store, fetcher) == {"gamma": both}
    assert startup.new(places["more"], gone, store, fetcher) == {}
    assert startup.new({}, places["more"], store, fetcher) == {"gamma": both}


@pytest.mark.slow
def test_an_upgrade_says_it_and_so_does_diff(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = projects.write(tmp_path / "tiny")
    assert main(["lock", "--project", str(root)]) == 0
    lock = root / "uv.lock"
    (tmp_path / "before").mkdir()
    before = tmp_path / "before" / "uv.lock"
    before.write_bytes(lock.read_bytes())
    assert "each start" not in capsys.readouterr().err
    world.index.publish(wheels.wheel("gamma", "2.9", {**MODULE, "gamma_init.pth": HOOK}))
    said = "`gamma` now runs code at each start of Python, by `gamma_init.pth`: import os; exec("
    upgrade = ["lock", "--upgrade", "--project", str(root)]
    assert main([*upgrade, "--dry-run"]) == 0
    assert said in capsys.readouterr().err
    assert main([*upgrade, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["startup"] == {
        "gamma": [f"`gamma_init.pth`: {HOOK.decode().strip()}"]
    }
    main(["diff", str(before), str(lock), "--project", str(root)])
    assert said in capsys.readouterr().err
    main(["diff", str(before), str(lock), "--json", "--project", str(root)])
    assert [*json.loads(capsys.readouterr().out)["startup"]] == ["gamma"]
    main(["diff", str(lock), str(before), "--project", str(root)])
    assert "each start" not in capsys.readouterr().err
    # On a machine that has read no wheel.
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "empty"))
    main(["diff", str(before), str(lock), "--project", str(root)])
    unknown = (
        "code at each start of Python: not known of `gamma`, whose wheels were not read here\n"
    )
    assert capsys.readouterr().err == unknown
    main(["diff", str(before), str(lock), "--json", "--project", str(root)])
    assert json.loads(capsys.readouterr().out)["startup-unknown"] == ["gamma"]
