"""IMG: what goes from a project into its builds, secrets among it."""

import posixpath
import re
from collections.abc import Iterator

from lockstitch.audit.rule import Finding, Rule, Severity, Skip
from lockstitch.patterns import regex
from lockstitch.repository.dockerfile.contexts import Context
from lockstitch.repository.dockerfile.images import ImageFile, image_files
from lockstitch.repository.dockerfile.instruction import Instruction
from lockstitch.repository.dockerfile.stages import Step, line_of
from lockstitch.repository.files import Repository
from lockstitch.repository.text import ignore, lines
from lockstitch.repository.text.ignore import is_git_ignored
from lockstitch.repository.text.lines import Edit

_WILD = set("*?[")
_NEVER = (
    *(".git", ".venv", "venv", ".env", ".env.*", "**/__pycache__", "**/*.pyc"),
    *("**/.ipynb_checkpoints", "**/.mypy_cache", "**/.pytest_cache", "**/.ruff_cache"),
    *("**/.DS_Store",),
)
_WHOLE = {"", ".", "*"}
_MADE = regex(
    r"(?i)(?:^|/)(?:dist|build|target|out|outputs?|artifacts?|[\w-]*models?|mlruns|weights"
    r"|checkpoints?|node_modules|public|static|wheels?|wheelhouse|vendor)(?:/|$)"
    r"|\.(?:whl|gz|zip|jar|pkl|pickle|joblib|pt|pth|onnx|h5|keras|bin|safetensors|gguf|cbm|ubj"
    r"|model|so|crt|pem)$"
)
_VERSIONED_BY_GIT = regex(
    r"setuptools[-_]scm|hatch-vcs|versioningit|dunamai|dynamic-versioning|vcs-versioning|pbr\b"
)
_DATA = (".csv", ".tsv", ".parquet", ".feather", ".npy", ".npz", ".jsonl", ".jpg", ".png", ".zip")
_LOCKERS = {
    "requirements-lock.txt": "uv export --format requirements.txt -o requirements-lock.txt",
    "uv.lock": "uv lock",
    "poetry.lock": "poetry lock",
}
_MODELS = (".pkl", ".joblib", ".pt", ".pth", ".onnx", ".h5", ".keras", ".safetensors", ".bin")
_SECRET = regex(
    r"(?:.*_)?(?:PASSWORD|PASSWD|PASSPHRASE|SECRET|TOKEN|API_?KEY|ACCESS_?KEY(?:_ID)?|SECRET_?KEY"
    r"|PRIVATE_?KEY|CREDENTIALS?)",
    re.IGNORECASE,
)
_NO_SECRET = regex(r"(?i)(?:.*_)?(?:EOS|BOS|PAD|UNK|SEP|CLS|MASK|STOP|START|END|MAX|PUBLIC)_\w+")
_NO_VALUE = regex(
    r"(?i)|none|null|true|false|yes|no|on|off|\d+|[./~<].*|.*(?:dummy|placeholder|unused|not.?(?:used"
    r"|set)|build.?(?:time|only)).*"
)
_ADDRESS = regex(r"\w://(?P<user>[^\s/@:\"']*):(?P<secret>[^\s/@\"']+)@")
_KEPT = regex(r"(?i)#.*\b(?:keep|needs?|needed|used?|not|requires?|required)\b")
_WORD = regex(r"(?<![\w.])\.?\w+")
_VARIABLE = regex(r"\$\{?(\w+)")
_SECRET_FILES = frozenset(
    {".env", ".netrc", ".pypirc", ".git-credentials", "id_rsa", "id_ed25519", "id_ecdsa"}
    | {"kubeconfig", ".pgpass"}
)
_EXAMPLE = regex(r"\.env\.(?:example|sample|template|dist|defaults?|test|ci)")


