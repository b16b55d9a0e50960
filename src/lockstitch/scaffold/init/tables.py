"""The tables that say what a project is, and the settings of black, ruff, mypy and pytest.

Each function yields the tables that pyproject.toml should have, and notes for a person.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from lockstitch.python import declared as asked
from lockstitch.python.names import PKG_RESOURCES, normal, of_requirement
from lockstitch.python.tables import table
from lockstitch.python.tables import texts as texts_of
from lockstitch.resources import load_table
from lockstitch.scaffold.init import pythons
from lockstitch.scaffold.init.edit import Table
from lockstitch.scaffold.init.facts import Facts, version_of
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.init.requirements import Source, read_requirements
from lockstitch.scaffold.init.sources import is_version

_CLASSIC_GROUP = ("tool", "poetry", "group")
_POETRY: Mapping[str, Any] = {"requires-poetry": ">=2.2"}  # which reads [dependency-groups]
_TOOLS = ("black", "mypy", "prek", "pytest", "ruff")
_SCANNER = "kingfisher-bin"  # what the hooks that are written here call
_HOOKS = (
    *("prek.toml", ".prek.toml", "prek.yaml"),
    *(".pre-commit-config.yaml", ".pre-commit-config.yml"),
)
_LINE = 100
_OF_BACKENDS = frozenset(
    {"flit-core", "hatchling", "packaging", "pathspec", "pdm-backend", "pluggy", "poetry-core"}
    | {"setuptools", "tomli", "trove-classifiers"}
)
_NEWER = "3.12"  # came when setuptools left Python's environments
_RULES = ["E", "F", "I", "B", "UP", "S", "SIM", "RUF"]
_OLD_RULES = ("select", "extend-select")
# Files that win over pyproject.toml, or that a table in it would switch off.
_ELSEWHERE: dict[str, list[str]] = load_table(__package__, "words.toml")["elsewhere"]
_SECTIONS = {
    "mypy": (("setup.cfg", "[mypy"),),
    "pytest": (("setup.cfg", "[tool:pytest]"), ("tox.ini", "[pytest]")),
}


def project(facts: Facts, minor: str) -> Iterator[Table | str]:
    """Yield the [project] table, unless Poetry's own has the metadata."""
    if facts.classic:
        yield "`[tool.poetry]` has the metadata, which Poetry and lockstitch read: kept"
        return
    dynamic = facts.project.get("dynamic")
    metadata = _metadata(facts)
    name = metadata.pop("name", "") or _folder_name(facts)
    version = metadata.pop("version", "") or version_of(facts.folder, facts.packages)
    values: dict[str, Any] = {"name": name, "version": version or "0.1.0"}
    values |= {"description": metadata["description"]} if "description" in metadata else {}
    values["requires-python"] = _requires_python(facts, minor)
    asked = facts.setup.texts.get("requires-python") or facts.inputs.requires_python
    if asked not in {"", values["requires-python"], facts.project.get("requires-python")}:
        yield (
            f"Python `{asked}` is allowed, and the images have {minor} alone: "
            f"`{values['requires-python']}` is what is locked"
        )
    values["dependencies"] = dependencies(facts)
    backend = str(table(facts.document, "build-system").get("build-backend", ""))
    if (
        facts.setup.has_readme
        and not facts.project
        and (facts.setup.compiled or backend.startswith("setuptools"))
    ):
        values["dynamic"] = ["readme"]  # setuptools goes on reading setup.cfg, and stops without
    extras = facts.setup.extras | facts.inputs.extras
    values |= {"optional-dependencies": extras} if extras else {}
    scripts = facts.setup.scripts | (_scripts(facts) if facts.converts else {})
    values |= {"scripts": scripts} if scripts else {}
    left = dynamic if isinstance(dynamic, list) else []
    kept = {key: value for key, value in values.items() if key not in left}
    # Tables of their own come last, as TOML wants it.
    below = {key: kept.pop(key) for key in ("optional-dependencies", "scripts") if key in kept}
    yield Table(path=("project",), values=kept, extended=True)
    for key, value in below.items():
        if key not in facts.project:
            yield Table(path=("project", key), values=value)


