"""Which files an image's program needs beside its packages, and which folders it writes."""

import ast
import itertools
import posixpath
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from lockstitch import files
from lockstitch.python.commands import entry_of
from lockstitch.python.imports import Reach, follow, reached
from lockstitch.python.model import BESIDE
from lockstitch.python.names import known_modules
from lockstitch.python.size import shown
from lockstitch.python.tables import table
from lockstitch.repository.code.applications import Code, applications
from lockstitch.repository.code.opened import SQLITE, PathUse, downloads, values_of
from lockstitch.repository.code.started import started_by
from lockstitch.repository.code.variables import variables_of
from lockstitch.repository.files import Repository
from lockstitch.repository.text.ignore import is_git_ignored
from lockstitch.scaffold.init import eras
from lockstitch.scaffold.init.commands import public
from lockstitch.scaffold.init.facts import Facts
from lockstitch.scaffold.init.program import Program, moved
from lockstitch.scaffold.init.programs import TABLES, Found
from lockstitch.scaffold.init.tables import declared, dependencies, groups, is_of

_LARGEST = 100 << 20  # bytes of a file or folder that an image gets without being asked
_MOST = 60  # files that a pattern of the code may mean
_POINTER = b"version https://git-lfs"
_SETTINGS = (".yaml", ".yml", ".toml", ".json", ".ini", ".cfg", ".properties")
_MOST_SETTINGS = 50_000  # characters of a file of settings that names other files
_NEVER = re.compile(
    r"(?:.*/)?(?:\.env(?:\..*)?|\.git(?:ignore|attributes|keep)?|requirements[\w.-]*\.te?xt|\.dockerignore"
    r"|Dockerfile[\w.-]*|pyproject\.toml|poetry\.lock|uv\.lock|setup\.(?:py|cfg)|Pipfile(?:\.lock)?"
    r"|README[\w.]*|LICENSE[\w.]*|.*\.pyc|secrets\.toml|(?:docker-)?compose[\w.-]*\.ya?ml|Makefile"
    r"|environment\.ya?ml|dvc\.lock|.*\.dvc)"
)
# A model, by its name: what a program that fills a folder of it is taken to write.
_MODEL = re.compile(
    r"\.(?:pkl|pickle|joblib|sav|onnx|pt|pth|h5|hdf5|keras|cbm|ubj|bst|bin|safetensors|npy|npz)$"
    r"|/\*\*$|(?i:model|scaler|encoder|vectorizer|pipeline)[^/]*\.(?:json|txt|ya?ml)$"
)
# A key of a file of settings that names a folder to write, and its value.
_WRITTEN = re.compile(
    r"(?im)^[ \t]*[\"']?[\w-]*"
    r"(?:out|log|save|artifact|checkpoint|result|model|report|figure|plot|metric)[\w-]*"
    r"(?:dir|path|folder)[\w-]*[\"']?[ \t]*[:=][ \t]*[\"']?([\w./-]*[a-z][\w./-]*)[\"']?,?[ \t]*$"
)
# Where Hydra keeps its runs: `dir: results/${now:%Y}`.
_RUN_FOLDER = re.compile(r"(?m)^[ \t]+dir[ \t]*:[ \t]*[\"']?(?:\./)?([\w-]+)(?:/.*)?$")
_MADE = re.compile(r"_version(?:__)?\.py$|_pb2(?:_grpc)?\.py$")  # by a build
_TO_FOLDER = re.compile(r"set_tracking_uri\((?!\s*f?[\"'](?:https?|sqlite|postgresql|mysql):)")
# An option that names what a program reads.
_INPUT = re.compile(
    r"--?(?:\w+[-_])*(?:data|dataset|input|raw|source|csv|config)(?:[-_](?:path|file|csv|dir))*"
)
_RUNS = re.compile(r"(?:.*/)?(?:mlflow\.db$|mlruns/)")
_WORKERS = frozenset({"rq", "arq", "dramatiq"})  # which import what a task names
_SITES = frozenset({"flask", "dash", "quart"})
_STORE = "bentoml-store"  # the folder of the project that is BENTOML_HOME
_STATIC = re.compile(r"(?m)^STATIC_ROOT\s*=[^\n\"']*[\"']([\w/.-]+)[\"']")  # of Django
_HERE = re.compile(r"https?://(?:localhost|127\.0\.0\.1|0\.0\.0\.0):(\d+)")
_SENTENCE = re.compile(r"[.,:;!?] |(?: [^ ]+){4}")  # words for people, and no name of a folder
_COMMAND = re.compile(r"(?:python3?|bash|sh|pip|git|cp|mv|rm|docker|java|make|spark-submit) ")
# An option behind which a folder to write stands.
_TAKES_OUTPUT = re.compile(
    r"-o|--?[\w-]*out(?:put)?s?|--?(?:[\w-]*[_-])?(?:out(?:put)?|save|log|result|report|artifact"
    r"|checkpoint|model)s?[_-]?(?:dir|path|folder|root)"
)
_OUTPUTS = frozenset(
    {"logs", "log", "artifacts", "outputs", "output", "results", "reports", "models", "uploads"}
)