class IMG013(Rule):
    """COPY names a file that is not there, or that .dockerignore keeps out.

    Why: the build stops at this line, on the machine of whoever has no such file.

    Bad:
        # .dockerignore has *.txt
        COPY requirements.txt .

    Good:
        # .dockerignore has *.txt and !requirements.txt
        COPY requirements.txt .

    Fix: correct the path (it counts from the build's folder, not from the Dockerfile's), or let
    the file in with `!` below the line that keeps it out.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for image in image_files(repo):
            for step, source in _copies(image):
                message, hint = _gone(repo, image, source)
                if message:
                    line = line_of(step.instruction, source)
                    yield self.finding(image.path, line, message, hint=hint)


def _gone(repo: Repository, image: ImageFile, source: str) -> tuple[str, str]:
    if source.startswith("#"):
        message = f"`{source}` begins no comment in the middle of a line: COPY takes it for a file"
        return message, "write the comment on a line of its own"
    path = posixpath.normpath("/" + source).lstrip("/")
    if not path or _WILD & set(path) or "\\" in source:
        return "", ""
    contexts = image.contexts
    tracked = repo.tracked or ()  # a clone may lack what git has
    there = [c for c in contexts if c.path(path) in tracked or repo.exists(c.path(path))]
    if all(_keeps_out(repo, context, path) for context in there or contexts):
        ignore = contexts[0].ignore.path if contexts[0].ignore else ".dockerignore"
        message = f"`{source}` is kept out of the build by `{ignore}`, so COPY does not find it"
        return message, f"add `!{path}` below the line of `{ignore}` that keeps it out"
    if there or any(_is_made(repo, context.path(path)) for context in contexts):
        return "", ""
    folders = " or ".join(f"`{context.folder or '.'}`" for context in contexts)
    message = f"`{source}` is not there: COPY looks in {folders}"
    command = _LOCKERS.get(posixpath.basename(path))
    if command:
        return message, f"{command}  # writes it; then commit it"
    return message, "correct the path: it counts from the folder that is given to the build"


def _keeps_out(repo: Repository, context: Context, path: str) -> bool:
    if context.ignore is None:
        return False
    if repo.is_folder(context.path(path)):
        return context.ignore.excludes_all(path)
    return context.ignore.excludes(path)


def _copies(image: ImageFile) -> Iterator[tuple[Step, str]]:
    """Yield the copies from the context: each step with each of its certain sources."""
    for step in image.all_steps:
        copied = step.copied
        if copied is None or copied.origin:
            continue
        comment = next((word for word in copied.sources if word.startswith("#")), "")
        for source in [comment] if comment else copied.sources:
            expanded = copied.known or "$" not in step.instruction.text
            if expanded and "://" not in source and not source.startswith(("git@", "<<")):
                yield step, source


def _clean(source: str) -> str:
    path = posixpath.normpath("/" + source).lstrip("/")
    return "" if path == "." else path


def _copies_all(image: ImageFile) -> Step | None:
    """Return the first step that copies the whole context."""
    return next((step for step, source in _copies(image) if _clean(source) in _WHOLE), None)


def _named_sources(repo: Repository, folder: str) -> set[str]:
    """Return the paths, from a context's folder, that COPY names in any Dockerfile of it."""
    return {
        _clean(source)
        for image in image_files(repo)
        if any(context.folder == folder for context in image.contexts)
        for _, source in _copies(image)
    } - _WHOLE


def _is_made(repo: Repository, path: str) -> bool:
    """Return whether a file that is not there may be made or fetched before the build."""
    if _MADE.search(path) or is_git_ignored(repo, path):
        return True
    parents = [path]
    while parents[-1]:
        parents.append(posixpath.dirname(parents[-1]))
    if any(repo.exists(f"{parent}.dvc") for parent in parents[:-1]):
        return True
    pipeline = (repo.text("dvc.yaml") or "") + (repo.text("Makefile") or "")
    base = posixpath.basename(path)
    if path in pipeline or (base in pipeline and not base.startswith("requirements")):
        return True
    modules = repo.text(".gitmodules") or ""
    return any(f"path = {parent}\n" in modules for parent in parents[:-1])


class IMG014(Rule):
    """The whole folder is copied and there is no .dockerignore.

    Why: the history in .git, the machine's .venv, caches and the passwords in .env all go into
    a layer of the image, and each commit or test run spoils the cache of the build.

    Bad:
        COPY . .

    Good:
        # .dockerignore
        .git
        .venv
        .env
        **/__pycache__

    Fix: add a .dockerignore to the folder of the build; `lockstitch check --fix` does.
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        seen = set()
        for image in image_files(repo):
            step = _copies_all(image)
            if step is None or any(context.ignore is not None for context in image.contexts):
                continue
            folders = tuple(context.folder for context in image.contexts) or image.path
            if any(stage.is_python for stage in image.stages) and folders not in seen:
                seen.add(folders)
                message = "the whole folder is copied and no .dockerignore leaves anything out"
                hint = "add a .dockerignore with .git, .venv, .env and caches"
                line, fix = step.instruction.first, _made(repo, image)
                yield self.finding(image.path, line, message, hint=hint, fix=fix)


def _made(repo: Repository, image: ImageFile) -> list[Edit]:
    """Return the edit that makes a .dockerignore; none where the build's folder is not certain."""
    if len(image.contexts) != 1:
        return []
    (context,) = image.contexts
    named = _named_sources(repo, context.folder)
    patterns = [line for line in _NEVER if not any(map(ignore.read("", line).excludes, named))]
    if _needs_git(repo, context):
        patterns.remove(".git")
    path = posixpath.join(context.folder, ".dockerignore")
    return [Edit(path=path, start=0, end=0, text="".join(f"{pattern}\n" for pattern in patterns))]


