"""Renders Dockerfile.IMAGE: the locked image, for engines that build from Dockerfiles.

Its config is that of the image that lockstitch builds itself. It needs BuildKit, and neither a
`# syntax` line nor a heredoc, so that Docker 20.10 builds it without a pull. Every RUN is in
exec form, since a base may have no shell.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from lockstitch import files, threads
from lockstitch.dockerfile import ignore
from lockstitch.dockerfile.ignore import BUILD_REQUIREMENTS, MARK, Copy, first_party, included
from lockstitch.errors import LockstitchError, raise_all
from lockstitch.image import assemble
from lockstitch.image.paths import APP, VENV, bin_folder
from lockstitch.image.plan import Prepared
from lockstitch.lock.bases import Base
from lockstitch.lock.file import Lock, pylock_name
from lockstitch.oci.model import Config
from lockstitch.python.locks import pylock
from lockstitch.python.locks.pylock import Unbuilt
from lockstitch.python.model import BESIDE, ImageSpec, Project

_UV: Final = "/usr/local/bin/uv"
_PYTHON: Final = f"/{VENV}/bin/python"
_WIDTH: Final = 92
_ROOT: Final = frozenset({"", "0", "root"})
_PLAIN: Final = re.compile(r"[\w./*?@%+=,^\[\]][\w./*?@%+=,^\[\]-]*")
_TOOLS: Final = f"""\
# What builds; nothing of it goes on but what it makes.
FROM ${{BASE}} AS tools
ARG PYTHON_VERSION
COPY --from=uv /uv {_UV}
ENV NETRC=/run/secrets/netrc \\
    PYC_INVALIDATION_MODE=UNCHECKED_HASH \\
    SOURCE_DATE_EPOCH=315619200 \\
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \\
    UV_CACHE_DIR=/var/cache/uv \\
    UV_LINK_MODE=copy \\
    UV_PYTHON=${{PYTHON_VERSION}} \\
    UV_PYTHON_DOWNLOADS=never
RUN ["{_UV}", "venv", "/{VENV}"]"""
_ONLINE: Final = """\
RUN --mount=type=cache,target=/var/cache/uv \\
    --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \\
    --mount=type=secret,id=netrc \\
"""
# What runtime/health.py does, in one line: nothing is copied for it.
_HEALTH: Final = (
    "import http.client, sys; "
    "asked = http.client.HTTPConnection('127.0.0.1', int(sys.argv[1]), timeout=2); "
    "asked.request('GET', sys.argv[2]); status = asked.getresponse().status; "
    "print('status', status); sys.exit(status // 100 != 2)"
)
_FOLDERS: Final = (
    "import os, sys; "
    "[(os.makedirs(name, exist_ok=True), os.chmod(name, 0o1777)) for name in sys.argv[1:]]"
)
_WRITABLE: Final = (
    f"import os; os.chmod('/{APP}', 0o1777); "
    f"[os.chmod(each, 0o666) for each in os.scandir('/{APP}') if each.is_file()]"
)
_KEEP: Final = (
    "import pathlib, sys; here = pathlib.Path(); "
    "kept = {path for glob in sys.argv[1:] for path in here.glob(glob)}; "
    "found = sorted(here.rglob('*'), reverse=True); "
    "[path.unlink() for path in found if path not in kept and not path.is_dir()]; "
    "[path.rmdir() for path in found if path.is_dir() and not any(path.iterdir())]"
)


def name(spec: ImageSpec) -> str:
    """Return the name of an image's Dockerfile."""
    return f"Dockerfile.{spec.name}"


def base_tag(project: Project) -> str:
    """Return the tag of the base that `lockstitch build --base-only` makes."""
    repository = re.sub(r"[^a-z0-9]+", "-", project.name.lower()).strip("-")
    return f"{repository}-base:latest"


def build_requirements(lock: Lock) -> str:
    """Return the locked requirements of the build backend, for uv and pip."""
    lines = [line.replace(" --hash=", " \\\n    --hash=") for line in sorted(lock.build)]
    return "\n".join([MARK, *lines, ""])


