"""Old code, old pins and old models bound what their lists leave open."""

import pickle
import zlib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from support.projects import write_files

from lockstitch.resources import load_table
from lockstitch.scaffold.init import eras
from lockstitch.scaffold.init.folder import Folder
from lockstitch.scaffold.init.inputs import Inputs, read_inputs
from lockstitch.scaffold.init.sources import SetupMetadata

LISTED = "requirements.txt"


def inputs_of(folder: Path, files: dict[str, str]) -> Inputs:
    write_files(folder, files)
    return read_inputs(Folder(folder), {}, SetupMetadata(), converts=False)


@pytest.mark.parametrize(
    ("listed", "dependencies", "constraints"),
    [
        # A wheel of the time of NumPy 1.
        ("pandas==1.5.3\nnumpy\n", ["pandas==1.5.3", "numpy<2"], []),
        ("pandas==1.5.3\nnumpy>=1.21\n", ["pandas==1.5.3", "numpy<2,>=1.21"], []),
        ("pandas==1.5.3\n", ["pandas==1.5.3"], ["numpy<2"]),
        ("pandas<2\n", ["pandas<2"], ["numpy<2"]),
        ("pandas~=1.5.0\n", ["pandas~=1.5.0"], ["numpy<2"]),
        ("pandas==1.5.3\nnumpy==1.24.4\n", ["pandas==1.5.3", "numpy==1.24.4"], []),
        ("pandas==1.5.3\nnumpy==2.0.1\n", ["pandas==1.5.3", "numpy==2.0.1"], []),
        ("pandas==2.2.3\nnumpy\n", ["pandas==2.2.3", "numpy"], []),
        ("pandas>=1\nnumpy\n", ["pandas>=1", "numpy"], []),
        ("pandas\nnumpy\n", ["pandas", "numpy"], []),
        # Another package that went on.
        ("flask==2.1.0\n", ["flask==2.1.0"], ["werkzeug<3"]),
        ("flask==2.1.0\nwerkzeug==2.0.3\n", ["flask==2.1.0", "werkzeug==2.0.3"], []),
        (
            "flask==1.1.2\n",
            ["flask==1.1.2"],
            ["itsdangerous<2.1", "jinja2<3.1", "markupsafe<2.1", "werkzeug<2.1", "werkzeug<3"],
        ),
        ("streamlit==1.12.0\n", ["streamlit==1.12.0"], ["altair<5"]),
        ("xgboost==1.7.6\nscikit-learn\n", ["xgboost==1.7.6", "scikit-learn<1.6"], []),
        ("xgboost==1.7.6\n", ["xgboost==1.7.6"], []),
        # What a bound of its own leads to, where somebody brings it.
        ("streamlit\npandas==1.5.3\n", ["streamlit", "pandas==1.5.3"], ["numpy<2", "pyarrow<26"]),
        ("pyarrow\nnumpy<2\n", ["pyarrow<26", "numpy<2"], []),
    ],
)
def test_an_old_pin_bounds_what_it_does_not_bound_itself(
    tmp_path: Path, listed: str, dependencies: list[str], constraints: list[str]
) -> None:
    inputs = inputs_of(tmp_path, {LISTED: listed})
    assert inputs.dependencies == dependencies
    assert inputs.constraints == constraints


