"""Which programs a repository has: what it says itself, else what its code is; none is run."""

import itertools
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence

from lockstitch.listing import OF_ENVIRONMENTS
from lockstitch.python.commands import entry_of
from lockstitch.python.imports import Tree, reached
from lockstitch.repository.code.applications import Code, applications, code_of, texts_of
from lockstitch.repository.code.opened import Opened
from lockstitch.repository.code.variables import arguments_of, examples, subcommands_of
from lockstitch.repository.files import Repository, open_repository
from lockstitch.resources import load_table
from lockstitch.scaffold.init import commands
from lockstitch.scaffold.init.commands import NamedCommand
from lockstitch.scaffold.init.dockerfiles import Dockerfiles
from lockstitch.scaffold.init.facts import Facts
from lockstitch.scaffold.init.program import SERVE, TRAIN, Program, begun_in, module_of, moved
from lockstitch.scaffold.init.servers import SHOWN, Servers
from lockstitch.scaffold.init.starts import APART, NO_PROGRAMS, SCRIPTS, Starts
from lockstitch.values import frozen, replace

_SHOWS = frozenset({"demo", "demos", "sample", "samples", "tutorial", "tutorials"})
# What a training imports of the libraries of estimators, and a preparation does not.
_ESTIMATORS = re.compile(
    r"sklearn\.(?:linear_model|ensemble|svm|tree|neighbors|naive_bayes|neural_network|cluster"
    r"|gaussian_process|discriminant_analysis|mixture)\b|(?:xgboost|lightgbm|catboost)\b"
    r"|torch\.(?:nn|optim)\b|(?:tensorflow\.)?keras\b|statsmodels\.|prophet\."
)
# What a script has that cannot run without an argument.
_OF_DATA = re.compile(r"(?i)csv|data|input|file")  # in the name of an argument
TABLES = (".csv", ".csv.gz", ".parquet", ".tsv", ".xls", ".xlsx")
_REQUIRED = re.compile(
    r"required=True|add_argument\(\s*[\"']\w|sys\.argv\[[1-9]|click\.argument"
    r"|typer\.Argument\(\.\.\.|\.group\(|add_subparsers\(|LightningCLI\(|mark_flags?_as_required"
    r"|fire\.Fire\(|docopt\(|\.add_(?:typer|command)\("
    r"|(?s:\.command\(.*\.command\()"
)
_CONFIG = re.compile(r"(?:configs?/)?(?:config|default|base|train|fit)\.ya?ml")  # of Lightning
# A script that is there to be copied, by its name.
_SAMPLE = re.compile(r"(?:^|_)(?:templates?|samples?|examples?|boilerplate|skeleton)(?:_|$)")
# Folders of what keeps the repository itself in order.
_UPKEEP = frozenset({"tools", "tool", "dev", "ci", "hack", "maintenance", ".github"})
# What a plan of Airflow imports, which reads it, or a file of tests: nobody starts them.
_NOT_STARTED = frozenset(
    {"airflow.DAG", "airflow.models.DAG", "airflow.models.dag.DAG", "airflow.decorators.dag"}
    | {"airflow.sdk.DAG", "airflow.sdk.dag", "unittest", "unittest.TestCase", "pytest"}
)
_IDLE = frozenset(
    {"Path", "argument", "basicConfig", "command", "find_dotenv", "getLogger", "info"}
)
_IDLE |= {"load_dotenv", "main", "resolve"}
_OF_JUPYTER: dict[str, str] = load_table(__package__, "words.toml")["of_jupyter"]
_PARAMETERS = frozenset({"-p", "--parameters", "-r", "--parameters_raw", "-y", "--parameters_yaml"})


@frozen
class Found:
    """The programs of a repository, its code, and notes for a person."""

    repo: Repository
    codes: Mapping[str, Code]
    opened: Opened
    tree: Tree
    programs: tuple[Program, ...]
    others: tuple[Program, ...]  # scripts without an image
    notes: tuple[str, ...]
    examples: Mapping[str, str]  # variables of a file in place of `.env`


