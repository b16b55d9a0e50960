"""Applications are found in syntax trees; nothing is imported."""

import pytest

from lockstitch.repository.code.applications import (
    Application,
    applications,
    by_of,
    code_of,
    default_of,
    is_local,
)


def of(text: str, path: str = "main.py", made: dict[str, str] | None = None) -> list[Application]:
    code = code_of(path, text)
    return applications(code, made) if code else []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("import fastapi\nx: fastapi.FastAPI = fastapi.FastAPI()", ("x", False, "")),
        ("import fastapi\nfrom .web import make\napp = make()", ("app", False, "")),
        (
            (
                "from fastapi import FastAPI\ndef create_app(*, a=1):\n  app = FastAPI()\n"
                "  @app.get('/health')\n  def ok(): ...\n  return app"
            ),
            ("create_app", True, "/health"),
        ),
        (
            (
                "from fastapi import *\napp = FastAPI()\nr = APIRouter(prefix='/v1')\n"
                "@r.get('/health')\ndef ok(): ..."
            ),
            ("app", False, ""),
        ),
        (
            (
                "from fastapi import *\nr = APIRouter(prefix='/v1')\n@r.get('/health')\n"
                "def ok(): ...\ndef build(a):\n  b = FastAPI()\n"
                "  b.include_router(r, prefix='/api')\n  return b\nweb = build(1)"
            ),
            ("web", False, "/api/v1/health"),
        ),
        (
            (
                "import flask\np = flask.Blueprint('p', 'p', url_prefix='/a')\n@p.route('/ping')\n"
                "def ok(): ...\nx = flask.Flask('x')\nx.register_blueprint(p, url_prefix='/b')"
            ),
            ("x", False, "/b/ping"),
        ),
        (
            (
                "from fastapi import *\nr = APIRouter(prefix=PREFIX)\n@r.get('/health')\n"
                "def ok(): ...\napp = FastAPI()\napp.include_router(r)"
            ),
            ("app", False, ""),
        ),
        (
            (
                "from fastapi import *\napp = FastAPI()\n@app.post('/health')\ndef ok(): ...\n"
                "@app.get\ndef no(): ...\n@app.get()\ndef never(): ..."
            ),
            ("app", False, ""),
        ),
        (
            "import flask\nserver = flask.Flask(__name__)\n@server.route('/')\ndef home(): ...",
            ("server", False, "/"),
        ),
        (
            "import flask\nx = flask.Flask('x')\n@x.route('/', methods=['POST'])\ndef home(): ...",
            ("x", False, ""),
        ),
        (
            "from fastapi import FastAPI\na = FastAPI()\n@a.get('/ping')\ndef ping(token): ...",
            ("a", False, ""),
        ),
        (
            "try:\n  from fastapi import FastAPI\n  app = FastAPI()\nexcept ImportError:\n  pass",
            ("app", False, ""),
        ),
    ],
)
def test_what_is_an_application(text: str, wanted: tuple[str, bool, str]) -> None:
    found = of(text)[0]
    assert (found.name, found.factory, found.health) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "from fastapi import FastAPI\ndef create_app(a): ...",
        "app = make()",
        "from fastapi import APIRouter\nrouter = APIRouter()",
        "print 'two'",
        "x = 1\n",
    ],
)
def test_what_is_none(text: str) -> None:
    assert of(text) == []


@pytest.mark.parametrize(
    ("text", "kind", "name"),
    [
        ("import streamlit as st\nst.title('x')", "streamlit", ""),
        ("import gradio as gr\ngr.Interface(fn=print).launch()", "gradio", ""),
        ("import gradio as gr\nwith gr.Blocks() as demo:\n  pass\ndemo.launch()", "gradio", "demo"),
        ("from dash import Dash\napp = Dash(__name__)\nserver = app.server", "dash", "app"),
        ("import bentoml\n@bentoml.service\nclass Model: ...", "bentoml", "Model"),
        ("import bentoml\n@bentoml.service(workers=1)\nclass Model: ...", "bentoml", "Model"),
        ("from ray import serve\n@serve.deployment\nclass D: ...\napp = D.bind()", "ray", "app"),
        ("from celery import Celery\nworker = Celery('w')", "celery", "worker"),
        ("import chainlit as cl\n@cl.on_message\nasync def main(m): ...", "chainlit", ""),
        ("import panel as pn\npn.Row('x').servable()", "panel", ""),
        ("import grpc\ndef main():\n  grpc.server(1)\nmain()", "grpc", ""),
        (
            "import litserve as ls\nif __name__ == '__main__':\n  ls.LitServer(1).run()",
            "litserve",
            "",
        ),
        ("import flask\nif __name__ == '__main__':\n  a = flask.Flask('a')", "flask", ""),
        ("print('x')", "script", ""),
    ],
)
def test_kinds(text: str, kind: str, name: str) -> None:
    found = of(text)[0]
    assert (found.kind, found.name) == (kind, name)


@pytest.mark.parametrize(
    ("call", "port"),
    [
        ("import uvicorn\nuvicorn.run('main:app', port=8001)", 8001),
        ("import os\napp.run(port=int(os.environ.get('PORT', '8002')))", 8002),
        ("P = 8003\napp.run(host='0.0.0.0', port=P)", 8003),
        ("import os\napp.run(port=os.getenv('PORT') or 8004)", 8004),
        ("server.add_insecure_port('[::]:50052')", 50052),
        ("P = 50053\nserver.add_insecure_port(f'[::]:{P}')", 50053),
        ("parser.add_argument('--port', type=int, default=8005)", 8005),
        ("from http.server import HTTPServer\nHTTPServer(('', 8006), object)", 8006),
        ("app.run(port=port)", 0),
        ("app.run(port=True)", 0),
        ("app.run(port=700000)", 0),
    ],
)
def test_the_port_that_the_code_says(call: str, port: int) -> None:
    found = of(f"from flask import Flask\napp = Flask('x')\n{call}")
    assert found[0].port == port


def test_an_application_that_a_function_of_another_file_makes() -> None:
    text = "from shop import create_app\napp = create_app()"
    assert of(text, "wsgi.py", {"shop.create_app": "flask"})[0].kind == "flask"


def test_what_frameworks_answer_by_themselves() -> None:
    assert default_of("streamlit") == (8501, "/_stcore/health")
    assert default_of("script") == (0, "")
    assert (by_of("fastapi"), by_of("script")) == ("asgi", "file")


@pytest.mark.parametrize(
    ("text", "local"),
    [
        ("app.run()", True),
        ("app.run(debug=True, port=1)", True),
        ("app.run(host='localhost')", True),
        ("app.run('127.0.0.1', 80)", True),
        ("app.run(host='0.0.0.0')", False),
        ("app.run('0.0.0.0', 80)", False),
        ("app.run(host=HOST)", False),
        ("app.run(**options)", False),
        ("import uvicorn\nuvicorn.run(app)", True),
        ("import uvicorn\nuvicorn.run('main:app', reload=True)", True),
        ("import uvicorn\nuvicorn.run('main:app', '0.0.0.0')", False),
        ("import uvicorn\nuvicorn.run('main:app', host='0.0.0.0')", False),
        ("import waitress\nwaitress.serve(app)", False),
        ("socketio.run(app)", False),
        ("import asyncio\nasyncio.run(main())", False),
        ("import subprocess\nsubprocess.run(['ls'])", None),
        ("pass", None),
    ],
)
def test_whom_a_file_serves(text: str, *, local: bool | None) -> None:
    code = code_of("main.py", f"import flask\napp = flask.Flask('a')\n{text}\n")
    assert code is not None
    assert is_local(code, applications(code)[0]) is local
