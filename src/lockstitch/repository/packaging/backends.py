"""The default package of each build backend, and where a backend finds none.

The rules are those of the backends' own sources: hatchling 1.33 (builders/wheel.py), setuptools 84
(discovery.py), poetry-core 2.5 (masonry/utils/module.py), flit_core 4.2 (common.py), uv_build 0.13.
pdm-backend takes whatever is there and never fails.
"""

import json
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

from lockstitch.patterns import regex
from lockstitch.python.names import normal
from lockstitch.python.tables import table
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.declared import beside
from lockstitch.values import field, frozen

# Folders and modules that setuptools never takes for the package.
_NO_PACKAGE = (
    *("ci", "bin", "doc", "docs", "documentation", "manpages", "news", "changelog", "test"),
    *("tests", "unit_test", "unit_tests", "example", "examples", "scripts", "tools", "util"),
    *("utils", "python", "build", "dist", "venv", "env", "requirements", "tasks", "fabfile"),
    *("site_scons", "benchmark", "benchmarks", "exercise", "exercises", "[._]*", "*.egg-info"),
)
_NO_MODULE = (
    *("setup", "conftest", "test", "tests", "example", "examples", "build", "toxfile"),
    *("noxfile", "pavement", "dodo", "tasks", "fabfile", "[Ss][Cc]onstruct", "conanfile"),
    *("manage", "benchmark", "benchmarks", "exercise", "exercises", "[._]*"),
)
_SETUP_SAYS = regex(r"\b(?:packages|py_modules|ext_modules|package_dir)\s*=")


@frozen
class Lack:
    """A package that a backend will not find, the remedy, and where that is sure, its table."""

    message: str
    hint: str
    table: tuple[str, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)


def backend(document: Mapping[str, Any]) -> str:
    """Return the name of the build backend: hatchling, setuptools, poetry, uv, flit, or ""."""
    build = table(document, "build-system")
    name = build.get("build-backend")
    if name is None and build:
        return "setuptools"
    first = name.partition(".")[0].partition(":")[0] if isinstance(name, str) else ""
    known = {"uv_build": "uv", "flit_core": "flit"}
    kept = first if first in {"hatchling", "setuptools", "poetry"} else ""
    return "" if "backend-path" in build else known.get(first, kept)


def not_found(repo: Repository, folder: str, document: Mapping[str, Any]) -> Iterator[Lack]:
    """Yield the packages that a backend will not find in a folder, each with its remedy."""
    tool = table(document, "tool")
    project, poetry = table(document, "project"), table(tool, "poetry")
    name = project.get("name") or poetry.get("name")
    if not isinstance(name, str) or table(tool, "uv").get("package") is False:
        return
    match backend(document):
        case "hatchling":
            yield from _hatchling(repo, folder, table(tool, "hatch"), name)
        case "setuptools":
            yield from _setuptools(repo, folder, table(tool, "setuptools"))
        case "poetry":
            yield from _poetry(repo, folder, poetry, name)
        case "uv":
            yield from _uv(repo, folder, table(tool, "uv", "build-backend"), name)
        case "flit":
            module = table(tool, "flit", "module").get("name", name.replace("-", "_"))
            yield from _flit(repo, folder, str(module))


