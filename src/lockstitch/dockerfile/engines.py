"""Docker, Podman and Buildah: finds them, builds with them, loads images into them, runs images."""

import json
import os
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lockstitch import environ, process
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError
from lockstitch.oci.layout import write_docker_archive
from lockstitch.oci.model import Image
from lockstitch.process import Command
from lockstitch.python.model import BESIDE, ImageSpec, Project
from lockstitch.values import frozen

RUNNERS = ("docker", "podman")
BUILDERS = ("docker", "podman", "buildah")
_MACHINES = {"x86_64": "amd64", "amd64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_HEX = 64


@frozen
class Engine:
    """A program that builds and runs containers, and the platform that it does so for."""

    program: Path
    platform: str  # as in "linux/amd64"

    @property
    def name(self) -> str:
        """Its name: docker, podman or buildah."""
        return self.program.name


def find(
    names: Sequence[str] = RUNNERS,
    *,
    hint: str = "leave out --in-image: lockstitch run needs no engine",
) -> Engine:
    """Return the first engine that answers; raises LockstitchError with why each does not."""
    reasons = []
    for name in names:
        path = shutil.which(name)
        if path is None:
            reasons.append(f"`{name}` is not installed")
            continue
        words = [path, "info"]  # buildah knows no other form than JSON
        done = process.run(words + ["--format", "{{json .}}"] * (name != "buildah"), check=False)
        machine = _machine(done.stdout) if done.code == 0 else ""
        if machine:
            return Engine(program=Path(path), platform=f"linux/{machine}")
        lines = (done.stderr or done.stdout).strip().splitlines()
        reasons.append(f"`{name}` does not answer: {lines[-1] if lines else 'it says nothing'}")
    raise LockstitchError(f"no engine answers here: {'; '.join(reasons)}", hint=hint)


def _machine(text: str) -> str:
    try:
        information = json.loads(text)
        name = information.get("Architecture") or information["host"]["arch"]
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return _MACHINES.get(str(name), "")


def machine() -> str:
    """Return the platform of this machine, as in `linux/amd64`."""
    return f"linux/{_MACHINES.get(os.uname().machine.lower(), os.uname().machine.lower())}"


def tag(project: Project, spec: ImageSpec) -> str:
    """Return the tag that an image has in engines without an option that names another."""
    return f"{project.name}-{spec.name}:latest".lower()


def identity(engine: Engine, name: str) -> str:
    """Return the ID of the image of this tag, 64 hex digits, or an empty text."""
    words: list[str | Path] = [engine.program, "image", "inspect", "--format", "{{.Id}}", name]
    if engine.name == "buildah":
        words = [engine.program, "inspect", "--type", "image"]
        words += ["--format", "{{.FromImageID}}", name]
    known = process.run(words, check=False)
    text = known.stdout.strip().removeprefix("sha256:")
    return text if known.code == 0 and len(text) == _HEX else ""


def load(engine: Engine, image: Image, name: str) -> Digest:
    """Put an image into the engine under a tag, unless it is there already, and return its ID.

    Raises LockstitchError when the engine's ID is not the digest of the image's config.
    """
    wanted = image.config_descriptor().digest
    if identity(engine, name) == wanted.hex:
        return wanted
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tar"
        write_docker_archive(image, path, name)
        words: list[str | Path] = [engine.program, "load", "--quiet", "--input", path]
        if engine.name == "buildah":
            words = [engine.program, "pull", "--quiet", f"docker-archive:{path}"]
        process.run(words)
    loaded = identity(engine, name)
    if loaded != wanted.hex:
        message = f"`{engine.name}` loaded `{name}` as {loaded[:12] or 'no image'}, "
        message += f"the config's digest is {wanted.short}"
        raise LockstitchError(message, hint=f"look at what it has: {engine.name} images --no-trunc")
    return wanted


@frozen
class Network:
    """A network of the engine that a container joins, and the variables that it gets there."""

    name: str
    variables: Mapping[str, str]


def command(
    engine: Engine,
    project: Project,
    spec: ImageSpec,
    tag: str,
    arguments: tuple[str, ...] = (),
    *,
    gpus: bool = False,
    network: Network | None = None,
) -> Command:
    """Return the command that runs an image: read-only, a port on loopback, outputs mounted.

    With `gpus` it has all of NVIDIA's, or those of this shell's CUDA_VISIBLE_DEVICES. Variables of
    a network are in no words, and the image's own `env` goes before them.
    """
    # What is written beside the code stays in the container, and goes with it.
    words = [str(engine.program), "run", "--rm", "--init"]
    words += [] if BESIDE in spec.outputs else ["--read-only"]
    words += ["--tmpfs", "/tmp"]  # noqa: S108 -- the container's
    words += ["--cap-drop", "ALL", "--security-opt", "no-new-privileges"]
    if spec.port:
        words += ["--publish", f"127.0.0.1:{spec.port}:{spec.port}"]
    for name in (output for output in spec.outputs if output != BESIDE):
        there = project.root / name
        there.mkdir(parents=True, exist_ok=True)
        words += ["--mount", f"type=bind,source={there},target=/app/{name}"]
    told = network.variables if network else {}
    told = {name: text for name, text in told.items() if name not in spec.env}
    words += ["--network", network.name] if network else []
    words += [word for name in sorted(told) for word in ("--env", name)]
    if spec.outputs and hasattr(os, "getuid"):
        words += ["--user", f"{os.getuid()}:{os.getgid()}"]
    if gpus:
        # Podman knows devices by the names of CDI; its own --gpus is younger.
        docker = engine.name == "docker"
        words += ["--gpus", "all"] if docker else ["--device", "nvidia.com/gpu=all"]
        visible = environ.get("CUDA_VISIBLE_DEVICES")
        words += ["--env", f"CUDA_VISIBLE_DEVICES={visible}"] if visible else []
    command_words = (*spec.started, *arguments) if arguments else ()
    env = environ.child(**told)
    return Command(words=(*words, tag, *command_words), cwd=project.root, env=env)


@frozen
class Recipe:
    """A build of an engine: a Dockerfile of a folder, under a tag."""

    folder: Path
    dockerfile: str
    tag: str
    words: Sequence[str] = ()  # options of the user's own, put before the folder


def build(engine: Engine, recipe: Recipe, line: Callable[[str], object]) -> str:
    """Build an image, with output given to `line`; return its ID. Raises LockstitchError."""
    words = [str(engine.program), "build", "--file", recipe.dockerfile, "--tag", recipe.tag]
    if engine.name != "docker":
        words += ["--format", "docker"]  # the OCI format has no HEALTHCHECK
    last: deque[str] = deque(maxlen=20)  # lines of a failed build that are shown

    def seen(text: str) -> None:
        last.append(text)
        line(text)

    # An engine before Docker 23 knows `RUN --mount` only with BuildKit.
    env = environ.child(DOCKER_BUILDKIT="1")
    # Not the user's own words: a build argument may be a secret.
    line(f"> {' '.join([engine.name, *words[1:]])}{' …' if recipe.words else ''} .")
    code = process.follow([*words, *recipe.words, "."], cwd=recipe.folder, env=env, line=seen)
    if code != 0:
        message = f"`{engine.name} build` of `{recipe.dockerfile}` failed with exit code {code}\n"
        message += "\n".join(last)
        hint = f"add options of {engine.name} after --, such as --network host; "
        hint += "docs/reference/dockerfiles.md has the build arguments"
        raise LockstitchError(message, hint=hint)
    return identity(engine, recipe.tag)