def find(facts: Facts, python: str) -> Found:
    """Return the programs of a folder; reads no file that is not in it."""
    repo = open_repository(facts.folder.root)
    apart = tuple(
        f"{posixpath.dirname(n)}/"
        for n in repo.every_name
        if "/" in n and posixpath.basename(n) in OF_ENVIRONMENTS
    )
    names = [
        n
        for n in repo.every_name
        if n.endswith(".py")
        and not n.startswith(apart)
        and facts.folder.inside(facts.folder.root / n)
    ]
    codes: dict[str, Code] = {}
    for name in names:
        text = repo.text(name)
        code = code_of(name, text) if text is not None else None
        if code is not None:
            codes[name] = code
    installed = {
        top: posixpath.dirname(path) for top, path in facts.packages.items() if facts.installed
    }
    version = (3, int(python.partition(".")[2] or 11))
    tree = Tree(frozenset(codes), repo.text, version, installed)
    starts = Starts(facts, repo, codes, tree)
    finder = _Finder(starts)
    programs = finder.programs()
    if not programs:
        texts = {
            name: text
            for name in repo.every_name
            if name.endswith(".ipynb")
            and not any(part.startswith(".") for part in name.split("/"))  # Jupyter's own copies
            and (text := facts.folder.notebook(name))
        }
        codes |= {n: code for n, text in texts.items() if (code := code_of(n, text))}
        starts.tree = Tree(
            frozenset(codes), lambda name: texts.get(name) or repo.text(name), version, installed
        )
        programs, finder.others = finder.notebooks([n for n in texts if n in codes])
    return Found(
        repo=repo,
        codes=codes,
        opened=Opened(
            codes,
            # A place of a volume, which only the service has, is none of the image.
            {n: v for p in programs for n, v in p.given.items() if not v.startswith("/")}
            | {n: v for p in programs for n, v in p.env.items()},
            lambda: (*commands.settings_of(repo), *texts_of(codes.values())),
            commands.public(examples(repo.text)),
        ),
        tree=starts.tree,
        programs=tuple(programs),
        others=tuple(finder.others),
        notes=tuple(starts.notes),
        examples=examples(repo.text),
    )


def shell_lines(repo: Repository, program: Program) -> Iterator[str]:
    """Yield the first line of a notebook that starts a shell, which bases do not have."""
    for number, line in enumerate(repo.lines(program.path), 1):
        match = re.match(r"""\s*"!\s*(\w[^"\\]*)""", line)
        if match:
            yield (
                f"`{program.path}:{number}` starts a shell: `dash` is added, and an image has "
                f"no more of `!{match[1].strip()}`"
            )
            break