def everything(project: Project, lock: Lock) -> dict[str, str]:
    """Return all rendered files by name; raises LockstitchError for what they cannot say."""
    rendered = threads.in_turn(project.images, lambda spec: render(project, lock, spec))
    texts = dict(zip(map(name, project.images), rendered, strict=True))
    texts[".dockerignore"] = ignore.render(project)
    if project.is_package:
        texts[ignore.BUILD_REQUIREMENTS] = build_requirements(lock)
    return dict(sorted(texts.items()))


def render(project: Project, lock: Lock, spec: ImageSpec) -> str:
    """Return an image's Dockerfile; raises LockstitchError with all that it cannot say."""
    config = _config(project, lock, spec)
    base = lock.base_for(project.platforms[0])
    raise_all([*_line_breaks(config, spec), *_folders(project, spec)])
    blocks = [
        _head(project, spec),
        _arguments(project, lock),
        "FROM ${UV_IMAGE} AS uv",
        _tools(base),
        _packages(spec),
    ]
    if project.is_package:
        blocks.append(_own(project, spec))
    copies = included(spec)
    if not all(copy.exact for copy in copies):
        blocks.append(_files(copies, spec))
    if folders := [f"/outputs/{output}" for output in spec.outputs if output != BESIDE]:
        words = [_PYTHON, "-c", _FOLDERS, *folders]
        blocks.append(f"FROM tools AS outputs\nRUN {_exec(words)}")
    blocks.append(_runtime(project, lock, spec, config, copies))
    return "\n\n".join(blocks) + "\n"


def _config(project: Project, lock: Lock, spec: ImageSpec) -> Config:
    """Return the config of the image that lockstitch builds; the Dockerfile's has the same."""
    locked = {file.path: file.digest for file in lock.files}
    if pylock_name(spec.name) not in locked:
        message = f"the lock does not name `{pylock_name(spec.name)}`"
        raise LockstitchError(message, hint="lockstitch lock")
    base, wheels = lock.base_for(project.platforms[0]), []
    with contextlib.suppress(LockstitchError):  # the engine's build will say what has no wheel
        text, path = files.read_text(project.root / pylock_name(spec.name)), pylock_name(spec.name)
        wheels = pylock.select(text, base.target(), path, built=Unbuilt.unfinished)
    prepared = Prepared(
        spec=spec, base=base, wheels=tuple(wheels), created=0, lock=locked[pylock_name(spec.name)]
    )
    return assemble.image(prepared, project, ()).config


def _line_breaks(config: Config, spec: ImageSpec) -> Iterator[LockstitchError]:
    for kind, table in (("env", config.env), ("labels", config.labels)):
        for key, value in table.items():
            if re.search(r"[\0\r\n]", key + value):
                message = f"`{kind}.{key!r:.40}` of image `{spec.name}` has a line break"
                hint = "a Dockerfile cannot hold one: take it out, or read the text from a file"
                yield LockstitchError(message, hint=hint)


def _folders(project: Project, spec: ImageSpec) -> Iterator[LockstitchError]:
    for pattern in spec.include:
        if (project.root / pattern).is_dir():
            message = f"`{pattern}` in `include` of image `{spec.name}` is a folder"
            yield LockstitchError(message, hint=f'include = ["{pattern}/**"]')


def _head(project: Project, spec: ImageSpec) -> str:
    image = base_tag(project).replace("-base:latest", f"-{spec.name}")
    lines = [
        MARK,
        f"# docker build --file {name(spec)} --tag {image} .",
        "# An engine before Docker 23 needs DOCKER_BUILDKIT=1. Where the network has a certificate",
        "# authority of its own, add --secret id=ca,src=BUNDLE; for private indexes, add",
        "# --secret id=netrc,src=FILE.",
    ]
    return "\n".join(lines)


