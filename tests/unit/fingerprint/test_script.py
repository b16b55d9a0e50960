"""The script that takes a fingerprint: what it sees of packages and of the machine."""

import ast
import importlib.metadata
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support import environments, projects, wheels
from support.programs import stand_in

from lockstitch.fingerprint import live, model
from lockstitch.fingerprint.model import Fingerprint, Package
from lockstitch.image import contents
from lockstitch.runtime.fingerprint import VARIABLES
from lockstitch.store import Store, default_root

SCRIPT = Path(__file__).parents[3] / "src" / "lockstitch" / "runtime" / "fingerprint.py"
MODEL = {
    "model/__init__.py": b"x = 1\n",
    "model/extra/part.py": b"y = 2\n",
    "model/core.pyi": b"",
    "model/tests/test_it.py": b"z = 3\n",
}


@pytest.fixture(scope="module")
def script() -> SimpleNamespace:
    return SimpleNamespace(**runpy.run_path(str(SCRIPT)))


@pytest.fixture
def venv(tmp_path: Path) -> Path:
    return environments.make(
        tmp_path / "venv",
        wheels.wheel("model", "1.0", MODEL, requires=["Tool.Box>=1", "absent", "tool; extra=='x'"]),
        wheels.wheel("tool-box", "2.0"),
    )


def packages(script: SimpleNamespace, venv: Path) -> dict[str, Any]:
    path = [str(environments.packages(venv))]
    found = script.packages(list(importlib.metadata.distributions(path=path)))
    return {each["name"]: each for each in found}


def seen(venv: Path, name: str = "model") -> Package:
    found = live.interpreter(venv).package(name)
    assert found is not None
    return found


def test_an_environment_says_what_it_is(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:  # a machine may have some of them for all of its programs
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2-4711")
    monkeypatch.chdir(venv)
    (venv / "json.py").write_text("raise SystemExit('the folder is not on the path')\n")
    found = live.interpreter(venv)
    assert [(package.name, package.version) for package in found.packages] == [
        ("model", "1.0"),
        ("tool-box", "2.0"),
    ]
    model = seen(venv)
    assert (model.needs, model.tags, model.edited) == (("tool-box",), ("py3-none-any",), ())
    assert found.python
    assert found.python.version == ".".join(map(str, sys.version_info[:3]))
    assert found.variables == {"LC_ALL": "C.UTF-8", "OMP_NUM_THREADS": "1"}
    text = json.dumps(found.document())
    assert "hunter2-4711" not in text
    assert str(venv) not in text
    assert f'"{os.uname().nodename}"' not in text


@pytest.mark.slow
def test_it_is_the_same_every_time_and_survives_json(venv: Path) -> None:
    first, again = live.interpreter(venv), live.interpreter(venv / "bin" / "python")
    assert first == again
    assert first.digest == again.digest
    assert model.of_text(json.dumps(first.document()), "it") == first


def test_installers_leave_no_trace_in_a_digest(tmp_path: Path, script: SimpleNamespace) -> None:
    built = wheels.wheel("model", "1.0", MODEL)
    records = set()
    for installer in ("pip", "uv"):
        folder = environments.make(tmp_path / installer)
        environments.put(folder, built, installer=installer)
        found = packages(script, folder)["model"]
        assert found["edited"] == []
        records.add((found["record"], found["code"]))
    assert len(records) == 1
    other = environments.make(
        tmp_path / "other", wheels.wheel("model", "1.0", MODEL | {"m.py": b""})
    )
    assert packages(script, other)["model"]["record"] not in {record for record, _ in records}


def test_what_a_trimmed_image_leaves_out_is_not_code(
    tmp_path: Path, script: SimpleNamespace
) -> None:
    whole = environments.make(tmp_path / "whole", wheels.wheel("model", "1.0", MODEL))
    kept = {name: data for name, data in MODEL.items() if not contents.is_trimmed(name)}
    assert len(kept) == 2
    small = environments.make(tmp_path / "small", wheels.wheel("model", "1.0", kept))
    one, other = packages(script, whole)["model"], packages(script, small)["model"]
    assert one["record"] != other["record"]
    assert one["code"] == other["code"]


def test_the_script_trims_by_the_very_rules_of_images(script: SimpleNamespace) -> None:
    assert set(script.SUFFIXES) == contents._SUFFIXES
    assert script.PREFIXES == contents._OF_PACKAGES
    assert set(script.TESTS) == contents._FOLDERS
    assert set(script.KEPT) == contents._KEPT
    for path in ("tests/a.py", "a/tests/b.py", "a/b.pyi", "numpy/_core/tests/_natype.py", "a.h"):
        assert script.left_out(path) == contents.is_trimmed(path), path


def test_a_file_is_hashed_again_when_its_stat_is_another(
    venv: Path, script: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = script.packages.__globals__
    found = list(importlib.metadata.distributions(path=[str(environments.packages(venv))]))
    soon: dict[str, Any] = {}
    script.packages(found, {}, soon)
    assert soon == {}  # written this moment: another write may not show
    monkeypatch.setitem(known, "STEP", -60)
    was: dict[str, Any] = {}
    script.packages(found, {}, was)
    assert {name: seen[1] for name, seen in was.items()} == {"model": [], "tool-box": []}
    was["model"][1:] = [["changed as it was remembered"], {"record": "as remembered"}]
    unread = script.packages(found, was, {})[0]
    assert unread["edited"] == ["changed as it was remembered"]
    assert unread["record"] == "as remembered"
    with monkeypatch.context() as other:  # of a version that leaves out something else
        other.setitem(known, "TESTS", ("tests", "extra"))
        assert script.packages(found, was, {})[0]["record"] != "as remembered"
    path = environments.packages(venv) / "model" / "extra" / "part.py"
    facts = path.stat()
    path.write_bytes(b"y = 3\n")
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))  # as if nothing had happened
    assert script.packages(found, was, {})[0]["edited"] == ["changed model/extra/part.py"]