def _hatchling(
    repo: Repository, folder: str, hatch: Mapping[str, Any], name: str
) -> Iterator[Lack]:
    build, wheel = table(hatch, "build"), table(hatch, "build", "targets", "wheel")
    chosen = ("include", "packages", "only-include", "force-include", "bypass-selection")
    other = (*chosen, "hooks", "dev-mode-dirs", "artifacts")
    if any(key in section for key in other for section in (build, wheel)):
        yield from _missing(repo, folder, wheel.get("packages", build.get("packages")), "hatchling")
        return
    if repo.exists(beside(folder, "hatch.toml")):
        return
    names = [re.sub(r"[^\w\d.]+", "_", spelling) for spelling in (name, normal(name))]
    for package in names:
        places = (f"{package}/__init__.py", f"src/{package}/__init__.py", f"{package}.py")
        if any(repo.exists(beside(folder, place)) for place in places):
            return
        start = f"{folder}/" if folder else ""
        below = re.compile(rf"{re.escape(start)}[^/]+/{re.escape(package)}/__init__\.py")
        if sum(below.fullmatch(path) is not None for path in repo.every_name) == 1:
            return
    wanted = " or ".join(f"`{name}`" for name in dict.fromkeys(names))
    message = f"hatchling looks for a package {wanted}, here or in `src`, and there is none"
    place = ("tool", "hatch", "build", "targets", "wheel")
    own = _packages(repo, folder)
    folders = [
        f"{s}{names[1]}" for s in ("src/", "") if repo.is_folder(beside(folder, s + names[1]))
    ]
    chosen_ones = own[:1] or folders[:1]
    values = {"packages": chosen_ones} if chosen_ones else {"bypass-selection": True}
    yield _lack(message, place, values, sure=len(own) == 1 or not chosen_ones)


def _lack(message: str, place: tuple[str, ...], values: Mapping[str, Any], *, sure: bool) -> Lack:
    """Return a lack with a line of TOML as its hint."""
    (key, value), *_ = values.items()
    why = "" if value not in (True, []) else "  # there is no package to install"
    hint = f"[{'.'.join(place)}] {key} = {json.dumps(value)}{why}"
    return Lack(message=message, hint=hint, table=place if sure else (), values=values)


def _packages(repo: Repository, folder: str) -> list[str]:
    """Return the folders of a project that are packages: those that scripts name, then of `src`.

    A folder `src` that is a package itself holds no others: its code says `from src.x import …`.
    """
    start = f"{folder}/" if folder else ""
    is_package = repo.exists(beside(folder, "src/__init__.py"))
    pattern = re.compile(rf"{re.escape(start)}((?:src/)?[A-Za-z_]\w*)/__init__\.py")
    matches = [match[1] for match in map(pattern.fullmatch, repo.names) if match]
    matches = [match_ for match_ in matches if not (is_package and match_.startswith("src/"))]
    scripts = table(repo.toml(beside(folder, "pyproject.toml")), "project", "scripts").values()
    named = {str(script).partition(":")[0].partition(".")[0] for script in scripts}

    def order(path: str) -> tuple[bool, bool, str]:
        return path.removeprefix("src/") not in named, not path.startswith("src/"), path

    return sorted(matches, key=order)


def _missing(repo: Repository, folder: str, listed: object, tool: str) -> Iterator[Lack]:
    """Yield each folder of a list of packages that is not there."""
    for item in listed if isinstance(listed, list) else ():
        if not isinstance(item, str) or any(sign in item for sign in "*?[{"):
            continue
        if not repo.exists(beside(folder, item.strip("/"))):
            own = _packages(repo, folder)
            hint = f'packages = ["{own[0]}"]' if own else "take it out, or make the folder"
            yield Lack(message=f"{tool} is told to take `{item}`, which is not there", hint=hint)