@pytest.mark.parametrize(
    ("listed", "code", "dependencies"),
    [
        ("dash\n", "import dash\napp = dash.Dash()\napp.run_server()\n", ["dash<3"]),
        ("dash>=2\n", "from dash import Dash\nDash().run_server()\n", ["dash<3,>=2"]),
        ("dash==3.0.0\n", "import dash\ndash.Dash().run_server()\n", ["dash==3.0.0"]),
        ("dash\n", "import other\nother.app.run_server()\n", ["dash"]),
        ("gradio\n", "import gradio as gr\nwith gr.Box():\n    pass\n", ["gradio<4"]),
        (
            "protobuf\n",
            "from google.protobuf import descriptor as _d\nF = _d.FieldDescriptor(name='a')\n",
            ["protobuf<3.21"],
        ),
        ("numpy\n", "import numpy as np\nx = np.float(1)\n", ["numpy<1.24"]),
        ("numpy\n", "import numpy as np\nx = np.float64(1), np.NaN\n", ["numpy<2"]),
        ("numpy\n", "import numpy as np\nx = np.NaN, np.int\n", ["numpy<1.24"]),
        ("numpy\n", "import numpy as np\nx = np.float64(1)\n", ["numpy"]),
        ("streamlit\n", "import streamlit as st\nst.experimental_rerun()\n", ["streamlit<1.37"]),
        (
            "streamlit\n",
            (
                "import streamlit as st\nif hasattr(st, 'experimental_rerun'):\n"
                "    st.experimental_rerun()\n"
            ),
            ["streamlit"],
        ),
        (
            "pydantic\n",
            (
                "try:\n    from pydantic_settings import BaseSettings\nexcept ImportError:\n"
                "    from pydantic import BaseSettings\n"
            ),
            ["pydantic"],
        ),
        ("pydantic\n", "from pydantic import BaseSettings\n", ["pydantic<2"]),
        (
            "scikit-learn\n",
            "from sklearn.preprocessing import OneHotEncoder\nOneHotEncoder(sparse=False)\n",
            ["scikit-learn<1.4"],
        ),
        (
            "scikit-learn\n",
            "from sklearn.preprocessing import OneHotEncoder\nOneHotEncoder(sparse_output=False)\n",
            ["scikit-learn"],
        ),
        ("langchain\n", "from langchain.chains import LLMChain\n", ["langchain<1"]),
        ("langchain\n", "from langchain.agents import create_agent\n", ["langchain"]),
        ("pandas\n", "import pandas as pd\npd.DataFrame().applymap(str)\n", ["pandas<3"]),
        ("pandas>=3\n", "import pandas as pd\npd.DataFrame().applymap(str)\n", ["pandas>=3"]),
        ("pandas\n", "import pandas as pd\nx = d[c].dtype == 'object'\n", ["pandas<3"]),
        ("pandas\n", "import pandas as pd\nx = d.columns[d.dtypes != object]\n", ["pandas<3"]),
        ("pandas\n", "import pandas as pd\nx = d[c].dtype == 'int64'\n", ["pandas"]),
        ("pandas\n", "import pandas as pd\npd.DataFrame().map(str)\n", ["pandas"]),
        (
            "pandas\n",
            "import pandas as pd\npd.DataFrame().drop(columns=['a'], axis=1)\n",
            ["pandas<3"],
        ),
        ("pandas\n", "import pandas as pd\npd.DataFrame().drop(columns=['a'])\n", ["pandas"]),
        (
            "pandas\n",
            (
                "import pandas as pd\ntry:\n    pd.DataFrame().applymap(str)\n"
                "except Exception as e:\n    raise RuntimeError from e\n    print(e)\n"
            ),
            ["pandas<3"],
        ),
        (
            "streamlit\n",
            "import streamlit as st\nst.set_option('deprecation.showPyplotGlobalUse', False)\n",
            ["streamlit<1.35"],
        ),
        (
            "streamlit\n",
            "import streamlit as st\nst.set_option('client.showErrorDetails', False)\n",
            ["streamlit"],
        ),
    ],
)
def test_code_of_an_older_time_gets_the_versions_that_have_what_it_uses(
    tmp_path: Path, listed: str, code: str, dependencies: list[str]
) -> None:
    inputs = inputs_of(tmp_path, {LISTED: listed, "app.py": code})
    assert inputs.dependencies[: len(dependencies)] == dependencies
    where = [note for note in inputs.notes if "`app.py:" in note and "does not have" in note]
    assert bool(where) is (dependencies[0] != listed.split("\n", maxsplit=1)[0])


@pytest.mark.parametrize(
    ("first", "bound"),
    [("'home.html', {'request': request}", True), ("request, 'home.html'", False)],
)
def test_what_a_listed_package_brings_is_bounded_too(
    tmp_path: Path, first: str, *, bound: bool
) -> None:
    code = (
        "from fastapi.templating import Jinja2Templates\n"
        f"pages = Jinja2Templates('templates')\ndef home(request):\n"
        f"    return pages.TemplateResponse({first})\n"
    )
    inputs = inputs_of(tmp_path, {LISTED: "fastapi\njinja2\n", "app.py": code})
    assert inputs.constraints == (["starlette<1"] if bound else [])


def test_code_that_is_no_program_bounds_nothing(tmp_path: Path) -> None:
    code = "import numpy as np\nx = np.float(1)\n"
    inputs = inputs_of(tmp_path, {LISTED: "numpy\n", "tests/test_a.py": code})
    assert inputs.dependencies == ["numpy"]


