"""Reads what a program printed when it failed: what it lacked, and the line that mends it."""

import functools
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from posixpath import basename, dirname

from lockstitch.lock.bases.debian import sonames
from lockstitch.python.names import distribution_of
from lockstitch.resources import load_table
from lockstitch.values import frozen

_MODULE = re.compile(r"ModuleNotFoundError: No module named '([\w.]+)'")
_GONE = re.compile(
    r"ImportError: cannot import name '(?P<name>\w+)' from '(?P<module>[\w.]+)'"
    r"|ModuleNotFoundError: No module named '(?P<whole>[\w.]+)'"
)
_OWN_FRAME = re.compile(r"File \"/app/(?!\.venv/)([^\"\n]+)\", line \d+")
# By the words of pandas, and of Django.
_OPTIONAL = re.compile(r"(?:Missing optional dependency '|because )(\w+)(?:'| is not installed)")
# What an error says to type; by the words of LightGBM.
_INSTALL = re.compile(r"\bpip3? install (?:-U |--upgrade )*[`'\"]?(?!pip\b)([A-Za-z][\w.-]*\w)")
_REQUIRED = re.compile(r"\b([a-z][\w-]+) is required for (?:[\w.]+\. You must install|plotting)")
_LIBRARY = re.compile(r"(?:ImportError|OSError): (\S+?\.so[\w.]*): cannot open shared object file")
_SYMBOL = re.compile(r"(?:ImportError|OSError): .*version `((?:GLIBC|GLIBCXX|CXXABI)_[\d.]+)' not")
_FILE = re.compile(  # a reason that joblib gives is no failure
    r"(?<!reason:\n)"
    r"(?:\[Errno 2\] No such file or directory: '|FileNotFoundError: (?=[\w./~-]+\.\w+$)"
    r"|No such file or directory \(os error 2\): \s*(?=[\w./~-]+$))"
    r"([^'\n]+)",
    re.MULTILINE,
)
# The last words of a program that ends with 0 and did nothing, and what it may add to them.
_THING = (
    r"(?:\b(?:models?|files?|data|datasets?|csvs?|images|paths?|director(?:y|ies)|folders?|configs?"
    r"|configuration|checkpoints?|weights|vectorizer|scaler|pipeline|artifacts?|database)\b"
    r"|\w\.[a-z]\w{1,7}\b)"
)
_ABSENT = re.compile(
    rf"(?i){_THING}[^\n]{{0,80}}?(?:\bnot (?:be )?(?:found|loaded|opened|available|there)\b"
    r"|(?:\bnot|n't) exist|\b(?:is|are) missing\b|\bmissing\W*$)"
    r"|\b(?:can ?not|can't|could ?n[o']t|unable to|failed to) (?:find|locate|load|open|read)\b"
    rf".*{_THING}"
    rf"|\bno (?!missing)(?:\w+ )?{_THING}(?: were| was)? found\b|\bno such file or directory\b"
    r"|\b(?:train|run|download|generate|create|prepare|fit)\b[^\n]{0,60}\bfirst\b\W*$"
    rf"|\bplease (?:place|put|provide|download|add)\b.*{_THING}"
)
_ADDED = re.compile(
    r"(?i)\W*(?:please|make sure|ensure|run|try|hint|check|exit|abort|stop|terminat|quit|bye"
    r"|goodbye|you (?:must|need|should|have)|expected|train|download|usage)"
)
_NAMED = re.compile(
    r"(?:^|(?<=[\s'\"`(:=]))(?:\./|/app/)?[\w@+-][\w@.+/-]*\.[A-Za-z]\w{0,9}\b(?! first|\.\w)"
)
_PLACED = re.compile(r"/app/[^\n'\"`:]+\.[A-Za-z]\w{0,9}\b")  # its name may have spaces
_FILE_TOLD = re.compile(r"FileNotFoundError: [^'\n]* `?(/app/[\w./-]+\.\w+)\b")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_moved = functools.partial(load_table, __package__, "moved.toml")
_SHELLS = frozenset({"sh", "bash"})
# Parts of paths that a program wants to write and goes on without.
_DISPENSABLE = ("/__pycache__", "/matplotlib", "/.config/mlflow/", "/app/.venv/")
_FRAME = 600  # characters of a traceback before its last line
_PROGRAM = re.compile(r"exec `([^`\n]+)`: No such file or directory")
_DENIED = re.compile(
    r"(?:PermissionError|OSError): \[Errno (?:13|30)\] [^:\n]+: '([^'\n]+)'"
    r"|(?:mkdir|open|touch|cannot create [\w ]+?)[^\n]*?[`'\"](/[^`'\"\n]+)['\"]?: "
    r"(?:Permission denied|Read-only file system)"
)
# A variable that is not set: by os.environ, by pydantic's settings, by the words of an error.
_UNSET = re.compile(
    r"File \"(?:<frozen os>|[^\"\n]*/os\.py)\", line \d+, in __getitem__\n"
    r"(?: [^\n]*\n){0,3}KeyError: '(\w+)'"
)
_SETTINGS = re.compile(r"validation errors? for \w*(?:Settings|Config|Env)\w*\n((?:[^\n]+\n)+)")
_FIELD = re.compile(r"(?m)^(\w+)\n\s+[Ff]ield required")
_ERROR = re.compile(r"(?m)^(?:\w+\.)*[A-Z]\w*[a-z]\w*: ([^\n]*)$")
_SAID_UNSET = re.compile(
    r"(?i)environment|env var|envvar|not set|must be set|is required|missing|not configured"
)
_VARIABLE = re.compile(r"\b([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)\b")
_LAMBDA = "AWS_LAMBDA_RUNTIME_API"  # the address of what calls a handler
_NO_SECRET = re.compile(
    r"(?i)secret.key (?:is required|was set|setting must not)|set the secret_key"
)
_NONE = re.compile(r"\bNone(?:Type)?\b")
_CHAINLIT = "You must provide a JWT secret"
# A service that is not there, by the words of its client.
_SERVICES = (
    re.compile(r"Error (?:111|-[235]) connecting to (?P<host>[\w.-]+):(?P<port>\d+)"),
    re.compile(
        r"connection to server at \"(?P<host>[^\"]+)\"[^\n]*, port (?P<port>\d+) failed: "
        r"Connection refused"
    ),
    re.compile(r"could not translate host name \"(?P<host>[^\"]+)\" to address(?P<port>)"),
    re.compile(r"(?P<host>[\w.-]+):(?P<port>\d+): \[Errno (?:111|-[235])\]"),
    re.compile(r"Cannot connect to \w+://(?:[^@\s]*@)?(?P<host>[\w.-]+):(?P<port>\d+)/"),
    re.compile(r"Can't connect to MySQL server on '(?P<host>[^':]+):?(?P<port>\d*)"),
    re.compile(
        r"HTTPConnection(?:Pool)?\(host='(?P<host>[^']+)', port=(?P<port>\d+)\)[^\n]*"
        r"(?:Connection refused|Name or service not known|name resolution)"
    ),
    re.compile(  # by the words of urllib3 while it tries again, which have no address
        r"Retrying \(Retry\([^\n]*Connection refused'\)': (?P<host>/[\w./-]+)(?P<port>)"
    ),
)
# A host of another machine, by the words of urllib3, httpx, aiohttp, urllib and gaierror.
_HOST = re.compile(
    r"Failed to resolve '(?P<one>[\w.-]+\.[a-z]+)'"
    r"|ConnectionPool\(host='(?P<two>[\w.-]+\.[a-z]+)', port=\d+\)[^\n]*(?:Max retries|timed out)"
    r"|Cannot connect to host (?P<three>[\w.-]+\.[a-z]+):"
    r"|Could not resolve host: (?P<four>[\w.-]+\.[a-z]+)"
)
_NO_HOST = re.compile(
    r"(?m)^(?!\[nltk_data\]).*(?:<urlopen error|ConnectError:|gaierror:) ?\[Errno -[235]\]"
)
_ADDRESS = re.compile(r"https?://([\w.-]+\.[a-z]{2,})")
# Arguments without which a program ends, by the words of argparse and of click.
_ARGUMENTS = re.compile(
    r"error: the following arguments are required: (?P<argparse>[^\n]+)"
    r"|Error: Missing (?:argument|option|parameter) '(?P<click>[^'\n]+)'"
)
# Its usage alone, by the words of docopt and click.
_USAGE = re.compile(r"(?s)\s*usage: .*", re.IGNORECASE)
_NLTK = re.compile(r"Resource '?([\w./-]+?)'? not found\.\s+Please use the NLTK Downloader")
# A value that settings of Hydra leave to the command.
_MANDATORY = re.compile(r"Missing mandatory value: ([\w.]+)")
# A class that was of the script that wrote a model, by the words of pickle.
_PICKLED = re.compile(r"Can't get attribute '(\w+)' on <module '__main__'")
# A model that another scikit-learn wrote than the one that ends at it.
_WROTE = re.compile(
    r"(?s)unpickle estimator \w+ from version ([\w.]+) when using version .*"
    r"(?:incompatible dtype|has no attribute|Can't get attribute)"
)
_BENTO = re.compile(r"NotFound: no Models with name '([^']+)' (?:exist|found)")
_SECRETS = re.compile(
    r"No secrets found\. Valid paths for a secrets\.toml|StreamlitSecretNotFoundError"
)
# Services that want an account, by the words of their clients, and what does without one.
_ACCOUNTS = {
    "AWS": (
        re.compile(r"(?:NoCredentials|PartialCredentials)Error: |Unable to locate credentials"),
        "AWS_ACCESS_KEY_ID=KEY --env AWS_SECRET_ACCESS_KEY=KEY",
    ),
    "ClearML": (re.compile(r"It seems ClearML is not configured"), "CLEARML_OFFLINE_MODE=1"),
    "Google Cloud": (
        re.compile(r"DefaultCredentialsError: |default credentials were not found"),
        "GOOGLE_APPLICATION_CREDENTIALS=PATH",
    ),
    "Kaggle": (
        re.compile(r"Could not find kaggle\.json"),
        "KAGGLE_USERNAME=NAME --env KAGGLE_KEY=KEY",
    ),
    "Neptune": (re.compile(r"NeptuneMissingApiTokenException"), "NEPTUNE_MODE=offline"),
    "Weights & Biases": (
        re.compile(r"api_key not configured \(no-tty\)|No API key configured"),
        "WANDB_MODE=offline",
    ),
}
_HINTS = {
    "account": "a key where a container is started; here: lockstitch try {image} --env {without}",
    "file": 'include = ["{inside}"] in {table}',
    "name": "sed -i {edit} {path} && lockstitch build --try",
    "module": "uv add --frozen {name} && lockstitch lock, or include its file in {table}",
    "library": "{package}, or a wheel that brings it",
    "symbol": "choose a base whose C library has {name}",
    "program": "add the package that has `{name}`: to a group of {table}, "
    "or one of Debian to `packages` in [tool.lockstitch.base]",
    "host": "this machine does not reach it: start {image} where it is reached, or put what it "
    "fetches into the project",
    "argument": "lockstitch try {image} -- {words}",
    "value": "lockstitch try {image} -- {name}=VALUE",
    "class": "the model is of the script that wrote it: write it again with `{name}` imported from "
    "a module, or start what has `{name}` in itself with python",
    "scikit-learn": "uv add 'scikit-learn=={name}' && lockstitch lock && lockstitch build",
    "folder": 'outputs = ["{inside}"] in {table}',
    "variable": "give it where a container is started; "
    "here: lockstitch try {image} --env {name}=VALUE",
    "corpus": "uv run python -m nltk.downloader -d nltk_data {name}, then "
    'include = ["nltk_data/**"] and env = {{NLTK_DATA = "/app/nltk_data"}} in {table}',
    "service": "start it, and give its address where a container is started",
    "model": "BentoML's store is in no image: load the model from a file of the project",
    "secrets": "mount it where a container is started, to /app/{name}",
}


