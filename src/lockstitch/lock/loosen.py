"""Which pins to loosen where the pins of a project exclude each other: tried, not guessed."""

import re
import shlex
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lockstitch import environ, files, process
from lockstitch.python.model import Project
from lockstitch.python.names import normal
from lockstitch.python.tables import table, texts, toml

_PIN = re.compile(r"([A-Za-z0-9._-]+)(\[[^\]]*\])?\s*==\s*([0-9][\w.]*?)(\.\*)?\s*(;.*)?")
_REQUIRES = re.compile(r"(?m)^requires-python\s*=.*$")
_ROUNDS = 8
_MOST = 40  # pins that are tried one by one


def hint(project: Project, conflict: str, env: Mapping[str, str]) -> str:
    """Return the change after which uv finds versions, or "": fewer Pythons, else fewer pins.

    `conflict` is what uv said of the conflict. Each choice is locked in a folder of its own.
    """
    return typed(project, _hint(project, conflict, env))


def _hint(project: Project, conflict: str, env: Mapping[str, str]) -> str:
    text = files.read_text(project.root / "pyproject.toml")
    pins = dict(_pins(toml(text)))
    narrow = f'requires-python = "=={project.python}.*"'
    wider = {pin: _loosened(pin) for pin in pins}
    loose: list[str] = []
    while gone := [pin for pin in pins if pin not in loose and _is_absent(pin, conflict)]:
        loose += gone
        wider |= {pin: wider[pin].replace(">=", "<=") for pin in gone}
        conflict = _conflict(_changed(text, loose, wider), env)
        if none_older := [pin for pin in gone if _has_none(pin, conflict)]:
            wider |= {pin: _loosened(pin) for pin in none_older}
            conflict = _conflict(_changed(text, loose, wider), env)
        if not conflict:
            return _command(pins, loose, wider)
    if not _conflict(_REQUIRES.sub(narrow, text, count=1), env):
        return f"sed -i 's/^requires-python.*/{narrow}/' pyproject.toml && lockstitch lock"
    for _ in range(_ROUNDS):
        named = [p for p in pins if p not in loose and _is_named(p, conflict)][:_MOST]
        for group in (*([pin] for pin in named), named):
            conflict = _conflict(_changed(text, [*loose, *group], wider), env)
            if not conflict:
                return _command(pins, _fewest(text, [*loose, *group], wider, env), wider)
        for pin in named:  # no newer version fits: an older one
            lower = wider | {pin: wider[pin].replace(">=", "<=")}
            if not _conflict(_changed(text, [*loose, pin], lower), env):
                return _command(pins, _fewest(text, [*loose, pin], lower, env), lower)
        if not named:
            return ""
        loose += named
    return ""


def pinned(project: Project, pin: str, env: Mapping[str, str]) -> str:
    """Return the command that writes `NAME==VERSION`, or "" where uv finds nothing beside it."""
    return typed(project, _pinned(project, pin, env))


