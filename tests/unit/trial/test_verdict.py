"""What a program printed says what it lacked."""

import pytest

from lockstitch.trial.verdict import Lack, folders_written, gives_up, lacks


@pytest.mark.parametrize(
    ("output", "kind", "name"),
    [
        ("ModuleNotFoundError: No module named 'sklearn.svm'\n", "module", "sklearn.svm"),
        ("Missing optional dependency 'openpyxl'.  Use pip\n", "module", "openpyxl"),
        ("Form data needs it: pip install python-multipart\n", "module", "python-multipart"),
        (
            "LightGBMError: scikit-learn is required for lightgbm.sklearn. You must install it\n",
            *("module", "scikit-learn"),
        ),
        ("Cannot use ImageField because Pillow is not installed.\n", "module", "Pillow"),
        (
            "ImportError: libxcb.so.1: cannot open shared object file: No such file or directory\n",
            *("library", "libxcb.so.1"),
        ),
        (
            "OSError: libgomp.so.1: cannot open shared object file: No such file or directory\n",
            *("library", "libgomp.so.1"),
        ),
        (
            "ImportError: /lib/libc.so.6: version `GLIBC_2.38' not found (required by /x.so)\n",
            *("symbol", "GLIBC_2.38"),
        ),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'c.yaml'\n", "file", "c.yaml"),
        ("\x1b[31mFileNotFoundError\x1b[39m: ../data/a.parquet\n", "file", "../data/a.parquet"),
        (
            (
                "ConnectionError: HTTPSConnectionPool(host='data.example.org', port=443): Max "
                "retries exceeded with url: /x.csv\n"
            ),
            *("host", "data.example.org"),
        ),
        (
            (
                "read_csv('https://data.example.org/x.csv')\n"
                "urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>\n"
            ),
            *("host", "data.example.org"),
        ),
        (
            "app: error: the following arguments are required: --config, data\n",
            *("argument", "--config, data"),
        ),
        ("Error: Missing argument 'INPUT_DIRPATH'.\n", "argument", "INPUT_DIRPATH"),
        ("exec `gunicorn`: No such file or directory\n", "program", "gunicorn"),
        ("PermissionError: [Errno 13] Permission denied: '/app/logs'\n", "folder", "/app/logs"),
        ("OSError: [Errno 30] Read-only file system: 'mlruns'\n", "folder", "mlruns"),
        ("mkdir: cannot create directory '/app/x': Permission denied\n", "folder", "/app/x"),
        (
            "  File \"<frozen os>\", line 679, in __getitem__\nKeyError: 'API_KEY'\n",
            *("variable", "API_KEY"),
        ),
        (
            (
                "pydantic_core.ValidationError: 1 validation error for Settings\n"
                "database_url\n  Field required [type=missing]\n"
            ),
            *("variable", "DATABASE_URL"),
        ),
        (
            "decouple.UndefinedValueError: SECRET_KEY not found. Declare it as envvar\n",
            "variable",
            "SECRET_KEY",
        ),
        (
            "ValueError: You must provide a JWT secret in the environment\n",
            "variable",
            "CHAINLIT_AUTH_SECRET",
        ),
        ("RuntimeError: A secret key is required to use CSRF.\n", "variable", "SECRET_KEY"),
        (
            "redis.exceptions.ConnectionError: Error 111 connecting to localhost:6379. refused\n",
            *("service", "localhost:6379"),
        ),
        (
            'connection to server at "db" (10.0.0.1), port 5432 failed: Connection refused\n',
            *("service", "db:5432"),
        ),
        ('could not translate host name "db" to address: unknown\n', "service", "db"),
        ("ImportError: matplotlib is required for plotting when\n", "module", "matplotlib"),
        (
            "consumer: Cannot connect to amqp://guest:**@mq:5672//: [Errno 111] Refused.\n",
            *("service", "mq:5672"),
        ),
        (
            (
                "Retrying (Retry(total=1)) after connection broken by 'NewConnectionError('<at 0>: "
                "Failed: [Errno 111] Connection refused')': /api/2.0/mlflow/runs?name=a\n"
            ),
            *("service", "/api/2.0/mlflow/runs"),
        ),
        ("ServerSelectionTimeoutError: mongo:27017: [Errno -2] Name\n", "service", "mongo:27017"),
        ("bentoml.exceptions.NotFound: no Models with name 'm' found\n", "model", "m"),
        ("MissingConfigError: It seems ClearML is not configured here!\n", "account", "ClearML"),
        (
            "botocore.exceptions.NoCredentialsError: Unable to locate credentials\n",
            *("account", "AWS"),
        ),
        (
            "google.auth.exceptions.DefaultCredentialsError: Your default credentials…",
            *("account", "Google Cloud"),
        ),
        (
            "omegaconf.errors.MissingMandatoryValue: Missing mandatory value: input.run_name\n",
            *("value", "input.run_name"),
        ),
        (
            "DNSError: Failed to perform, curl: (6) Could not resolve host: q.example.com. See\n",
            *("host", "q.example.com"),
        ),
        (
            "urllib.error.URLError: <urlopen error [Errno -2] Name or service not known>\n",
            *("host", "of another machine"),
        ),
        (
            "FileNotFoundError: No such file or directory (os error 2): \ndata/raw/rows.csv\n",
            *("file", "data/raw/rows.csv"),
        ),
        ("OSError: Could not find kaggle.json. Make sure it's in /root\n", "account", "Kaggle"),
        (
            "StreamlitSecretNotFoundError: No secrets found. Valid paths for a secrets.toml file\n",
            *("secrets", ".streamlit/secrets.toml"),
        ),
        (
            "AttributeError: Can't get attribute 'Vote' on <module '__main__' from '/x/flask'>\n",
            *("class", "Vote"),
        ),
        (
            "unpickle estimator SVC from version 1.1.3 when using version 1.3\nincompatible dtype",
            *("scikit-learn", "1.1.3"),
        ),
    ],
)
def test_what_is_missing_is_named(output: str, kind: str, name: str) -> None:
    noise = 'Traceback (most recent call last):\n  File "x.py", line 1\n'
    assert lacks(noise + output) == [Lack(kind=kind, name=name)]
    assert lacks(noise) == []


