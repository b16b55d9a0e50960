"""The sources as trees, each parsed and walked once for all tests of them.

Tests that read all of them are in the group `sources`, so that one process of a run does it.
"""

import ast
import functools
from pathlib import Path


@functools.cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def nodes(path: Path) -> list[ast.AST]:
    """Return what `ast.walk` yields of a file, in half of its time: without Load, Store and Del."""
    walked: list[ast.AST] = [parsed(path)]
    for node in walked:  # which grows
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, list):
                walked += [item for item in value if isinstance(item, ast.AST)]
            elif isinstance(value, ast.AST) and name != "ctx":
                walked.append(value)
    return walked
