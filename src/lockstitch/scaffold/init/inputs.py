"""What a project's programs need, from whatever file says so, and from their imports at last."""

import posixpath
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from lockstitch import files
from lockstitch.errors import LockstitchError
from lockstitch.python.names import PKG_RESOURCES, normal, of_requirement, undeclared
from lockstitch.python.tables import parse_toml, table, texts
from lockstitch.repository.dockerfile.images import image_files
from lockstitch.repository.files import Repository
from lockstitch.resources import load_table
from lockstitch.scaffold.init import eras, managers, pythons
from lockstitch.scaffold.init.commands import plain_yaml
from lockstitch.scaffold.init.conda import environment
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.init.guess import guess
from lockstitch.scaffold.init.requirements import (
    Requirements,
    Source,
    is_specifier,
    names_table,
    read_lines,
    read_requirements,
    requirement,
    usable,
)
from lockstitch.scaffold.init.sources import SetupMetadata
from lockstitch.values import positional, replace

_LISTS = re.compile(
    r"(?:[\w.-]*[_.-])?(?:req[a-z]{4,9}ts?|reqs?)(?:[_.-][\w.-]*)?\.(?:txt|text|in|pip)",
    re.IGNORECASE,
)
_ENVIRONMENT = re.compile(
    r"(?:[\w.-]*[_.-])?(?:environment|conda|env)(?:[_.-][\w.-]*)?\.ya?ml", re.IGNORECASE
)
_WORDS = re.compile(r"[a-z0-9]+")
_NO_WORDS = frozenset(load_table(__package__, "words.toml")["no_words"])
_DEEPEST = 4  # folders down to a list of requirements
_MOST = 20_000  # files of a project that are looked at
_SHOWN = 12
_INSTALLERS = frozenset(
    {"pip", "setuptools", "wheel", "uv", "poetry", "pipenv", "pdm", "hatch", "pip-tools"}
)
_SERVERS = frozenset({"fastapi", "uvicorn", "starlette"})  # the image that serves gets them
_SCRIPT = re.compile(r"(?m)^# /// script$\s(?P<content>(^#(| .*)$\s)+)^# ///$")


@dataclass(slots=True, kw_only=True)
class Inputs:
    """What the project needs by its own files, for all of it and by group, and what they pin."""

    dependencies: list[str] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    extras: dict[str, list[str]] = field(default_factory=dict)
    constraints: list[str] = field(default_factory=list)  # `NAME==VERSION` of a lock
    sources: dict[str, Source] = field(default_factory=dict)  # of what has one of its own
    requires_python: str = ""
    python: str = ""  # the minor version that the repository names
    python_source: str = ""  # the file that names it
    guessed: dict[str, str] = field(default_factory=dict)  # by the imports: where each is
    notes: list[str] = field(default_factory=list)
    used: list[str] = field(default_factory=list)  # files, the first ones first
    folders: dict[str, str] = field(default_factory=dict)  # whose own list a group is
    moved: bool = False  # pins that a Python has no wheel for became others

    def add(self, lines: Iterable[str], group: str = "") -> None:
        """Add requirements whose name is not there yet, for everything or for a group."""
        there = {of_requirement(line) for line in self.dependencies}
        goal = self.groups.setdefault(group, []) if group else self.dependencies
        there |= {of_requirement(line) for line in goal}
        markers = {line for line in goal if ";" in line}
        pinned: set[str] = set()
        for line in lines:
            name = of_requirement(line)
            # The same name twice with markers is one requirement for each system.
            if name not in there | pinned or (";" in line and line not in markers):
                goal.append(line)
            if "==" in line and ";" not in line:
                pinned.add(name)  # of two pins of one list, the first
        goal[:] = dict.fromkeys(goal)

    @property
    def is_pinned(self) -> bool:
        """Return whether most of what everything needs has one version, as of one time."""
        groups = [lines for name, lines in self.groups.items() if name != "dev"]
        lines = [line for lines in (self.dependencies, *groups) for line in lines]
        return 2 * sum("==" in line and "*" not in line for line in lines) > len(lines) > 1

    def conflicts(self) -> list[str]:
        """Return the groups that pin a package to another version than another group, sorted."""
        pins: dict[str, dict[str, str]] = {}
        for group, lines in self.groups.items():
            for line in lines:
                if "==" in line and ";" not in line and group != "dev":
                    pins.setdefault(of_requirement(line), {})[group] = line.partition("==")[2]
        apart = [versions for versions in pins.values() if len(set(versions.values())) > 1]
        return sorted({group for versions in apart for group in versions})

    def fitted(self, minor: str) -> "Inputs":
        """Return it with pins that have a wheel for a Python: the nearest, where one has none."""
        notes: list[str] = []
        floors = pythons.floors_of(self.lines, minor)
        groups = self.groups.items()
        new = replace(
            self,
            dependencies=pythons.fitted(self.dependencies, minor, notes, floors),
            groups={n: pythons.fitted(lines, minor, notes, floors) for n, lines in groups},
            constraints=pythons.fitted(self.constraints, minor, notes, floors),
            notes=list(dict.fromkeys([*self.notes, *notes])),
        )
        return replace(new, moved=new.lines != self.lines)

    def old_pins(self, minor: str, more: Iterable[str] = ()) -> int:
        """Return how many pins, and of `more`, have no wheel for a Python or need a newer one."""
        lines = dict.fromkeys([*self.lines, *more])
        return len([*pythons.without_wheel([*lines], minor), *pythons.too_new([*lines], minor)])

    def new_pins(self, minor: str, more: Iterable[str] = ()) -> int:
        """Return how many pins, and of `more`, need a newer Python."""
        return len([*pythons.too_new([*dict.fromkeys([*self.lines, *more])], minor)])

    @property
    def lines(self) -> list[str]:
        """Every requirement, whatever it is for."""
        lines = [*self.dependencies, *(line for group in self.groups.values() for line in group)]
        return [*lines, *self.constraints]