def _tools(base: Base) -> str:
    if base.defaults().user.partition(":")[0] not in _ROOT:
        return _TOOLS.replace(" AS tools\n", " AS tools\nUSER 0\n", 1)
    return _TOOLS


def _arguments(project: Project, lock: Lock) -> str:
    # The patch version too: uv then refuses a base with another Python than the lock's.
    pythons = {base.python for base in lock.bases}
    python = pythons.pop() if len(pythons) == 1 else lock.python
    uv = re.search(r"\buv (\d+\.\d+\.\d+)", "\n".join(lock.tools))
    if uv is None:
        message = f"the lock names no version of uv: it was made by {', '.join(lock.tools)}"
        raise LockstitchError(message, hint="lockstitch lock")
    lines = [
        f"ARG PYTHON_VERSION={python}",
        f"ARG UV_VERSION={uv[1]}",
        "# Any image with the uv program at /uv.",
        "ARG UV_IMAGE=astral/uv:${UV_VERSION}",
    ]
    base = lock.base_for(project.platforms[0])
    if base.image:
        lines += [f"# {base.name}, when it was locked.", f"ARG BASE={base.image}"]
    else:
        lines += [
            "# No registry has the base: `lockstitch build --base-only --output base.tar` makes it",
            "# from the lock, and `docker load --input base.tar` gives it this name.",
            f"ARG BASE={base_tag(project)}",
        ]
    return "\n".join(lines)


def _packages(spec: ImageSpec) -> str:
    words = [_UV, "pip", "sync", "--preview-features", "pylock", "--python", f"/{VENV}"]
    words += ["--no-build", *_compiled(spec), pylock_name(spec.name)]
    lines = [
        "# What the lock names, each file by its hash.",
        "FROM tools AS packages",
        "WORKDIR /locks",
        f"COPY {pylock_name(spec.name)} ./",
        f"{_ONLINE}    {_exec(words)}",
    ]
    return "\n".join(lines)


def _compiled(spec: ImageSpec) -> list[str]:
    return ["--compile-bytecode"] if spec.bytecode else []


def _own(project: Project, spec: ImageSpec) -> str:
    build = [_UV, "build", "--wheel", "--require-hashes", "--build-constraints"]
    build += [BUILD_REQUIREMENTS, "--out-dir", "/wheels"]
    install = [_UV, "pip", "install", "--python", f"/{VENV}", "--prefix", "/own", "--no-deps"]
    install += ["--no-index", "--find-links", "/wheels", *_compiled(spec), project.name]
    built_by = Copy(source=BUILD_REQUIREMENTS)
    lines = [
        "# The project's own wheel, built with locked requirements, in a layer of its own.",
        "FROM tools AS own",
        "WORKDIR /project",
        *_copies([*first_party(project), built_by]),
        f"{_ONLINE}    {_exec(build)}",
        f"RUN {_exec(install)}",
    ]
    return "\n".join(lines)


def _files(copies: Sequence[Copy], spec: ImageSpec) -> str:
    globs = [_for_pathlib(pattern) for pattern in spec.include]
    lines = [
        "# COPY knows no **: take the folders, and keep what `include` names.",
        "FROM tools AS files",
        "WORKDIR /files",
        *_copies(copies),
        f"RUN {_exec([_PYTHON, '-c', _KEEP, *globs])}",
    ]
    return "\n".join(lines)


def _for_pathlib(pattern: str) -> str:
    """Return an `include` pattern as pathlib spells it: it ends at files, and ** stands alone."""
    parts = [part if part == "**" else part.replace("**", "*") for part in pattern.split("/")]
    return "/".join([*parts, "*"] if parts[-1] == "**" else parts)


