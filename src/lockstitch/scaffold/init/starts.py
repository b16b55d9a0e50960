"""How a file of a repository is started so that its imports are found."""

import functools
import posixpath
import re
import sys
from collections.abc import Iterator, Mapping, Sequence

from lockstitch.python.commands import entry_of
from lockstitch.python.imports import Reach, Tree, follow, loaded, standard_library
from lockstitch.python.names import known_modules, modules_named
from lockstitch.python.tables import table
from lockstitch.repository.code.applications import Code
from lockstitch.repository.files import Repository
from lockstitch.resources import load_table
from lockstitch.scaffold.init import commands, eras, tables
from lockstitch.scaffold.init.commands import NamedCommand
from lockstitch.scaffold.init.facts import Facts
from lockstitch.scaffold.init.program import module_of

APART = frozenset(load_table(__package__, "words.toml")["apart"])
NO_PROGRAMS = frozenset(
    {"setup.py", "conftest.py", "noxfile.py", "fabfile.py", "__init__.py", "versioneer.py"}
)
# Scripts that are an image of their own, the best first, and the image's name.
SCRIPTS = (
    (re.compile(r"train(?:ing|er)?|run_train(?:ing)?|fit"), "train"),
    (re.compile(r"(?:\w+_)?train(?:ing|er)?(?:_\w+)?|fine_?tune\w*"), "train"),
    (
        re.compile(r"model_?build(?:ing|er)?|build_?models?|(?:model_?)?fitting|fit_?models?"),
        "train",
    ),
    (re.compile(r"main|__main__"), "app"),
    (re.compile(r"run|app|cli|pipeline|start|job|entrypoint|server|serve"), "app"),
    (re.compile(r"predict(?:ion|or|\w*)?|infer(?:ence)?\w*|score|batch\w*|forecast\w*"), "predict"),
    (
        re.compile(r"eval(?:uate|uation)?\w*|test_model|benchmark|process\w*|preprocess\w*|etl"),
        "app",
    ),
)


