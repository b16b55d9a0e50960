"""Finds the addresses of pinned wheels in an index, and writes what it found as a PEP 751 lock."""

import datetime
import json
import re
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from lockstitch import environ, files, process
from lockstitch.digest import Digest
from lockstitch.errors import LockstitchError, collected, raise_all
from lockstitch.patterns import regex
from lockstitch.python.locks import File, LockedWheel, Pinned, best_wheel, pylock, requirements
from lockstitch.python.locks.pylock import Unbuilt
from lockstitch.python.locks.resolution import seconds
from lockstitch.python.names import normal
from lockstitch.python.target import Target
from lockstitch.values import replace

if TYPE_CHECKING:
    from packaging.tags import Tag

_ANSWER = "uv's answer"
_NONE = "No solution found"  # what uv says when the index answers and has no such wheel
_SIGNED = regex(r"(?i)token|signature|^sig$|secret|password|credential|api-?key")
_TAMPERED = "find out who is right before you lock anew: the file was changed, or the lock was"
_CREDENTIALS = "~/.netrc, keyring or UV_INDEX_NAME_USERNAME and _PASSWORD give uv a private index's"


def resolve(
    pins: Iterable[Pinned], target: Target, root: Path, *, known: Iterable[LockedWheel] = ()
) -> list[LockedWheel]:
    """Return each pin's wheel with its address, by name, from the index that uv is set up with.

    Asks in `root`, whose pyproject.toml may name indexes; a pin that names its index is looked
    up there. What is in `known` is not asked for again. Raises one LockstitchError that lists
    every pin without a wheel, and every wheel whose sha256 the pin does not allow.
    """
    before = {(wheel.filename, wheel.digest): wheel for wheel in known}
    wheels: list[LockedWheel] = []
    problems: list[LockstitchError] = []
    waiting: dict[str, list[Pinned]] = {}
    for pin in sorted(pins, key=lambda pin: pin.name):
        wanted = _usual(pin.filename)
        kept = [before[wanted, d] for d in pin.hashes if (wanted, d) in before]
        if kept:
            wheels.append(replace(kept[0], url=bare(kept[0].url)))
        elif pin.url:
            wheels.append(_addressed(pin))
        else:
            waiting.setdefault(pin.index, []).append(pin)
    tags = list(target.tags())
    for index, group in sorted(waiting.items()):
        files = _ask(group, index, target, root, problems)
        for pin in group:
            if pin.name in files:
                with collected(problems):
                    wheels.append(_allowed(pin, files[pin.name], target, tags))
    raise_all(problems)
    return sorted(wheels)


def sources(pins: Iterable[Pinned], target: Target, root: Path) -> list[Unbuilt]:
    """Return each pin's source archive with its address, from the index, as `resolve` does.

    Raises one LockstitchError that lists every archive that the index does not have.
    """
    archives: list[Unbuilt] = []
    problems: list[LockstitchError] = []
    for pin in pins:
        done = _compile([pin], pin.index, target, root, built=True)
        packages = pylock.read(done.stdout, _ANSWER).packages if done.code == 0 else ()
        files = [file for package in packages for file in package.files]
        file = next((f for f in files if Digest.of_hex(f.sha256 or "") in pin.hashes), None)
        if file is None:
            message = f"the index has no `{pin.filename}`, which the lock pins"
            problems.append(LockstitchError(message, hint=_CREDENTIALS))
            continue
        archives.append(
            Unbuilt(
                name=pin.name,
                version=pin.version,
                kind="sdist",
                artifact=f"sha256:{file.sha256}",
                url=bare(file.url),
                filename=pin.filename,
                size=file.size or 0,
            )
        )
    raise_all(problems)
    return archives


def known(root: Path, target: Target) -> list[LockedWheel]:
    """Return the wheels whose addresses the images' locks in a folder have already."""
    wheels: list[LockedWheel] = []
    for path in sorted(root.glob("pylock.*.toml")):
        try:
            text = files.read_text(path)
            wheels += pylock.select(text, target, path.name, built=Unbuilt.unfinished)
        except LockstitchError:
            continue  # it is written anew
    return wheels


def without_credentials(wheel: LockedWheel) -> LockedWheel:
    """Return the wheel with the address and the file name that a lock of ours has for it."""
    return replace(wheel, url=bare(wheel.url), filename=_usual(wheel.filename))


def bare(url: str) -> str:
    """Return an address without login and fragment; raises LockstitchError for a signed one."""
    try:
        parts = urlsplit(url)
    except ValueError as error:
        message = "the index gives an address that cannot be read"
        raise LockstitchError(message, hint="lock from another index") from error
    host = parts.netloc.rpartition("@")[2]
    if any(_SIGNED.search(key) for key, _ in parse_qsl(parts.query, keep_blank_values=True)):
        message = f"`{host}{parts.path}` is a signed address, which must not get into a lock"
        raise LockstitchError(message, hint="lock from an index whose addresses stay")
    return parts._replace(netloc=host, fragment="").geturl()