def _metadata(facts: Facts) -> dict[str, str]:
    """Return name, version and description as setup.py has them, or Poetry's table."""
    texts = dict(facts.setup.texts)
    for key in ("name", "version", "description") if facts.converts else ():
        value = facts.poetry.get(key)
        if isinstance(value, str) and value.strip():
            texts[key] = " ".join(value.split())
    if not is_version(texts.get("version", "0")):
        del texts["version"]
    texts["name"] = re.sub(r"[^A-Za-z0-9._-]+", "-", texts.get("name", "")).strip("-._")
    return texts


def _scripts(facts: Facts) -> dict[str, str]:
    scripts = table(facts.poetry, "scripts") if facts.installed else {}
    return {name: value for name, value in scripts.items() if isinstance(value, str)}


def locked(facts: Facts) -> Iterator[Table]:
    """Yield the tables that keep the versions of a lock of another manager, and its indexes.

    Of what nothing pins, those of the day that was decided are taken.
    """
    if facts.manager != "uv":
        return
    values: dict[str, Any] = {}
    if facts.converts and not facts.installed:
        values["package"] = False
    if facts.inputs.constraints and not facts.folder.has("uv.lock"):
        values["constraint-dependencies"] = facts.inputs.constraints
    elif facts.converts:
        values["constraint-dependencies"] = []  # says that uv locks it
    if facts.inputs.old_pins(_NEWER) and not facts.folder.has("uv.lock"):
        # Sources of that time are built with what imports `pkg_resources`.
        values["build-constraint-dependencies"] = [PKG_RESOURCES]
    if facts.day:
        values["exclude-newer"] = f"{facts.day}T00:00:00Z"
        free = {*(_OF_BACKENDS if facts.installed else ())}  # which are of today
        free |= {name for name, day in pythons.UPLOADED_ANEW.items() if facts.day < day}
        if free:
            values["exclude-newer-package"] = dict.fromkeys(sorted(free), False)
    conflicts = facts.inputs.conflicts()
    if conflicts:
        values["conflicts"] = [[{"group": group} for group in conflicts]]
    wanted = {} if facts.project.get("dependencies") else facts.inputs.sources
    yield from uv_tables(values, wanted)


def uv_tables(values: Mapping[str, Any], wanted: Mapping[str, Source]) -> Iterator[Table]:
    """Yield the tables of uv with these values, and with the sources that packages have."""
    urls = dict.fromkeys(source["index"] for source in wanted.values() if "index" in source)
    indexes = {url: f"index-{number}" for number, url in enumerate(urls, 1)}
    own = dict(values)
    if indexes:
        own["index"] = [_index(url, name) for url, name in indexes.items()]
    yield from [Table(path=("tool", "uv"), values=own)] if own else []
    if wanted:
        sources = {
            name: {"index": indexes[source["index"]]} if "index" in source else dict(source)
            for name, source in wanted.items()
        }
        yield Table(path=("tool", "uv", "sources"), values=sources)


def _index(url: str, name: str) -> dict[str, Any]:
    # Explicit: nothing but what needs it is looked for there.
    flat = url.startswith("flat ")
    value = {"name": name, "url": url.removeprefix("flat "), "explicit": True}
    return value | ({"format": "flat"} if flat else {})


def _folder_name(facts: Facts) -> str:
    name = re.sub(r"[^A-Za-z0-9]+", "-", facts.folder.root.resolve().name).strip("-")
    # uv refuses a project that depends on its own name.
    listed = (of_requirement(line) for lines in facts.inputs.groups.values() for line in lines)
    needed = declared(facts).union(listed, *groups(facts).values())
    return f"{name}-app" if of_requirement(name) in needed else name or "app"


def is_of(top: str, names: Collection[str]) -> bool:
    """Return whether a module may be of one of these: `tortoise` of tortoise-orm."""
    name = top.lower().replace("_", "-")
    return any(other == name or other.startswith(f"{name}-") for other in names)