class IMG015(Rule):
    """A .dockerignore lets in what no image should have.

    Why: .git holds all that ever was in the project, .env its passwords; .venv and data make
    the build slow and the image large.

    Bad:
        # .dockerignore, and the Dockerfile has COPY . .
        __pycache__

    Good:
        # .dockerignore
        __pycache__
        .git
        .venv
        .env

    Fix: add the lines; `lockstitch check --fix` adds those for .git, .venv and .env.
    Source: Docker, "Build context": patterns match from the folder of the build and do not
    recurse as those of .gitignore do.
    """

    fixes = True

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        seen: set[str] = set()
        for image in image_files(repo):
            if _copies_all(image) is None or len(image.contexts) != 1:
                continue
            (context,) = image.contexts
            if context.ignore is None or context.ignore.path in seen:
                continue
            if any(stage.is_python for stage in image.stages):
                listed = _let_in(repo, image, context)
                if listed:
                    seen.add(context.ignore.path)
                    yield self._of(repo, context.ignore.path, listed)

    def _of(self, repo: Repository, path: str, copied: list[str]) -> Finding:
        listed = ", ".join(f"`{name}`" for name in copied)
        verb = "is" if len(copied) == 1 else "are"
        message = f"{listed} {verb} not left out, and the whole folder is copied"
        text = repo.text(path) or ""
        added = [name for name in copied if name.startswith(".")]
        last = max(1, len(text.splitlines()))
        edit = lines.add_below(path, text, last, "".join(f"{name}\n" for name in added))
        fix = [edit] if added else []
        return self.finding(path, 1, message, hint=f"add {' '.join(copied)}", fix=fix)


def _needs_git(repo: Repository, context: Context) -> bool:
    """Return whether a build asks git for the version."""
    for name in ("pyproject.toml", "setup.py", "setup.cfg"):
        if _VERSIONED_BY_GIT.search(repo.text(context.path(name)) or ""):
            return True
    return any(
        call.program == "git" and not call.begins("clone") and not call.begins("config")
        for image in image_files(repo)
        if any(place.folder == context.folder for place in image.contexts)
        for stage in image.stages
        for step in stage.steps
        for call in step.calls
    )


def _let_in(repo: Repository, image: ImageFile, context: Context) -> list[str]:
    """Return the files that COPY of the whole context takes along and no image should have."""
    names = []
    own = repo.tracked is None or repo.exists(".git")
    if not context.folder and own and not _needs_git(repo, context):
        names.append(".git")
    hints = {
        ".venv": ("uv.lock", "poetry.toml"),
        ".env": (".env.example", ".env.sample", ".env.template"),
    }
    for name, others in hints.items():
        hinted = any(repo.exists(context.path(path)) for path in (name, *others))
        if hinted or is_git_ignored(repo, context.path(name)):
            names.append(name)
    serving = [product.serves for product in image.products]
    if serving and all(serving):
        names += [folder for folder in ("data", "datasets") if _holds(repo, context, folder, _DATA)]
    elif serving and not any(serving):
        names += ["models"] if _holds(repo, context, "models", _MODELS) else []
    named = _named_sources(repo, context.folder)
    comments = repo.lines(context.ignore.path) if context.ignore else []
    decided = {word for line in comments if _KEPT.match(line) for word in _WORD.findall(line)}
    return [
        name
        for name in names
        if not context.excludes(name)
        and name not in named | decided
        and (name.startswith(".") or not _is_opened(repo, image, context, name))
    ]


def _is_opened(repo: Repository, image: ImageFile, context: Context, folder: str) -> bool:
    """Return whether a step of the build, or code that goes into the image, opens the folder."""
    wanted = re.compile(
        rf"(?:[\"'\s=(/]|^)(?:\./)?{re.escape(folder)}(?:[/\"'\s)]|$)", re.MULTILINE
    )
    texts = [s.instruction.text for s in image.all_steps if s.instruction.name != "COPY"]
    start = f"{context.folder}/" if context.folder else ""
    code = [n for n in repo.names if n.startswith(start) and n.endswith((".py", ".yaml", ".yml"))]
    texts += [repo.text(name) or "" for name in code[:500]]  # files that are searched for a folder
    return any(map(wanted.search, texts))