def typed(project: Project, command: str) -> str:
    """Return a command that finds a Python of pyenv where the project needs another than chosen."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        bounds = SpecifierSet(str(table(project.document, "project").get("requires-python", "")))
    except InvalidSpecifier:
        return command
    words = environ.before_uv(bounds.contains)
    return re.sub(r"(^|&& )uv add", rf"\1{words}uv add", command)


def _pinned(project: Project, pin: str, env: Mapping[str, str]) -> str:
    text = files.read_text(project.root / "pyproject.toml")
    name = normal(pin.partition("==")[0])
    pins = {
        pin: group
        for pin, group in _pins(toml(text))
        if normal(re.split(r"[\[=\s]", pin)[0]) == name
    }
    wider = dict.fromkeys(pins, pin)
    changed = _changed(text, [*pins], wider)
    constraints = texts(table(toml(text), "tool", "uv").get("constraint-dependencies"))
    bound = [pin for pin in constraints if (m := _PIN.fullmatch(pin)) and normal(m[1]) == name]
    if bound and not pins:
        edit = f"s/{re.escape(bound[0])}/{pin}/"
        changed = _changed(text, bound, dict.fromkeys(bound, pin))
        command = f"{shlex.join(['sed', '-i', edit, 'pyproject.toml'])} && lockstitch lock"
        return "" if _conflict(changed, env) else command
    if not pins:  # something else asks for it
        import tomlkit

        document = tomlkit.parse(changed)
        own = document.get("project")
        if own is None:
            return ""
        own["dependencies"] = [*own.get("dependencies", []), pin]
        changed = tomlkit.dumps(document)
        pins, wider = {pin: ""}, {pin: pin}
    return "" if _conflict(changed, env) else _command(pins, [*pins], wider)


def _is_absent(pin: str, conflict: str) -> bool:
    """Return whether uv says that the index has no such version."""
    match = _PIN.fullmatch(pin)
    version = re.escape(match[3]) if match else ""
    name = re.escape(normal(match[1])) if match else ""
    absent = rf"no version of {name}(?:\[[^\]]*\])?=={version}\b(?!\.)"
    return re.search(absent, conflict) is not None


def _has_none(pin: str, conflict: str) -> bool:
    """Return whether uv says that the index has none of the older versions of a package."""
    name = re.escape(normal(re.split(r"[\[=\s]", pin)[0]))
    none = rf"no versions? of {name}(?![\w.-]|\[|==)|only {name}>\S+ (?:is|are) available"
    return re.search(none, conflict) is not None


def _fewest(
    text: str, pins: list[str], wider: Mapping[str, str], env: Mapping[str, str]
) -> list[str]:
    """Return pins without those that uv finds versions beside."""
    for kept in [*pins]:
        fewer = [pin for pin in pins if pin != kept]
        if fewer and not _conflict(_changed(text, fewer, wider), env):
            pins = fewer
    return pins


def _pins(document: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield the requirements with one version, each with the group that it is in."""
    lists = {"": texts(table(document, "project").get("dependencies"))}
    groups = table(document, "dependency-groups")
    lists |= {name: texts(lines) for name, lines in groups.items()}
    for group, lines in lists.items():
        yield from ((line, group) for line in lines if _PIN.fullmatch(line))


def _is_named(pin: str, conflict: str) -> bool:
    match = _PIN.fullmatch(pin)
    name = normal(match[1]) if match else ""
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", conflict) is not None


def _loosened(pin: str) -> str:
    """Return a requirement for this version and any newer one."""
    match = _PIN.fullmatch(pin)
    if match is None:
        return pin
    name, extras, version, marker = match[1], match[2] or "", match[3], match[5]
    return f"{name}{extras}>={version}{f' {marker}' if marker else ''}"


def _changed(text: str, pins: Sequence[str], wider: Mapping[str, str]) -> str:
    """Return pyproject.toml with pins loosened."""
    for pin in pins:
        for quote in "\"'":
            text = text.replace(f"{quote}{pin}{quote}", f"{quote}{wider[pin]}{quote}")
    return text


def _conflict(text: str, env: Mapping[str, str]) -> str:
    """Return uv's error for a project, "" where it finds versions."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        files.write_text(Path(folder) / "pyproject.toml", text)
        words = [str(process.find_uv()), "lock", "--quiet"]
        done = process.run(words, cwd=Path(folder), env=env, check=False)
    return "" if done.code == 0 else done.stderr or "failed"


def _command(pins: Mapping[str, str], loose: list[str], wider: Mapping[str, str]) -> str:
    """Return the command that writes the loosened requirements of each group."""
    commands = []
    for group in dict.fromkeys(pins[pin] for pin in loose):
        words = ["uv", "add", "--frozen", *(["--group", group] if group else [])]
        words += [wider[pin] for pin in loose if pins[pin] == group]
        commands.append(shlex.join(words))
    return " && ".join([*commands, "lockstitch lock"])