def _requires_python(facts: Facts, minor: str) -> str:
    """Return the project's bounds on Python, else from `minor` upward.

    Those of another file than pyproject.toml begin at `minor`: what no image has need not fit.
    """
    own = facts.project.get("requires-python")
    if isinstance(own, str) and own:
        return own
    asked = facts.setup.texts.get("requires-python") or facts.inputs.requires_python
    is_fresh = facts.manager == "uv" and not facts.folder.has("uv.lock")
    # Poetry's backend refuses fewer Pythons than its own table has.
    of_poetry = facts.installed and "python" in table(facts.poetry, "dependencies")
    if asked and (of_poetry or not (is_fresh and _fits(minor, asked))):
        return asked
    if facts.manager == "uv" and facts.inputs.is_pinned:  # versions of one time fit one Python
        return f"=={minor}.*"
    if asked:
        bounds = [bound.strip() for bound in asked.split(",")]
        return ",".join([f">={minor}", *(b for b in bounds if b.startswith(("<", "!=")))])
    lowest = min(minor, facts.minor or minor, key=lambda bound: int(bound.partition(".")[2]))
    # Poetry wants every dependency to run on all of it, and many have an upper bound of their own.
    return f">={lowest},<4.0" if facts.manager == "poetry" else f">={lowest}"


def _fits(minor: str, asked: str) -> bool:
    """Return whether bounds on Python are a range that a minor version is in."""
    from packaging.specifiers import SpecifierSet

    return "=" not in re.sub(r"[<>!]=", "", asked) and f"{minor}.99" in SpecifierSet(asked)


def dependencies(facts: Facts) -> list[str]:
    """Return the project's requirements: its own, else what its files and its imports need."""
    there = facts.project.get("dependencies")
    if isinstance(there, list) and there:
        return [line for line in there if isinstance(line, str)]
    me = of_requirement(str(facts.project.get("name") or facts.setup.texts.get("name") or ""))
    own = facts.setup.dependencies or ()
    lines = facts.inputs.dependencies
    if facts.manager == "poetry":  # a name without its source could be anybody's
        lines = [line for line in lines if of_requirement(line) not in facts.inputs.sources]
    return [line for line in lines if of_requirement(line) != me or line in own]


def requirements(facts: Facts) -> list[str]:
    """Return the requirements that pyproject.toml has in [project] and in groups."""
    extras = table(facts.project, "optional-dependencies")
    places = {**extras, **table(facts.document, "dependency-groups")}
    lists = [lines for lines in places.values() if isinstance(lines, list)]
    lines = [line for lines in lists for line in lines if isinstance(line, str)]
    return [*dependencies(facts), *lines]


def groups(facts: Facts) -> dict[str, list[str]]:
    """Return the names of packages by group or extra, in any of the places for them."""
    document = facts.document
    places: list[Mapping[str, Any]] = [
        table(document, "project", "optional-dependencies"),
        facts.setup.extras,
        facts.inputs.extras,
        table(document, "dependency-groups"),
        {name: lines for name, lines in facts.inputs.groups.items() if name != "dev" and lines},
        {"dev": table(document, "tool", "uv").get("dev-dependencies", [])},
        {"dev": list(table(document, "tool", "poetry", "dev-dependencies"))},
        table(document, "tool", "poetry", "extras"),
    ]
    classic = table(document, *_CLASSIC_GROUP)
    places.append({name: list(table(classic, name, "dependencies")) for name in classic})
    known: dict[str, list[str]] = {}
    for place in places:
        for name, items in place.items():
            lines = items if isinstance(items, list) else []
            texts = [line for line in lines if isinstance(line, str)]
            known.setdefault(name, []).extend(of_requirement(text) for text in texts)
    return known


def declared(facts: Facts) -> set[str]:
    """Return the names of the packages that every image gets."""
    names = {of_requirement(dependency) for dependency in dependencies(facts)}
    if "dependencies" in texts_of(facts.project.get("dynamic")):
        names |= {of_requirement(line) for line in facts.setup.dependencies or ()}
        named = table(facts.document, "tool", "setuptools", "dynamic", "dependencies").get("file")
        hook = table(facts.document, "tool", "hatch", "metadata", "hooks", "requirements_txt")
        listed = [named] if isinstance(named, str) else texts_of(named)
        for name in (*listed, *texts_of(hook.get("files"))):
            read = read_requirements(facts.folder, name)
            names |= {of_requirement(line) for line in (read.lines if read else ())}
    return names | {of_requirement(line) for line in table(facts.poetry, "dependencies")}


