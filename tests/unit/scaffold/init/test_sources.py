"""setup.py and setup.cfg, read without running anything."""

from pathlib import Path

import pytest

from lockstitch.scaffold.init import facts, sources
from lockstitch.scaffold.init.folder import Folder

SETUP = """\
import os, setuptools
os.mkdir("it-ran")
VERSION = "1.2"
NEEDS = ["numpy>=1", "x @ file:///a"]
setuptools.setup(
    name="Old_Thing",
    version=VERSION,
    description="An old\\n  thing",
    install_requires=NEEDS,
    python_requires=">=3.9",
    extras_require={"plot": ["matplotlib", "b a d"]},
    entry_points={"console_scripts": ["old=pkg.cli:main [x]"]},
    long_description=open("README").read(),
    packages=setuptools.find_packages(),
)
"""
CFG = """\
[metadata]
name = from-cfg
version = attr: pkg.__version__
description = 100% config

[options]
python-requires = >=3.8
install_requires =
    # the first
    requests>=2
    click

[options.extras_require]
test = pytest

[options.entry_points]
console_scripts =
    run = pkg.run:main
"""


def setup_of(folder: Path, **texts: str) -> sources.SetupMetadata:
    for name, text in texts.items():
        (folder / name.replace("_", ".")).write_text(text)
    return sources.read_setup(Folder(folder))


def test_a_setup_py(tmp_path: Path) -> None:
    found = setup_of(tmp_path, setup_py=SETUP)
    assert found.texts == {
        "name": "Old_Thing",
        "version": "1.2",
        "description": "An old thing",
        "requires-python": ">=3.9",
    }
    assert found.dependencies == ["numpy>=1"]
    assert found.extras == {"plot": ["matplotlib"]}
    assert found.scripts == {"old": "pkg.cli:main"}
    assert found.notes == [
        "`setup.py`: `long_description`: left out, add to [project] what is missed",
        "`setup.py`: `x` is no requirement from an index: left out",
        "`setup.py`: `b a d` is no requirement from an index: left out",
    ]
    assert not found.compiled
    assert not (tmp_path / "it-ran").exists()


def test_a_setup_cfg_below_a_setup_py(tmp_path: Path) -> None:
    found = setup_of(
        tmp_path, setup_cfg=CFG, setup_py="from setuptools import setup\nsetup(name='x')"
    )
    assert found.texts == {"name": "x", "description": "100% config", "requires-python": ">=3.8"}
    assert found.dependencies == ["requests>=2", "click"]
    assert found.extras == {"test": ["pytest"]}
    assert found.scripts == {"run": "pkg.run:main"}
    assert found.sources == ["setup.cfg", "setup.py"]
    assert found.notes == ["`setup.cfg`: `version` cannot be read without running it: left out"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("setup(version=get())", "`version` cannot be read"),
        ("setup(version='one')", "`version` cannot be read"),
        ("setup(name='-x')", "`name` cannot be read"),
        ("setup(name=['x'])", "`name` cannot be read"),
        ("setup(python_requires='3.9')", "`python_requires` cannot be read"),
        ("setup(install_requires=open('r').read())", "`install_requires` cannot be read"),
        ("setup(install_requires=[1])", "`install_requires` cannot be read"),
        ("setup(extras_require={1: ['a']})", "`extras_require` cannot be read"),
        ("setup(entry_points={'console_scripts': ['x']})", "`entry_points` cannot be read"),
        ("setup(**settings)", "`**` cannot be read"),
        ("setup(", "no call of setup() that can be read"),
        ("setup(); setup()", "no call of setup() that can be read"),
        ("x = 1", "no call of setup() that can be read"),
        ("x" + ".y" * 20000, "no call of setup() that can be read"),
        ("setup(name=" + "(" * 500 + ")" * 500 + ")", "no call of setup() that can be read"),
    ],
)
def test_what_cannot_be_read_is_said(text: str, said: str, tmp_path: Path) -> None:
    found = setup_of(tmp_path, setup_py=text)
    assert found.texts == {}
    assert found.dependencies is None
    assert len(found.notes) == 1
    assert said in found.notes[0]


def test_what_compiles_needs_setuptools(tmp_path: Path) -> None:
    assert setup_of(tmp_path, setup_py="setup(name='a', ext_modules=[])").compiled


def test_a_setup_cfg_that_cannot_be_read(tmp_path: Path) -> None:
    assert setup_of(tmp_path, setup_cfg="name = 1\n").notes == [
        "`setup.cfg` cannot be read: left out"
    ]


@pytest.mark.parametrize(
    ("text", "version"),
    [('__version__ = "2.0"\n', "2.0"), ("__version__ = v()\n", ""), ('__version__ = "x"', "")],
)
def test_the_version_of_a_package(text: str, version: str, tmp_path: Path) -> None:
    (tmp_path / "__init__.py").write_text(text)
    assert facts.version_of(Folder(tmp_path), {"pkg": "."}) == version