@pytest.mark.parametrize(
    ("listed", "bound"),
    [
        ("psycopg2-binary\nsqlalchemy\n", True),
        ("psycopg2\nsqlmodel\n", True),
        ("psycopg2-binary\n", False),
        ("psycopg2-binary\npsycopg\nsqlalchemy\n", False),
        ("psycopg2-binary\nsqlalchemy>=2.1\n", False),
    ],
)
def test_a_driver_bounds_what_no_longer_takes_it(
    tmp_path: Path, listed: str, *, bound: bool
) -> None:
    notes = inputs_of(tmp_path, {LISTED: listed}).notes
    assert any(note.startswith("`sqlalchemy<2.1`: `psycopg2") for note in notes) is bound


def test_a_file_that_is_no_text_is_no_code(tmp_path: Path) -> None:
    (tmp_path / "old.py").write_bytes(b"import numpy as np\nx = np.float  # \xe9\n")
    assert inputs_of(tmp_path, {LISTED: "numpy\n"}).dependencies == ["numpy"]


def test_a_lock_of_uv_is_what_counts(tmp_path: Path) -> None:
    inputs = inputs_of(tmp_path, {LISTED: "pandas==1.5.3\nnumpy\n", "uv.lock": "version = 1\n"})
    assert inputs.dependencies == ["pandas==1.5.3", "numpy"]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("compressed", [False, True])
def test_a_model_is_read_by_the_version_that_wrote_it(
    tmp_path: Path, protocol: int, *, compressed: bool
) -> None:
    state = {"coef_": [1.5], "_sklearn_version": "1.2.2", "n": 3}
    data = pickle.dumps(state, protocol=protocol)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m.pkl").write_bytes(zlib.compress(data) if compressed else data)
    inputs = inputs_of(tmp_path, {LISTED: "scikit-learn\nnumpy\n"})
    assert inputs.dependencies == ["scikit-learn==1.2.2", "numpy<2"]
    assert "`scikit-learn==1.2.2`: it wrote `models/m.pkl`" in inputs.notes[0]


@pytest.mark.parametrize("listed", ["scikit-learn==1.3.0", "scikit-learn<1", "joblib"])
def test_a_version_that_a_list_names_stays(tmp_path: Path, listed: str) -> None:
    (tmp_path / "m.pkl").write_bytes(pickle.dumps({"_sklearn_version": "1.2.2", "n": 1}))
    inputs = inputs_of(tmp_path, {LISTED: f"{listed}\n"})
    assert inputs.dependencies == [listed]


def test_of_several_models_the_newest_version_counts(tmp_path: Path) -> None:
    for name, version in (("a", "1.5.2"), ("b", "1.10.0"), ("c", "1.6.1")):
        state = {"_sklearn_version": version, "n": 1}
        (tmp_path / f"{name}.joblib").write_bytes(pickle.dumps(state))
    inputs = inputs_of(tmp_path, {LISTED: "scikit-learn>=1.2\n"})
    assert inputs.dependencies == ["scikit-learn==1.10.0"]


def test_what_is_damaged_is_no_model(tmp_path: Path) -> None:
    (tmp_path / "m.pkl").write_bytes(b"\x78\x9c_sklearn_version no zlib")
    (tmp_path / "n.pkl").write_bytes(b"_sklearn_version\x94\x8c")
    assert inputs_of(tmp_path, {LISTED: "scikit-learn\n"}).dependencies == ["scikit-learn"]


@pytest.mark.parametrize(
    ("specifiers", "version", "expected"),
    [
        ("", "2", False),
        ("==1.9", "2", True),
        ("==1.*", "2", True),
        ("==2.0", "2", False),
        ("<2", "2", True),
        ("<=1.9", "2", True),
        ("<=2", "2", False),
        ("<2.1", "2", False),
        ("~=1.9.1", "2", True),
        ("~=1.9", "2", True),
        ("~=2.0", "2", False),
        (">=1", "2", False),
        ("!=2", "2", False),
        (">=1,<1.5", "2", True),
    ],
)
def test_a_bound_is_told_by_its_clauses(specifiers: str, version: str, *, expected: bool) -> None:
    assert eras.is_below(SpecifierSet(specifiers), version) is expected


def test_the_tables_name_bounds() -> None:
    known = load_table("lockstitch.scaffold.init", "eras.toml")
    lines = [*(known["company"].keys() - known["instead"].keys()), *known["removed"].values()]
    for needed in known["company"].values():
        lines += needed if isinstance(needed, list) else [needed]
    assert all(line.count("<") == 1 for line in lines)