def _runtime(
    project: Project, lock: Lock, spec: ImageSpec, config: Config, copies: Sequence[Copy]
) -> str:
    lines = ["FROM ${BASE} AS runtime", f"WORKDIR /{APP}"]
    lines.append(f"COPY --from=packages /{VENV} /{VENV}")
    # Any user can read the files then, whatever the umask of the checkout was.
    if all(copy.exact for copy in copies):
        lines += _copies(copies, "--chmod=755")
    else:
        lines.append("COPY --from=files --chmod=755 /files/ ./")
    if project.is_package:
        # After the files: a change of the code copies a few kilobytes, not the models again.
        lines.append(f"COPY --from=own /own/ /{VENV}/")
    if [output for output in spec.outputs if output != BESIDE]:
        lines.append("COPY --from=outputs /outputs/ ./")
    if BESIDE in spec.outputs:
        lines += ["USER 0", f"RUN {_exec([f'/{bin_folder()}/python', '-c', _WRITABLE])}"]
    lines.append(_pairs("ENV", config.env))
    lines.append(_pairs("LABEL", config.labels))
    lines += [f"USER {config.user}", f"STOPSIGNAL {config.stop_signal}"]
    lines += [f"EXPOSE {port}" for port in config.ports]
    lines += _healthcheck(spec, config)
    resets = lock.base_for(project.platforms[0]).defaults().resets
    lines += ["ENTRYPOINT []"] if "entrypoint" in resets else []
    lines += ["HEALTHCHECK NONE"] if "healthcheck" in resets and not spec.health else []
    # Without a command of its own, none of the base's either.
    lines += [f"WORKDIR {config.workdir}"] if spec.workdir else []
    lines.append(f"CMD {_exec(config.command)}")
    return "\n".join(lines)


def _healthcheck(spec: ImageSpec, config: Config) -> Iterator[str]:
    check = config.healthcheck
    if check:
        words = [_PYTHON, "-I", "-c", _HEALTH, str(spec.port), spec.health]
        yield (
            f"HEALTHCHECK --interval={check.interval}s --timeout={check.timeout}s "
            f"--start-period={check.start_period}s --retries={check.retries} \\\n"
            f"    CMD {_exec(words)}"
        )


def _copies(copies: Sequence[Copy], *options: str) -> Iterator[str]:
    """Yield COPY instructions: one for each folder, and one for all files of a folder."""
    start = " ".join(["COPY", *options])
    files: dict[str, list[str]] = {}
    for copy in copies:
        if copy.folder:
            yield f"{start} {_paths([f'{copy.source}/', copy.target])}"
        else:
            files.setdefault(copy.target, []).append(copy.source)
    for target, names in files.items():
        yield f"{start} {_paths([*sorted(names), target])}"


def _paths(paths: Sequence[str]) -> str:
    for path in paths:
        if re.search(r"[\0-\x1f\\]", path):
            message = f"`{path!r:.80}` has a character that a Dockerfile cannot copy"
            raise LockstitchError(message, hint="rename the file")
    if all(_PLAIN.fullmatch(path) for path in paths):
        return " ".join(paths)
    # Quotes and variables mean something in COPY even in its JSON form.
    escaped = [re.sub(r"[$'\"]", r"\\\g<0>", path) for path in paths]
    return json.dumps(escaped, ensure_ascii=False)


def _pairs(instruction: str, pairs: Mapping[str, str]) -> str:
    texts = []
    for key, value in sorted(pairs.items()):
        name = key if re.fullmatch(r"[\w./-]+", key) else _quoted(key)
        texts.append(f"{name}={_quoted(value)}")
    return f"{instruction} " + f" \\\n{' ' * len(instruction)} ".join(texts)


def _quoted(text: str) -> str:
    return '"' + re.sub(r'[\\"$]', r"\\\g<0>", text) + '"'


def _exec(words: Sequence[str]) -> str:
    """Return a command in exec form, on lines of about 96 columns."""
    lines = [""]
    for number, word in enumerate(words):
        text = json.dumps(word, ensure_ascii=False) + ("" if number == len(words) - 1 else ", ")
        if lines[-1] and len(lines[-1] + text) > _WIDTH:
            lines.append("")
        lines[-1] += text
    return "[" + "\\\n     ".join(lines) + "]"