FORMS = {
    "a function that reads lines": """
def needs(path):
    with open(path) as handle:
        lines = [line.strip() for line in handle.readlines()]
        if "-e ." in lines:
            lines.remove("-e .")
        return [line for line in lines if line and not line.startswith("#")]
setup(install_requires=needs("needs.txt"), version=version("pkg"))
""",
    "paths beside the file": """
here = os.path.abspath(os.path.dirname(__file__))
text = (pathlib.Path(__file__).parent / "needs.txt").read_text(encoding="utf-8")
about = {}
with open(os.path.join(here, "pkg", "__init__.py")) as f:
    exec(f.read(), about)
setup(install_requires=text.splitlines(), version=about["__version__"])
""",
    "words that are put together": """
base = ["numpy>=1"]
if sys.version_info < (3, 8):
    base.append("dataclasses")
base += ["click"]
words = dict(install_requires=base)
words["version"] = "%d.%d" % (1, 2)
if sys.argv[-1] == "publish":
    os.system("twine upload dist/*")
    sys.exit()
setup(**words)
""",
    "pip's own parser": """
try:
    from pip._internal.req import parse_requirements
except ImportError:
    from pip.req import parse_requirements
found = parse_requirements("needs.txt", session=False)
try:
    needs = [str(each.req) for each in found]
except AttributeError:
    needs = [str(each.requirement) for each in found]
setup(install_requires=needs, version=version("pkg"))
""",
    "a class, and what cannot be known": """
class Build:
    def run(self):
        subprocess.check_call(["make"])
commit = subprocess.check_output(["git", "rev-parse", "HEAD"]).decode()
needs = {"all": ["numpy>=1", "click"]}
for name in os.listdir("."):
    print(name)
setup(
    install_requires=[each for each in needs["all"]],
    version=f"{version('pkg')}",
    long_description=commit,
)
""",
}
HEAD = """
import os, pathlib, re, subprocess, sys
from setuptools import setup
os.mkdir("it-ran")
def version(package):
    init = open(os.path.join(package, "__init__.py")).read()
    return re.search("__version__ = ['\\"]([^'\\"]+)['\\"]", init).group(1)
"""


@pytest.mark.parametrize("form", FORMS)
def test_what_a_setup_py_works_out_is_known_without_a_run(form: str, tmp_path: Path) -> None:
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "__init__.py").write_text('__version__ = "1.2"\n')
    (tmp_path / "needs.txt").write_text("# what it needs\nnumpy>=1\n\nclick\n-e .\n")
    found = setup_of(tmp_path, setup_py=HEAD + FORMS[form])
    assert (found.texts, found.dependencies) == ({"version": "1.2"}, ["numpy>=1", "click"])
    assert not (tmp_path / "it-ran").exists()


@pytest.mark.parametrize(
    "code",
    [
        "x = 'a'\nfor _ in range(9):\n    x = x + x\n" * 9,
        "x = [1]\n" + "x.extend(x)\n" * 60,
        "def f(n):\n    return f(n)\nx = f(1)\n",
        f"x = [a {' '.join(f'for {name} in {list(range(9))}' for name in 'abcdefghi')}]\n",
        "import re\nx = re.search('(a+)+b', 'a' * 40)\n",
        "x = 'a' * 10 ** 9\n",
        "x = '%0999999999d' % 1\n",
        "x = '%*d' % (999999999, 1)\n",
        "x = ['a']\n" + "x.extend(x)\n" * 17 + "x = ''.join(x).replace('a', ''.join(x))\n",
        "x = '{:>999999999}'.format(1)\n",
        "x = f\"{1:>{'9' * 9}}\"\n",
        "x = open('../../etc/passwd').read()\n",
    ],
)
def test_code_that_would_take_for_ever_comes_to_nothing(code: str, tmp_path: Path) -> None:
    found = setup_of(tmp_path, setup_py=f"{code}setup(name='a', version=x)\n")
    assert "version" not in found.texts


def test_what_setup_cfg_points_to_is_read(tmp_path: Path) -> None:
    (tmp_path / "src" / "pkg").mkdir(parents=True)
    (tmp_path / "src" / "pkg" / "__init__.py").write_text("VERSION = (1, 2)\n")
    (tmp_path / "src" / "pkg" / "about.py").write_text("major = '1'\n__version__ = major + '.4'\n")
    (tmp_path / "needs.in").write_text("numpy>=1\n# more\nclick\n")
    cfg = "[metadata]\nversion = attr: pkg.about.__version__\n[options]\n"
    found = setup_of(tmp_path, setup_cfg=f"{cfg}install_requires = file: needs.in\n")
    assert (found.texts, found.dependencies) == ({"version": "1.4"}, ["numpy>=1", "click"])