@frozen
class Lack:
    """One thing that a program wanted and the image does not have."""

    kind: str  # of _HINTS
    name: str
    path: str = ""  # of the project's file that names it

    @property
    def inside(self) -> str:
        """The name as a path of the project, as far as it is one."""
        return self.name.removeprefix("/app/").removeprefix("./").rstrip("/")

    def line(self, image: str) -> str:
        """Return the remedy, for an image of this name."""
        if self.kind == "program" and basename(self.name) in _SHELLS:
            shell = "bash" if basename(self.name) == "bash" else "dash"
            return f'the base has no shell: packages = ["{shell}"] in [tool.lockstitch.base]'
        name = distribution_of(self.name) if self.kind == "module" else self.name
        table = f"[tool.lockstitch.images.{image}]"
        package = sonames.guessed(self.name) if self.kind == "library" else ""
        added = f'packages = ["{package}"] in [tool.lockstitch.base]'
        return _HINTS[self.kind].format(
            name=name,
            inside=self.inside,
            image=image,
            table=table,
            package=added if package else f"choose a base that has {name}",
            path=shlex.quote(self.path),
            edit=shlex.quote("s/{}/{}/".format(*_moved()[name])) if self.kind == "name" else "",
            words=" ".join(
                f"{word} VALUE" if word.startswith("-") else word.upper()
                for word in re.split(r"[,\s]+", self.name.partition(" / ")[0])
            ),
            without=_ACCOUNTS[self.name][1] if self.kind == "account" else "",
        )


