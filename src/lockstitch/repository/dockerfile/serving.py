"""Whether what a container starts answers requests."""

import posixpath
from collections.abc import Iterable

from lockstitch.patterns import regex
from lockstitch.repository.shell.calls import Call

__all__ = ["PACKAGES", "is_server", "serves"]

_SERVERS = frozenset(
    {"uvicorn", "gunicorn", "hypercorn", "granian", "daphne", "waitress-serve", "torchserve"}
    | {"tritonserver", "tensorflow_model_server", "litserve", "chainlit", "robyn"}
)
_VERBS = {
    "flask": ("run",),
    "fastapi": ("run", "dev"),
    "streamlit": ("run",),
    "bentoml": ("serve", "serve-http", "serve-grpc"),
    "mlflow": ("server", "ui", "models", "gateway"),
    "vllm": ("serve",),
    "ray": ("serve",),
    "serve": ("run", "deploy"),
    "gradio": ("",),
    "mlserver": ("start",),
    "vllm.entrypoints.openai.api_server": ("",),
}
_SCRIPT = regex(r"(?:.*/)?(?:app|server|serve|serving|main|api|wsgi|asgi|web|run)\.py")
_MODULES = frozenset(
    {"app.py", "server.py", "serve.py", "serving.py", "api.py", "main.py", "web.py"}
)
_RUNNERS = frozenset(
    {"uv", "poetry", "pipenv", "pdm", "conda", "micromamba", "opentelemetry-instrument"}
)
# The packages that the programs of servers are of.
PACKAGES = {
    **{each: each for each in ("uvicorn", "gunicorn", "hypercorn", "granian", "daphne")},
    **{each: each for each in ("flask", "streamlit", "bentoml", "mlflow", "vllm", "celery")},
    "waitress-serve": "waitress",
}


def serves(calls: Iterable[Call], *, exposes: bool) -> bool:
    """Return whether some call is a server, or an application's script in an image with a port."""
    return any(is_server(each, exposes=exposes) for each in calls)


def is_server(each: Call, *, exposes: bool) -> bool:
    """Return whether a call starts something that answers requests."""
    program, words = each.program, each.words
    if program in _RUNNERS:
        inner = _inner(each)
        return inner is not None and is_server(inner, exposes=exposes)
    if program in _SERVERS:
        return "--version" not in words and "--help" not in words
    if program in _VERBS:
        verbs = _VERBS[program]
        said = next((word for word in words if not word.startswith("-")), "")
        return verbs == ("",) or said in verbs
    if each.module and exposes and f"{program.rpartition('.')[2]}.py" in _MODULES:
        return True
    script = next((word for word in words if not word.startswith("-")), "")
    if program == "python" and exposes:
        return _SCRIPT.fullmatch(script) is not None
    if program == "python":
        return posixpath.basename(script) in {"server.py", "serve.py", "serving.py"}
    return False


def _inner(each: Call) -> Call | None:
    """Return the call that a runner such as `uv run` starts."""
    words = list(each.words)
    if each.program in {"uv", "poetry", "pipenv", "pdm", "conda", "micromamba"}:
        if "run" not in words[:4]:
            return None
        words = words[words.index("run") + 1 :]
    while words and words[0].startswith("-"):
        value = words.pop(0)
        if value in {"-n", "--name", "-p", "--prefix", "--group", "--extra", "--with", "--python"}:
            words = words[1:]
    if not words:
        return None
    if words[0].endswith(".py"):
        words = ["python", *words]
    module = words[0] == "python" and words[1:2] == ["-m"] and len(words) > len("-m")
    written = words[2] if module else words[0]
    rest = words[3:] if module else words[1:]
    return Call(
        module=module,
        program=posixpath.basename(written),
        written=written,
        words=tuple(rest),
        known=each.known,
        line=each.line,
    )
