"""The paths that code opens, writes and names are read from literals, joins and defaults."""

import pytest

from lockstitch.repository.code.applications import code_of
from lockstitch.repository.code.opened import Opened, PathUse, paths_of, values_of


def of(text: str, path: str = "src/a.py") -> set[tuple[str, str]]:
    code = code_of(path, text)
    assert code is not None
    return {(use.text, use.kind) for use in paths_of(code)}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("open('a.txt')", ("a.txt", "reads")),
        ("open('./a.txt', 'rb')", ("a.txt", "reads")),
        ("open('a.txt', mode='w')", ("a.txt", "writes")),
        ("open('a.txt', 'a')", ("a.txt", "writes")),
        ("from pathlib import Path\nPath('c', 'a.txt').read_text()", ("c/a.txt", "reads")),
        ("from pathlib import Path\nwith Path('a.txt').open('w'): pass", ("a.txt", "writes")),
        ("from pathlib import Path\nD = Path('d')\nD.mkdir()", ("d", "fills")),
        ("import pandas as pd\npd.read_csv('d/x.csv')", ("d/x.csv", "reads")),
        ("df.to_csv('o/x.csv')", ("o/x.csv", "writes")),
        ("import joblib\njoblib.load('m.joblib')", ("m.joblib", "reads")),
        ("import joblib\njoblib.dump(m, 'o/m.joblib')", ("o/m.joblib", "writes")),
        ("import torch\ntorch.save(m, 'o/m.pt')", ("o/m.pt", "writes")),
        ("import numpy as np\nnp.save('o/m.npy', m)", ("o/m.npy", "writes")),
        ("plt.savefig('o/p.png')", ("o/p.png", "writes")),
        ("SimpleDocTemplate('o/r.pdf')", ("o/r.pdf", "writes")),
        ("import os\nos.makedirs('logs', exist_ok=True)", ("logs", "fills")),
        ("import os\nos.listdir('d')", ("d", "folder")),
        ("import os\nL = ['d', 'e/f']\nfor x in L:\n    os.makedirs(x)", ("e/f", "fills")),
        ("def of(name):\n    return f'd/{name}.csv'\nopen(of('a'), 'w')", ("d/*.csv", "writes")),
        (
            "def up(p):\n  for q in p.parents:\n    return q\nopen(up(p) / 'c')",
            ("c", "reads"),
        ),
        ("from pathlib import Path\nPath('d').glob('*.csv')", ("d", "folder")),
        (
            "import os\nB = os.path.join('a', 'b')\nopen(os.path.join(B, 'c.txt'))",
            ("a/b/c.txt", "reads"),
        ),
        (
            "import os\nH = os.path.dirname(os.path.abspath(__file__))\nopen(H + '/c.txt')",
            ("src/c.txt", "reads"),
        ),
        (
            "from pathlib import Path\nR = Path(__file__).resolve().parents[1]\nopen(R / 'c.txt')",
            ("c.txt", "reads"),
        ),
        ("def load(path='d/x.csv'):\n  return open(path)", ("d/x.csv", "reads")),
        ("import os\nopen(os.getenv('P', 'd/x.csv'))", ("d/x.csv", "reads")),
        ("n = f()\nopen(f'd/{n}.csv')", ("d/*.csv", "reads")),
        ("open('d/%s.csv' % n)", ("d/*.csv", "reads")),
        ("open('d/{}.csv'.format(n))", ("d/*.csv", "reads")),
        (
            "p.add_argument('--data-file', default='d/x.csv')\nopen(args.data_file)",
            ("d/x.csv", "reads"),
        ),
        ("class S:\n  model: str = 'm/x.bin'\nopen(s.model)", ("m/x.bin", "reads")),
        ("import hydra\n@hydra.main(config_path='../conf')\ndef main(c): ...", ("conf", "folder")),
        ("import hydra\n@hydra.main()\ndef main(c): ...", ("outputs", "fills")),
        ("import mlflow\nmlflow.start_run()", ("mlruns", "fills")),
        (
            "import mlflow\nmlflow.set_tracking_uri('sqlite:///t/mlflow.db')",
            ("t/mlflow.db", "fills"),
        ),
        ("X = 'weights/model.bin'", ("weights/model.bin", "names")),
        ("DATA_DIR = 'data'", ("data", "names")),
        ("f(path)\njson.dump(x, open(path, 'w'))", ("*", "writes")),
        ("open('/app/data/x.csv')", ("data/x.csv", "reads")),
        ("open('../data/x.csv')", ("../data/x.csv", "reads")),
        ("logging.FileHandler('logs/a.log')", ("logs/a.log", "writes")),
        ("URL = 'sqlite:///./app.db'", ("app.db", "writes")),
        ("engine = create_engine('sqlite+aiosqlite:///d/a.db?timeout=1')", ("d/a.db", "writes")),
        ("HERE = Path(__file__).parent\nU = f'sqlite:///{HERE}/a.db'", ("src/a.db", "writes")),
        (
            "import flask_sqlalchemy\napp.config['SQLALCHEMY_DATABASE_URI'] = 'sqlite:///a.db'",
            ("instance", "fills"),
        ),
        ("app.config['UPLOAD_FOLDER'] = 'uploads'", ("uploads", "names")),
        ("c['OUT'] = 'made'\nos.makedirs(c['OUT'])", ("made", "fills")),
    ],
)
def test_one_path(text: str, wanted: tuple[str, str]) -> None:
    assert wanted in of(text)