def _unset(output: str, read: Sequence[Sequence[str]]) -> Iterator[tuple[int, str]]:
    """Yield the variables that a program wanted, each with its place in the output.

    `read` has those that the code of its last failure reads, the innermost file first: an error may
    name one in any language, or be about the `None` that it is.
    """
    for match in _UNSET.finditer(output):
        yield match.start(), match[1]
    for match in _SETTINGS.finditer(output):
        for field in _FIELD.finditer(match[1]):
            name = field[1].upper()  # of the field, which a prefix of the settings stands before
            whole = (own for names in read for own in names if own.endswith(f"_{name}"))
            is_whole = any(name in names for names in read)
            yield match.start() + field.start(), name if is_whole else next(whole, name)
    for match in _ERROR.finditer(output):
        named = None if _ARGUMENTS.match(match[0]) else _VARIABLE.search(match[1])
        known = [name for names in read for name in names if re.search(rf"\b{name}\b", match[1])]
        # A page of Streamlit without its secrets begins with an error, and not with its settings.
        if _NONE.search(match[1]) or "set_page_config()` can only be called once" in match[1]:
            known += next(filter(None, read), ())
        if known:
            yield from ((match.start(), name) for name in known)
        elif named and _SAID_UNSET.search(match[1]):
            yield from ((match.start(), name) for name in _VARIABLE.findall(match[1]))
        elif _CHAINLIT in match[1]:
            yield match.start(), "CHAINLIT_AUTH_SECRET"
        elif _NO_SECRET.search(match[1]):
            yield match.start(), "SECRET_KEY"