def test_a_program_that_subprocess_does_not_find_is_no_file() -> None:
    text = (
        '  File "/usr/lib/python3.11/subprocess.py", line 1901, in _execute_child\n'
        "    raise child_exception_type(errno_num, err_msg, err_filename)\n"
        "FileNotFoundError: [Errno 2] No such file or directory: 'sudo'\n"
    )
    told = "Error: [Errno 2] No such file or directory: 'sudo'\n"
    assert lacks(told + text) == [Lack(kind="program", name="sudo")]
    warned = (
        "UserWarning: Could not find the number of physical cores for the following reason:\n"
        "[Errno 2] No such file or directory: 'cat'\nReturning the number of logical cores\n"
    )
    assert lacks(warned) == [], "joblib goes on without"


def test_the_last_failure_comes_first_and_each_once() -> None:
    text = (
        "ModuleNotFoundError: No module named 'a'\n"
        "ModuleNotFoundError: No module named 'b'\n"
        "ModuleNotFoundError: No module named 'a'\n"
    )
    assert [lack.name for lack in lacks(text)] == ["a", "b"]


@pytest.mark.parametrize(
    "text",
    [
        "KeyError: 'API_KEY'\n",  # of a dictionary of its own
        "ValueError: FEATURE_COLUMNS has 3 names, the table 4\n",
        "INFO: API_KEY is not set, going on without\n",
        "Usage: flask run [OPTIONS]\n\nError: Could not import 'app.app'.\n",  # no argument
    ],
)
def test_a_name_in_capitals_and_a_usage_are_no_lack_by_themselves(text: str) -> None:
    assert lacks(text) == []


def test_a_missing_argument_comes_with_the_command() -> None:
    lack = Lack(kind="argument", name="--config, data")
    assert lack.line("train") == "lockstitch try train -- --config VALUE DATA"


def test_a_hint_names_the_table_of_the_image() -> None:
    lack = Lack(kind="folder", name="/app/logs/")
    assert lack.line("serve") == 'outputs = ["logs"] in [tool.lockstitch.images.serve]'


def test_an_account_comes_with_what_does_without() -> None:
    assert Lack(kind="account", name="Weights & Biases").line("train") == (
        "a key where a container is started; here: lockstitch try train --env WANDB_MODE=offline"
    )


@pytest.mark.parametrize(
    ("module", "requirement"),
    [("sklearn.svm", "scikit-learn"), ("pkg_resources", "'setuptools<81'"), ("a_b", "a-b")],
)
def test_a_module_comes_with_what_to_type(module: str, requirement: str) -> None:
    line = Lack(kind="module", name=module).line("serve")
    assert line == (
        f"uv add --frozen {requirement} && lockstitch lock, or include its file in "
        "[tool.lockstitch.images.serve]"
    )


def test_written_folders_are_named_once_and_from_the_top() -> None:
    had = {"/app", "/app/src", "/app/data"}
    written = [
        *("/app/logs/a", "/app/artifacts/x/y/m.pt", "/app/artifacts/z", "/app/out.csv"),
        *("/app/data/new/f", "/app/src/__pycache__/a.pyc", "/app/src/b", "/home/nonroot/.cache/x"),
        *("/app/.venv/lib/a/frpc", "/home/nonroot/.config/mlflow/telemetry.json"),
    ]
    assert folders_written(written, had.__contains__) == [
        "/home/nonroot/.cache/x",
        "artifacts",
        "data/new",
        "logs",
        "out.csv",
        "src",
    ]


