"""Variables that code needs are those it reads without a default."""

import pytest

from lockstitch.repository.code.applications import code_of
from lockstitch.repository.code.variables import arguments_of, subcommands_of, variables_of

SETTINGS = "from pydantic_settings import BaseSettings\nclass S(BaseSettings):\n"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import os\nURL = os.environ['A_URL']\n", ["A_URL"]),
        ("from os import environ\nURL = environ['A_URL']\n", ["A_URL"]),
        ("import os\ndef f():\n    return os.environ['A_URL']\n", ["A_URL"]),
        ("import os\nURL = os.getenv('A_URL')\n", ["A_URL"]),
        ("import os\nclass S:\n    url = os.environ.get('A_URL')\n", ["A_URL"]),
        ("from decouple import config\nURL = config('A_URL')\n", ["A_URL"]),
        # Ready for its absence, or no reading of a variable.
        ("import os\nURL = os.getenv('A_URL', 'x')\n", []),
        ("import os\nURL = os.getenv('A_URL') or 'x'\n", []),
        ("import os\nURL = 'x' or os.getenv('A_URL')\n", ["A_URL"]),
        ("import os\ndef f():\n    return os.getenv('A_URL')\n", []),
        ("import os\nif os.getenv('A_URL'):\n    x = os.environ['A_URL']\n", []),
        ("import os\nif 'A_URL' in os.environ:\n    pass\n", []),
        ("import os\nif 'A_URL' in os.environ:\n    x = os.environ['A_URL']\n", []),
        ("import os\nos.environ['A_URL'] = 'x'\nx = os.environ['A_URL']\n", []),
        ("import os\nos.environ.setdefault('A_URL', 'x')\nx = os.environ['A_URL']\n", []),
        ("from decouple import config\nURL = config('A_URL', default='x')\n", []),
        ("import os\nPORT = os.getenv('PORT')\n", []),
        ("settings = {}\nURL = settings['A_URL']\n", []),
        # pydantic's settings
        (f"{SETTINGS}    a_key: str\n    b: int = 1\n    c: ClassVar[str]\ns = S()\n", ["A_KEY"]),
        (f"{SETTINGS}    model_config = Config(env_prefix='my_')\n    key: str\nS()\n", ["MY_KEY"]),
        (f"{SETTINGS}    a_key: str\n", []),
        ("class S(Base):\n    a_key: str\ns = S()\n", []),
    ],
)
def test_a_variable_is_needed_without_a_default(text: str, names: list[str]) -> None:
    code = code_of("a.py", text)
    assert code is not None
    assert [name for name, _ in variables_of(code)] == names


def test_a_variable_is_named_once_by_its_line() -> None:
    code = code_of("a.py", "import os\n\nB = os.environ['B_1']\nA = os.getenv('A_1')\nC = B\n")
    assert code is not None
    assert variables_of(code) == [("A_1", 4), ("B_1", 3)]


def test_arguments_without_a_default_are_needed() -> None:
    text = (
        "import argparse, click\np = argparse.ArgumentParser()\n"
        "p.add_argument('--csv', required=True)\n"
        "p.add_argument('-o', '--out', required=True)\np.add_argument('rows')\n"
        "p.add_argument('more', nargs='*')\np.add_argument('opts', nargs=argparse.REMAINDER)\n"
        "p.add_argument('kind', default='a')\n"
        "p.add_argument('--seed')\n@click.argument('path')\n@click.option('--n', required=True)\n"
        "def f(): ...\n"
    )
    code = code_of("a.py", text)
    assert code is not None
    assert arguments_of(code) == ["--csv", "--out", "ROWS", "PATH", "--n"]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("import sys\npath = sys.argv[1]\n", ["PATH"]),
        ("from sys import argv\nopen(argv[1])\n", ["ARGUMENT1"]),
        ("import sys\nif len(sys.argv) != 2:\n    sys.exit(1)\nsource = sys.argv[1]\n", ["SOURCE"]),
        # Ready for its absence.
        ("import sys\npath = sys.argv[1] if len(sys.argv) > 1 else 'x'\n", []),
        ("import sys\nif len(sys.argv) > 1:\n    path = sys.argv[1]\n", []),
        ("import sys\ntry:\n    path = sys.argv[1]\nexcept IndexError:\n    path = 'x'\n", []),
        ("import sys\nname = sys.argv[0]\n", []),
    ],
)
def test_arguments_that_are_taken_unasked(text: str, names: list[str]) -> None:
    code = code_of("a.py", text)
    assert code is not None
    assert arguments_of(code) == names


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            (
                "import click\n@click.group()\ndef cli(): ...\n"
                "@cli.command()\ndef make_data(): ...\n"
                "@cli.command('fit')\n@click.option('--n', default=1)\ndef f(n): ...\n"
                "@cli.command()\n@click.argument('path')\ndef predict(path): ...\n"
                "@cli.command()\ndef train_cmd(): ...\n"
            ),
            ["make-data", "fit", "train"],
        ),
        ("import click\n@click.command()\ndef main(): ...\n", []),
        (
            (
                "import typer\napp = typer.Typer()\n@app.command()\ndef train(n: int = 1): ...\n"
                "@app.command(name='score')\ndef f(path: str): ...\n@app.command()\n"
                "def check(path: str = typer.Option(...)): ...\n"
            ),
            ["train"],
        ),
        ("import typer\napp = typer.Typer()\n@app.command()\ndef train(): ...\n", []),
        (
            (
                "import argparse\np = argparse.ArgumentParser()\ns = p.add_subparsers()\n"
                "a = s.add_parser('train')\na.add_argument('--n', default=1)\n"
                "b = s.add_parser('score')\nb.add_argument('--csv', required=True)\n"
            ),
            ["train"],
        ),
        (
            (
                "import fire\nclass App:\n    def __init__(self): ...\n"
                "    def train(self, n=1): ...\n"
                "    def score(self, csv): ...\nfire.Fire(App)\n"
            ),
            ["train"],
        ),
        ("from lightning.pytorch.cli import LightningCLI\nLightningCLI(Net)\n", ["fit"]),
    ],
)
def test_the_words_of_which_one_must_follow_a_file(text: str, words: list[str]) -> None:
    code = code_of("a.py", text)
    assert code is not None
    assert subcommands_of(code) == words
