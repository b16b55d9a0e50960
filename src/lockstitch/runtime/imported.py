"""Runs a program as `python PROGRAM` does and, when it ends, writes which modules it imported.

`python imported.py TARGET script|module|code PROGRAM ARGUMENT...`, on the interpreter of the
program's environment. The program finds `sys.argv`, `sys.path`, `__main__` and its exit code as
without it. TARGET gets a JSON object: module name to file. Modules of child processes are not
seen. Standard library only.
"""

import atexit
import builtins
import importlib.machinery
import json
import os
import runpy
import sys
import types

BEFORE = frozenset(sys.modules)
as_main = runpy._run_module_as_main  # type: ignore[attr-defined]  # noqa: SLF001 -- python -m's own


def write(target, pid):
    """Write the modules that came since the start; not in a child that was forked."""
    if os.getpid() != pid:
        return
    modules = {}
    for name, module in list(sys.modules.items()):
        # Asking a lazy module for an attribute would load it.
        known = getattr(module, "__dict__", {}) if isinstance(module, types.ModuleType) else {}
        path = known.get("__file__")
        if name not in BEFORE and name != "__main__" and isinstance(path, str):
            modules[name] = path
    part = target + ".part"
    with open(part, "w", encoding="utf-8") as handle:
        json.dump(modules, handle)
    os.replace(part, target)


def fresh(**known):
    """Return the names of a new `__main__`, as the interpreter begins it."""
    module = types.ModuleType("__main__")
    names = vars(module)
    names.update(known, __builtins__=builtins)
    if "__annotations__" in globals():
        names["__annotations__"] = {}
    sys.modules["__main__"] = module
    return names


def run_script(program):
    """Run a file, or a folder or a zip with a `__main__.py`."""
    if os.path.isdir(program) or program.endswith((".pyz", ".zip", ".pyc")):
        sys.path[0] = os.path.abspath(program)
        fresh()
        as_main("__main__", alter_argv=False)
        return
    if sys.version_info >= (3, 9):  # noqa: UP036 -- it runs on the project's interpreter
        program = os.path.join(os.getcwd(), program)  # as `__file__` is since then
    with open(program, "rb") as handle:
        code = compile(handle.read(), program, "exec", dont_inherit=True)
    loader = importlib.machinery.SourceFileLoader("__main__", program)
    names = fresh(__file__=program, __loader__=loader, __cached__=None)
    exec(code, names)  # noqa: S102 -- the program that was asked for


def run_module(name):
    """Run a module as `python -m` does."""
    fresh()
    as_main(name, alter_argv=True)


def run_code(text):
    """Run a text as `python -c` does."""
    exec(compile(text, "<string>", "exec", dont_inherit=True), fresh())  # noqa: S102


def main():
    """Run the program that the arguments name."""
    target, kind, program = sys.argv[1:4]
    first = {"script": program, "module": "-m", "code": "-c"}[kind]
    del sys.argv[:3]
    sys.argv[0] = first
    if not getattr(sys.flags, "safe_path", False) and not sys.flags.isolated:
        folders = {"script": os.path.dirname(os.path.realpath(program)), "module": os.getcwd()}
        sys.path[0] = folders.get(kind, "")
    atexit.register(write, os.path.abspath(target), os.getpid())
    try:
        {"script": run_script, "module": run_module, "code": run_code}[kind](program)
    except (SystemExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 -- shown as without the wrapper
        trace = error.__traceback__
        while trace and trace.tb_frame.f_code.co_filename in (__file__, runpy.__file__):
            trace = trace.tb_next  # what a traceback shows begins with the program
        sys.excepthook(type(error), error.with_traceback(trace), trace)
        sys.exit(1)


if __name__ == "__main__":
    main()