@pytest.mark.parametrize(
    ("output", "kind", "name"),
    [
        ("Error: [Errno 2] No such file or directory: './d/x.csv'\n", "file", "./d/x.csv"),
        (
            "Resource \x1b[93mstopwords\x1b[0m not found.\n  Please use the NLTK Downloader to\n",
            *("corpus", "stopwords"),
        ),
        ("FileNotFoundError: No data at /app/d/x.csv.\n", "file", "/app/d/x.csv"),
        (
            "\x1b[31mFileNotFoundError\x1b[39m: [Errno 2] No such file or directory: '/bin/sh'\n",
            *("program", "/bin/sh"),
        ),
    ],
)
def test_words_around_a_missing_file_do_not_count(output: str, kind: str, name: str) -> None:
    (lack,) = lacks(output)
    assert (lack.kind, lack.name) == (kind, name)
    assert ("shell" in lack.line("x")) == (kind == "program")


@pytest.mark.parametrize(
    ("output", "files"),
    [
        ("Model not found. Please train first.", []),
        ("Error: data file not found at data/rows.csv", ["data/rows.csv"]),
        ("An error occurred: [Errno 2] No such file or directory: 'a.bin'", ["a.bin"]),
        ("Could not find model file 'models/x.pkl'\nExiting...", ["models/x.pkl"]),
        ("Model file m/a.pkl does not exist!\nPlease run train.py first.", ["m/a.pkl"]),
        ("[ERROR] config.yaml doesn't exist", ["config.yaml"]),
        ("ERROR: File not found at /app/d/All of 2024.csv", ["/app/d/All of 2024.csv"]),
        ("Exception: Can not find file: rows.csv in folder ./data", ["rows.csv"]),
        ("No images found in data/raw", []),
        ("mlflow.exceptions.MlflowException: Registered model alias a not found", []),
        ("Please place dataset.csv in the folder", ["dataset.csv"]),
    ],
)
def test_the_last_words_of_a_program_that_gave_up(output: str, files: list[str]) -> None:
    last = next(line for line in output.splitlines() if "Exiting" not in line)
    assert gives_up(f"loading\n{output}\n") in output.splitlines()
    assert last in output
    assert [lack.name for lack in lacks(output) if lack.kind == "file"] == files
    assert gives_up(f"{output}\nAccuracy: 0.93\n") == ""


@pytest.mark.parametrize(
    "output",
    [
        "Missing values: 0",
        "Total missing data: 0",
        "No missing data found",
        "columns missing: []",
        "Filled missing in data.csv",
        "training first model done",
        "No GPU found, using CPU",
        "Saved model to models/m.pkl",
    ],
)
def test_the_last_words_of_a_program_that_did_its_work(output: str) -> None:
    assert gives_up(output) == ""


def test_a_page_without_its_secrets_lacks_the_variable_that_it_reads() -> None:
    told = "streamlit.errors.StreamlitAPIException: `set_page_config()` can only be called once\n"
    (lack,) = lacks(told, [["API_URL"]])
    assert (lack.kind, lack.name) == ("variable", "API_URL")


def test_a_host_comes_before_the_files_that_it_would_have_given() -> None:
    told = "<urlopen error [Errno -2] Name or service not known>\n"
    output = f"ERROR {told}FileNotFoundError: [Errno 2] No such file or directory: 'd/a.csv'\n"
    assert [lack.kind for lack in lacks(output)] == ["host", "file"]
    assert [lack.kind for lack in lacks(output.replace("ERROR", "[nltk_data] Error"))] == ["file"]


def test_what_calls_a_handler_of_lambda_is_a_service() -> None:
    told = "  File \"<frozen os>\", line 679, in __getitem__\nKeyError: 'AWS_LAMBDA_RUNTIME_API'\n"
    (lack,) = lacks(told)
    assert lack.line("x") == "start it, and give its address where a container is started"


def test_each_variable_that_an_error_names_is_named() -> None:
    told = "RuntimeError: MODEL_REPO and/or MODEL_FILE not set\n"
    assert [lack.name for lack in lacks(told)] == ["MODEL_REPO", "MODEL_FILE"]


def test_a_field_of_settings_is_the_variable_that_its_prefix_begins() -> None:
    fields = "HOST\n  Field required [type=missing]\nmode\n  Field required [type=missing]\n"
    output = f"pydantic_core.ValidationError: 2 validation errors for DBSettings\n{fields}"
    named = [lack.name for lack in lacks(output, [["DB_HOST", "DB_PORT", "MODE"]])]
    assert named == ["MODE", "DB_HOST"]


@pytest.mark.parametrize(
    ("line", "error", "edit"),
    [
        (
            *("from sklearn.externals import joblib", "ImportError: cannot import name 'joblib'"),
            "'s/from sklearn.externals import joblib/import joblib/'",
        ),
        (
            "from sklearn.grid_search import GridSearchCV",
            "ModuleNotFoundError: No module named 'sklearn.grid_search'",
            "s/sklearn.grid_search/sklearn.model_selection/",
        ),
    ],
)
def test_a_name_that_moved_comes_with_the_edit(line: str, error: str, edit: str) -> None:
    end = " from 'sklearn.externals' (/app/.venv/x.py)" if "ImportError: c" in error else ""
    frames = '  File "/app/web/app.py", line 5, in <module>\n'
    (lack,) = lacks(f"{frames}    {line}\n{error}{end}\n")
    assert lack.line("serve") == f"sed -i {edit} web/app.py && lockstitch build --try"