@dataclass(slots=True)
class Contents:
    """The files that an image includes and writes, why, and those left out."""

    program: Program  # in the folder in which it finds what it opens
    include: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    asked: dict[int, tuple[str, str]] = field(default_factory=dict)  # on its own machine, by port
    keeps: set[str] = field(default_factory=set)  # README, .gitkeep of folders that it writes
    written: list[str] = field(default_factory=list)  # files, and folders that end in /
    ends: frozenset[str] = frozenset()  # of the names of files that its code and settings have
    env: dict[str, str] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    absent: dict[str, str] = field(default_factory=dict)  # files that it reads, and where
    variables: dict[str, str] = field(default_factory=dict)  # that it needs, and where
    started: dict[str, str] = field(default_factory=dict)  # programs that it starts, and where


def covered(path: str, globs: Iterable[str]) -> bool:
    """Return whether any glob means a path."""
    return any(files.matches(path, glob) for glob in globs)


def is_model(name: str) -> bool:
    """Return whether a file is a model by its name."""
    return _MODEL.search(name) is not None


def contents_of(
    facts: Facts,
    known: Found,
    program: Program,
    written: Collection[str] = (),
    wanted: Collection[str] = (),
) -> Contents:
    """Return the files of a program's image, by the code that it may reach.

    It starts where it finds what other programs have `written`, or makes what is `wanted` of it.
    """
    return _Reader(facts, known, program, written, wanted).contents()


