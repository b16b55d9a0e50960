"""RUN: code that trains and serves."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.patterns import regex
from lockstitch.repository.code.scripts import code_hints, imported_files, scripts
from lockstitch.repository.dockerfile import purpose
from lockstitch.repository.files import Repository
from lockstitch.repository.packaging.declared import of_folder
from lockstitch.repository.packaging.files import lock_files, project_folders, requirement_lists
from lockstitch.table import first_of

_SAFE_TORCH = (2, 6)  # where torch.load reads weights only by default
_LEAST = regex(r"(?:[=~>]=|>|\^)\s*(\d+\.\d+)")  # of a requirement
_HOME = regex(
    r"""(?<![\w./-])(?:/home|/Users)/(?!(?:user|app|jovyan|vscode|runner|ubuntu|root|nonroot|appuser|docker|node
    |airflow|coder|Shared|runneradmin|USER|NAME|<)\b)[A-Za-z][\w.-]*/|[A-Z]:\\\\?Users\\\\?\w""",
    re.VERBOSE,
)
_RUN = regex(r"(?m)^[ \t]*\w+\.run(?:_server)?\(")
_DEBUG = regex(r"\bdebug\s*=\s*True\b")
_EVERYWHERE = regex(r"\bhost\s*=\s*[\"']0\.0\.0\.0")
_BIG = 500_000  # bytes of a notebook's outputs
_LARGEST = 100 << 20


class RUN001(Rule):
    """A training script or notebook draws at random without a seed.

    Why: each run has another split, other trees, other weights: a score may have changed by your
    work or by chance, and you cannot tell which.

    Bad:
        X_train, X_test, y_train, y_test = train_test_split(X, y)
        model = RandomForestClassifier().fit(X_train, y_train)

    Good:
        X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=SEED)
        model = RandomForestClassifier(random_state=SEED).fit(X_train, y_train)

    Fix: give `random_state`, `np.random.default_rng(SEED)`, or call `torch.manual_seed(SEED)`.
    Source: scikit-learn, "Controlling randomness"; PyTorch, "Reproducibility".
    """

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        hints = code_hints(repo)
        anywhere = any("seeds" in hint for hint in hints.values())
        for path, script in scripts(repo).items():
            trains = hints[path] >= {"trains", "draws"}
            draws = script.draws if trains and not script.seeds else ()
            is_script = script.is_script or any(call.at_once for call in draws)
            if not draws or (not is_script and (anywhere or _is_library(repo, path))):
                continue  # whoever calls it may have set the seed
            if any("seeds" in hints.get(name, ()) for name in imported_files(repo, script)):
                continue
            names = dict.fromkeys(call.name.removeprefix("?.") for call in draws)
            shown = first_of([f"`{name.rpartition('.')[2]}`" for name in names], 3)
            what = "draws" if len(names) == 1 else "draw"
            if draws[0].name.rpartition(".")[2] in {"backward", "fit"}:  # of a network
                shown, what = "a network", "is trained"
            message = f"{shown} {what} without a seed: each run gives another result"
            hint = "random_state=SEED, np.random.default_rng(SEED) or torch.manual_seed(SEED)"
            yield self.finding(path, draws[0].line, message, hint=hint)


def _is_library(repo: Repository, path: str) -> bool:
    folder = purpose.owner(repo, path)
    return folder is not None and purpose.is_library(repo, folder)


class RUN002(Rule):
    """A server loads a pickle.

    Why: a pickle is a program: whoever can write the file runs code in the server, and another
    version of scikit-learn or of Python loads it wrong or not at all.

    Bad:
        app = FastAPI()
        model = joblib.load("model.pkl")

    Good:
        app = FastAPI()
        session = onnxruntime.InferenceSession("model.onnx")

    Fix: write ONNX, skops or safetensors when training, and load that. `torch.load` reads weights
    only with `weights_only=True`, the default of a lock with 2.6 or newer.
    Source: Python documentation, "pickle"; scikit-learn, "Model persistence".
    """

    severity = Severity.HINT

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        known = scripts(repo)
        reported = set()
        for path, script in known.items():
            if not script.serves or not path.endswith(".py"):
                continue
            for other in (path, *imported_files(repo, script)):
                for load in known[other].loads if other in known else ():
                    is_pickle = load.always or not _new_torch(repo)
                    if is_pickle and (other, load.line) not in reported:
                        reported.add((other, load.line))
                        where = "" if other == path else f", which `{path}` serves with"
                        message = f"`{load.name}` runs whatever is in the file that it loads{where}"
                        hint = "load ONNX, skops or safetensors instead"
                        yield self.finding(other, load.line, message, hint=hint)


def _new_torch(repo: Repository) -> bool:
    """Return whether every torch here reads weights only unless it is told not to.

    That is what the locks have or, where none has any, what the project requires.
    """
    versions = [package.version for lock in lock_files(repo) for package in lock.named("torch")]
    if not versions:
        listed = [(x.name, x.text) for file in requirement_lists(repo) for x in file.value.entries]
        listed += [
            (x.name, x.text) for folder in project_folders(repo) for x in of_folder(repo, folder)
        ]
        bounds = [_LEAST.search(text) for name, text in listed if name == "torch"]
        versions = [match[1] if match else "" for match in bounds]
    numbers = [re.match(r"(\d+)\.(\d+)", version) for version in versions]
    return bool(numbers) and all(n and (int(n[1]), int(n[2])) >= _SAFE_TORCH for n in numbers)


class RUN003(Rule):
    """The code holds a path of one person's machine.

    Why: it exists on that machine alone.

    Bad:
        df = pd.read_csv("/home/ada/churn/data/raw.csv")

    Good:
        df = pd.read_csv(Path(__file__).parent / "data" / "raw.csv")

    Fix: use a path relative to the file or to the working directory, or a setting.
    """

    default = False

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for path, hints in code_hints(repo).items():
            for number, line in enumerate(repo.lines(path), 1) if "homes" in hints else ():
                match = _HOME.search(line[:10_000])
                if match and not line.lstrip().startswith("#"):
                    message = f"`{match[0]}…` is on one machine alone"
                    yield self.finding(path, number, message, hint="Path(__file__).parent / …")


class RUN004(Rule):
    """A notebook is committed with large outputs.

    Why: each run changes them: every commit adds its megabytes to each clone for ever, and a review
    cannot see what changed.

    Bad:
        $ ls -s explore.ipynb
        8.4M explore.ipynb

    Good:
        $ nbstripout explore.ipynb

    Fix: `nbstripout`, as a hook or a git filter.
    """

    default = False

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for name in repo.names:
            path = repo.root / name
            if name.endswith(".ipynb") and not path.is_symlink() and path.is_file():
                size = path.stat().st_size
                if _BIG < size <= _LARGEST and (outputs := _outputs(path)) > _BIG:
                    message = f"the outputs have {outputs / 1e6:.1f} of {size / 1e6:.1f} MB"
                    yield self.finding(name, 0, message, hint=f"nbstripout {name}")


def _outputs(path: Path) -> int:
    try:
        document = json.loads(path.read_bytes())
        cells = [cell for cell in document["cells"] if isinstance(cell, dict)]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return 0
    return sum(len(json.dumps(cell["outputs"])) for cell in cells if cell.get("outputs"))


class RUN005(Rule):
    """Flask's debugger listens on all addresses.

    Why: the debugger of `debug=True` runs any Python that somebody types into its page. On
    0.0.0.0 that is everybody who reaches the port, in a container too.

    Bad:
        app.run(host="0.0.0.0", port=5000, debug=True)

    Good:
        app.run(host="0.0.0.0", port=5000)

    Fix: leave `debug` out, and start the service with gunicorn or waitress; for development,
    `flask --app app run --debug` listens on 127.0.0.1.
    Source: Flask documentation, "Debugging Application Errors".
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for path, hints in code_hints(repo).items():
            text = repo.text(path) or "" if "serves" in hints and path.endswith(".py") else ""
            for match in _RUN.finditer(text):
                words = _until_closed(text[match.end() : match.end() + 400])  # characters
                if _DEBUG.search(words) and _EVERYWHERE.search(words):
                    line = text.count("\n", 0, match.start()) + 1
                    message = "the debugger runs what anybody types who reaches the port"
                    hint = "take debug=True out, or listen on 127.0.0.1"
                    yield self.finding(path, line, message, hint=hint)


def _until_closed(text: str) -> str:
    """Return the text before the bracket that closes a call."""
    depth = 1
    for at, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if not depth:
            return text[:at]
    return ""