class _Finder:
    """One repository."""

    def __init__(self, starts: Starts) -> None:
        self._starts = starts
        self._servers = Servers(starts)
        self._dockerfiles = Dockerfiles(starts, self._servers)
        self.others: list[Program] = []

    def programs(self) -> list[Program]:
        """Return the programs, each image's name once, sorted by what they are for."""
        chosen: dict[str, Program] = {}
        images = [*commands.images(self._starts.repo, self._starts.installed_scripts.keys())]
        for image in images or commands.processes(self._starts.repo):
            program = self._dockerfiles.program(image)
            if program is not None:
                name = self._free(program, chosen)
                if name:
                    chosen[name] = replace(program, image=name)
        served = any(p.port for p in chosen.values())
        if served:
            self._without_image([*chosen.values()])
        steps = [step for p in chosen.values() for step in (p, *p.before)]
        trained = any("train" in n for s in steps for n in (s.image, posixpath.basename(s.path)))
        if not served:
            for program in map(self._told, self._servers.programs()):
                name = self._free(program, chosen)
                if name:
                    chosen[name] = replace(program, image=name)
        if not any(p.port for p in chosen.values()):  # `uvicorn package.http:build --factory`
            told = (replace(hint, label=SERVE) for hint in self._starts.hints if hint.serves)
            named = (p for p in map(self._dockerfiles.program, told) if p and p.path and p.port)
            chosen.update((program.image, program) for program in itertools.islice(named, 1))
        scripts = [*self._scripts()] or [*self._scripts(of_any_name=True)]
        started = {p.path for p in chosen.values()}
        rest = [
            p
            for p in scripts
            if p.path not in started and not (chosen and {*p.path.split("/")[:-1]} & _SHOWS)
        ]
        trainers = [p for p in rest if p.image == TRAIN] or [  # main.py, which starts a pipeline
            replace(p, image=TRAIN)
            for p in rest
            if chosen and p.image == "app" and _starts_training(self._starts.codes[p.path])
        ]
        if trainers and not trained and TRAIN not in chosen:
            chosen[TRAIN] = self._starter(trainers[0], scripts)
            scripts = [p for p in scripts if p.path != chosen[TRAIN].path]
        if not chosen:
            chosen.update((program.image, program) for program in [*self._console()][:1])
        if not chosen and scripts:
            first = self._likeliest(scripts)
            chosen[first.image] = first
        used = {p.path for p in chosen.values()}
        self.others = [p for p in scripts if p.path not in used]
        return [chosen[name] for name in sorted(chosen, key=lambda n: (n != TRAIN, n))]

    def _told(self, program: Program) -> Program:
        """Return a server whose file is run with the arguments that it cannot run without."""
        if program.command[0] != "python" or program.command[-1].isdecimal():
            return program
        hints = [hint for hint in self._starts.hints if self._starts.points(hint, program.path)]
        arguments, source, _ = self._arguments(program.path, hints)
        reason = f"{program.reason}; its arguments are of {source}" if arguments else program.reason
        return replace(program, command=(*program.command, *arguments), reason=reason)

    def notebooks(self, names: Sequence[str]) -> tuple[list[Program], list[Program]]:
        """Return the notebook that an image runs, the likeliest, and the others.

        IPython runs one without a server, in the notebook's folder, as Jupyter does; papermill one
        that is given parameters.
        """
        told: dict[str, NamedCommand] = {}
        for named in self._starts.hints:
            paths = (posixpath.normpath(posixpath.join(named.folder, word)) for word in named.words)
            for path in [path for path in paths if path in names][:1]:
                told.setdefault(path, named)

        def rank(name: str) -> tuple[bool, int, str]:
            stem = posixpath.basename(name).removesuffix(".ipynb").lower()
            words = re.sub(r"^\d+[\s._-]*|[\s._-]*\d*$", "", re.sub(r"[\s.-]+", "_", stem))
            return name not in told, _place_of(words), name

        books = []
        for name in sorted(names, key=rank):
            base = posixpath.basename(name)
            hint = told.get(name)
            given = hint.words if hint is not None and hint.words[0] == "papermill" else ()
            at = next((n for n, word in enumerate(given) if word in _PARAMETERS), len(given))
            words: tuple[str, ...] = ("ipython", base)
            needs = {"ipython": "ipython", "nbformat": "nbformat"}
            reason = f"{name}:1: a notebook, as there is no other program"
            if hint is not None and at < len(given):
                options = [o for o in given[at:] if o not in {"-k", "--kernel"}]
                words = ("papermill", base, "/tmp/out.ipynb", "--log-output", *options)  # noqa: S108 -- in a container
                needs = {"papermill": "papermill", "ipykernel": "ipykernel"}
                reason = f"{name}:1: a notebook; its parameters are of {hint.source}"
            books.append(
                Program(
                    image="notebook",
                    kind="notebook",
                    path=name,
                    command=words,
                    reason=reason,
                    env=self._starts.better_root(words, _OF_JUPYTER, posixpath.dirname(name)),
                    needs=needs,
                    workdir=posixpath.dirname(name),
                )
            )
        return books[:1], books[1:]

    def _starter(self, trainer: Program, scripts: Sequence[Program]) -> Program:
        """Return the script that is said to be started and that imports a training, or that."""
        said_to_start = {
            p.path
            for p in scripts
            if any(self._starts.points(hint, p.path) for hint in self._starts.hints)
        }
        tail = f".{module_of(trainer.path).rpartition('.')[2]}."
        starters = (
            replace(p, image=TRAIN)
            for p in scripts
            if p.path in said_to_start
            and any(tail in f".{whole}." for whole in self._starts.codes[p.path].names.values())
        )
        return trainer if trainer.path in said_to_start else next(starters, trainer)

    def _likeliest(self, scripts: Sequence[Program]) -> Program:
        """Return the likeliest script by name, by what it fits, by its place in a pipeline."""
        stem = posixpath.basename(scripts[0].path).removesuffix(".py").lower()
        if not any(pattern.fullmatch(stem) for pattern, _ in SCRIPTS[:5]):
            for script in scripts:
                if _fits(self._starts.codes[script.path]) and not self._starts.is_part(script.path):
                    return replace(script, image=TRAIN)
        last, left = scripts[0], [*scripts[1:]]
        while after := next((s for s in left if not {*s.reads}.isdisjoint(last.makes)), None):
            last, left = after, [script for script in left if script is not after]
        return last if last.port else replace(last, image="app")

    def _without_image(self, programs: Sequence[Program]) -> None:
        """Say which pages no Dockerfile starts, and no program that one starts is made of."""
        entries = [entry_of(p.command, p.env, p.workdir) for p in programs]
        used = {p.path for p in programs}.union(
            *(reached(self._starts.tree, e) for e in entries if e)
        )
        pages = [
            f"`{application.path}:{application.line}`"
            for application in self._servers.applications
            if application.kind in {*SHOWN, "dash"}
            and application.path not in used
            and "pages" not in application.path.split("/")
        ]
        if pages:
            self._starts.notes.append(
                f"pages that no Dockerfile starts, without an image: {', '.join(pages[:5])}"
            )

    def _free(self, program: Program, taken: Mapping[str, Program]) -> str:
        """Return a name for a program's image that is not taken, empty for one that is there."""
        for other in taken.values():
            same = (other.command, other.path) == (program.command, program.path)
            if same or _differs_by_options(other, program):
                return ""
        base = program.image
        candidates = [base, f"{base}-{program.kind}", *(f"{base}-{n}" for n in range(2, 9))]
        return next((name for name in candidates if name not in taken), "")

    def _console(self) -> Iterator[Program]:
        """Yield the programs that the metadata of an installed package names."""
        if not self._starts.facts.installed:
            return
        for name, target in self._starts.installs.items():
            module = target.partition(":")[0]
            path = self._starts.file_of(["python", "-m", module], {})
            if path:
                hints = [hint for hint in self._starts.hints if hint.words[0] == name]
                arguments, source, earlier = self._arguments(path, hints)
                program = Program(
                    image="app",
                    kind="console",
                    path=path,
                    command=(name, *arguments),
                    # A module beside the packages is not installed with them.
                    env=self._starts.better_root(["python", "-m", module], {}),
                    reason=f"pyproject.toml: the program `{name}` is `{target}`"
                    + (f"; its arguments are of {source}" if source else ""),
                )
                yield _after(program, [(name, *given) for given in earlier])

    def _scripts(self, *, of_any_name: bool = False) -> Iterator[Program]:
        """Yield a program for each file that is run, those by whose names one knows them first.

        A name that says nothing counts at the root, or with `of_any_name`.
        """
        ranked = []
        for path, code in self._starts.codes.items():
            stem = posixpath.basename(path).removesuffix(".py").lower()
            parts = path.split("/")[:-1]
            if (
                {*parts} & APART
                or posixpath.basename(path) in NO_PROGRAMS
                or stem.startswith("test_")
                or _NOT_STARTED & {*code.names.values()}
                or ("dotenv.find_dotenv" in code.calls and _is_idle(code))
            ):
                continue
            hints = [s for s in self._starts.hints if self._starts.points(s, path)]
            place = _place_of(stem)
            image = SCRIPTS[place][1] if place < len(SCRIPTS) else "app"
            if place == len(SCRIPTS) and code.has_main and _starts_training(code):
                place, image = 2, TRAIN
            is_script = code.has_main or code.is_script
            # train.py, whatever is in it, unless it is a part of another program.
            named = place < 1 and len(parts) <= 2 and not self._starts.is_part(path)
            if not (is_script or named) or (
                place == len(SCRIPTS)
                and not (code.has_main or hints or of_any_name)
                and len(parts) > 0
            ):
                continue
            hinted = next((n for n, s in enumerate(self._starts.hints) if s in hints), 10**6)
            ranked.append(
                (
                    (
                        _SAMPLE.search(stem) is not None or bool({*parts} & _UPKEEP),
                        (place, not hints, place == len(SCRIPTS) and self._starts.is_part(path)),
                        (not code.has_main, len(parts), hinted, -self._starts.parts_of(code), path),
                    ),
                    image,
                    path,
                    hints,
                )
            )
        for _, image, path, hints in sorted(ranked, key=lambda row: row[0]):
            kinds = self._servers.kind_of(path)
            if kinds != "script" and (image != TRAIN or kinds in SHOWN):
                continue
            words, env = self._starts.script_command(path)
            arguments, source, earlier = self._arguments(path, hints)
            asks = () if arguments else tuple(arguments_of(self._starts.codes[path]))
            data = [n for n in self._starts.repo.names if n.endswith(TABLES)]
            if len(asks) == len(data) == 1 and _OF_DATA.search(asks[0]):
                arguments = (*(word for word in asks if word.startswith("-")), data[0])
                asks, source = (), "a guess: the only table of the repository"
            line = next(
                (e.line for e in applications(self._starts.codes[path]) if e.kind == "script"), 1
            )
            reason = f"{path}:{line}: a script" + (
                f"; its arguments are of {source}" if source else ""
            )
            program = Program(
                image=image,
                kind="script",
                path=path,
                command=(*words, *arguments),
                reason=reason,
                env={name: value for s in hints for name, value in s.env.items()} | env,
                outputs=tuple(o for s in hints for o in s.outputs),
                reads=tuple(o for s in hints for o in s.needs),
                makes=tuple(o for s in hints for o in s.makes),
                begun=begun_in(path, hints),
                asks=asks,
            )
            program = _after(program, [(*words, *given) for given in earlier])
            if image == "app" and (port := self._listens(words, env, hints if arguments else ())):
                program = replace(program, image=SERVE, port=port[0], health=port[1])
            folder = begun_in(path, [hint for hint in hints if _is_stage(hint)])
            yield moved(program, folder) if folder else program

    def _listens(
        self, words: Sequence[str], env: Mapping[str, str], hints: Sequence[NamedCommand]
    ) -> tuple[int, str] | None:
        """Return the port that a script is told to serve on, and the route of what it runs."""
        port = next((hint.port for hint in hints if hint.port), 0)
        entry = entry_of(words, env)
        parts = [*reached(self._starts.tree, entry)] if port and entry else []
        codes = [self._starts.codes[path] for path in parts if path in self._starts.codes]
        if not any("uvicorn.run" in c.calls or "waitress.serve" in c.calls for c in codes):
            return None
        health = (app.health for code in codes for app in applications(code) if app.health)
        return port, next(health, "")

    def _arguments(
        self, path: str, hints: Sequence[NamedCommand]
    ) -> tuple[tuple[str, ...], str, list[tuple[str, ...]]]:
        """Return the arguments that the repository gives a script, and where it says so.

        Those of a README count only for a script that cannot run without. Of several, those that
        train count; what the others make first, where it is missing, comes third.
        """
        modules = (
            reached(self._starts.tree, entry) if (entry := entry_of(("python", path), {})) else ()
        )
        parts = {path, *(name for name in modules if name in self._starts.codes)}
        if path.endswith("__main__.py"):
            parts |= {
                n for n in self._starts.codes if posixpath.dirname(n) == posixpath.dirname(path)
            }
        required = any(_REQUIRED.search(self._starts.repo.text(name) or "") for name in parts)
        told: list[tuple[tuple[str, ...], NamedCommand]] = []
        for hint in hints:
            words = list(hint.words)
            by_module = 3 if words[:2] == ["python", "-m"] else len(words)
            by_module = 1 if words[0] in self._starts.installs else by_module
            places = [posixpath.normpath(posixpath.join(hint.folder, word)) for word in words]
            given = words[places.index(path) + 1 if path in places else by_module :]
            usable = not any(
                not word or re.search(r"[<>${}\[\]]|path/to|\.\.\.|^--(?:help|version)$", word)
                for word in given
            )
            if given and usable:
                told.append((tuple(given), hint))
        sure = [  # no example, as those of a README are
            (given, hint)
            for given, hint in told
            if hint.is_made or hint.source.startswith("Procfile") or _is_stage(hint)
        ] or (told if required else [])
        if sure:
            chosen, hint = min(
                sure, key=lambda pair: min(_place_of(pair[1].label), _place_of(pair[0][0]))
            )
            missing = [
                w for w in chosen if "/" in w and "." in w and not self._starts.repo.exists(w)
            ]
            missing += [name for name in hint.needs if not self._starts.repo.exists(name)]
            earlier = [w for w, _ in sure[: sure.index((chosen, hint))] if w[0] != chosen[0]]
            return chosen, hint.source, earlier if missing else []
        words = subcommands_of(self._starts.codes[path]) if path in self._starts.codes else []
        word = min(words, key=_place_of, default="")
        more: tuple[str, ...] = ()
        if word == "fit" and "LightningCLI" in (self._starts.repo.text(path) or ""):
            config = next((n for n in self._starts.repo.every_name if _CONFIG.fullmatch(n)), "")
            more = ("--config", config) if config else ()
        return ((word, *more), f"{path}, one of {', '.join(words)}", []) if word else ((), "", [])


