"""The classic routes that images are measured against."""

import os
import shutil
import tarfile
from pathlib import Path

from engine import client
from measure import environment, run

DOCKERFILE = """\
FROM {base}
COPY uv requirements.txt ca.crt /build/
ENV SSL_CERT_FILE=/build/ca.crt
RUN ["/build/uv", "pip", "install", "--python", "/usr/bin/python3.11", "--target", "/app/site", \
"--cache-dir", "/build/cache", "--link-mode", "copy", "--require-hashes", {bytecode}\
"-r", "/build/requirements.txt"]
COPY src /app/src
COPY files /app
"""


def _compiles(image: str) -> bool:
    return image == "serve"  # as its table in pyproject.toml says


class Folder:
    """`uv pip install --target`, app files beside it, `tar | gzip -6`."""

    def __init__(self, scratch: Path, project: Path, image: str, uv: Path) -> None:
        """Keep the places; nothing is made yet."""
        self.target = scratch / "classic"
        self.layer = scratch / "classic.tar.gz"
        self.requirements = scratch / "requirements.txt"
        self.cache = scratch / "uv-cache"
        self.project, self.image, self.uv = project, image, uv

    def build(self, *, cold: bool = False) -> float:
        """Make the layer and return the seconds; with `cold`, from an empty cache."""
        if cold:
            shutil.rmtree(self.cache, ignore_errors=True)
        shutil.rmtree(self.target, ignore_errors=True)
        env = environment(UV_CACHE_DIR=str(self.cache))
        words = [self.uv, "export", "--locked", "--quiet", "--no-emit-project", "--no-header"]
        words += ["--no-default-groups", "--group", self.image, "-o", self.requirements]
        seconds = run(words, cwd=self.project, env=env)
        words = [self.uv, "pip", "install", "--quiet", "--target", self.target / "app" / "site"]
        words += ["--require-hashes", "--python", "3.11", "-r", self.requirements]
        words += ["--compile-bytecode"] if _compiles(self.image) else []
        seconds += run(words, env=env)
        shutil.copytree(self.project / "src", self.target / "app" / "src")
        shutil.copytree(self.project / "models", self.target / "app" / "models")
        pack = 'tar -C "$1" -cf - . | gzip -6 > "$2" && sha256sum "$2"'
        return seconds + run(["sh", "-c", pack, "sh", self.target, self.layer])


class Docker:
    """`docker build` with BuildKit, dependencies before code, base and uv's cache at hand."""

    def __init__(self, scratch: Path, project: Path, image: str, uv: Path) -> None:
        """Fill the build context and import the base."""
        self.context = scratch / "context"
        self.context.mkdir()
        self.tag = f"lockstitch-bench-{image}"
        self.project, self.image, self.uv = project, image, uv
        shutil.copy(uv, self.context / "uv")
        ca = os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt")
        shutil.copy(ca, self.context / "ca.crt")
        self.base = self._import_base(scratch)

    def _import_base(self, scratch: Path) -> str:
        """Import our own base's two layers, so that both routes stand on the same files."""
        blobs = self.project / ".lockstitch/images/blobs/sha256"
        index = json_of(self.project / ".lockstitch/images/index.json")
        manifest = json_of(blobs / index["manifests"][0]["digest"][7:])
        root = scratch / "base"
        for layer in manifest["layers"][:2]:
            with tarfile.open(blobs / layer["digest"][7:]) as archive:
                archive.extractall(root, filter="tar")
        run(
            [
                "sh",
                "-c",
                'tar -C "$1" -c . | "$3" import - "$2"',
                "sh",
                root,
                "lockstitch-bench-base",
                client(),
            ]
        )
        return "lockstitch-bench-base"

    def build(self, *, cold: bool = False) -> float:
        """Build the image and return the seconds; with `cold`, without cached layers."""
        words = [self.uv, "export", "--locked", "--quiet", "--no-emit-project", "--no-header"]
        words += ["--no-default-groups", "--group", self.image]
        run([*words, "-o", self.context / "requirements.txt"], cwd=self.project, env=environment())
        for name, source in (("src", "src"), ("files/models", "models"), ("files/data", "data")):
            shutil.rmtree(self.context / name, ignore_errors=True)
            shutil.copytree(self.project / source, self.context / name)
        bytecode = '"--compile-bytecode", ' if _compiles(self.image) else ""
        text = DOCKERFILE.format(base=self.base, bytecode=bytecode)
        (self.context / "Dockerfile").write_text(text)
        words = [client(), "build", "--network", "host", "--quiet", "--tag", self.tag]
        words += ["--no-cache"] if cold else []
        return run([*words, self.context], env=environment(DOCKER_BUILDKIT="1"))


def json_of(path: Path) -> dict:
    """Return a JSON document."""
    import json

    return dict(json.loads(path.read_bytes()))