@pytest.mark.parametrize(
    "text",
    [
        "open('https://example.test/x.csv')",
        "open('/etc/passwd')",
        "'''A docstring with data/x.csv.'''",
        "open(0)",
        "x = 'two words. And more'",
        "D = 'models'\nprint(f'Model saved to {D}/m.pkl')",
        "import mlflow\nmlflow.set_tracking_uri('http://127.0.0.1:5000')",
        "st.download_button(data, mime='application/vnd.ms-excel')",
    ],
)
def test_no_path(text: str) -> None:
    assert of(text) == set()


def test_the_words_of_a_file_of_settings() -> None:
    text = "data:\n  train: input/rows.txt # rows\n  rate: 0.5\nlist: [a/b.csv, 'c.json']\n"
    assert [*values_of(text)] == [(2, "input/rows.txt"), (4, "a/b.csv"), (4, "c.json")]


def test_lines_and_anchors() -> None:
    code = code_of(
        "src/a.py", "from pathlib import Path\n\nX = Path(__file__).parent / 'x.txt'\nX.read_text()"
    )
    assert code is not None
    wanted = PathUse(text="src/x.txt", line=4, kind="reads", anchored=True)
    assert wanted in paths_of(code)


def across(texts: dict[str, str], path: str) -> set[tuple[str, str]]:
    codes = {name: code for name, text in texts.items() if (code := code_of(name, text))}
    return {(use.text, use.kind) for use in Opened(codes).paths_of(path)}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("from jinja2 import PackageLoader\nPackageLoader('shop')", ("shop/templates", "folder")),
        ("from jinja2 import PackageLoader\nPackageLoader('shop', 't')", ("shop/t", "folder")),
        ("import pkgutil\npkgutil.get_data('shop', 'x.json')", ("shop/x.json", "reads")),
        ("import pkgutil\npkgutil.get_data(__package__, 'x.json')", ("shop/x.json", "reads")),
        (
            "import importlib\ndef f(n):\n    importlib.resources.open_binary('shop.data', n)",
            ("shop/data", "folder"),
        ),
        (
            "from importlib.resources import files\nX = files('shop.data') / 'x.json'\nopen(X)",
            ("shop/data/x.json", "reads"),
        ),
        (
            "import shop.data as d, importlib.resources as r\nopen(r.files(d) / 'x.json')",
            ("shop/data/x.json", "reads"),
        ),
    ],
)
def test_what_lies_in_the_folder_of_a_package(text: str, wanted: tuple[str, str]) -> None:
    texts = {"shop/__init__.py": text, "shop/data/__init__.py": "", "a/shop/data/__init__.py": ""}
    assert wanted in across(texts, "shop/__init__.py")


def test_what_lies_in_a_package_of_others_is_none_of_the_repository() -> None:
    text = "import pkgutil\npkgutil.get_data('certifi', 'cacert.pem')"
    assert across({"shop/__init__.py": text}, "shop/__init__.py") == {("cacert.pem", "names")}