# --- the index


def _ask(
    pins: Sequence[Pinned], index: str, target: Target, root: Path, problems: list[LockstitchError]
) -> dict[str, list[LockedWheel]]:
    """Return the wheels that an index has of each pinned version, by the package's name."""
    done = _compile(pins, index, target, root)
    if done.code == 0:
        return _answer(done.stdout)
    errors = re.sub(r"//[^/@\s]*@", "//", done.stderr.strip() or done.stdout.strip())
    if _NONE not in errors:
        message = f"uv could not ask the index for {len(pins)} packages\n{errors[-2000:]}"
        raise LockstitchError(message, hint=_CREDENTIALS)
    if len(pins) == 1:
        reason = re.sub(r"^.*?cause: ", "", " ".join(errors.split()).partition(" hint: ")[0])
        message = f"`{pins[0].name} {pins[0].version}` has no wheel in the index: {reason[:600]}"
        problems.append(LockstitchError(message, hint=_CREDENTIALS))
        return {}
    files: dict[str, list[LockedWheel]] = {}
    for pin in pins:  # uv names the first that fails; what it heard before is in its cache
        files |= _ask([pin], index, target, root, problems)
    return files


def _compile(
    pins: Sequence[Pinned], index: str, target: Target, root: Path, *, built: bool = False
) -> process.Finished:
    # Universal: the files are chosen here, by the target's glibc and not by one that uv knows.
    words: list[str | Path] = [process.find_uv(), "pip", "compile", "-", "--format", "pylock.toml"]
    words += ["--no-deps", "--universal", "--generate-hashes"]
    # Nothing is built that need not be: a source distribution's code would run on this machine.
    words += [] if built else ["--only-binary", ":all:"]
    # Which Python it is changes nothing, and uv would look for one: 0.2 s for a shim of pyenv.
    words += ["--python", sys.executable]
    words += ["--no-header", "--quiet", "--python-version", target.python]
    dropped: dict[str, str | None] = {"VIRTUAL_ENV": None}
    if index:
        # First and last: never a package of this name from somewhere else.
        words += ["--index", index, "--default-index", index]
        dropped |= {"UV_INDEX": None, "UV_EXTRA_INDEX_URL": None}
    lines = "".join(f"{pin.name}=={pin.version}\n" for pin in pins)
    return process.run(words, cwd=root, env=environ.child(**dropped), stdin=lines, check=False)


def _answer(text: str) -> dict[str, list[LockedWheel]]:
    wheels: dict[str, list[LockedWheel]] = {}
    for package in pylock.read(text, _ANSWER).packages:
        for wheel in package.wheels:
            if wheel.sha256 and wheel.url.startswith(("https://", "http://")):
                file = _wheel(package.name, package.version, wheel)
                wheels.setdefault(package.name, []).append(file)
        wheels.setdefault(package.name, [])
    return wheels


def _wheel(name: str, version: str, wheel: File) -> LockedWheel:
    return LockedWheel(
        name=name,
        version=version,
        filename=_usual(wheel.name),
        url=bare(wheel.url),
        digest=Digest.of_hex(wheel.sha256),
        size=wheel.size,
        uploaded=seconds(wheel.uploaded),
    )


def _usual(filename: str) -> str:
    """Return a wheel's file name with the project's name normalised, as `uv export` writes it.

    An index may have `PySocks-1.7.1-py3-none-any.whl`; the same file has one name in every lock.
    """
    name, dash, rest = filename.partition("-")
    return normal(name).replace("-", "_") + dash + rest


def _addressed(pin: Pinned) -> LockedWheel:
    if len(pin.hashes) != 1:
        message = f"`{pin.name}` is one file with {len(pin.hashes)} sha256 in the lock"
        raise LockstitchError(message, hint=f"keep the one of `{pin.filename}`")
    (digest,) = pin.hashes
    return LockedWheel(
        name=pin.name,
        version=pin.version,
        filename=_usual(pin.filename),
        url=bare(pin.url),
        digest=digest,
    )


def _allowed(
    pin: Pinned, files: Sequence[LockedWheel], target: Target, tags: "Sequence[Tag]"
) -> LockedWheel:
    """Return the best of an index's files whose sha256 the pin allows."""
    wanted = _usual(pin.filename)
    named = {file.filename: file for file in files if wanted in {"", file.filename}}
    allowed = {name: file for name, file in named.items() if file.digest in pin.hashes}
    best = best_wheel(allowed, tags, name=pin.name, version=pin.version)
    if best is not None:
        return allowed[best]
    other = best_wheel(named, tags, name=pin.name, version=pin.version)
    if other is not None:
        hashes = sorted(digest.hex for digest in pin.hashes)
        more = f" or {len(hashes) - 1} others" if len(hashes) > 1 else ""
        message = f"`{pin.name} {pin.version}`: the index has another `{other}`: "
        message += f"wanted sha256 {hashes[0]}{more}, found {named[other].digest.hex}"
        raise LockstitchError(message, hint=_TAMPERED)
    what = f"`{pin.filename}`, which the lock pins" if pin.filename else "wheel"
    message = f"`{pin.name} {pin.version}`: the index has no {what}"
    message += "" if pin.filename else f" for {target.platform}, CPython {target.minor}"
    raise LockstitchError(message, hint="pin a version that the index has, and lock anew")