class Starts:
    """The code of one repository, and the commands that it names."""

    def __init__(
        self, facts: Facts, repo: Repository, codes: Mapping[str, Code], tree: Tree
    ) -> None:
        self.facts = facts
        self.repo = repo
        self.codes = codes
        self.tree = tree  # another one once notebooks are looked at
        self.notes: list[str] = []
        known = tables.groups(facts)
        self.declared = tables.declared(facts).union(*known.values())
        listed = table(facts.project, "scripts") or table(facts.poetry, "scripts")
        self.installs = facts.setup.scripts | {
            name: target for name, target in listed.items() if isinstance(target, str)
        }
        self.hints = [*commands.hints(repo, self.installs.keys())]
        tops: set[str] = set()
        for name in codes:
            parts = name.removesuffix(".py").split("/")
            tops |= {*parts}
        library = standard_library(tree.python[1], sys.stdlib_module_names)
        # `extensions/sqlalchemy.py` is no module that `import sqlalchemy` wants.
        self.own = tops - library - known_modules().keys() - {"__init__", "__main__"}
        declared = {name for line in self.declared for name in modules_named(line)}
        self._foreign = library | declared

    def better_root(
        self, words: Sequence[str], env: Mapping[str, str], workdir: str = ""
    ) -> dict[str, str]:
        """Return the variables with what PYTHONPATH lacks for the imports of a command."""
        best, lacking = dict(env), self._lacking(words, env, workdir)
        beside = posixpath.dirname(self.file_of(words, env, workdir)) if lacking else ""
        roots = sorted(self.roots(), key=lambda root: root != beside) if lacking else []
        options = [f"/app/{root}" if root else "/app" for root in roots]
        while lacking:
            there = best.get("PYTHONPATH", "")
            choices = [
                {**best, "PYTHONPATH": f"{there}:{option}" if there else option}
                for option in options
                if option not in there.split(":")
            ]
            counts = [self._lacking(words, choice, workdir) for choice in choices]
            if not counts or min(counts) >= lacking:
                break
            lacking = min(counts)
            best = choices[counts.index(lacking)]
        return best

    def is_below(self, name: str, version: str, day: str) -> bool:
        """Return whether only versions older than one of a day fit what the repository asks for."""
        if "" < self.facts.day < day:
            return True
        lines = [*tables.dependencies(self.facts), *self.facts.inputs.constraints]
        return eras.is_below(eras.specifiers_of(lines, name), version)

    @functools.cached_property
    def installed_scripts(self) -> Mapping[str, str]:
        """The console scripts that an installed project brings, by name, with their targets."""
        return self.installs if self.facts.installed else {}

    def points(self, hint: NamedCommand, path: str) -> bool:
        """Return whether a command names a file."""
        env = {**hint.env, **({"PYTHONPATH": f"/app/{hint.folder}"} if hint.folder else {})}
        return self.file_of(hint.words, env) == path or any(
            posixpath.join(hint.folder, word) == path for word in hint.words
        )

    def roots(self) -> list[str]:
        """Return the folders that imports may begin in, the likeliest first."""
        folders = {posixpath.dirname(name) for name in self.codes}
        folders = {f for f in folders if f and not {*f.split("/")} & APART}
        folders |= {posixpath.dirname(f) for f in folders} - {""}
        ordered = sorted(folders, key=lambda f: (f.count("/"), f != "src", f))
        return ["", *ordered[:40]]

    def _lacking(self, words: Sequence[str], env: Mapping[str, str], workdir: str = "") -> int:
        """Return how many of the repository's own modules a command would not find."""
        entry = entry_of(words, env, workdir)
        if entry is None:
            return 0
        outside = follow(self.tree, entry)
        own = (e for e in outside if e.top in self.own)
        lacking = {e.module for e in own if not tables.is_of(e.top, self.declared)}
        certain = {e.module for e in outside if e.reach is Reach.CERTAIN} & lacking
        return len(lacking) + 10 * len(certain)

    def module_command(
        self, path: str, words: object, after: Sequence[str] = (), option: str = ""
    ) -> tuple[list[str], dict[str, str]]:
        """Return the command that names a module, from the folder in which its imports are found.

        `option` names the folder for the program; others are told by PYTHONPATH.
        """
        make = words  # a function of the module's name
        assert callable(make)  # noqa: S101 -- for mypy
        installed = self._installed(path)
        if installed:
            return [*make(installed), *after], self.better_root([*make(installed), *after], {})
        best: tuple[int, list[str], dict[str, str]] | None = None
        for root in self._module_roots(path):
            inner = path.removeprefix(f"{root}/") if root else path
            module = module_of(inner)
            if "." in posixpath.splitext(inner)[0]:  # the name of a file, which is no module's
                continue
            if self._is_hidden(root, module):
                continue
            begun = [*make(module), *([option, root] if option and root else []), *after]
            env = {"PYTHONPATH": f"/app/{root}"} if root and not option else {}
            env = self.better_root(begun, env)
            lacking = self._lacking(begun, env)
            cost = 10 * lacking + (1 if "PYTHONPATH" in env and option else 0)
            if best is None or cost < best[0]:
                best = cost, begun, env
        return (best[1], best[2]) if best else self.script_command(path)

    def _is_hidden(self, root: str, module: str) -> bool:
        """Return whether a folder that a module is in is not what Python imports by that name.

        A folder without __init__.py comes after a file and a package of its name.
        """
        *folders, _ = module.split(".")
        for n in range(1, len(folders) + 1):
            base = posixpath.join(root, *folders[:n])
            if f"{base}/__init__.py" not in self.codes and (
                f"{base}.py" in self.codes or (n == 1 and folders[0] in self._foreign)
            ):
                return True
        return False

    def _module_roots(self, path: str) -> list[str]:
        folders = path.split("/")[:-1]
        roots = ["/".join(folders[:n]) for n in range(len(folders) + 1)]
        if folders[:1] == ["src"] and "src/__init__.py" not in self.codes:
            roots = ["src", *(r for r in roots if r != "src")]
        if self.codes[path].relative:
            roots = [r for r in roots if r != "/".join(folders)] or roots
        # The folder that holds a package is the likeliest, for `a/b/__init__.py` it is a.
        return roots

    def _installed(self, path: str) -> str:
        """Return the name by which a file of an installed package is imported, or an empty text."""
        for name, folder in self.facts.packages.items() if self.facts.installed else ():
            if path.startswith(f"{folder}/"):
                return module_of(f"{name}/{path.removeprefix(f'{folder}/')}")
        return ""

    def script_command(self, path: str) -> tuple[list[str], dict[str, str]]:
        """Return how a file is run so that its own modules are found: by path, else by module."""
        installed = self._installed(path)
        dotted = installed or module_of(path)
        can_module = all(part.isidentifier() for part in dotted.split("."))
        by_module = ["python", "-m", dotted.removesuffix(".__main__")]
        by_path = ["python", path]
        if installed:
            return by_module, self.better_root(by_module, {})
        said_module = any(list(s.words[:3]) == by_module for s in self.hints)
        if (
            can_module
            and "/" in path
            and (self.codes[path].relative or path.endswith("__main__.py"))
        ):
            return by_module, self.better_root(by_module, {})
        options = [by_path, by_module] if can_module and "/" in path else [by_path]
        options = options[::-1] if said_module else options
        envs = [self.better_root(words, {}) for words in options]
        # The way that finds most with PYTHONPATH; of equals, the one that finds most without.
        scored = [
            (self._lacking(words, env), self._lacking(words, {}), number)
            for number, (words, env) in enumerate(zip(options, envs, strict=True))
        ]
        best = min(scored)[2]
        return options[best], envs[best]

    def parts_of(self, code: Code) -> int:
        """Return how many modules of the repository a file imports."""
        return len(self.own.intersection(n.partition(".")[0] for n in code.names.values()))

    def is_part(self, path: str) -> bool:
        """Return whether a script of the repository imports a file."""
        return any(self.may_run(other, self.codes[other]) for other in self.importers(path))

    def importers(self, path: str) -> Iterator[str]:
        """Yield the files of the repository that import a file, or load it by its path."""
        tail = f".{module_of(path).rpartition('.')[2]}."
        for other, code in self.codes.items():
            if (
                other != path
                and any(
                    tail in f".{whole}."
                    and (whole.startswith(".") or whole.partition(".")[0] in self.own)
                    for whole in code.names.values()
                )
            ) or (other != path and (path, False) in loaded(self.tree, other)):
                yield other

    def may_run(self, path: str, code: Code) -> bool:
        """Return whether a file is a script that may be a program."""
        *folders, name = path.split("/")
        if {*folders} & APART or name in NO_PROGRAMS or name.startswith("test_"):
            return False
        known = any(pattern.fullmatch(name.removesuffix(".py").lower()) for pattern, _ in SCRIPTS)
        return code.has_main or (code.is_script and (known or not folders))

    def file_of(self, words: Sequence[str], env: Mapping[str, str], workdir: str = "") -> str:
        """Return the file of the repository that a command begins with, or an empty text."""
        entry = entry_of(words, env, workdir)
        if entry is None:
            return ""
        if entry.path:
            return entry.path if entry.path in self.codes else ""
        base = entry.module.replace(".", "/")
        names = [f"{base}.py", f"{base}/__main__.py", f"{base}/__init__.py"]
        if "celery" in words:  # `-A package` is package.celery, and `-A module.name` a name
            parent = posixpath.dirname(base)
            named = [f"{parent}.py", f"{parent}/__init__.py"]
            exact = any(f"{entry.module}:" in word for word in words)
            names = [f"{base}/celery.py", *names, *([] if exact else named)]
        tops = self.tree.installed
        own = tops.get(entry.module.partition(".")[0])
        for root in (*entry.roots, *([] if own is None else [own])):
            for name in names:
                path = posixpath.normpath(posixpath.join(root, name))
                if path in self.codes:
                    return path
        return ""