def test_what_was_hashed_is_in_the_store(venv: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = live.script()
    monkeypatch.setattr(live, "script", lambda: text.replace("STEP = 2 ", "STEP = -60 "))
    first, store = live.interpreter(venv), Store(default_root())
    [record] = store.root.glob("records/seen-files-*/*/*.json")
    kind, key = record.parts[-3], record.stem
    seen = store.record(kind, key)
    assert sorted(seen) == ["model", "tool-box"]
    assert live.interpreter(venv) == first
    seen["model"][1] = ["changed as it was remembered"]
    store.put_record(kind, key, seen)
    package = live.interpreter(venv).package("model")
    assert package
    assert package.edited == ("changed as it was remembered",)
    record.write_bytes(record.read_bytes() + b" ")  # damaged: it counts as none
    assert live.interpreter(venv) == first


def test_files_changed_by_hand_show(venv: Path) -> None:
    site = environments.packages(venv)
    (site / "model" / "__init__.py").write_text("x = 2\n")
    (site / "model" / "extra" / "part.py").unlink()
    (site / "model" / "extra" / "more.py").write_text("")
    (site / "model" / "__pycache__").mkdir()
    (site / "model" / "__pycache__" / "__init__.pyc").write_text("")
    before = seen(venv)
    assert before.edited == (
        "added model/extra/more.py",
        "changed model/__init__.py",
        "missing model/extra/part.py",
    )
    assert seen(venv, "tool-box").edited == ()


def test_what_another_package_wrote_over_was_not_changed_by_hand(script: SimpleNamespace) -> None:
    """As mlflow does with files of mlflow-tracing; what fits no RECORD was changed."""
    edited = {"a": ["changed x.py", "changed y.py"], "b": ["changed y.py"]}
    script.overwritten(edited, [(name, [("x.py", "h"), ("y.py", "h")]) for name in "ab"])
    assert edited == {"a": ["changed y.py"], "b": ["changed y.py"]}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('{"url": "file:///home/me", "dir_info": {"editable": true}}', {"origin": "editable"}),
        ('{"url": "file:///home/me", "dir_info": {}}', {"origin": "folder"}),
        (
            '{"url": "https://u:p@h.test/r", "vcs_info": {"vcs": "git", "commit_id": "c0ffee"}}',
            {"origin": "git c0ffee"},
        ),
        (
            '{"url": "https://h.test/a.whl", "archive_info": {"hashes": {"sha256": "ab"}}}',
            {"origin": "archive", "artifacts": ["sha256:ab"]},
        ),
        (
            '{"url": "x", "archive_info": {"hash": "sha256=cd"}}',
            {"origin": "archive", "artifacts": ["sha256:cd"]},
        ),
        ('{"url": "x", "archive_info": {}}', {"origin": "archive", "artifacts": []}),
        ("not JSON", {"origin": "unknown"}),
        (None, {}),
    ],
)
def test_where_a_package_came_from_is_said_without_an_address(
    text: str | None, wanted: dict[str, Any], script: SimpleNamespace
) -> None:
    assert script.origin(text) == wanted