@positional
class _Place:
    """The folder, its files, and what its Dockerfiles install."""

    folder: Folder
    names: tuple[str, ...]
    repo: Repository
    installed_files: frozenset[str]
    installed: tuple[tuple[str, str], ...]  # requirements, each with the Dockerfile's place
    nested: tuple[str, ...]  # folders that are repositories of their own


def read_inputs(
    folder: Folder, document: Mapping[str, Any], setup: SetupMetadata, *, converts: bool
) -> Inputs:
    """Return a project's requirements; `converts` takes over the tables of Poetry.

    A pyproject.toml that has dependencies is believed; of everything else only what is locked
    and the groups for developing are read then. Raises LockstitchError for a file that is too
    large or outside of the folder.
    """
    folder.text("requirements.txt", any_encoding=True)  # refuses what is no file
    place = _look(folder)
    inputs = Inputs(notes=[f"left out: `{f}`: a repository of its own" for f in place.nested])
    project = table(document, "project")
    poetry = table(document, "tool", "poetry")
    conda = _environment_of(place)
    pipfile = managers.pipfile(folder)
    declared = _is_declared(document)
    if converts:
        _take_managed(inputs, managers.poetry(document), "pyproject.toml")
    elif not declared and not (poetry and "dependencies" in poetry and not project):
        _undeclared(inputs, place, setup, document, pipfile, conda)
    _development(inputs, place)
    _locked(inputs, place)
    if not declared:
        _undeclared_imports(inputs)
        if not folder.has("uv.lock"):
            _bound(inputs, place)
    versions = conda[1].python if conda else ""
    for version, source in pythons.named(
        folder, place.repo, versions, pipfile.python if pipfile else ""
    ):
        if not inputs.python:
            inputs.python, inputs.python_source = version, source
    if not declared and not inputs.dependencies and not any(inputs.groups.values()):
        inputs.notes.append("no file lists dependencies, and no code imports any that is known")
    inputs.notes = list(dict.fromkeys(inputs.notes))
    return inputs


def _is_declared(document: Mapping[str, Any]) -> bool:
    """Return whether a pyproject.toml says what its project needs, and not only that it is one."""
    project = table(document, "project")
    if "dependencies" in texts(project.get("dynamic")) or texts(project.get("dependencies")):
        return True
    groups = {name for name in table(document, "dependency-groups") if normal(name) != "dev"}
    groups |= {*table(project, "optional-dependencies"), *table(document, "tool", "lockstitch")}
    return "dependencies" in project and bool(groups)


