"""The structure of the code: what is imported when, what is public, what a hint names."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.sources import nodes, parsed

from lockstitch.cli.main import COMMANDS, GROUPS, module_of

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "lockstitch"
pytestmark = pytest.mark.xdist_group("sources")  # one process parses them all
SOURCES = sorted(
    path for path in PACKAGE.rglob("*.py") if "templates" not in path.relative_to(PACKAGE).parts
)
# What `lockstitch --help` may load. Each addition makes every command start later.
QUICK = ["lockstitch", "lockstitch.cli", "lockstitch.cli.main", "lockstitch.errors"]
SLOW = (
    *("packaging", "urllib3", "rich", "debian", "platformdirs", "uv", "tomllib"),
    *("json", "subprocess", "hashlib", "ssl", "http", "zipfile", "tarfile", "typing"),
    *("concurrent", "multiprocessing", "tempfile", "email", "dataclasses", "pathlib"),
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def texts() -> list[Path]:
    """Return every text file that the repository keeps; folders that it ignores are left out."""
    ignored = {line.strip("/\n") for line in (ROOT / ".gitignore").read_text().splitlines()}
    found = []
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [f for f in folders if f not in ignored and not f.endswith("_cache")]
        folders[:] = [f for f in folders if f not in {".git", "__pycache__", ".hypothesis"}]
        found += [Path(folder, name) for name in names]
    kept = [p for p in found if not re.fullmatch(r"uv\.lock|pylock.*\.toml|\.coverage.*", p.name)]
    return sorted(path for path in kept if b"\0" not in path.read_bytes()[:4096])


@pytest.mark.parametrize("words", [["--help"], ["--version"], []], ids=["help", "version", "none"])
def test_help_loads_next_to_nothing(words: list[str]) -> None:
    code = (
        "import json, sys\nbefore = set(sys.modules)\n"
        "from lockstitch.cli.main import main\n"
        f"try: main({words!r})\n"
        "except SystemExit: pass\n"
        "print('\\n' + json.dumps(sorted(set(sys.modules) - before)))\n"
    )
    out = subprocess.check_output([sys.executable, "-I", "-S", "-c", _PATH + code], text=True)
    loaded = json.loads(out.splitlines()[-1])
    assert [name for name in loaded if name.partition(".")[0] == "lockstitch"] == QUICK
    assert sorted({name.partition(".")[0] for name in loaded} & set(SLOW)) == []


_PATH = f"import sys; sys.path.insert(0, {str(ROOT / 'src')!r})\n"


def test_a_command_loads_no_library_before_it_needs_it() -> None:
    # All in one process: what the first of them loads is seen after it, and after the rest.
    names = [module_of(name).__name__ for name, _ in COMMANDS if name != "self demo"]
    code = (
        "import importlib, json, sys\n"
        f"for name in {names!r}:\n"
        "    importlib.import_module(name)\n"
        "    tops = sorted({module.partition('.')[0] for module in sys.modules})\n"
        "    print(json.dumps([name, tops]))\n"
    )
    out = subprocess.check_output([sys.executable, "-c", code], text=True)
    loaded = dict(json.loads(line) for line in out.splitlines())
    assert list(loaded) == names
    third_party = {"packaging", "urllib3", "rich", "debian", "platformdirs"}
    assert {name: found for name in names if (found := sorted(third_party & {*loaded[name]}))} == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [name_of(path) for path in SOURCES if not ast.get_docstring(parsed(path))]
    assert silent == []


def test_a_private_name_stays_in_its_module() -> None:
    # An underscore says what is private; `__all__` lists what a package, or a program that goes
    # into images, offers to others.
    for path in SOURCES:
        offers = path.name == "__init__.py" or "runtime" in path.parts
        assert offers or "\n__all__" not in path.read_text(), name_of(path)
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lockstitch"):
                private = [alias.name for alias in node.names if re.match("_(?!_)", alias.name)]
                assert private == [], f"{name_of(path)}:{node.lineno}"


def test_a_package_exports_what_it_says() -> None:
    seen = 0
    for path in SOURCES:
        if path.name == "__init__.py" and "__all__" in path.read_text():
            parts = path.relative_to(PACKAGE.parent).parts[:-1]
            module = importlib.import_module(".".join(parts))
            public = module.__all__
            assert public == sorted(public, key=_order), name_of(path)
            assert [name for name in public if not hasattr(module, name)] == []
            seen += 1
    assert seen > 5  # or the walk finds none any more


def _order(name: str) -> tuple[int, str]:
    # As ruff's RUF022 sorts: constants, classes, the rest.
    return (0 if name.strip("_").isupper() else 1 if name[0].isupper() else 2, name)


def test_imports_go_only_downward() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout
    assert "Contracts: 6 kept, 0 broken." in done.stdout


def test_no_file_names_a_package_registry() -> None:
    # Joined here, so that this file does not name them either.
    names = [
        "pypi" + ".org", "pypi" + ".python.org", "python" + "hosted", "docker" + "hub.com",
        "registry-1." + "docker", "deb." + "debian.org", "snapshot." + "debian.org",
        "security." + "debian.org", "ghcr" + ".io", "quay" + ".io", "gcr" + ".io",
        "download." + "pytorch",
    ]  # fmt: skip
    pattern = re.compile("|".join(map(re.escape, names)))
    found = []
    for path in texts():
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            if match := pattern.search(line):
                found.append(f"{name_of(path)}:{number}: {match[0]}")
    assert found == []


def _literals(path: Path) -> list[tuple[int, str]]:
    found = []
    for node in nodes(path):
        if isinstance(node, ast.JoinedStr):
            parts = [v.value if isinstance(v, ast.Constant) else "X" for v in node.values]
            found.append((node.lineno, "".join(map(str, parts))))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.append((node.lineno, node.value))
    return found


def test_what_a_hint_says_to_type_is_there() -> None:
    seen = 0
    for path in SOURCES:
        seen += _check_hints(path)
    assert seen > 20  # or the pattern finds nothing any more


def _check_hints(path: Path) -> int:
    commands, seen = dict(COMMANDS), 0
    for line, text in _literals(path):
        for match in re.finditer(
            r"\blockstitch (?P<name>[a-z]+(?: [a-z]+)?)(?P<words>(?: --[a-z-]+)*)", text
        ):
            if not re.search(r"(^|[:(`;] ?|&& |then |or )$", text[: match.start()]):
                continue  # "this lockstitch reads 1" is a sentence
            where = f"{name_of(path)}:{line}: {match[0]}"
            seen += 1
            name = match["name"] if match["name"] in commands else match["name"].split()[0]
            assert name in commands or (name in {*GROUPS, "help"} and match["name"] == name), where
            for option in match["words"].split():
                assert re.search(f'"{option}[" ]', _command(name)), where
    return seen


def _command(name: str) -> str:
    folder = PACKAGE / "cli"
    session = (folder / "session.py").read_text() + (folder / "options.py").read_text()
    return session + Path(str(module_of(name).__file__)).read_text()


DOORS = {
    "subprocess": ("process.py",),
    "time": ("clock.py",),
    "urllib3": ("transport.py",),
    # The network's own door; the others look at a port of this machine.
    "socket": ("transport.py", "serving.py", "machine.py", "start.py", "page.py"),
    "requests": (),
}


def test_only_the_door_of_each_is_used() -> None:
    # Beside ruff's ban, which a `noqa` could lift in silence.
    for path in SOURCES:
        if "runtime" in path.parts or path.name == "ranks.py":  # which go into images
            continue
        run = _run(path)
        imported = {name.partition(".")[0] for node in run for name in _imports(node)}
        wrong = [name for name in DOORS if name in imported and path.name not in DOORS[name]]
        assert wrong == [], name_of(path)
        assert not any(map(_environ, run)) or path.name == "environ.py"


def _run(path: Path) -> list[ast.AST]:
    """Return the nodes that run: under TYPE_CHECKING, a name for a type opens nothing."""
    tests = [node for node in nodes(path) if isinstance(node, ast.If)]
    silent = [test for test in tests if ast.unparse(test.test) == "TYPE_CHECKING"]
    left_out = {node for test in silent for node in ast.walk(test)}
    return [node for node in nodes(path) if node not in left_out]


def _environ(node: ast.AST) -> bool:
    of_os = isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    return of_os and (node.value.id, node.attr) == ("os", "environ")


def _imports(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def test_an_exception_to_a_check_has_its_reason_in_the_line() -> None:
    # Not in `runtime`: its bytes are in images, and there the name of the check tells.
    mark = re.compile(
        r"# (?:noqa(?:: ?[A-Z0-9, ]+)?|type: ignore(?:\[[a-z,-]+\])?|pragma: [a-z ]+)"
    )
    skip = re.compile(r"pytest\.skip\(\)|mark\.(?:skip|xfail)\b(?!.*reason)|skipif\((?!.*reason)")
    found = []
    for path in texts():
        if path.suffix == ".py" and not {"runtime", "templates", "corpus"} & {*path.parts}:
            for number, line in enumerate(path.read_text().splitlines(), 1):
                silent = mark.search(line) and not re.search(r"[a-z]", mark.split(line)[-1])
                if (silent or skip.search(line)) and "re.compile(" not in line:
                    found.append(f"{name_of(path)}:{number}: {line.strip()}")
    assert found == []


def test_what_goes_into_images_needs_only_the_standard_library() -> None:
    others = {"meaning.py", "ray_job.py"}  # run where the project's own libraries are
    for path in sorted({*(PACKAGE / "runtime").glob("*.py")}):
        if path.name in others:
            continue
        for node in nodes(path):
            for name in _imports(node):
                assert name.partition(".")[0] in sys.stdlib_module_names, f"{path.name}: {name}"