def _holds(repo: Repository, context: Context, folder: str, endings: tuple[str, ...]) -> bool:
    """Return whether a folder has files of a kind, is no package, and is left out nowhere."""
    path = context.path(folder)
    inside = [name for name in repo.every_name if name.startswith(f"{path}/")]
    if any(name.endswith("/__init__.py") for name in inside):
        return False
    start = len(context.folder) + 1 if context.folder else 0
    kept = [name for name in inside if not context.excludes(name[start:])]
    return any(name.lower().endswith(endings) for name in kept)


class IMG019(Rule):
    r"""A secret goes into the image.

    Why: ARG stands in the history of the image, ENV in its settings, a copied file in a layer,
    and deleting it later deletes nothing. Whoever can pull the image can read them.

    Bad:
        ARG INDEX_TOKEN
        RUN pip install --index-url https://ci:$INDEX_TOKEN@packages.example.com/simple model

    Good:
        RUN --mount=type=secret,id=netrc,target=/root/.netrc \
            pip install --index-url https://packages.example.com/simple model

    Fix: give it to the build as `--secret`, and to the container when it starts.
    Source: Docker, "Build secrets"; BuildKit's check SecretsUsedInArgOrEnv.
    """

    severity = Severity.ERROR

    def find(self, repo: Repository) -> Iterator[Finding | Skip]:
        for image in image_files(repo):
            steps = image.all_steps
            for instruction in [*image.dockerfile.args, *(step.instruction for step in steps)]:
                for line, message, hint in _secrets(instruction):
                    yield self.finding(image.path, line, message, hint=hint)
            for step in steps:
                for name in _secret_files(step):
                    line = line_of(step.instruction, name)
                    message = f"`{name}` goes into a layer of the image"
                    hint = "give it to the container when it starts: --env-file, or a mount"
                    yield self.finding(image.path, line, message, hint=hint)


def _secrets(instruction: Instruction) -> Iterator[tuple[int, str, str]]:
    if instruction.name in {"ARG", "ENV"}:
        for pair in instruction.pairs:
            if not _SECRET.fullmatch(pair.name) or _NO_SECRET.fullmatch(pair.name):
                continue
            given = {*_VARIABLE.findall(pair.raw)} & instruction.scope.arguments  # by `--build-arg`
            asks = instruction.name == "ARG" and not pair.value
            if not asks and not given and _NO_VALUE.fullmatch(pair.value or ""):
                continue
            where = "the settings" if instruction.name == "ENV" else "the history"
            message = f"`{instruction.name} {pair.name}` puts a secret into {where} of the image"
            hint = "RUN --mount=type=secret,id=… for the build; --env or --env-file for a run"
            yield line_of(instruction, pair.name), message, hint
    texts = [
        (instruction.text, 0),
        *((heredoc.text, heredoc.line) for heredoc in instruction.heredocs),
    ]
    for text, first in texts:
        for match in _ADDRESS.finditer(text) if "://" in text else ():
            if _is_secret(match["secret"], instruction):
                line = first + text.count("\n", 0, match.start()) if first else 0
                message = "an address holds a password, which stays in the image's history"
                hint = "RUN --mount=type=secret,id=netrc,target=/root/.netrc …"
                if instruction.name in {"CMD", "ENTRYPOINT"}:
                    hint = "give the address when it is run: --env or --env-file"
                yield line or line_of(instruction, match[0]), message, hint


def _is_secret(text: str, instruction: Instruction) -> bool:
    """Return whether what stands for a password in an address is one that the image keeps."""
    names = _VARIABLE.findall(text)
    if names:
        scope = instruction.scope
        kept = {name for name in names if name in scope.arguments or name in scope.values}
        return any(not _SECRET.fullmatch(name) for name in kept)  # the others are said already
    return not text.startswith(("<", "{", "[")) and "`" not in text and "$" not in text


def _secret_files(step: Step) -> list[str]:
    copied = step.copied
    if copied is None or copied.origin:
        return []
    secrets = []
    for source in copied.sources:
        base = posixpath.basename(source.rstrip("/"))
        dotenv = base.startswith(".env.") and "*" not in base and not _EXAMPLE.match(base)
        if base in _SECRET_FILES or dotenv:
            secrets.append(source)
    return secrets