def _look(folder: Folder) -> _Place:
    names = []
    for file in files.walk(folder.root):
        if not file.outside and not any("\ud800" <= letter <= "\udfff" for letter in file.name):
            names.append(file.name)
        if len(names) >= _MOST:
            break
    nested = _nested(folder, names)
    names = [name for name in names if not name.startswith(nested)] if nested else names
    repo = Repository(folder.root, names, tracked=None)
    installed_files, installed = set(), []
    for image in image_files(repo):
        for built in image.products:
            for _, install in built.installs:
                if not (install.is_pip or install.tool == "conda"):
                    continue
                installed_files |= {posixpath.basename(name) for name in install.files}
                where = f"{image.path}:{install.line}"
                installed += [(text, where) for text in install.required if install.is_pip]
    return _Place(folder, tuple(names), repo, frozenset(installed_files), tuple(installed), nested)


def _nested(folder: Folder, names: Sequence[str]) -> tuple[str, ...]:
    """Return the folders, with a `/`, that are repositories of their own."""
    parents = {posixpath.dirname(name) for name in names}
    every = {"/".join(p.split("/")[: n + 1]) for p in parents for n in range(p.count("/") + 1)}
    return tuple(sorted(f"{p}/" for p in every if p and (folder.root / p / ".git").is_dir()))


# --- roles


def _role(path: str) -> str:
    """Return the purpose of a list of requirements: main, dev, train, serve, other, or its word."""
    parts = path.lower().split("/")
    words = [w for w in _WORDS.findall(parts[-1]) if w not in _NO_WORDS and not w.isdigit()]
    folder = [w for part in parts[:-1] for w in _WORDS.findall(part) if w not in _NO_WORDS]
    roles = names_table("roles")
    for group in (words, folder):
        for role in ("dev", "other", "train", "serve", "main"):
            if any(word in roles[role] for word in group):
                return role
        if group is words and words:
            return "-".join(words)
    return "main"


def _lists(place: _Place) -> dict[str, str]:
    """Return the role of every list of requirements, by path; nearest to the root first."""
    roles = {}
    for name in sorted(place.names, key=lambda path: (path.count("/"), path)):
        base = posixpath.basename(name)
        parent = posixpath.basename(posixpath.dirname(name)).lower()
        in_folder = parent in {"requirements", "reqs"} and base.endswith((".txt", ".in"))
        of_model = posixpath.join(posixpath.dirname(name), "MLmodel") in place.names
        # A list of any name, which a Dockerfile installs.
        is_named = "/" in name and base.endswith(".txt") and base in place.installed_files
        is_list = _LISTS.fullmatch(base) or in_folder or is_named
        if name.count("/") < _DEEPEST and is_list and not of_model:
            roles[name] = _role(name)
    return {
        name: role
        for name, role in roles.items()
        # What a resolver wrote of requirements.in has its pins; the lock makes new ones.
        if not (name.endswith(".txt") and f"{name.removesuffix('.txt')}.in" in roles)
    }


def _is_near(name: str) -> bool:
    """Return whether a list is the root's: in it, or in its folder `requirements`."""
    folder = posixpath.dirname(name).lower()
    return folder in {"", "requirements", "reqs", "requirement"}


# --- what a project without declared dependencies needs