CONFIG = (
    "from pathlib import Path\n"
    "ROOT = Path(__file__).parent.parent\n"
    "MODEL = ROOT / 'model' / 'm.pkl'\n"
    "class Settings:\n    def __init__(self):\n        self.rows = 'rows/r.csv'\n"
    "settings = Settings()\n"
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("from src.config import MODEL\njoblib.dump(m, MODEL)", ("model/m.pkl", "writes")),
        ("from config import MODEL as P\njoblib.load(P)", ("model/m.pkl", "reads")),
        ("from .config import MODEL\nMODEL.write_text('')", ("model/m.pkl", "writes")),
        ("from src import config\njoblib.dump(m, config.MODEL)", ("model/m.pkl", "writes")),
        ("import src.config\njoblib.dump(m, src.config.MODEL)", ("model/m.pkl", "writes")),
        ("from src.config import settings as s\npd.read_csv(s.rows)", ("rows/r.csv", "reads")),
    ],
)
def test_a_path_of_another_file_is_followed(text: str, wanted: tuple[str, str]) -> None:
    assert wanted in across({"src/config.py": CONFIG, "src/train.py": text}, "src/train.py")


@pytest.mark.parametrize(
    ("function", "call", "wanted"),
    [
        ("def keep(m, path):\n    joblib.dump(m, path)", "keep(1, 'o/m.pkl')", "writes"),
        ("def keep(m, path):\n    joblib.dump(m, Path(path))", "keep(1, path='o/m.pkl')", "writes"),
        ("class A:\n    def keep(self, path):\n        open(path)", "A().keep('o/m.pkl')", "reads"),
        (
            "def inner(p):\n    open(p, 'w')\ndef keep(p):\n    inner(p)",
            "keep('o/m.pkl')",
            "writes",
        ),
    ],
)
def test_what_a_function_does_with_its_argument_is_followed(
    function: str, call: str, wanted: str
) -> None:
    texts = {"lib.py": f"{function}\n", "a.py": f"from lib import *\n{call}\n"}
    assert ("o/m.pkl", wanted) in across(texts, "a.py")


def test_a_variable_that_an_image_sets_is_known() -> None:
    text = "import os\nD = None\nD = os.getenv('MODELS', 'x')\nopen(os.path.join(D, 'm.pkl'))\n"
    code = code_of("a.py", text)
    assert code
    opened = Opened({"a.py": code}, {"MODELS": "/app/models"})
    assert [(use.text, use.kind) for use in opened.paths_of("a.py") if use.kind == "reads"] == [
        ("models/m.pkl", "reads")
    ]


def test_an_argument_of_one_name_is_that_of_its_own_function() -> None:
    text = (
        "def load(path='raw/a.csv'):\n    return pd.read_csv(path)\n"
        "def save(m, path='made/b.csv'):\n    m.to_csv(path)\n"
    )
    assert {("raw/a.csv", "reads"), ("made/b.csv", "writes")} <= of(text)
    assert ("raw/a.csv", "writes") not in of(text)


def test_a_function_of_another_distribution_is_not_one_of_the_same_name() -> None:
    texts = {
        "work.py": "def run(path):\n    open(path, 'w').write('')\n",
        "api.py": "import uvicorn\nuvicorn.run('api:app')\n",
        "go.py": "import work\nwork.run('out/a.txt')\n",
    }
    codes = {name: code for name, text in texts.items() if (code := code_of(name, text))}
    opened = Opened(codes)
    assert [use.kind for use in opened.paths_of("api.py")] == []
    assert ("out/a.txt", "writes") in [(u.text, u.kind) for u in opened.paths_of("go.py")]


@pytest.mark.parametrize(
    ("path", "fills"),
    [("f'{d}/x.csv'", True), ("f'{out_dir}x.csv'", True), ("f'{d.lower()}_x.csv'", False)],
)
def test_what_is_a_part_of_a_name_is_no_folder(path: str, *, fills: bool) -> None:
    argument = "out_dir" if "out_dir" in path else "d"
    texts = {"a.py": f"def f({argument}):\n    open({path}, 'w')\nf('out')\n"}
    assert (("out", "fills") in across(texts, "a.py")) is fills


def test_a_folder_that_a_function_fills_is_followed() -> None:
    texts = {"a.py": "def f(d):\n    open(os.path.join(d, 'x.csv'), 'w')\nf('out')\n"}
    assert ("out", "fills") in across(texts, "a.py")


def test_files_that_import_one_another_end() -> None:
    texts = {"a.py": "from b import X\nY = X\nopen(Y)\n", "b.py": "from a import Y\nX = Y\n"}
    assert across(texts, "a.py") == set()