def group(facts: Facts, name: str, lines: Sequence[str]) -> Table | None:
    """Return the table that puts requirements into a group, where the project keeps its groups."""
    if not lines:
        return None
    classic = table(facts.document, *_CLASSIC_GROUP)
    if facts.manager == "poetry" and (facts.classic or name in classic):
        path = (*_CLASSIC_GROUP, name, "dependencies")
        bare = {of_requirement(line): line for line in lines}
        return Table(path=path, values={key: _constraint(line) for key, line in bare.items()})
    return Table(path=("dependency-groups",), values={name: list(lines)}, extended=True)


def _constraint(line: str) -> str | dict[str, Any]:
    from packaging.requirements import Requirement

    parsed = Requirement(line)
    value: dict[str, Any] = {"version": str(parsed.specifier) or "*"}
    value |= {"extras": sorted(parsed.extras)} if parsed.extras else {}
    value |= {"markers": str(parsed.marker)} if parsed.marker else {}
    return value if len(value) > 1 else str(value["version"])


# Folders that setuptools never takes for packages; all others count, whatever is in them.
_NO_PACKAGES = frozenset(load_table(__package__, "words.toml")["no_setuptools"])


def build(facts: Facts) -> Iterator[Table | str]:
    """Yield the settings of an editable install: a backend, and where the packages are."""
    has_backend = "build-system" in facts.document
    if not facts.installed:
        if facts.manager == "poetry" and not _has_modules(facts):
            values = {**({} if facts.poetry else _POETRY), "package-mode": False}
            yield Table(path=("tool", "poetry"), values=values)
        elif facts.manager == "uv" and has_backend:  # which finds nothing to install
            yield Table(path=("tool", "uv"), values={"package": False})
            wheel = table(facts.document, "tool", "hatch", "build")
            used = table(facts.document, "build-system").get("build-backend")
            if used == "hatchling.build" and not wheel:  # for `pip install -e .`, which stops else
                path = ("tool", "hatch", "build", "targets", "wheel")
                yield Table(path=path, values={"bypass-selection": True})
        return
    if facts.setup.compiled:
        backend = ["setuptools>=77"], "setuptools.build_meta"
        if not has_backend:
            yield "`setup.py` compiles: setuptools stays the backend and goes on reading it"
    elif facts.manager == "poetry":
        backend = ["poetry-core>=2.0,<3"], "poetry.core.masonry.api"
    else:
        backend = ["hatchling>=1.27"], "hatchling.build"
    if not has_backend:
        system = {"requires": backend[0], "build-backend": backend[1]}
        yield Table(path=("build-system",), values=system)
    used = table(facts.document, "build-system").get("build-backend", backend[1])
    if str(used).startswith("setuptools") and _stops_setuptools(facts):
        include = [each for name in facts.packages for each in (name, f"{name}.*")]
        yield Table(path=("tool", "setuptools", "packages", "find"), values={"include": include})
        yield (
            "`[tool.setuptools.packages.find]` added: setuptools stops at several folders that"
            " may be packages"
        )
    # A backend that is there finds a package of the project's name by itself.
    named = of_requirement(str(facts.project.get("name", ""))).replace("-", "_")
    if has_backend and named in facts.packages:
        return
    paths = list(facts.packages.values())
    if used == "hatchling.build" and not table(facts.document, "tool", "hatch", "build"):
        path = ("tool", "hatch", "build", "targets", "wheel")
        yield Table(path=path, values={"packages": paths})
    if used == "poetry.core.masonry.api" and not facts.classic:
        values = {**_POETRY, "packages": _poetry_packages(paths)}
        yield Table(path=("tool", "poetry"), values=values)