def _undeclared(
    inputs: Inputs,
    place: _Place,
    setup: SetupMetadata,
    document: Mapping[str, Any],
    pipfile: managers.Managed | None,
    conda: tuple[str, Any] | None,
) -> None:
    inputs.add(setup.dependencies or ())
    lists = _lists(place)
    near = {name: role for name, role in lists.items() if _is_near(name)}
    _take_lists(inputs, place, near)
    if pipfile is not None and not inputs.dependencies:
        _take_managed(inputs, pipfile, "Pipfile")
    follows = conda is not None and any(line.startswith("-r") for line in conda[1].pip)
    by_pip = inputs.dependencies and "pip" not in place.installed_files
    if conda is not None and (follows or not by_pip):
        _take_conda(inputs, place, *conda)
    has_pixi = "pixi.toml" in place.names
    pixi = _toml(place.folder, "pixi.toml") if has_pixi else table(document, "tool", "pixi")
    if pixi and not inputs.dependencies:
        _take_managed(inputs, managers.pixi(pixi), "pixi.toml")
    _take_members(inputs, place, document)
    if not inputs.dependencies:
        _take_bento(inputs, place, document)
    if not inputs.dependencies and (pins := managers.pylock(place.folder)):
        inputs.add(pins)
        inputs.used.append("pylock.toml")
    if not inputs.dependencies and not any(role != "dev" for role in inputs.groups):
        _take_below(inputs, place, lists)
    if not inputs.dependencies and not inputs.groups:
        _take_scripts(inputs, place)
    me = of_requirement(setup.texts.get("name", ""))
    for text, where in place.installed:
        line = usable(text, f"`{where}`", inputs.notes)
        if line and of_requirement(line) not in {*_INSTALLERS, me}:
            there = {of_requirement(dependency) for dependency in inputs.dependencies}
            there |= {of_requirement(line) for lines in inputs.groups.values() for line in lines}
            if of_requirement(line) not in there:
                inputs.add([line])
                inputs.notes.append(f"`{line}`: from `{where}`, which installs it")
    space = pythons.space_of(place.folder)
    if space.get("sdk") in {"gradio", "streamlit"}:  # its host installs that version
        asked = {of_requirement(dependency) for dependency in inputs.dependencies}
        line = usable(
            f"{space['sdk']}=={space.get('sdk_version', '')}", "`README.md`", inputs.notes
        )
        if line and space["sdk"] not in asked:
            inputs.add([line])
            inputs.notes.append(f"`{line}`: from `README.md`, by which a Space installs it")
    _fill(inputs, place, lists, conda)


def _take_lists(inputs: Inputs, place: _Place, lists: Mapping[str, str]) -> None:
    """Take the lists for everything first, then those of one program each."""
    read = {}
    for name in lists:
        listed = read_requirements(place.folder, name)
        if listed is not None:
            read[name] = listed
    mains = [name for name in read if lists[name] == "main"]
    # `prod.txt` names `base.txt` with -r: what another one names is read through that one.
    named = {other for name in mains for other in read[name].files[1:]}
    mains = [name for name in mains if name not in named]
    if not mains:
        mains = [n for n in read if posixpath.basename(n) in place.installed_files][:1]
        spare = [n for n in read if lists[n] not in {"dev", "train", "serve"}]
        mains = mains or spare[:1]
    for name in mains:
        _take_list(inputs, place, name, read[name])
    taken = {file for name in mains for file in read[name].files}
    for name, listed in read.items():
        role = lists[name]
        if name in taken or role == "dev":
            continue
        if role in {"train", "serve"}:
            _take_list(inputs, place, name, listed, role)
        elif role != "other" and posixpath.basename(name) in place.installed_files:
            _take_list(inputs, place, name, listed)
        elif [line for line in listed.lines if not _has(inputs, line)]:
            inputs.notes.append(f"`{name}` is not read: `uv add -r {name}` adds what it lists")


def _has(inputs: Inputs, line: str) -> bool:
    name = of_requirement(line)
    groups = (inputs.dependencies, *inputs.groups.values())
    return any(of_requirement(line) == name for lines in groups for line in lines)


def _take_list(
    inputs: Inputs, place: _Place, name: str, listed: Requirements, group: str = ""
) -> None:
    there = {of_requirement(line): line for line in inputs.dependencies if ";" not in line}
    for line in listed.lines if not group else ():
        other = there.get(of_requirement(line), line)
        if (
            re.fullmatch(r"[\w.-]+", other) and "==" in line
        ):  # another list leaves open what this one pins
            inputs.dependencies[inputs.dependencies.index(other)] = line
        elif other != line and "==" in line:
            inputs.notes.append(f"`{name}` has `{line}`: `{other}` is used, of another list")
    inputs.add(listed.lines, group)
    inputs.constraints += listed.constraints
    pinned = name.removesuffix(".in") + ".txt" if name.endswith(".in") else ""
    compiled = read_requirements(place.folder, pinned) if pinned in place.names else None
    if compiled is not None:
        inputs.constraints += [*compiled.lines, *compiled.constraints]
        inputs.notes.append(f"`{pinned}`: its pins are kept, as constraints of uv")
    inputs.sources |= listed.sources
    inputs.notes += listed.notes
    inputs.used.append(name)
    if listed.python and not inputs.python:
        version = re.search(r"3\.\d{1,2}", listed.python)
        if version and "==" in listed.python:
            inputs.python, inputs.python_source = version[0], name