def _place_of(word: str) -> int:
    """Return how likely a word is the name of what an image does, the least being the best."""
    stem = word.replace("-", "_")
    places = (n for n, (pattern, _) in enumerate(SCRIPTS) if pattern.fullmatch(stem))
    return next(places, len(SCRIPTS))


def _is_stage(hint: NamedCommand) -> bool:
    """Return whether a command is of a pipeline, which starts it in the folder of its file."""
    return re.search(r"(?i)(?:^|/)(?:dvc\.yaml|mlproject):", hint.source) is not None


def _is_idle(code: Code) -> bool:
    """Return whether a script does nothing but log, as the one that cookiecutter's template has."""
    return {name.rpartition(".")[2] for name in code.calls} <= _IDLE


def _starts_training(code: Code) -> bool:
    """Return whether a script imports a module of a training, as `components.model_trainer`."""
    trains = [pattern for pattern, image in SCRIPTS if image == TRAIN]
    modules = {whole.rpartition(".")[0].rpartition(".")[2] for whole in code.names.values()}
    return any(pattern.fullmatch(module) for pattern in trains for module in modules)


def _fits(code: Code) -> bool:
    """Return whether a file makes an estimator and fits it."""
    has = any(_ESTIMATORS.match(name) for name in code.names.values())
    return has and any(name.endswith((".fit", ".backward", "gbm.train")) for name in code.calls)


def _after(program: Program, earlier: Sequence[tuple[str, ...]]) -> Program:
    """Return a program that runs after others of its file."""
    return replace(program, before=tuple(replace(program, command=words) for words in earlier))


def _differs_by_options(one: Program, other: Program) -> bool:
    """Return whether one Dockerfile starts one program twice, with other options alone."""

    def words(program: Program) -> list[str]:
        return [word for word in program.command if not word.startswith("-")]

    return bool(one.path) and one.reason == other.reason and words(one) == words(other)