def _stops_setuptools(facts: Facts) -> bool:
    """Return whether setuptools would stop at several folders that each may be a package."""
    told = [facts.folder.text(name) or "" for name in ("setup.py", "setup.cfg")]
    own = table(facts.document, "tool", "setuptools")
    if any("packages" in text for text in told) or own.keys() & {"packages", "py-modules"}:
        return False
    flat = all("/" not in path for path in facts.packages.values())
    tops = [n for n in facts.folder.folders() if n.isidentifier() and n not in _NO_PACKAGES]
    return flat and len(tops) > 1


def _has_modules(facts: Facts) -> bool:
    """Return whether a project that is there may install more than the packages that we find."""
    named = (facts.project.get("name"), facts.poetry.get("name"))
    names = [of_requirement(str(name)).replace("-", "_") for name in named if name]
    modules = [*facts.folder.modules(), *facts.folder.modules("src")]
    return "packages" in facts.poetry or any(f"{name}.py" in modules for name in names)


def _poetry_packages(paths: Sequence[str]) -> list[dict[str, str]]:
    packages = []
    for path in paths:
        folder, _, name = path.rpartition("/")
        packages.append({"include": name} | ({"from": folder} if folder else {}))
    return packages


def programs(facts: Facts) -> Iterator[Table]:
    """Yield the groups of single programs that the project's files list."""
    there = table(facts.document, "dependency-groups")
    for name, lines in facts.inputs.groups.items():
        if name != "dev" and name not in there and (added := group(facts, name, lines)):
            yield added


# --- tools


def development(facts: Facts, *, with_tools: bool = False) -> Table | None:
    """Return the group `dev` with what the managers do not install by themselves, or None.

    They install this group, and no extra: with tools, the group has all of an extra `dev`, and
    these tools as others ask for them. They have no lower bounds of ours: a frozen project may
    hold them back, and the lock pins them.
    """
    known = _installed(facts)
    extras = [
        table(facts.document, "project", "optional-dependencies"),
        facts.setup.extras,
        facts.inputs.extras,
    ]
    elsewhere = [table(facts.document, "dependency-groups"), facts.inputs.groups]
    lines = dict[str, str]()
    own = _texts(extras, "dev") if with_tools else ()
    for line in (*facts.inputs.groups.get("dev", ()), *own):
        lines.setdefault(of_requirement(line), line)
    others = {of_requirement(line): line for line in _texts([*elsewhere, *extras])}
    tools = (*_TOOLS, *([] if hooks(facts.folder) else [_SCANNER]))
    for name in tools if with_tools else ():
        lines.setdefault(name, others.get(name, name))
    me = of_requirement(str(facts.project.get("name", "")))
    wanted = [lines[name] for name in sorted(lines) if name not in {*known, me}]
    return group(facts, "dev", wanted)


def _texts(places: Sequence[Mapping[str, Any]], name: str = "") -> Iterator[str]:
    """Yield the requirements of a group or extra, or of all of them."""
    for place in places:
        for key, items in place.items():
            if name in {"", normal(key)} and isinstance(items, list):
                yield from (line for line in items if isinstance(line, str))


def _installed(facts: Facts) -> set[str]:
    """Return the names of the packages that `uv sync` or `poetry install` installs."""
    known = declared(facts)
    if facts.converts:  # what Poetry's own group has is taken over
        return known
    document = facts.document
    if facts.manager == "uv":
        named = asked.default_groups(document, table(document, "dependency-groups"))
        return known | asked.names(document, named)
    optional = [
        name
        for name, values in table(document, *_CLASSIC_GROUP).items()
        if isinstance(values, Mapping) and values.get("optional") is True
    ]
    listed = {
        requirement.group
        for requirement in asked.requirements(document)
        if requirement.group.startswith("group ")
    }
    chosen = (name.removeprefix("group ") for name in listed)
    return known | asked.names(document, [name for name in chosen if name not in optional])


def hooks(folder: Folder) -> str:
    """Return the name of the file in which a project says its hooks, or an empty text."""
    return next((name for name in _HOOKS if folder.has(name)), "")