def _take_managed(inputs: Inputs, managed: managers.Managed, name: str) -> None:
    inputs.add(managed.dependencies)
    for group, lines in managed.groups.items():
        inputs.add(lines, normal(group))
    inputs.extras |= managed.extras
    inputs.sources |= managed.sources
    inputs.notes += managed.notes
    inputs.used.append(name)
    exact = managed.python.startswith("==")
    if exact and name == "pixi.toml" and not inputs.python:
        version = re.search(r"3\.\d{1,2}", managed.python)
        inputs.python, inputs.python_source = (version[0], name) if version else ("", "")
    if managed.python and is_specifier(managed.python) and not exact:
        inputs.requires_python = managed.python


def _environment_of(place: _Place) -> tuple[str, Any] | None:
    """Return the name and the content of the environment of conda that counts."""
    models = {posixpath.dirname(n) for n in place.names if posixpath.basename(n) == "MLmodel"}
    paths = [
        name
        for name in place.names
        if name.count("/") < _DEEPEST and _ENVIRONMENT.fullmatch(posixpath.basename(name))
        if posixpath.dirname(name) not in models  # MLflow's, of a model alone
    ]
    rank = {"environment.yml": 0, "environment.yaml": 1}
    paths.sort(key=lambda name: (name.count("/"), rank.get(posixpath.basename(name), 2), name))
    for name in paths:
        content = environment(place.folder, name)
        if content is not None and (content.dependencies or content.pip):
            return name, content
        if content is not None and name in rank:
            return name, content
    return None


def _take_conda(inputs: Inputs, place: _Place, name: str, content: Any) -> None:
    inputs.add(content.dependencies)
    pip = read_lines(place.folder, name, content.pip)
    inputs.add(pip.lines)
    inputs.constraints += [*content.constraints, *pip.constraints]
    inputs.sources |= pip.sources
    inputs.notes += [*content.notes, *pip.notes]
    inputs.used.append(name)


def _take_bento(inputs: Inputs, place: _Place, document: Mapping[str, Any]) -> None:
    """Take what bentofile.yaml, or its table of pyproject.toml, says that a service needs."""
    name = "bentofile.yaml"
    file = plain_yaml(place.folder.text(name) or "")
    here = table(document, "tool", "bentoml", "build", "python")
    python = here or table(file if isinstance(file, dict) else {}, "python")
    listed = python.get("requirements_txt")
    read = read_requirements(place.folder, listed) if isinstance(listed, str) else None
    read = read or read_lines(place.folder, name, texts(python.get("packages")))
    inputs.add(read.lines)
    inputs.notes += read.notes
    inputs.used += [name] if read.lines and not here else []


def _take_members(inputs: Inputs, place: _Place, document: Mapping[str, Any]) -> None:
    """Take what the members of a workspace of uv need, whose root is no project itself."""
    workspace = table(document, "tool", "uv", "workspace")
    globs = texts(workspace.get("members"))
    if not globs or inputs.dependencies:
        return
    lines, own = [], set()
    for name in place.names:
        folder = posixpath.dirname(name)
        if posixpath.basename(name) != "pyproject.toml" or not folder:
            continue
        if not any(files.matches(folder, glob) for glob in globs):
            continue
        member = _toml(place.folder, name)
        own.add(normal(str(table(member, "project").get("name", ""))))
        lines += texts(table(member, "project").get("dependencies"))
        inputs.used.append(name)
    wanted = [line for line in map(requirement, lines) if line and of_requirement(line) not in own]
    inputs.add(wanted)
    if wanted:
        inputs.notes.append(f"the root gets what its {len(own)} workspace members need")


def _toml(folder: Folder, name: str) -> dict[str, Any]:
    try:
        return parse_toml(folder.text(name) or "", f"`{name}`", hint="")
    except LockstitchError:
        return {}


