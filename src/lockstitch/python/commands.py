"""Commands: the file or module of the project that they start, and where its imports are found."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence

from lockstitch.patterns import regex
from lockstitch.python.imports import Entry

_REFERENCE = regex(r"[\w-]+(?:\.[\w-]+)*:[^\W\d][\w.]*(?:\(.*\))?")

# Programs that import `module:name`, by the option that names a folder for sys.path.
_SERVERS = {
    "uvicorn": "--app-dir",
    "gunicorn": "--pythonpath",
    "hypercorn": "",
    "granian": "",
    "daphne": "",
    "waitress-serve": "",
    "bentoml": "",
    "serve": "--app-dir",
    "rq": "",
}
# Programs that run a file as their last own word.
_RUNNERS = {"streamlit", "gradio", "fastapi", "chainlit", "torchrun", "accelerate", "panel"} | {
    "mpirun",
    "ipython",
}
# Of these, those that see the script's folder alone, unless `python -m` runs them.
_ALONE = {"streamlit", "torchrun", "accelerate"}
_OPTION_MODULES = {
    "flask": ("--app", "-A"),
    "celery": ("-A", "--app"),
    "litestar": ("--app",),
    "faust": ("-A", "--app"),
}
_WITH_VALUE = frozenset({"-W", "-X", "--check-hash-based-pycs"})  # options of python


def entry_of(command: Sequence[str], env: Mapping[str, str], folder: str = "") -> Entry | None:
    """Return where a command begins in the tree, or None when that is no Python code of the tree.

    `folder` is the command's working folder, from the tree's root; console scripts of packages
    are no code of the tree unless they are known to load some.
    """
    if not command:
        return None
    roots = tuple(_paths(env.get("PYTHONPATH", ""), folder))
    program = posixpath.basename(command[0])
    words = [*command[1:]]
    if program.startswith("python"):
        return _python(words, roots, env, folder)
    return _program(program, words, roots, env, folder)


def _python(
    words: list[str], roots: tuple[str, ...], env: Mapping[str, str], folder: str
) -> Entry | None:
    while words and words[0].startswith("-"):
        option = words.pop(0)
        if option == "-m" and words:
            module = words.pop(0)
            program = module.removesuffix(".__main__").replace("_", "-")
            program = program.replace("torch.distributed.run", "torchrun")
            seen = (folder, *roots) if program in _ALONE else roots
            known = _program(program, words, seen, env, folder)
            return known or Entry(module=module, roots=(folder, *roots))
        if option == "-c":
            return None
        if option in _WITH_VALUE and words:
            words.pop(0)
    return _script(words[0], roots, folder) if words else None


def _script(name: str, roots: tuple[str, ...], folder: str) -> Entry | None:
    path = _inside(name, folder)
    if path is None:
        return None
    return Entry(path=path, roots=(posixpath.dirname(path), *roots))


def _program(
    program: str, words: list[str], roots: tuple[str, ...], env: Mapping[str, str], folder: str
) -> Entry | None:
    """Return the module that a program loads; words before it may be options with values."""
    if program in _SERVERS:
        named = next((w for w in words if _is_reference(w)), "")
        if not named and program == "gunicorn":  # takes the name `application` where none is said
            named = next((w for w in (*words[:1], *words[-1:]) if _is_dotted(w)), "")
        extra = _value(words, _SERVERS[program]) if _SERVERS[program] else ""
        own = _inside(_value(words, "--chdir") or extra or ".", folder)
        if not named or own is None:
            return None
        module = named.partition(":")[0].removesuffix(".py")  # BentoML takes a file as well
        return Entry(module=module, roots=(own, *roots))
    if program in _RUNNERS:
        script = next((w for w in words if w.endswith((".py", ".ipynb"))), "")
        if not script and program == "fastapi":  # takes the folder of a package as well
            folders = [w.rstrip("/") for w in words[1:] if "/" in w and not w.startswith("-")]
            script = next((f"{name}/__init__.py" for name in folders), "")
        if script:
            return _script(script, roots if program in _ALONE else (folder, *roots), folder)
        module = _value(words, "-m") or _value(words, "--module")
        return Entry(module=module, roots=(folder, *roots)) if module else None
    if program == "awslambdaric":  # takes the function that AWS Lambda calls
        module = words[0].rpartition(".")[0] if words else ""
        return Entry(module=module.replace("/", "."), roots=(folder, *roots)) if module else None
    if program in _OPTION_MODULES:
        options = _OPTION_MODULES[program]
        named = next(filter(None, (_value(words, option) for option in options)), "")
        named = named or env.get("FLASK_APP", "" if program != "flask" else "app")
        if named.endswith(".py"):
            return _script(named, (folder, *roots), folder)
        module = named.partition(":")[0]
        return Entry(module=module, roots=(folder, *roots)) if module else None
    return None


def _is_reference(word: str) -> bool:
    # Servers import by text, and take `01-app:app` too.
    return _REFERENCE.fullmatch(word) is not None


def _is_dotted(word: str) -> bool:
    return "." in word and all(part.isidentifier() for part in word.split("."))


def _value(words: Sequence[str], option: str) -> str:
    for at, word in enumerate(words):
        if word == option and at + 1 < len(words):
            return words[at + 1]
        if word.startswith(f"{option}="):
            return word.partition("=")[2]
    return ""


def _inside(name: str, folder: str) -> str | None:
    """Return a path of the container as one of the tree at /app, or None when it is elsewhere."""
    path = posixpath.normpath(posixpath.join("/app", folder, name))
    if path == "/app":
        return ""
    return path.removeprefix("/app/") if path.startswith("/app/") else None


def _paths(text: str, folder: str) -> Iterator[str]:
    for name in text.split(":"):
        path = _inside(name, folder) if name else None
        if path is not None:
            yield path
