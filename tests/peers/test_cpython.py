"""Images on `cpython:` bases: archives made from this machine's CPythons, each image started.

No machine of the tests reaches the archives themselves; these have their layout, with shared
libraries beside what python-build-standalone links statically.
"""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from support import projects
from support.programs import lockstitch
from support.server import Reply, Server, serve
from support.standalone import PYENV, of_pyenv, sums

from lockstitch.cli.main import main

pytestmark = pytest.mark.network  # uv fetches what the lock names

# The day of the release that uv knows for each, and the variant of its name.
RELEASES = {
    "3.8.18": ("20240224", "install_only"),
    "3.9.18": ("20240224", "install_only"),
    "3.10.13": ("20240224", "install_only"),
    "3.12.1": ("20240107", "install_only"),
    "3.13.0": ("20241016", "install_only_stripped"),
}
APP = """\
import bz2, ctypes, hashlib, lzma, sqlite3, ssl, sys, zlib
import numpy
assert sys.version.split()[0] == "{version}"
assert sys.base_prefix == "/usr/local"
assert numpy.arange(4).sum() == 6
assert numpy.__file__.startswith("/app/.venv/lib/python{minor}/site-packages")
assert len(ssl.create_default_context().get_ca_certs()) > 50
assert all(m.__cached__ and m.__cached__.endswith(".pyc") for m in (bz2, numpy))
import os
assert all(os.path.exists(m.__cached__) for m in (bz2, numpy))
"""


@pytest.fixture(scope="module")
def mirror() -> Iterator[Server]:
    with serve() as server:
        yield server


def publish(server: Server, version: str) -> None:
    day, kind = RELEASES[version]
    name = f"cpython-{version}+{day}-x86_64-unknown-linux-gnu-{kind}.tar.gz"
    data = of_pyenv(version)
    server.on(f"/{day}/{quote(name, safe='')}", Reply(body=data))
    server.on(f"/{day}/SHA256SUMS", Reply(body=sums({name: data})))


@pytest.mark.parametrize("version", RELEASES)
def test_an_image_on_it_starts(
    version: str, mirror: Server, in_store: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not (PYENV / version).is_dir():
        pytest.skip(f"CPython {version} is not beside {PYENV}: pyenv install {version}")
    publish(mirror, version)
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", mirror.address)
    minor = version.rpartition(".")[0]
    text = projects.small(f"cpython:{version}", minor, "numpy")
    (tmp_path / "pyproject.toml").write_text(text)
    (tmp_path / "app.py").write_text(APP.format(version=version, minor=minor))
    lockstitch("lock", cwd=tmp_path)
    text = (tmp_path / "lockstitch.lock").read_text()
    assert 'proof = "SHA256SUMS"' in text
    assert mirror.address not in text
    lockstitch("build", cwd=tmp_path)
    assert "ended with 0" in lockstitch("try", "app", cwd=tmp_path)
    mirror.asked.clear()
    digest = lockstitch("build", cwd=tmp_path)
    assert not mirror.asked  # offline from the store
    monkeypatch.setenv("LOCKSTITCH_CACHE", str(tmp_path / "elsewhere"))
    assert lockstitch("build", cwd=tmp_path) == digest


def test_packages_of_the_system_on_it_and_libraries_that_it_lacks(
    mirror: Server,
    in_store: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    version, minor = "3.12.1", "3.12"
    if not (PYENV / version).is_dir():
        pytest.skip(f"CPython {version} is not beside {PYENV}: pyenv install {version}")
    publish(mirror, version)
    monkeypatch.setenv("UV_PYTHON_INSTALL_MIRROR", mirror.address)
    monkeypatch.setenv("UV_PYTHON", str(PYENV / version / "bin" / f"python{minor}"))
    text = projects.small(f"cpython:{version}", minor, "lightgbm")
    (tmp_path / "pyproject.toml").write_text(text)
    (tmp_path / "app.py").write_text("import lightgbm, subprocess\nsubprocess.run(['git'])\n")
    lockstitch("lock", cwd=tmp_path)
    assert main(["build", "--quiet", "--project", str(tmp_path)]) == 1
    (error, hint) = capsys.readouterr().err.splitlines()[-2:]
    assert "needs libgomp.so.1, which nothing in image `app` has" in error
    assert hint == 'hint: packages = ["libgomp1"] in [tool.lockstitch.base]'
    table = f'[tool.lockstitch.base]\nname = "cpython:{version}"\npackages = ["libgomp1", "git"]\n'
    text = text.replace(f'base = "cpython:{version}"\n', "")
    text = text.replace("[tool.lockstitch.images", f"{table}\n[tool.lockstitch.images")
    (tmp_path / "pyproject.toml").write_text(text)
    lockstitch("lock", cwd=tmp_path)
    lockstitch("build", cwd=tmp_path)
    assert "ended with 0" in lockstitch("try", "app", cwd=tmp_path)