def _take_below(inputs: Inputs, place: _Place, lists: Mapping[str, str]) -> None:
    """Take the files of folders below the root, when the root has none."""
    below = {name: role for name, role in lists.items() if not _is_near(name)}
    wanted = {name: role for name, role in below.items() if role not in {"dev", "other"}}
    read = {name: read_requirements(place.folder, name) for name in wanted}
    listed = {name: items for name, items in read.items() if items and items.lines}
    listed |= _projects(place, {posixpath.dirname(name) for name in listed})
    apart = _apart(place, {name: items.lines for name, items in listed.items()})
    for name, items in listed.items():
        folder = apart.get(name)
        if folder is None:
            _take_list(inputs, place, name, items)
            inputs.notes.append(f"`{name}`: used, the root has no list of requirements")
            continue
        group = normal(re.sub(r"[^A-Za-z0-9]+", "-", folder).strip("-")) or "folder"
        _take_list(inputs, place, name, items, group)
        inputs.folders[group] = folder
        inputs.notes.append(f"`{name}`: the group `{group}`, for images with code of `{folder}`")


def _projects(place: _Place, listed: Collection[str]) -> dict[str, Requirements]:
    """Return what the pyproject.toml files below the root ask for, in folders without a list."""
    documents = {
        name: _toml(place.folder, name)
        for name in place.names
        if posixpath.basename(name) == "pyproject.toml"
        and 0 < name.count("/") < _DEEPEST
        and posixpath.dirname(name) not in listed
    }
    projects = {name: table(document, "project") for name, document in documents.items()}
    own = {normal(str(project.get("name", ""))) for project in projects.values()}
    read = {}
    for name, document in documents.items():
        managed = managers.poetry(document)
        lines = [*texts(projects[name].get("dependencies")), *managed.dependencies]
        wanted = [line for line in map(requirement, lines) if line]
        wanted = [line for line in wanted if of_requirement(line) not in own]
        if wanted:
            sources = {n: s for n, s in managed.sources.items() if n not in own}
            read[name] = Requirements(lines=tuple(wanted), sources=sources)
    folders = {*listed, *map(posixpath.dirname, read)}
    for name in place.names:
        folder = posixpath.dirname(name)
        if posixpath.basename(name) == "Pipfile" and folder and folder not in folders:
            pipfile = managers.pipfile(place.folder, name)
            if pipfile and name.count("/") < _DEEPEST and pipfile.dependencies:
                read[name] = Requirements(
                    lines=tuple(pipfile.dependencies),
                    sources=pipfile.sources,
                    python=pipfile.python,
                )
    return read


