"""Trees of code that is newer than this Python, held against those of its own parser."""

import ast
import sysconfig
from pathlib import Path

import pytest

from lockstitch.python import syntax

MODULES = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
STRINGS = [
    """f'{a}'""",
    """f"{a!r:>{width}}|{b:%H:%M}|{{}}" 'plain' f'{c}'""",
    """f'{a=}, {a = }, {a=!s}, {a=:>9}, {a!=b}, {a==b}, {(a:=1)}'""",
    '''f"""\n{\na\n}\n"""\nf\'\'\'it"s\'\'\'\nx = 1''',
    r"""rf'\d{a}\{b}' if a else rf"\"{a}" """,
    """f'\\N{BULLET} {a} \\x41 \\'quoted\\' {b}' """,
    """f'{lambda_(lambda: 1)}{d["x"]}{[*range(3)]}{*a,}{yield_}'""",
    """call(f'{a}' # why\n     f'{b}', 'c' 'd')""",
    """f"{x:{'a'}}" + f"{a:{b}{c}}" """,
    """f'{a!r}' f''""",
    r"""f'\\{a}{{a}}' + rf'\{{{a}\}}'""",
    """x = 1 if a in"b" else f'{a}'; f'{b}'""",
    """f'{"}"}{"{"}'""",
]


@pytest.mark.parametrize("text", STRINGS)
def test_a_string_of_this_python(text: str) -> None:
    assert ast.dump(syntax.newer(text)) == ast.dump(ast.parse(text))


@pytest.mark.parametrize("path", MODULES[::20], ids=lambda path: path.stem)
def test_a_module_of_this_python(path: Path) -> None:
    text = path.read_text("utf-8")
    tree, wanted = syntax.newer(text), ast.parse(text)
    assert ast.dump(tree) == ast.dump(wanted)
    lines = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    assert lines == [node.lineno for node in ast.walk(wanted) if isinstance(node, ast.stmt)]


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("""f'({d['key']})'""", """f'({d["key"]})'"""),
        ('f"{f"{f"{1 + 1}"}"}"', """f'''{f"{f'{1 + 1}'}"}'''"""),
        ("""x = f'{", ".join(["a", 'b'])}'\ny = 1""", """x = f'{", ".join(["a", "b"])}'\ny = 1"""),
        ("""f'{'\\n'.join(a)}'""", """f'{chr(10).join(a)}'"""),
        ("""f'{ # why\na\n}'""", """f'{a}'"""),
        ("""f'{a:{'x'}}'""", """f'{a:{"x"}}'"""),
        ("""t'{a}'""", """f'{a}'"""),
        ("type Row = dict[str, int]\ntype = 1\ntype(x)", "Row = dict[str, int]\ntype = 1\ntype(x)"),
        ("if a: type Pair[T: int = int] = tuple[T, T]", "if a: Pair = tuple[T, T]"),
        ("def first[T: list[int]](x: T) -> T: return x", "def first(x: T) -> T: return x"),
        ("class A[\n  T,\n]:\n    x = 1", "class A:\n    x = 1"),
        ("async def f[**P](): pass", "async def f(): pass"),
        ("try: a\nexcept a.B, C:\n  pass", "try: a\nexcept (a.B, C):\n  pass"),
        ("try: a\nexcept* B, C: pass", "try: a\nexcept* (B, C): pass"),
    ],
)
def test_what_is_newer(new: str, old: str) -> None:
    got, wanted = ast.dump(syntax.newer(new)), ast.dump(ast.parse(old))
    assert got.replace("'\\n'", "'x'") == wanted.replace(
        "Call(func=Name(id='chr', ctx=Load()), args=[Constant(value=10)], keywords=[])",
        "Constant(value='x')",
    )
    assert ast.dump(syntax.tree_of(new) or ast.parse("")) != "Module(body=[], type_ignores=[])"


def test_lines_stay() -> None:
    tree = syntax.newer(
        """a = f'{x['y']}'\nb = f'''\n{\nd['e']\n}'''\nclass C[\nT\n]:\n    f = 1\n"""
    )
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.stmt)] == [1, 2, 6, 9]


@pytest.mark.parametrize(
    "text",
    [
        *("print 'x'", "f'{a'", "f'{'", "f'{a!x}'", "f'{a:{'", "f'", "def f[", "x = (", "\0"),
        *("f'{}'", "type X[", "f'" + "{f'" * 40, "'" * 5, "except A, B:", "exec 'x'"),
    ],
)
def test_what_is_no_python(text: str) -> None:
    assert syntax.tree_of(text) is None


def test_a_byte_order_mark_is_no_code() -> None:
    assert ast.dump(syntax.tree_of("\ufeffx = 1") or ast.parse("")) == ast.dump(ast.parse("x = 1"))