class _Reader:
    """One program."""

    def __init__(
        self,
        facts: Facts,
        known: Found,
        program: Program,
        written: Collection[str],
        wanted: Collection[str],
    ) -> None:
        self._facts = facts
        self._elsewhere = written
        self._asked = wanted
        self._found = known
        self._repo: Repository = known.repo
        self._program = program
        self._names = [
            n for n in known.repo.every_name if n.isprintable() and not _NEVER.fullmatch(n)
        ]
        self._set = frozenset(self._names)
        self._all = frozenset(f.name for f in files.walk(facts.folder.root) if not f.outside)
        self._wanted: dict[str, str] = {}  # file -> where the code names it
        self._contents = Contents(program=program)
        self._writes_anywhere = False
        self._renamed: list[str] = []  # globs of what has another name yet

    def contents(self) -> Contents:
        """Return the whole of it."""
        program, result = self._program, self._contents
        modules = self._modules()
        if program.folder and program.kind == "django":
            modules |= self._below(program.folder)
            self._take_django()
        if program.command[0] in _WORKERS and not program.path:
            modules |= self._below(program.workdir or ".")
        uses = [
            (m, use)
            for m in sorted(modules)
            if m in self._found.codes
            for use in self._found.opened.paths_of(m)
        ]
        workdir = "" if program.workdir or program.folder else self._workdir(uses)
        if program.kind == "notebook" and self._is_read_above(uses):
            program = self._program = result.program = moved(program, "")
            result.reasons.append("what it opens is found from the project's folder alone")
        if workdir:
            program = moved(program, workdir)
            self._program = result.program = program
            result.reasons.append(f"what it opens is found from the folder `{workdir}`")
        result.env = dict(program.env)
        self._variables(modules)
        self._imports()
        self._stored(modules)
        self._tracking(modules)
        self._home(modules)
        self._write(uses)
        self._made()
        for word in program.command[1:]:
            path = posixpath.join(program.workdir, word.rpartition("=")[2] or ".")
            path = posixpath.normpath(path)
            for name in [path] if path in self._set else self._inside(path):
                if not name.endswith(".py"):
                    self._wanted.setdefault(name, "its command")
        for module, use in uses:
            self._read(module, use)
        self._conventions(modules)
        for name in list(self._wanted):
            self._settings(name)
        for name in sorted(self._wanted) if self._writes_anywhere else ():
            if name.endswith(TABLES) or is_model(name):
                self._output(posixpath.dirname(name), f"{self._wanted[name]}, where it may write:")
        result.ends = frozenset(self._ends(modules))
        python = self._python(modules, uses)
        data = self._globs()
        include = {*python, *data}
        if program.command[0] == "flask":  # which takes its folder for a package, and not its root
            include.discard("__init__.py")
        for glob in program.include:
            if not glob.endswith(".py") and self._is_small(glob) and not covered_by(glob, include):
                include.add(glob)
        result.include = without_parts(
            glob for glob in include if any(files.matches(n, glob) for n in self._all)
        )
        folders = {*result.outputs}
        result.keeps = {n for n in self._all - self._set if posixpath.dirname(n) in folders}
        result.outputs = tops(result.outputs)
        result.include += [*self._renamed, *keeping(result)]
        return result

    def _variables(self, modules: set[str]) -> None:
        """Give a program the variables that it needs, as far as the repository says them."""
        program, result = self._program, self._contents
        for module in sorted(modules & self._found.codes.keys()):
            for name, line in variables_of(self._code(module)):
                if name not in program.env:
                    result.variables.setdefault(name, f"{module}:{line}")
            for name, line in started_by(self._code(module)):
                result.started.setdefault(name, f"{module}:{line}")
        shown = public(self._found.examples)
        for given, source in ((program.given, "the compose file"), (shown, "an example of `.env`")):
            for name in sorted(result.variables.keys() & given.keys()):
                result.env[name] = given[name]
                result.reasons.append(f"{result.variables.pop(name)}: `{name}` is of {source}")

    def _imports(self) -> None:
        """Say which modules of its own folders a program imports and the repository lacks."""
        program = self._program
        entry = entry_of(program.command, program.env, program.workdir)
        named = declared(self._facts).union(*groups(self._facts).values())
        told: set[str] = set()
        for lack in follow(self._found.tree, entry) if entry else ():
            if lack.top in known_modules() or is_of(lack.top, named) or _MADE.search(lack.file):
                continue
            if lack.file in told or lack.reach is not Reach.CERTAIN:
                continue
            if lack.file and not self._repo.exists(lack.file):
                told.add(lack.file)
                by_git = ": git ignores it" if is_git_ignored(self._repo, lack.file) else ""
                self._contents.notes.append(
                    f"`{lack.path}:{lack.line}` imports `{lack.module}`, and `{lack.file}` is not "
                    f"in this folder{by_git}"
                )

    def _ends(self, modules: set[str]) -> Iterator[str]:
        """Yield the ends of names that have a dot: `model.pkl`, and `.pkl` of f"{name}.pkl"."""
        for module in modules & self._found.codes.keys():
            for node in ast.walk(self._code(module).tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield posixpath.basename(node.value)
                    for match in _HERE.finditer(node.value):
                        where = f"{module}:{node.lineno}"
                        self._contents.asked.setdefault(int(match[1]), (match[0], where))
        for name in self._wanted:
            if name.endswith(_SETTINGS) and (text := self._repo.text(name)):
                yield from (posixpath.basename(word) for _, word in values_of(text))

    def _stored(self, modules: set[str]) -> None:
        """Keep BentoML's store in a folder of the project where a program of it writes a model."""
        users = [m for m in sorted(modules & self._found.codes.keys()) if _stores(self._code(m))]
        saves = any(_stores(self._code(m)) == "writes" for m in users)
        if not users or not any(_stores(code) == "writes" for code in self._found.codes.values()):
            return
        self._contents.env["BENTOML_HOME"] = f"/app/{_STORE}"
        self._output(_STORE, f"{users[0]}: BentoML's models are in `{_STORE}`, and it")
        models = f"{_STORE}/models/"
        if saves:
            self._contents.written.append(models)
        else:
            self._contents.absent[f"{models}**"] = users[0]

    def _code(self, module: str) -> Code:
        return self._found.codes[module]

    def _tracking(self, modules: set[str]) -> None:
        """Keep MLflow's runs in a folder: its newer versions write a database beside the code."""
        users = [
            m
            for m in sorted(modules & self._found.codes.keys())
            if any(n.partition(".")[0] == "mlflow" for n in self._code(m).names.values())
        ]
        name = "MLFLOW_TRACKING_URI"
        texts = [self._repo.text(m) or "" for m in modules]
        is_set = any("set_tracking_uri" in text or name in text for text in texts)
        if not users or (is_set and (self._program.stays or name not in self._contents.variables)):
            lines = [*dependencies(self._facts), *self._facts.inputs.constraints]
            if any(_TO_FOLDER.search(text) for text in texts):
                if not eras.is_below(eras.specifiers_of(lines, "mlflow"), "3"):
                    self._contents.env["MLFLOW_ALLOW_FILE_STORE"] = "true"
                if not any("set_experiment" in text for text in texts):
                    # A folder that is there, if empty, gets no experiment of its own.
                    self._contents.env.setdefault("MLFLOW_EXPERIMENT_NAME", "Default")
            return
        if name not in self._contents.env:
            self._contents.variables.pop(name, None)
            self._contents.env[name] = "sqlite:///mlruns/mlflow.db"
            self._contents.reasons.append(f"{users[0]}: MLflow's runs go to the folder `mlruns`")

    def _home(self, modules: set[str]) -> None:
        """Give a program that keeps downloads in its home folder one that it can write."""
        codes = [self._found.codes[m] for m in sorted(modules) if m in self._found.codes]
        where = next((code.path for code in codes if downloads(code)), "")
        if where and "HOME" not in self._contents.env:
            self._contents.env["HOME"] = "/tmp"  # noqa: S108 -- in a container
            self._contents.reasons.append(f"{where}: keeps files in the home folder")

    @property
    def _trains(self) -> bool:
        name = posixpath.basename(self._program.path)
        return self._program.image == "train" or "train" in name

    def _modules(self) -> set[str]:
        """Return the files that the program is made of, and those that it starts by their names."""
        program = self._program
        command = ("python", program.path) if program.kind == "console" else program.command
        entries = [entry_of(command, program.env, program.workdir)]
        modules = {program.path} & self._found.codes.keys()
        looked: set[str] = set()
        while entries:
            entry = entries.pop()
            new = {*reached(self._found.tree, entry)} if entry else {*modules}
            for module in sorted(new & self._found.codes.keys()):
                for use in self._found.opened.paths_of(module) if module not in looked else ():
                    name = re.sub(r"^python3? ", "", use.text)
                    if name != use.text and not started_by(self._code(module)):
                        continue  # a command that is shown to people
                    if name in self._found.codes and name not in modules | new:
                        entries.append(entry_of(("python", name), program.env))
            looked |= new
            modules |= new
        return modules

    def _is_read_above(self, uses: Sequence[tuple[str, PathUse]]) -> bool:
        """Return whether files that a notebook reads are there from the project's folder alone."""
        reads = {u.text for _, u in uses if u.kind in {"reads", "folder"} and not u.anchored}
        beside = {text for text in reads if self._there(f"{self._program.workdir}/{text}")}
        return not beside and any("*" not in text and self._there(text) for text in reads)

    def _workdir(self, uses: Sequence[tuple[str, PathUse]]) -> str:
        """Return the folder in which what is opened is found, where that is not the project's."""
        known = [use for _, use in uses if not use.anchored and "*" not in use.text]
        texts = {u.text.rstrip("/") for u in known if u.kind in {"reads", "folder"}}
        writes = {u.text.rstrip("/") for u in known if u.kind in {"writes", "fills"}}
        own = posixpath.dirname(self._program.path)
        parts = own.split("/") if own else []
        above = ["/".join(parts[:n]) for n in range(len(parts), 0, -1)]
        hits = {
            folder: sum(self._there(posixpath.join(folder, text)) for text in texts)
            for folder in ("", *above)
        }
        folder = max(hits, key=lambda folder: hits[folder])  # the project's, where several have all
        if hits[folder]:
            # In a package's own folder, flask takes its name to be below the package.
            is_own = f"{folder}/__init__.py" in self._found.codes
            return "" if is_own and self._program.command[0] == "flask" else folder
        for text in sorted(writes):
            for name in sorted(self._asked):
                if name.endswith(f"/{text}"):
                    return name.removesuffix(f"/{text}")
        upward = [text for text in texts | writes if text.startswith("../")]
        if upward and not any(posixpath.normpath(f"{own}/{t}").startswith("..") for t in upward):
            return own
        takes = self._program.path in self._program.command[:-1]
        return self._program.begun if texts or writes or takes else ""

    def _there(self, path: str) -> bool:
        path = posixpath.normpath(path)
        there = (name == path or name.startswith(f"{path}/") for name in self._elsewhere)
        return path in self._set or self._is_folder(path) or any(there)

    def _below(self, folder: str) -> set[str]:
        prefix = "" if folder == "." else f"{folder}/"
        return {n for n in self._found.codes if n.startswith(prefix) and "/tests/" not in n}

    def _take_django(self) -> None:
        prefix = "" if self._program.folder == "." else f"{self._program.folder}/"
        apps = {posixpath.dirname(n) for n in self._found.codes if n.startswith(prefix)}
        gathers = any("collectstatic" in step.command for step in self._program.before)
        for name in self._names:
            root = (
                gathers and name.startswith(prefix) and _STATIC.search(self._repo.text(name) or "")
            )
            if root and name in self._found.codes:
                self._output(posixpath.join(prefix, root[1]), f"{name}: `collectstatic`")
            inside = name.startswith(prefix) and not name.endswith((".sqlite3", ".md", ".lock"))
            part = {*name.split("/")} & {"templates", "static", "locale", "fixtures"}
            if inside and part and any(not a or name.startswith(f"{a}/") for a in apps):
                self._wanted.setdefault(name, f"{self._program.path}:1")
            if name == f"{prefix}db.sqlite3":
                self._wanted.setdefault(name, f"{self._program.path}:1")

    # --- Python files

    def _python(self, modules: set[str], uses: Sequence[tuple[str, PathUse]]) -> set[str]:
        """Return the globs of the code that stays in the tree."""
        globs = {g for g in self._facts.loose if any(files.matches(n, g) for n in self._all)}
        globs -= {p.path for p in self._found.programs} - modules
        others = {p.path.partition("/")[0] for p in self._found.programs if p.port}
        others -= {name.partition("/")[0] for name in modules}
        if self._program.include:  # a Dockerfile that copies one by one
            named = self._program.include
            globs = {glob for glob in globs if covered_by(glob, named)}
        elif not self._program.port:  # what serves, and nothing of it is imported here
            globs = {g for g in globs if g.partition("/")[0] not in others or "/" not in g}
        home = self._program.workdir.partition("/")[0]
        if home:  # an application in a folder of its own takes from others what it imports
            globs = {g for g in globs if g.startswith(f"{home}/") or "/" not in g}
        own = (
            {f"{path}/" for path in self._facts.packages.values()}
            if self._facts.installed
            else set()
        )
        # What the command names by its path is started from the tree, and so is all in its folder.
        places = [
            f"{posixpath.normpath(posixpath.join(self._program.workdir, word))}/"
            for word in self._program.command[1:]
        ]
        here = f"{self._program.workdir}/"
        own = {
            p for p in own if not p.startswith(here) and not any(e.startswith(p) for e in places)
        }
        for name in sorted(modules):
            if covered(name, globs) or any(name.startswith(path) for path in own):
                continue
            folder = name.partition("/")[0]
            loose = "/" not in name or name.endswith(".ipynb")
            globs.add(name if loose else f"{folder}/**/*.py")
        # Of an installed package, modules that are imported by their bare names stay in the tree.
        paths = self._program.env.get("PYTHONPATH", "").split(":")
        globs |= {
            f"{path}**/*.py"
            for path in own
            if any(f"{place}/".startswith(f"/app/{path}") for place in paths)
        }
        # A package that looks for files beside itself stays beside them: the tree's copy is
        # imported before the installed one.
        outside = [
            (m, use)
            for m, use in uses
            if use.anchored
            and use.kind != "writes"
            and any(m.startswith(path) for path in own)
            and not any(use.text.startswith(path) for path in own)
            and (use.text in self._set or self._is_folder(use.text))
        ]
        if outside:
            for path in own:
                globs.add(f"{path}**")
                root = posixpath.dirname(path.rstrip("/"))
                first = f"/app/{root}" if root else "/app"
                there = self._contents.env.get("PYTHONPATH", "")
                if first not in there.split(":"):
                    self._contents.env["PYTHONPATH"] = f"{first}:{there}" if there else first
            where = f"{outside[0][0]}:{outside[0][1].line}"
            self._contents.reasons.append(
                f"{where}: the package looks for files beside itself, so it stays in the tree"
            )
        return globs

    # --- what is read

    def _read(self, module: str, use: PathUse) -> None:
        where = f"{module}:{use.line}"
        text = use.text.rstrip("/")
        told = text not in self._set and _SENTENCE.search(text)
        if not text or text in {"*", "."} or told or _NEVER.fullmatch(text):
            return
        matches = self._matches(module, use)
        if not matches and "\\" in text and self._there(text.replace("\\", "/")):
            self._contents.absent.setdefault(text, where)
            if (own := text.replace("\\", "/")) in self._set:  # for when it is mended
                self._wanted.setdefault(own, where)
            return
        for name in matches:
            if not name.endswith((".py", ".ipynb")):
                self._wanted.setdefault(name, where)
        if matches or use.kind not in {"reads", "folder"} or "*" in text:
            return
        if text in self._all and text not in self._repo.every_name:
            self._contents.left_out.append(f"`{text}` ({where}): git ignores it")
        elif use.kind == "reads" and posixpath.splitext(text)[1] and not self._is_folder(text):
            base = "" if use.anchored or text[1:2] == ":" else self._program.workdir
            path = posixpath.normpath(posixpath.join(base, text))
            self._contents.absent.setdefault(path, where)

    def _matches(self, module: str, use: PathUse) -> list[str]:
        """Return the files of the repository that a path of the code means."""
        text = use.text.rstrip("/")
        bases = [""]
        if not use.anchored:
            bases = list(dict.fromkeys([self._program.workdir, ""]))
            folder = posixpath.dirname(module)
            while folder:
                bases.append(folder)
                folder = posixpath.dirname(folder)
            if self._program.folder not in {"", "."}:
                bases.insert(1, self._program.folder)
        for base in bases:
            path = posixpath.normpath(posixpath.join(base, text))
            if "*" in path:
                continue
            if path in self._set:
                return [path]
            if self._is_folder(path) and self._takes_folder(use, path):
                return [n for n in self._names if n.startswith(f"{path}/")]
        if "*" not in text:
            return []
        tail = text.lstrip("*").lstrip("/")
        if not re.search(r"[A-Za-z0-9]{2}", tail.replace("*", "")):
            return []
        if text.startswith("*"):
            names = [n for n in self._names if files.matches(n, f"**/{tail}")]
            names = names or [n for n in self._names if tail and n.startswith(f"{tail}/")]
        else:
            names = [n for n in self._names if files.matches(n, text)]
            literal = text.partition("*")[0].rpartition("/")[0]
            if not names and literal and use.kind in {"reads", "folder"}:
                names = [n for n in self._names if n.startswith(f"{literal}/")]
        return names if len(names) <= _MOST else []

    def _takes_folder(self, use: PathUse, path: str) -> bool:
        """Return whether a folder's name in the code means its files."""
        if use.kind in {"folder", "reads"}:
            return True
        return (
            use.kind == "names"
            and not any(n.startswith(f"{path}/") and n.endswith(".py") for n in self._found.codes)
            and path not in _OUTPUTS - {"models"}
        )

    def _inside(self, folder: str) -> list[str]:
        if folder in {".", ""} or self._is_code(folder):
            return []
        return [n for n in self._names if n.startswith(f"{folder}/")]

    def _is_folder(self, path: str) -> bool:
        return any(name.startswith(f"{path}/") for name in self._names)

    def _settings(self, name: str) -> None:
        """Take the files that a file of settings names."""
        text = self._repo.text(name) if name.endswith(_SETTINGS) else None
        if text is None or len(text) > _MOST_SETTINGS:
            return
        here = self._program.workdir
        for line, word in values_of(text):
            self._database(word, f"{name}:{line}")
            if SQLITE.fullmatch(word):
                continue
            inside = posixpath.normpath(posixpath.join(here, word))
            path = inside if self._there(inside) else posixpath.normpath(word)
            below = [n for n in self._names if n.endswith(f"/{path}")] if "/" in path else []
            if path in self._set and path not in self._wanted and not path.endswith(".py"):
                self._wanted[path] = f"{name}:{line}"
            elif self._is_folder(path) and "/" in word and not self._is_code(path):
                self._folder(path, f"{name}:{line}")
            elif len(below) == 1:  # in a folder that another line names
                self._wanted.setdefault(below[0], f"{name}:{line}")
            elif _is_file_name(path) and "/" in path and not path.startswith(("/", "..")):
                folder = posixpath.dirname(inside)
                if path in self._found.opened.named or inside in self._found.opened.named:
                    continue  # code says what it does with it
                if is_model(path) and self._program.stays:
                    self._contents.absent.setdefault(inside, f"{name}:{line}")
                elif not self._is_folder(folder) or folder in _OUTPUTS:
                    self._output(folder, f"{name}:{line}")
                    self._contents.written.append(inside)
        runs = _RUN_FOLDER.finditer(text) if re.search(r"(?m)^hydra:", text) else ()
        for match in (*_WRITTEN.finditer(text), *runs):
            value = match[1].removeprefix("./").rstrip("/")
            if not posixpath.splitext(value)[1] and value not in {"true", "false", "null"}:
                line = 1 + text[: match.start(1)].count("\n")
                self._output(posixpath.join(here, value), f"{name}:{line}")

    def _is_code(self, path: str) -> bool:
        return any(n.startswith(f"{path}/") for n in self._found.codes)

    def _conventions(self, modules: set[str]) -> None:
        """Take the folders that frameworks and people look for without naming them."""
        kind, path = self._program.kind, self._program.path
        folder = posixpath.dirname(path)
        own = sorted(modules & self._found.codes.keys())
        sites = [m for m in own if any(a.kind in _SITES for a in applications(self._code(m)))]
        for module in dict.fromkeys([*sites, *([path] if kind in _SITES else [])]):
            for name in ("templates", "static", "assets"):
                self._folder(posixpath.join(posixpath.dirname(module), name), f"{module}:1")
            self._templates(posixpath.join(folder, "templates"))
        if kind == "streamlit":
            self._folder(posixpath.join(folder, "pages"), f"{path}:1")
            for name in (
                ".streamlit/config.toml",
                posixpath.join(folder, ".streamlit/config.toml"),
            ):
                if name in self._set:
                    self._wanted.setdefault(name, f"{path}:1")
        if posixpath.basename(path) == "env.py" and self._program.command[0] != "python":
            for name in ("alembic.ini", posixpath.join(folder, "alembic.ini")):  # migrations
                self._wanted |= {name: f"{path}:1"} if name in self._set else {}
            self._folder(folder, f"{path}:1")
        if "kedro" in table(self._facts.document, "tool"):
            for name in ("conf", "data"):
                self._folder(name, f"{path}:1")
            self._output("data", f"{path}: Kedro's catalog")
            if not any(name.startswith("conf/local/") for name in self._wanted):
                self._output("conf/local", f"{path}: Kedro wants the folder, which")
        data = "data" if self._trains else "models"
        if not any(n.startswith(f"{data}/") for n in self._wanted) and self._program.kind != "said":
            self._folder(data, "")

    def _templates(self, folder: str) -> None:
        """Include templates that only Windows finds, so that `build` says how to rename them."""
        if any(name.startswith(f"{folder}/") for name in self._names):
            return
        tops = {name[: len(folder)] for name in self._names if name[len(folder) :][:1] == "/"}
        other = next((top for top in sorted(tops) if top.lower() == folder.lower()), "")
        if other and any("flask.render_template" in c.calls for c in self._found.codes.values()):
            self._contents.notes.append(
                f"`{other}` is no `{folder}` on Linux, where Flask looks: git mv {other} {folder}"
            )
            self._renamed.append(f"{folder}/**")

    def _folder(self, folder: str, where: str) -> None:
        for name in self._names:
            if name.startswith(f"{folder}/") and not name.endswith(".py"):
                self._wanted.setdefault(name, where)

    # --- globs

    def _globs(self) -> set[str]:
        """Return globs of the wanted files, those left out that are too large or no files."""
        good: set[str] = set()
        bad: set[str] = set()
        total = 0
        for name, where in sorted(self._wanted.items()):
            path = self._facts.folder.root / name
            # Runs of MLflow name folders of the machine that they are of: a training begins anew.
            if name not in self._all or (self._trains and _RUNS.match(name)):
                continue
            size = path.stat().st_size
            at = f" ({where})" if where else ""
            if size < 1024 and path.read_bytes()[: len(_POINTER)] == _POINTER:
                good.add(name)  # an error of `build` until it is fetched
                self._contents.notes.append(
                    f"`{name}`{at} is a pointer of Git LFS: git lfs pull, before lockstitch build"
                )
            elif size > _LARGEST or total + size > 5 * _LARGEST:
                bad.add(name)
                self._contents.left_out.append(
                    f"`{name}`{at}: {shown(size)}, over {shown(_LARGEST)}"
                )
            else:
                good.add(name)
                total += size
                if where:
                    self._contents.reasons.append(f"{where}: `{name}`")
        return self._grouped(good, bad)

    def _grouped(self, good: set[str], bad: set[str]) -> set[str]:
        """Return files as globs of folders where all that is in a folder is wanted."""
        globs: set[str] = set()
        waiting = sorted(good)
        while waiting:
            name = waiting[0]
            parts = name.split("/")
            for depth in range(1, len(parts)):
                folder = "/".join(parts[:depth])
                inside = {n for n in self._all if n.startswith(f"{folder}/")}
                if inside <= good and len(inside) > 0 and not inside & bad:
                    globs.add(f"{folder}/**")
                    waiting = [n for n in waiting if n not in inside]
                    break
            else:
                globs.add(name)
                waiting = waiting[1:]
        return globs

    def _is_small(self, glob: str) -> bool:
        total = sum(
            (self._facts.folder.root / n).stat().st_size
            for n in self._names
            if n in self._all and files.matches(n, glob)
        )
        return 0 < total < _LARGEST

    # --- what is written

    def _made(self) -> None:
        """Take the folders that the repository says are made, and those of databases in `env`."""
        for folder in self._program.outputs:
            self._output(folder, self._program.reason.partition(": ")[0])
        for name, value in self._contents.env.items():
            self._database(value, f"`{name}`")
        for word in self._program.command[1:]:
            path = posixpath.normpath(posixpath.join(self._program.workdir, word))
            inside = [name for name in self._all if name.startswith(f"{path}/")]
            if inside and all(posixpath.basename(name).startswith(".git") for name in inside):
                self._output(path, "its command")
            self._database(word, "its command")

    def _database(self, text: str, where: str) -> None:
        """Let the program write a database of SQLite, where a text is the address of one."""
        if database := SQLITE.fullmatch(text):
            folder, name = posixpath.split(database["path"])
            self._output(folder, where)
            if folder in {"", "."}:
                self._beside(name, where)

    def _write(self, uses: Sequence[tuple[str, PathUse]]) -> None:
        filled = {use.text.rstrip("/") for _, use in uses if use.kind == "fills"}
        read = {use.text.rstrip("/") for _, use in uses if use.kind in {"reads", "folder"}}
        unknown = [
            f"{m}:{u.line}" for m, u in uses if u.kind in {"writes", "fills"} and u.text[:1] == "*"
        ]
        for module, use in uses:
            where = f"{module}:{use.line}"
            if use.kind not in {"writes", "fills"} or use.text in {"*", ""}:
                continue
            text = use.text.rstrip("/")
            if not use.anchored and self._program.workdir:
                text = posixpath.normpath(posixpath.join(self._program.workdir, text))
            self._contents.written.append(f"{text}/" if use.kind == "fills" else text)
            literal = text.partition("*")[0] if "*" in text else text
            if "*" in text:
                folder = literal.rpartition("/")[0]
            elif use.kind == "fills" and not posixpath.splitext(text)[1]:
                folder = text
            else:
                folder = posixpath.dirname(text)
            if folder:
                self._output(folder, where)
            elif text[0] != "*" and (posixpath.splitext(text)[1] or text not in filled):
                self._beside(text, where)
        if unknown and not self._program.stays:
            self._writes_anywhere = True
            self._contents.outputs.append(BESIDE)
            self._contents.reasons.append(f"{unknown[0]}: only a run tells where it writes")
        if unknown:
            self._named_by_command(f"{unknown[0]}, by its command")
            for module, use in uses:
                text = use.text.rstrip("/")
                if use.kind != "names" or "*" in text or use.text in self._set:
                    continue
                where = f"{module}:{use.line}"
                is_page = text.endswith((".html", ".css", ".js"))
                named = "/" in text and _is_file_name(text) and not is_page
                if named and text not in read:
                    self._output(posixpath.dirname(text), where)
                elif text in _OUTPUTS and not self._is_folder(text):
                    self._output(text, where)

    def _named_by_command(self, where: str) -> None:
        """Take the files that the command names and that are not there: most are written."""
        words = [part for word in self._program.command for part in word.split("=", 1)]
        for option, word in itertools.pairwise(words):
            path = posixpath.normpath(posixpath.join(self._program.workdir, word))
            known = {*self._set, *self._program.reads}
            if _TAKES_OUTPUT.fullmatch(option) and not posixpath.splitext(word)[1]:
                self._contents.written.append(f"{path}/")
                self._output(path, where)
            if not _is_file_name(word) or path.endswith(".py") or path in known:
                continue
            if _INPUT.fullmatch(option):
                self._contents.absent.setdefault(path, "its command")
            else:
                self._contents.written.append(path)
                self._output(posixpath.dirname(path), where)

    def _beside(self, name: str, where: str) -> None:
        """Let the program write beside its code, and say what would be better."""
        result = self._contents
        if BESIDE not in result.outputs:
            result.outputs.append(BESIDE)
            result.reasons.append(f"{where}: writes `{name}` beside the code")
            result.notes.append(
                f"image `{self._program.image}` may write beside its code (`outputs`), as "
                f"`{name}` is written there ({where}): a folder of its own would keep the code safe"
            )

    def _output(self, folder: str, where: str) -> None:
        folder = posixpath.normpath(folder)
        if (folder.startswith((".", "/")) and not folder.startswith("./")) or folder in {"", "."}:
            return
        if not re.fullmatch(r"[\w.+@-]+(?:[ /][\w.+@-]+)*", folder) or _SENTENCE.search(folder):
            return
        if _COMMAND.match(folder):
            return
        if folder not in self._contents.outputs:
            self._contents.outputs.append(folder)
            self._contents.reasons.append(f"{where}: writes `{folder}`")


def _stores(code: Code) -> str:
    """Return whether code "writes" a model to BentoML's store, "reads" one from it, or neither."""
    lasts = {name.rpartition(".")[2] for name in code.calls if name.startswith("bentoml.")}
    if lasts & {"save_model", "import_model"} or "bentoml.models.create" in code.calls:
        return "writes"
    return "reads" if lasts & {"get", "load_model", "load_runner", "BentoModel"} else ""


def _is_file_name(path: str) -> bool:
    """Return whether a path ends as the names of files do; `Mozilla/5.0` does not."""
    return re.fullmatch(r"\.[A-Za-z]\w*", posixpath.splitext(path)[1]) is not None


def covered_by(glob: str, others: Iterable[str]) -> bool:
    """Return whether a glob of a folder is below one of others."""
    return any(
        o == glob
        or (o.endswith("/**") and glob.startswith(o.removesuffix("**")))
        or (
            o.endswith("/**/*.py")
            and glob.endswith(".py")
            and glob.startswith(o[: -len("**/*.py")])
        )
        for o in others
    )


def without_parts(globs: Iterable[str]) -> list[str]:
    """Return globs, sorted, without those that another one has in it."""
    every = set(globs)
    return sorted(g for g in every if not covered_by(g, every - {g}))


def keeping(contents: Contents) -> list[str]:
    """Return the files that keep folders to write below `outputs`, which have only their tops."""
    return sorted(n for n in contents.keeps if posixpath.dirname(n) not in contents.outputs)


def tops(folders: Sequence[str]) -> list[str]:
    """Return folders without those below another one, the folder of the code last."""
    ordered = sorted(set(folders), key=lambda folder: (folder == BESIDE, folder))
    return [f for f in ordered if not any(f.startswith(f"{o}/") for o in ordered)]