def _apart(place: _Place, lists: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the folder of each list that is one of several projects side by side.

    Where two folders' lists pin one package to two versions, no two of them can be installed
    together, and all lists are such; else those of folders with code.
    """
    folders = {name: _project_of(name) for name in lists}
    versions: dict[str, dict[str, str]] = {}
    for name, lines in lists.items():
        for line in lines:
            if "==" in line and ";" not in line:
                pinned = versions.setdefault(of_requirement(line), {})
                pinned.setdefault(folders[name], line.partition("==")[2])
    if any(len(set(version.values())) > 1 for version in versions.values()):
        return folders
    coded = {
        folder
        for folder in folders.values()
        if any(n.endswith((".py", ".ipynb")) and n.startswith(f"{folder}/") for n in place.names)
    }
    return {n: f for n, f in folders.items() if f in coded} if len(coded) > 1 else {}


def _project_of(name: str) -> str:
    """Return the folder of a list's project: `api` of `api/requirements/base.txt`."""
    folder = posixpath.dirname(name)
    parent, _, last = folder.rpartition("/")
    return parent if parent and _is_near(f"{last}/") else folder


def _take_scripts(inputs: Inputs, place: _Place) -> None:
    """Take the metadata that scripts have in their own comments (PEP 723)."""
    for name in place.names:
        if not name.endswith(".py") or name.count("/") > 1:
            continue
        text = place.folder.text(name, any_encoding=True) or ""
        match = _SCRIPT.search(text)
        if match is None:
            continue
        content = "".join(
            line[2:] if line.startswith("# ") else line[1:]
            for line in match["content"].splitlines(keepends=True)
        )
        try:
            document = parse_toml(content, f"`{name}`", hint="")
        except LockstitchError as error:
            inputs.notes.append(f"{error.message}: not read")
            continue
        lines = [usable(t, f"`{name}`", inputs.notes) for t in texts(document.get("dependencies"))]
        inputs.add(line for line in lines if line)
        asked = document.get("requires-python")
        if isinstance(asked, str) and is_specifier(asked):
            inputs.requires_python = inputs.requires_python or asked
        inputs.used.append(name)


# --- what the code imports


def _fill(
    inputs: Inputs, place: _Place, lists: Mapping[str, str], conda: tuple[str, Any] | None
) -> None:
    """Add what the code imports and nothing that was read names, and say that it is a guess."""
    needs = guess(place.folder, place.names)
    spare: dict[str, str] = {}
    for name in lists:
        listed = read_requirements(place.folder, name) if name not in inputs.used else None
        spare |= {of_requirement(line): line for line in (listed.lines if listed else ())}
    if conda and conda[0] not in inputs.used:
        spare |= {of_requirement(line): line for line in conda[1].dependencies}
        listed = read_lines(place.folder, conda[0], conda[1].pip)
        spare |= {of_requirement(line): line for line in listed.lines}
    nothing = not inputs.dependencies and not any(name != "dev" for name in inputs.groups)
    there = {of_requirement(line) for line in inputs.dependencies}
    there |= {of_requirement(line) for lines in inputs.groups.values() for line in lines}
    every = [*inputs.dependencies, *(line for lines in inputs.groups.values() for line in lines)]
    plain = [re.sub(r"[\s_]", lambda m: "-" if m[0] == "_" else "", line.lower()) for line in every]
    for extra, brings in names_table("extras").items():
        there |= {*brings} if any(line.startswith(extra) for line in plain) else set()
    brought = {brought for name in there for brought in _brings().get(name, ())}
    added = []
    for distribution, where in needs.distributions.items():
        likes = {normal(other) for other in needs.alike[distribution]} | {distribution}
        hidden = "`, for `" in where  # which a package may bring as well
        if likes & (there | brought if hidden else there) or (
            not nothing and distribution in _SERVERS
        ):
            continue
        line = next((spare[like] for like in sorted(likes) if like in spare), distribution)
        line = PKG_RESOURCES if line == "setuptools" else line
        added.append((line, where))
    pinned = spare | {of_requirement(line): line for line in inputs.constraints}
    unknown = dict(needs.unknown)
    for module, where in needs.unknown.items():
        name = normal(module)
        if name in pinned and name not in there:
            added.append((pinned[name], where))
        if name in pinned or name in there:
            del unknown[module]
    inputs.add(line for line, _ in added)
    inputs.guessed = {  # what a call or a model needs without an import has no line
        line: where
        for line, where in added
        if line in inputs.dependencies and re.search(r":\d+$", where)
    }
    if nothing and added:
        names = ", ".join(line for line, _ in added)
        inputs.notes.append(f"guessed from the imports, as no file lists dependencies: {names}")
    else:
        inputs.notes += [
            f"`{where}` needs `{line}`, which no list has: added" for line, where in added
        ]
    if nothing:
        shown = [f"`{name}` ({where})" for name, where in unknown.items()][:_SHOWN]
        if shown:
            inputs.notes.append(f"no table knows the distribution of {', '.join(shown)}: uv add it")


def _brings() -> Mapping[str, Any]:
    brings: Mapping[str, Any] = load_table(__package__, "eras.toml")["brings"]
    return brings


def _undeclared_imports(inputs: Inputs) -> None:
    """Add what a package of some versions imports and does not declare."""
    from packaging.requirements import Requirement

    lines = [*inputs.dependencies, *(line for group in inputs.groups.values() for line in group)]
    lines += inputs.constraints
    pins = {of_requirement(line): line.partition("==")[2] for line in lines}
    for text, choices in undeclared().items():
        wanted = Requirement(text)
        version = pins.get(normal(wanted.name))
        needed, *others = choices.split(" or ")
        if version is None or any(of_requirement(need) in pins for need in (needed, *others)):
            continue
        if not wanted.specifier or (version and wanted.specifier.contains(version.split(";")[0])):
            inputs.add([needed])
            inputs.notes.append(f"`{needed}`: `{wanted.name}` imports it and does not declare it")


def _bound(inputs: Inputs, place: _Place) -> None:
    """Bound what lists leave open by what old code, old pins and models need."""
    from packaging.requirements import Requirement

    asked: dict[str, Any] = {}
    lists = [inputs.dependencies, *(g for name, g in inputs.groups.items() if name != "dev")]
    for line in [*(line for several in lists for line in several), *inputs.constraints]:
        parsed = Requirement(line)
        name = normal(parsed.name)
        asked[name] = asked[name] & parsed.specifier if name in asked else parsed.specifier
    for line, why in eras.bounds(place.folder, place.names, asked):
        wanted = Requirement(line)
        pinned = any(clause.operator == "==" for clause in wanted.specifier)
        is_listed = False
        for listed in (*lists, *([inputs.constraints] if pinned else [])):
            for at, text in enumerate(listed):
                there = Requirement(text)
                if normal(there.name) != normal(wanted.name) or there.url:
                    continue
                there.specifier = wanted.specifier if pinned else there.specifier & wanted.specifier
                listed[at] = str(there)
                is_listed = True
        inputs.constraints += [] if is_listed else [line]
        inputs.notes.append(f"`{line}`: {why}")


# --- developing, and locks


def _development(inputs: Inputs, place: _Place) -> None:
    for name, role in _lists(place).items():
        listed = read_requirements(place.folder, name) if role == "dev" and _is_near(name) else None
        if listed is not None:
            # What `-r base.txt` pins is a constraint already, and nothing that developing adds.
            inputs.add([line for line in listed.lines if line not in inputs.constraints], "dev")
            inputs.notes += listed.notes


def _locked(inputs: Inputs, place: _Place) -> None:
    """Constrain everything to the versions of a lock that another manager wrote."""
    folders = ["", *dict.fromkeys(posixpath.dirname(used) for used in inputs.used)]
    locks = (*managers.LOCKS, "uv.lock")
    there = [
        name
        for folder in folders
        for lock in locks
        if place.folder.has(name := posixpath.join(folder, lock))
    ]
    if place.folder.has("uv.lock") or "pylock.toml" in inputs.used:  # which has all of it
        there = []
    names = "`, `".join(there if inputs.folders else there[:1])
    pins = _agreed(inputs, place, there) if inputs.folders else []
    pins += managers.locked(place.folder, there[0]) if there and not inputs.folders else ()
    pins += inputs.constraints
    from packaging.requirements import Requirement

    asked: dict[str, list[Any]] = {}
    for line in [*inputs.dependencies, *(line for g in inputs.groups.values() for line in g)]:
        parsed = Requirement(line)
        asked.setdefault(normal(parsed.name), []).append(parsed.specifier)
    kept: list[str] = []
    refused: list[str] = []
    for pin in dict.fromkeys(pins):
        parsed = Requirement(pin)
        if normal(parsed.name) in pythons.UPLOADED_ANEW:
            continue
        version = next((clause.version for clause in parsed.specifier), "")
        fits = all(
            bound.contains(version, prereleases=True)
            for bound in asked.get(normal(parsed.name), ())
            if version and "==" in pin and "*" not in pin
        )
        (kept if fits else refused).append(pin)
    inputs.constraints = kept
    if names and kept:
        inputs.notes.append(f"`{names}`: versions kept as constraints of uv: {len(kept)}")
    if refused:
        shown = ", ".join(f"`{pin}`" for pin in refused[:_SHOWN])
        inputs.notes.append(f"`{names}`: {shown} is not what is asked for now: left out")


def _agreed(inputs: Inputs, place: _Place, locks: Sequence[str]) -> list[str]:
    """Return the pins on which folders' locks agree; the others go to the folders' groups."""
    versions: dict[str, dict[str, str]] = {}
    for lock in locks:
        for pin in managers.locked(place.folder, lock):
            versions.setdefault(of_requirement(pin), {})[posixpath.dirname(lock)] = pin
    for name, pins in versions.items():
        for group, folder in inputs.folders.items() if len({*pins.values()}) > 1 else ():
            lines = inputs.groups.get(group, [])
            own = [line for line in lines if of_requirement(line) == name]
            if folder in pins and not any("==" in line or "@" in line for line in own):
                lines[:] = [pins[folder], *(line for line in lines if line not in own)]
    return [next(iter(pins.values())) for pins in versions.values() if len({*pins.values()}) == 1]