def _setuptools(repo: Repository, folder: str, options: Mapping[str, Any]) -> Iterator[Lack]:
    packages = options.get("packages")
    if isinstance(packages, list):
        where = table(options, "package-dir")
        root = str(where.get("", ""))
        for package in packages:
            if (
                isinstance(package, str)
                and package not in where
                and package.partition(".")[0] not in where
            ):
                path = "/".join(part for part in (root, package.replace(".", "/")) if part)
                yield from _missing(repo, folder, [path], "setuptools")
        return
    setup = repo.text(beside(folder, "setup.py")) or ""
    config = repo.text(beside(folder, "setup.cfg")) or ""
    own = any(key in options for key in ("packages", "py-modules", "package-dir", "ext-modules"))
    if own or _SETUP_SAYS.search(setup) or re.search(r"(?m)^(?:packages|py_modules)\s*=", config):
        return
    if repo.is_folder(beside(folder, "src")):
        return
    start = f"{folder}/" if folder else ""
    inside = [name[len(start) :] for name in repo.every_name if name.startswith(start)]
    folders = sorted({name.partition("/")[0] for name in inside if "/" in name})
    folders = [f for f in folders if f.isidentifier() and not _matches(f, _NO_PACKAGE)]
    modules = sorted(n.removesuffix(".py") for n in inside if "/" not in n and n.endswith(".py"))
    modules = [m for m in modules if m.isidentifier() and not _matches(m, _NO_MODULE)]
    kind, names = ("folders", folders) if folders else ("modules", modules)
    if len(names) > 1:
        shown = ", ".join(f"`{name}`" for name in names[:5]) + (" …" if len(names) > 5 else "")
        real = [package for package in _packages(repo, folder) if package in names]
        message = f"setuptools finds {len(names)} {kind} to choose from and stops: {shown}"
        key = "packages" if folders else "py-modules"
        yield _lack(message, ("tool", "setuptools"), {key: real[:1]}, sure=len(real) < 2)


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)


def _poetry(repo: Repository, folder: str, poetry: Mapping[str, Any], name: str) -> Iterator[Lack]:
    if poetry.get("package-mode") is False:
        return
    packages = poetry.get("packages")
    if isinstance(packages, list) and packages:
        for package in packages:
            include, source = table(package).get("include"), table(package).get("from", "")
            if isinstance(include, str) and isinstance(source, str):
                path = f"{source.strip('/')}/{include}" if source else include
                yield from _missing(repo, folder, [path], "Poetry")
        return
    module = normal(name).replace("-", "_")
    places = (module, f"{module}.py", f"src/{module}", f"src/{module}.py")
    if not any(repo.exists(beside(folder, place)) for place in places):
        own = _packages(repo, folder)
        hint = "package-mode = false, when there is nothing to install"
        if own:
            last = own[0].rpartition("/")
            source = f', from = "{last[0]}"' if last[0] else ""
            hint = f'packages = [{{ include = "{last[2]}"{source} }}]'
        message = f"Poetry looks for `{module}`, here or in `src`, and there is none"
        yield Lack(message=message, hint=hint)


def _uv(repo: Repository, folder: str, options: Mapping[str, Any], name: str) -> Iterator[Lack]:
    root, module = options.get("module-root", "src"), options.get("module-name")
    if options.get("namespace") is True or not isinstance(root, str):
        return
    names = module if isinstance(module, list) else [module or normal(name).replace("-", "_")]
    for module in names:
        place = "/".join(x for x in (root.strip("/"), str(module).replace(".", "/")) if x)
        init = "__init__.pyi" if str(module).partition(".")[0].endswith("-stubs") else "__init__.py"
        if not repo.exists(beside(folder, f"{place}/{init}")):
            own = _packages(repo, folder)
            hint = f"make {place}/{init}"
            if own:
                last = own[0].rpartition("/")
                hint = f'[tool.uv.build-backend] module-root = "{last[0]}"'
                hint += f', module-name = "{last[2]}"'
            yield Lack(message=f"uv_build looks for `{place}/{init}`, and there is none", hint=hint)


def _flit(repo: Repository, folder: str, module: str) -> Iterator[Lack]:
    path = module.replace(".", "/")
    places = [path, f"{path}.py", f"src/{path}", f"src/{path}.py"]
    there = [place for place in places if repo.exists(beside(folder, place))]
    if not there:
        own = _packages(repo, folder)
        hint = f'[tool.flit.module] name = "{own[0].rpartition("/")[2]}"' if own else f"make {path}"
        yield Lack(
            message=f"flit looks for `{path}`, here or in `src`, and there is none", hint=hint
        )
    elif len(there) > 1:
        message = f"flit finds {' and '.join(f'`{f}`' for f in there)}, and stops"
        yield Lack(message=message, hint="keep one of them")