def test_an_editable_install_has_no_digest(venv: Path) -> None:
    info = environments.packages(venv) / "model-1.0.dist-info"
    (info / "direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}')
    found = seen(venv)
    assert (found.origin, found.record, found.code) == ("editable", None, None)


def test_the_machine_is_read_below_a_root(tmp_path: Path, script: SimpleNamespace) -> None:
    files = {
        "etc/os-release": 'ID=debian\nVERSION_ID="12"\nHOME_URL="x"\n',
        "var/lib/dpkg/status": (
            "Package: zlib1g\nStatus: install ok installed\nVersion: 1:1.2\n\n"
            "Package: gone\nStatus: deinstall ok not-installed\nVersion: 1\n"
        ),
        "var/lib/dpkg/status.d/libc6": "Package: libc6\nVersion: 2.36-9\n",
        "var/lib/dpkg/status.d/libc6.md5sums": "Package: no\n",
        "lib/apk/db/installed": "P:musl\nV:1.2.5-r0\n\nP:busybox\nV:1.36\n",
        "proc/cpuinfo": "model name\t: AMD EPYC\nflags\t\t: fpu avx avx512f sse4_2 fma rdtscp\n",
        "proc/driver/nvidia/version": "NVRM version: NVIDIA Kernel Module  550.54.15  Mar 5\n",
        script.CUDA: '{"cuda": {"name": "CUDA SDK", "version": "12.4.1"}}',
        script.CUDNN: "#define CUDNN_MAJOR 9\n#define CUDNN_MINOR 1\n#define CUDNN_PATCHLEVEL 0\n",
    }
    projects.write_files(tmp_path, files)
    root = str(tmp_path)
    assert script.machine(root)["release"] == "debian 12"
    assert script.system(root) == {
        "busybox": "1.36",
        "libc6": "2.36-9",
        "musl": "1.2.5-r0",
        "zlib1g": "1:1.2",
    }
    assert script.cpu(root)["features"] == ["avx", "avx512f", "fma", "sse4_2"]
    assert script.cpu(root)["model"] == "AMD EPYC"
    assert script.gpu(root) == {
        "driver": "550.54.15",
        "cuda": "12.4.1",
        "cudnn": "9.1.0",
        "devices": [],
    }
    assert script.gpu(str(tmp_path / "none")) is None


def test_devices_are_what_the_drivers_program_says(
    tmp_path: Path, script: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No machine of the tests has a GPU: a program of that name says what NVIDIA documents.
    stand_in(tmp_path / "nvidia-smi", 'echo "NVIDIA A100-SXM4-40GB, 550.54.15, 8.0"')
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    found = script.gpu(str(tmp_path))
    assert (found["driver"], found["devices"]) == ("550.54.15", ["NVIDIA A100-SXM4-40GB 8.0"])


def test_the_script_is_for_python_3_8() -> None:
    ast.parse(SCRIPT.read_text(), feature_version=(3, 8))


def test_it_runs_from_its_input_and_writes_nothing(venv: Path) -> None:
    before = sorted(path for path in venv.rglob("*"))
    done = subprocess.run(
        [venv / "bin" / "python", "-B", "-"],
        input=live.script(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert isinstance(model.of_text(done.stdout, "it"), Fingerprint)
    assert sorted(path for path in venv.rglob("*")) == before
    shutil.rmtree(venv)