# --- the lock that comes of it


def dumps(
    wheels: Mapping[str, Iterable[LockedWheel]],
    python: str,
    others: Mapping[str, Iterable[Unbuilt]] | None = None,
) -> str:
    """Return a PEP 751 lock of the wheels of each platform, for one minor version of Python.

    `others` has what a platform has no wheel of an index for.
    """
    machines = {p: Target(platform=p, python=python, glibc="2.36").machine for p in sorted(wheels)}
    pinned: dict[tuple[str, str], dict[str, LockedWheel | Unbuilt]] = {}
    for platform, machine in machines.items():
        every: list[LockedWheel | Unbuilt] = [*wheels[platform]]
        for pin in [*every, *(others or {}).get(platform, ())]:
            pinned.setdefault((pin.name, pin.version), {})[machine] = pin
    environments = ", ".join(
        _text(f"sys_platform == 'linux' and platform_machine == '{machine}'")
        for machine in machines.values()
    )
    lines = ['lock-version = "1.0"', f"environments = [{environments}]"]
    lines += [f'requires-python = "=={python}.*"', 'created-by = "lockstitch"']
    lines += [] if pinned else ["packages = []"]
    for (name, version), chosen in sorted(pinned.items()):
        lines += ["", "[[packages]]", f"name = {_text(name)}"]
        sources = {unbuilt for unbuilt in chosen.values() if isinstance(unbuilt, Unbuilt)}
        # A folder's version, and a repository's, is what its build says (PEP 751).
        has_version = version and not any(source.kind in {"folder", "git"} for source in sources)
        lines += [f"version = {_text(version)}"] if has_version else []
        if len(chosen) < len(machines):
            markers = (f"platform_machine == '{machine}'" for machine in sorted(chosen))
            lines.append(f"marker = {_text(' or '.join(markers))}")
        files = {wheel for wheel in chosen.values() if isinstance(wheel, LockedWheel)}
        entries = [f"    {_entry(wheel)}," for wheel in sorted(files)]
        lines += ["wheels = [", *entries, "]"] if entries else []
        lines += [_source(source) for source in sorted(sources, key=repr)]
    return "\n".join(lines) + "\n"


def _source(source: Unbuilt) -> str:
    """Return the line of a package's table that says what its wheel is made from."""
    place, _, folder = source.artifact.partition("#")
    inside = {"subdirectory": folder} if folder else {}
    where = {"url" if "://" in source.url else "path": source.url}
    named = {"name": source.filename} | where
    hashes = f"hashes = {{ sha256 = {_text(place.removeprefix('sha256:'))} }}"
    match source.kind:
        case "git":
            url, _, commit = place.rpartition("@")
            return f"vcs = {_table({'type': 'git', 'url': url, 'commit-id': commit} | inside)}"
        case "folder":
            return f"directory = {_table({'path': place} | inside)}"
        case "wheel":
            return f"wheels = [{_table(named, hashes)}]"
        case "archive":
            return f"archive = {_table(where | inside, hashes)}"
        case _:
            size = [f"size = {source.size}"] if source.size else []
            return f"sdist = {_table(named, *size, hashes)}"


def _table(texts: Mapping[str, str], *more: str) -> str:
    pairs = [f"{key} = {_text(text)}" for key, text in texts.items()]
    return f"{{ {', '.join([*pairs, *more])} }}"


def _entry(wheel: LockedWheel) -> str:
    parts = [f"name = {_text(wheel.filename)}", f"url = {_text(wheel.url)}"]
    if wheel.uploaded:
        time = datetime.datetime.fromtimestamp(wheel.uploaded, datetime.UTC)
        parts.append(f"upload-time = {time:%Y-%m-%dT%H:%M:%SZ}")
    parts += [] if wheel.size is None else [f"size = {wheel.size}"]
    parts.append(f"hashes = {{ sha256 = {_text(wheel.digest.hex)} }}")
    return f"{{ {', '.join(parts)} }}"


def _text(text: str) -> str:
    # What JSON escapes is a subset of what TOML does, but for one character.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def of_requirements(lines: Sequence[str], target: Target, root: Path) -> list[LockedWheel]:
    """Return the wheels of hashed requirements; raises LockstitchError where an index lacks one."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "build.txt").write_text("\n".join(lines) + "\n")
        return resolve(requirements.pins(Path(folder), "build.txt", target), target, root)