def plain(output: str) -> str:
    """Return a program's output without colours."""
    return _COLOUR.sub("", output)


def gives_up(output: str) -> str:
    """Return the last words of a program that say that something was missing, or "" for others."""
    told = ""
    for line in [line.strip() for line in plain(output).splitlines() if re.search(r"\w", line)][
        :-4:-1
    ]:
        if _ABSENT.search(line):
            told = line
        elif not _ADDED.match(line):
            break
    return told


def lacks(output: str, read: Sequence[Sequence[str]] = ()) -> list[Lack]:
    """Return the lacks that a program's output tells, the last failure first, each once.

    `read` has the variables that its code reads and nobody sets, the innermost file first.
    """
    output = plain(output)
    seen: list[tuple[int, Lack]] = []
    for kind, pattern in (
        ("module", _MODULE),
        ("module", _OPTIONAL),
        ("module", _INSTALL),
        ("module", _REQUIRED),
        ("library", _LIBRARY),
        ("symbol", _SYMBOL),
        ("file", _FILE),
        ("file", _FILE_TOLD),
        ("corpus", _NLTK),
        ("program", _PROGRAM),
        ("value", _MANDATORY),
        ("class", _PICKLED),
        ("scikit-learn", _WROTE),
    ):
        seen += [(m.start(), Lack(kind=kind, name=m[1])) for m in pattern.finditer(output)]
    # A program that subprocess does not find is told as a file.
    seen = [
        (at, Lack(kind="program", name=lack.name))
        if lack.kind == "file"
        and (
            "child_exception_type" in output[max(0, at - _FRAME) : at]
            or lack.name.startswith("/bin/")
        )
        else (at, lack)
        for at, lack in seen
    ]
    for match in _GONE.finditer(output):
        name = match["whole"] or f"{match['module']}.{match['name']}"
        frames = _OWN_FRAME.findall(output[: match.start()])
        if name in _moved() and frames:
            seen = [(at, lack) for at, lack in seen if lack.name != name]
            seen.append((match.start(), Lack(kind="name", name=name, path=frames[-1])))
    programs = {lack.name for _, lack in seen if lack.kind == "program"}
    seen = [(at, each) for at, each in seen if each.kind != "file" or each.name not in programs]
    for match in _ARGUMENTS.finditer(output):
        seen.append((match.start(), Lack(kind="argument", name=match[match.lastgroup or 0])))
    for match in _DENIED.finditer(output):
        seen.append((match.start(), Lack(kind="folder", name=match[1] or match[2])))
    for at, name in _unset(output, read):
        kind = "service" if name == _LAMBDA else "variable"
        seen.append((at, Lack(kind=kind, name=name)))
    for service in _SERVICES:
        for match in service.finditer(output):
            place = f"{match['host']}:{match['port']}".rstrip(":")
            seen.append((match.start(), Lack(kind="service", name=place)))
    hosts = {m[m.lastgroup or 0]: m.start() for m in _HOST.finditer(output)}
    if not hosts and (gone := _NO_HOST.search(output)):
        addresses = [m[1] for m in _ADDRESS.finditer(output)]
        hosts = dict.fromkeys(addresses[-1:] or ["of another machine"], gone.start())
    local = {lack.name.partition(":")[0] for _, lack in seen if lack.kind == "service"}
    seen += [(at, Lack(kind="host", name=host)) for host, at in hosts.items() if host not in local]
    models = [(m.start(), Lack(kind="model", name=m[1])) for m in _BENTO.finditer(output)]
    if models:  # its store is looked at first
        seen = [(at, lack) for at, lack in seen if "/bentoml/models/" not in lack.name]
    seen += models
    for name, (pattern, _) in _ACCOUNTS.items():
        seen += [(m.start(), Lack(kind="account", name=name)) for m in pattern.finditer(output)]
    for match in _SECRETS.finditer(output):
        seen.append((match.start(), Lack(kind="secrets", name=".streamlit/secrets.toml")))
    if not seen and _USAGE.fullmatch(output) and "\nError: Could not" not in output:
        word = "COMMAND" if "\nCommands:\n" in output else "ARGUMENTS"
        seen = [(0, Lack(kind="argument", name=word))]
    if not seen:
        told = gives_up(output)
        named = [*_PLACED.finditer(told)] or [*_NAMED.finditer(told)]
        seen = [(0, Lack(kind="file", name=match[0])) for match in named]
    # Files that are missing after a host was not reached would have been made of what it has.
    late = max((at for at, lack in seen if lack.kind == "file"), default=0)
    seen = [(max(at, late + 1) if lack.kind == "host" else at, lack) for at, lack in seen]
    ordered = [lack for _, lack in sorted(seen, key=lambda pair: pair[0], reverse=True)]
    return list(dict.fromkeys(ordered))


def folders_written(paths: Sequence[str], has: Callable[[str], bool]) -> list[str]:
    """Return the folders below /app that a program wrote to, none below another.

    A folder that the image does not have stands for all that is made in it: `has` tells. A file
    in /app itself and a path outside of /app stand for themselves.
    """
    wanted = set()
    for path in paths:
        if any(part in path for part in _DISPENSABLE):
            continue
        if not path.startswith("/app/"):
            wanted.add(path.rstrip("/"))
            continue
        folder = path.rpartition("/")[0]
        while folder != "/app" and not has(folder) and dirname(folder) != "/app":
            if has(dirname(folder)):
                break
            folder = dirname(folder)
        wanted.add(path if folder == "/app" else folder)
    shown = {path.removeprefix("/app/") for path in wanted}
    return sorted(name for name in shown if not any(name.startswith(f"{o}/") for o in shown))
