"""Debian's `docker-registry` on loopback: plain, or with TLS and a password."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["PASSWORD", "USER", "DockerRegistry", "authority", "started"]

USER, PASSWORD = "ada", "a pass:word"
# What `htpasswd -nbB` makes of it.
_HTPASSWD = f"{USER}:$2b$05$0P7tbtxdzSSVwE0onhaTduiKJ3aZ9RteO/zd7OaV2KOrNnyWprkTy\n"
_CONFIG = """\
version: 0.1
log: {{level: info}}
storage:
  filesystem: {{rootdirectory: {folder}/data}}
  delete: {{enabled: true}}
http:
  addr: 127.0.0.1:0
"""
_AUTH = """\
auth:
  htpasswd: {{realm: tests, path: {folder}/htpasswd}}
"""
_TLS = """\
  tls: {{certificate: {folder}/server.pem, key: {folder}/server.key}}
"""


@dataclass(frozen=True, slots=True)
class DockerRegistry:
    """A registry that runs."""

    address: str  # host:port
    folder: Path

    @property
    def log(self) -> str:
        """What it has written."""
        return (self.folder / "log").read_text()


@contextmanager
def started(folder: Path, *, guarded: bool = False) -> Iterator[DockerRegistry]:
    """Run a registry; `guarded` with TLS by `authority` and a password."""
    program = shutil.which("docker-registry")
    assert program, "docker-registry is not installed: apt-get install -y docker-registry"
    config = _CONFIG + (_TLS + _AUTH if guarded else "")
    (folder / "htpasswd").write_text(_HTPASSWD)
    (folder / "config.yml").write_text(config.format(folder=folder))
    with (folder / "log").open("wb") as log:
        words = [program, "serve", str(folder / "config.yml")]
        running = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        yield DockerRegistry(f"127.0.0.1:{_port(folder / 'log', running)}", folder)
    finally:
        running.kill()
        running.wait()


def _port(log: Path, running: subprocess.Popen[bytes]) -> str:
    for _ in range(300):
        if found := re.search(r"listening on 127\.0\.0\.1:(\d+)", log.read_text()):
            return found[1]
        assert running.poll() is None, log.read_text()
        time.sleep(0.05)
    pytest.fail(f"docker-registry does not start: {log.read_text()}")


def authority(folder: Path) -> Path:
    """Make a certificate authority and a certificate for loopback; return the authority's."""

    def openssl(*words: str) -> None:
        done = subprocess.run(
            ["openssl", *words], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl(
        *new, "-x509", "-days", "2", "-subj", "/CN=tests", "-keyout", "ca.key", "-out", "ca.pem"
    )
    openssl(*new, "-subj", "/CN=127.0.0.1", "-keyout", "server.key", "-out", "server.csr")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    signed = ("x509", "-req", "-days", "2", "-in", "server.csr", "-extfile", "names")
    openssl(*signed, "-CA", "ca.pem", "-CAkey", "ca.key", "-out", "server.pem")
    return folder / "ca.pem"