def settings(facts: Facts, *, force: bool = False) -> Iterator[Table | str]:
    """Yield the tables of the tools whose settings are not kept in a file of their own."""
    line = _LINE if force else _line_length(facts)
    yield _ours("black", {"line-length": line})
    for name, tables in (("ruff", _ruff), ("mypy", _mypy), ("pytest", _pytest)):
        other = _elsewhere(facts.folder, name)
        if other:
            yield f"`{other}` has the settings of {name}: kept, and none added"
            continue
        if name == "ruff":
            yield _ours("ruff", {"line-length": line})
        yield from tables(facts)


def _line_length(facts: Facts) -> int:
    # black and ruff must agree, on what either was told.
    lengths = [table(facts.document, "tool", name).get("line-length") for name in ("black", "ruff")]
    return next((length for length in lengths if isinstance(length, int)), _LINE)


def _ours(name: str, values: dict[str, Any], *below: str, whole: bool = False) -> Table:
    return Table(path=("tool", name, *below), values=values, replaced=True, whole=whole)


def _elsewhere(folder: Folder, tool: str) -> str:
    for name in _ELSEWHERE[tool]:
        if folder.has(name):
            return name
    for name, section in _SECTIONS.get(tool, ()):
        lines = (folder.text(name) or "").splitlines()
        if any(line.startswith(section) for line in lines):
            return name
    return ""


def _ruff(facts: Facts) -> Iterator[Table | str]:
    there = table(facts.document, "tool", "ruff")
    old = [key for key in (*_OLD_RULES, "ignore", "per-file-ignores") if key in there]
    for key in old:
        yield f"`tool.ruff.{key}` is in its old place: kept; ruff wants it in [tool.ruff.lint]"
    if not set(old) & set(_OLD_RULES):
        yield _ours("ruff", {"select": _RULES}, "lint", whole=True)
    if "per-file-ignores" not in old and "lint" not in there:
        ignored = {"tests/*": ["S101"]}  # assert is how pytest checks
        yield _ours("ruff", ignored, "lint", "per-file-ignores")


def has_code(facts: Facts) -> bool:
    """Return whether there is anything that mypy could look at."""
    return bool(_checked(facts))


def _mypy(facts: Facts) -> Iterator[Table | str]:
    there = table(facts.document, "tool", "mypy")
    places = _checked(facts)
    if there:  # how strict it is, and where it looks if that is said, is its author's
        yield _ours("mypy", {"strict": True}, whole=True)
        if not there.keys() & {"files", "packages", "modules"}:  # `mypy` alone would stop
            yield Table(path=("tool", "mypy"), values={"files": places or ["."]})
        return
    values: dict[str, Any] = {"strict": True, "ignore_missing_imports": True}
    values |= {"files": places or ["."]}
    values |= {"mypy_path": "src"} if "src" in places and "src" not in facts.packages else {}
    yield _ours("mypy", values)


def _checked(facts: Facts) -> list[str]:
    """Return the folders and files that mypy should look at."""
    places = [path for path in facts.packages.values() if not path.startswith("src")]
    names = [*facts.packages.values(), *facts.loose]
    places += ["src"] if any(name == "src" or name.startswith("src/") for name in names) else []
    places += ["tests"] if facts.folder.modules("tests") else []
    places += [glob for glob in facts.loose if "/" not in glob]
    return sorted(places)


def _pytest(facts: Facts) -> Iterator[Table | str]:
    there = table(facts.document, "tool", "pytest")
    if set(there) - {"ini_options"}:
        yield "`[tool.pytest]` has the settings of pytest: kept, and none added"
    if there:
        return
    in_root = any("/" not in path for path in facts.packages.values()) and not facts.installed
    paths = [] if all("/" in glob for glob in facts.loose) and not in_root else ["."]
    paths += ["src"] if any(glob.startswith("src/") for glob in facts.loose) else []
    if not facts.installed and any(path.startswith("src/") for path in facts.packages.values()):
        paths = sorted({*paths, "src"})
    values: dict[str, Any] = {"testpaths": ["tests"]} | ({"pythonpath": paths} if paths else {})
    yield _ours("pytest", values, "ini_options")
