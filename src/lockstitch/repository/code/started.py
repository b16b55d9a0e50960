"""The programs that Python code starts: a shell by its words, others by the first of a list."""

import ast
from posixpath import basename

from lockstitch.repository.code.applications import Code, dotted

SHELL = "sh"
_BY_SHELL = frozenset(
    {"os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"}
    | {"asyncio.create_subprocess_shell"}
)
_BY_LIST = frozenset(
    f"subprocess.{name}" for name in ("run", "call", "check_call", "check_output", "Popen")
)
_BY_WORDS = frozenset({"asyncio.create_subprocess_exec", "os.execvp", "os.execlp", "os.spawnlp"})


def started_by(code: Code) -> list[tuple[str, int]]:
    """Return the programs that a file starts, each once with the line; `sh` for a shell."""
    first: dict[str, int] = {}
    for node in code.nodes:
        if isinstance(node, ast.Call) and (name := _program(code, node)):
            first.setdefault(name, node.lineno)
    return sorted(first.items())


def _program(code: Code, node: ast.Call) -> str:
    called = dotted(node.func, code.names)
    if called in _BY_SHELL:
        return SHELL
    word: ast.expr | None = node.args[0] if node.args else None
    if called in _BY_LIST:
        by_shell = next(
            (keyword.value for keyword in node.keywords if keyword.arg == "shell"), None
        )
        if isinstance(by_shell, ast.Constant) and by_shell.value is True:
            return SHELL
        word = word.elts[0] if isinstance(word, ast.List | ast.Tuple) and word.elts else word
    elif called not in _BY_WORDS:
        return ""
    is_text = isinstance(word, ast.Constant) and isinstance(word.value, str)
    text = str(word.value) if is_text and isinstance(word, ast.Constant) else ""
    return basename(text) if text and " " not in text else ""
