"""Images start without an engine: unpacked once, read-only, as their own user."""

import dataclasses
import functools
import io
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from support.server import Reply, serve

from lockstitch import threads
from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.oci.layer import TAR, LayerFacts
from lockstitch.oci.model import Config, Image, Platform
from lockstitch.python.model import ImageSpec
from lockstitch.store import Store
from lockstitch.trial import rootfs
from lockstitch.trial.rootfs import Root
from lockstitch.trial.start import Trial, Verdict, start

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")

USERS = "root:x:0:0:root:/root:/bin/sh\nme:x:65532:65531:me:/home/me:/bin/sh\n"


@dataclasses.dataclass(frozen=True)
class Plain:
    """A layer that is a tar of files by their names, as some other tool would write it."""

    files: Mapping[str, bytes]
    mode: int = 0o755
    folder: str = ""

    @property
    def data(self) -> bytes:
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            if self.folder:
                member = tarfile.TarInfo(self.folder)
                member.type, member.mode = tarfile.DIRTYPE, 0o777
                archive.addfile(member)
            for name, data in self.files.items():
                member = tarfile.TarInfo(name)
                member.size, member.mode = len(data), self.mode
                archive.addfile(member, io.BytesIO(data))
        return buffer.getvalue()

    @property
    def facts(self) -> LayerFacts:
        digest = of_bytes(self.data)
        size = len(self.data)
        return LayerFacts(digest=digest, diff_id=digest, size=size, unpacked=0, media_type=TAR)

    @property
    def created_by(self) -> str:
        return "test"

    def chunks(self) -> Iterator[bytes]:
        yield self.data


class Damaged(Plain):
    """A layer whose bytes are not what its facts say."""

    def chunks(self) -> Iterator[bytes]:
        yield self.data.replace(b"3", b"4")


@functools.cache
def programs() -> dict[str, bytes]:
    """Return this machine's shell and some programs, and what they are linked with."""
    files: dict[str, bytes] = {"etc/passwd": USERS.encode()}
    for name in ("sh", "mkdir", "cat", "id", "sleep"):
        program = Path(shutil.which(name) or "")
        files[f"bin/{name}"] = program.read_bytes()
        linked = subprocess.check_output(["ldd", program], text=True)
        for library in re.findall(r"(/\S+) \(0x", linked):
            files[library.lstrip("/")] = Path(library).read_bytes()
    return files


def image(folder: str = "") -> Image:
    return Image(
        platform=Platform(os="linux", architecture="amd64"),
        config=Config(user="me", workdir="/app", env={"PATH": "/bin", "GREETING": "hello"}),
        layers=(Plain(programs()), Plain({"app/data": b"1"}, mode=0o644, folder=folder)),
        created=0,
    )


def unpacked(made: Image, store: Store) -> Root:
    return rootfs.unpack(made, store, lambda _: None)


def run(store: Store, script: str, folder: str = "", **spec: object) -> Verdict:
    made = image(folder)
    config = dataclasses.replace(made.config, command=("sh", "-c", script))
    table = ImageSpec(name="x", command=config.command, **spec)
    return start(Trial(spec=table, config=config, root=unpacked(made, store), seconds=20))


def test_it_runs_as_its_user_with_its_variables_in_its_folder(store: Store) -> None:
    verdict = run(store, "id -u; id -g; echo $GREETING $HOME; cat data; echo; echo *")
    assert (verdict.outcome, verdict.code) == ("ended", 0)
    assert verdict.output.split("\n")[:5] == ["65532", "65531", "hello /home/me", "1", "data"]


def test_nothing_of_the_image_can_be_written_but_outputs(store: Store) -> None:
    verdict = run(store, "echo 1 >out/a && cat out/a && echo 2 >data", "app/out", outputs=("out",))
    assert verdict.outcome == "failed"
    assert verdict.output.startswith("1\n")
    assert not list((store.root / "trial").rglob("a"))


def test_what_is_written_beside_the_code_goes_away_with_the_trial(store: Store) -> None:
    verdict = run(store, "echo 1 >new && cat new; echo 2 >data", "app", outputs=(".",))
    assert verdict.outcome == "failed", "the file is root's"
    assert verdict.output.startswith("1\n")
    assert not list((store.root / "trial").rglob("new"))
    assert run(store, "echo 1 >/etc/new", "app", outputs=(".",)).outcome == "failed"


@pytest.mark.slow
def test_a_program_that_waits_for_a_database_that_it_cannot_write_has_failed(store: Store) -> None:
    script = "if mkdir runs; then sleep 61.6; fi; echo unable to open database file; sleep 61.6"
    made = image()
    config = dataclasses.replace(made.config, command=("sh", "-c", script))
    table = ImageSpec(name="x", command=config.command)
    verdict = start(Trial(spec=table, config=config, root=unpacked(made, store), seconds=5))
    assert (verdict.outcome, verdict.writes) == ("failed", ("runs",))


def test_a_file_that_a_good_end_says_was_missing_is_named(store: Store) -> None:
    told = "echo \"Error: [Errno 2] No such file or directory: 'd/x'\""
    for script, is_good in ((f"{told}; echo 3 rows", True), (told, False)):
        verdict = run(store, script)
        assert verdict.is_good is is_good
        assert [(lack.kind, lack.name) for lack in verdict.lacks] == [("file", "d/x")]


def test_a_variable_is_named_where_its_absence_is_told_in_other_words(store: Store) -> None:
    """The code of the last failure says which variables it reads."""
    code = b"import os\nurl = os.getenv('SERVICE_URL')\nsize = os.getenv('SIZE', '1')\n"
    made = image()
    made = dataclasses.replace(made, layers=(*made.layers, Plain({"app/src/model.py": code})))
    traced = 'Traceback (most recent call last):\n  File "/app/src/model.py", line 2, in load\n'
    for told in ("MissingSchema: Invalid URL None", "RuntimeError: SERVICE_URL est requise"):
        config = dataclasses.replace(
            made.config, command=("sh", "-c", 'echo "$0"; exit 1', f"{traced}{told}")
        )
        table = ImageSpec(name="x", command=config.command)
        verdict = start(Trial(spec=table, config=config, root=unpacked(made, store), seconds=20))
        assert [(lack.kind, lack.name) for lack in verdict.lacks] == [("variable", "SERVICE_URL")]


def test_what_a_script_that_is_there_is_started_with_is_named(store: Store) -> None:
    name = "app/.venv/bin/spark-submit"
    made = image()
    made = dataclasses.replace(
        made, layers=(*made.layers, Plain({name: b"#!/usr/bin/env bash\nexec java\n"}))
    )
    told = (
        f"    raise child_exception_type(n)\nError: [Errno 2] No such file or directory: '/{name}'"
    )
    config = dataclasses.replace(made.config, command=("sh", "-c", 'echo "$0"; exit 1', told))
    table = ImageSpec(name="x", command=config.command)
    verdict = start(Trial(spec=table, config=config, root=unpacked(made, store), seconds=20))
    assert [lack.line("x") for lack in verdict.lacks] == [
        'the base has no shell: packages = ["bash"] in [tool.lockstitch.base]'
    ]


@pytest.mark.slow
def test_a_program_that_waits_for_a_service_that_is_not_there_has_failed(store: Store) -> None:
    told = (
        "WARNING HTTPConnection(host='mlflow', port=5000): Failed: [Errno 111] Connection refused"
    )
    made = image()
    config = dataclasses.replace(made.config, command=("sh", "-c", 'echo "$0"; sleep 61.6', told))
    table = ImageSpec(name="x", command=config.command)
    verdict = start(Trial(spec=table, config=config, root=unpacked(made, store), seconds=3))
    assert verdict.outcome == "failed"
    assert [(lack.kind, lack.name) for lack in verdict.lacks] == [("service", "mlflow:5000")]


def test_all_folders_that_it_wants_are_named_at_once(store: Store) -> None:
    verdict = run(store, "mkdir logs && mkdir -p models/x && echo 1 >models/x/m")
    assert (verdict.outcome, verdict.writes) == ("failed", ("logs", "models"))
    assert verdict.lacks == ()
    assert run(store, "cat data").outcome == "ended", "the cache is as it was"


def test_what_a_program_does_without_is_not_why_it_ends(store: Store) -> None:
    verdict = run(store, "mkdir cache; echo 'AttributeError: no Box'; exit 1")
    assert (verdict.outcome, verdict.code, verdict.writes) == ("failed", 1, ())


def test_a_program_that_is_not_there_is_named(store: Store) -> None:
    made = image()
    config = dataclasses.replace(made.config, command=("gunicorn", "app:app"))
    table = ImageSpec(name="x", command=config.command)
    verdict = start(Trial(spec=table, config=config, root=unpacked(made, store)))
    assert [(lack.kind, lack.name) for lack in verdict.lacks] == [("program", "gunicorn")]


def test_what_still_runs_when_time_is_over_is_ended(store: Store) -> None:
    made = image()
    config = dataclasses.replace(made.config, command=("sleep", "61.5"))
    table = ImageSpec(name="x", command=config.command)
    trial = Trial(spec=table, config=config, root=unpacked(made, store), seconds=0.3)
    assert start(trial).outcome == "runs"
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)
    assert "sleep 61.5" not in running.stdout


def test_a_server_that_is_stopped_because_it_never_answers_did_not_end(store: Store) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    made = image()
    config = dataclasses.replace(made.config, command=("sleep", "62.5"))
    table = ImageSpec(name="x", command=config.command, port=port)
    verdict = start(Trial(spec=table, config=config, root=unpacked(made, store), seconds=0.3))
    assert (verdict.outcome, verdict.code) == ("failed", None)


def speak_once(server: socket.socket) -> None:
    """Answer the first that connects, and keep the others waiting."""
    server.listen()
    with server.accept()[0] as first:
        first.sendall(b"HTTP/1.1 404 Not Found\r\n\r\n")


@pytest.mark.parametrize(
    ("speaks", "outcome"), [(True, "answers"), (False, "failed")], ids=["speaks", "is silent"]
)
def test_a_server_without_a_health_route_must_say_something(
    speaks: bool, outcome: str, store: Store
) -> None:
    """Gunicorn listens while its workers load, or fail to."""
    with socket.socket() as server, pytest.MonkeyPatch.context() as patch:
        server.bind(("127.0.0.1", 0))
        server.listen()
        patch.setattr("lockstitch.trial.start._listens", lambda _: False)
        patch.setattr("lockstitch.trial.start._is_own", lambda *_: True)
        config = dataclasses.replace(image().config, command=("sleep", "20"))
        table = ImageSpec(name="x", command=config.command, port=server.getsockname()[1])
        if speaks:
            threading.Thread(target=speak_once, args=(server,)).start()
        trial = Trial(spec=table, config=config, root=unpacked(image(), store), seconds=2)
        assert start(trial).outcome == outcome


@pytest.mark.parametrize(("status", "outcome"), [(500, "failed"), (404, "answers")])
def test_a_first_page_that_raises_is_a_failure(status: int, outcome: str, store: Store) -> None:
    with serve() as server, pytest.MonkeyPatch.context() as patch:
        server.on("/", Reply(status=status, body=b"TemplateNotFound"))
        patch.setattr("lockstitch.trial.start._listens", lambda _: False)
        patch.setattr("lockstitch.trial.start._is_own", lambda *_: True)
        config = dataclasses.replace(image().config, command=("sleep", "20"))
        port = int(server.address.rpartition(":")[2])
        table = ImageSpec(name="x", command=config.command, port=port)
        trial = Trial(spec=table, config=config, root=unpacked(image(), store), seconds=20)
        verdict = start(trial)
    assert (verdict.outcome, verdict.is_good) == (outcome, outcome == "answers")


@pytest.mark.slow
def test_what_a_page_says_as_it_is_stopped_is_no_error_of_it(store: Store) -> None:
    """A page that takes longer than the trial is stopped in its middle."""
    script = "trap 'echo Uncaught app exception; exit' TERM; while :; do sleep 0.1; done"
    made = image()
    config = dataclasses.replace(made.config, command=("sh", "-c", script, "streamlit", "run"))
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        table = ImageSpec(name="x", command=config.command, port=server.getsockname()[1])
        trial = Trial(spec=table, config=config, root=unpacked(made, store), seconds=8)
        threading.Timer(2, functools.partial(speak_once, server)).start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lockstitch.trial.start._is_own", lambda *_: True)
            verdict = start(trial)
    assert (verdict.outcome, verdict.raised) == ("answers", False)
    assert "Uncaught app exception" in verdict.output


def test_a_program_that_ends_with_0_since_a_service_is_not_there_has_failed(store: Store) -> None:
    says = "echo 'an error in a.py, line 3: localhost:27017: [Errno 111] Connection refused'"
    assert run(store, says).outcome == "failed"
    assert run(store, f"{says}; echo 1; echo 2; echo trained without").outcome == "ended"


def test_a_program_that_asks_for_input_has_started(store: Store) -> None:
    asks = "echo 'Your choice: EOFError?'; echo 'EOFError: EOF when reading a line' >&2; exit 1"
    assert (run(store, asks).outcome, run(store, asks).is_good) == ("asks", True)
    assert run(store, f"{asks.replace('exit 1', 'echo no; exit 1')}").outcome == "failed"


def test_a_server_that_ends_has_failed(store: Store) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert run(store, "exit 0", port=port).outcome == "failed"


@pytest.mark.parametrize(("status", "outcome"), [(200, "answers"), (400, "failed")])
def test_a_server_must_answer_the_request_of_its_image(
    status: int, outcome: str, store: Store
) -> None:
    """The image has no server: one answers in its place on the port, once the trial has begun."""
    with serve() as server:
        server.on("/health", Reply(body=b"{}"))
        server.on("/predict", Reply(status=status, body=b'{"predictions": [1]}'))
        port = int(server.address.rpartition(":")[2])
        config = dataclasses.replace(image().config, command=("sleep", "20"))
        table = ImageSpec(
            name="x", command=config.command, port=port, health="/health", request="x.json"
        )
        trial = Trial(
            spec=table, config=config, root=unpacked(image(), store), seconds=20, request=b"[1]"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("lockstitch.trial.start._listens", lambda _: False)
            patch.setattr("lockstitch.trial.start._is_own", lambda *_: True)
            verdict = start(trial)
    assert verdict.outcome == outcome
    assert verdict.answered
    assert (verdict.answered.status, verdict.answered.body) == (status, '{"predictions": [1]}')
    assert verdict.is_good is (outcome == "answers")


@pytest.mark.slow
def test_what_another_program_answers_on_its_port_is_no_answer(store: Store) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        config = dataclasses.replace(image().config, command=("sleep", "60"))
        table = ImageSpec(name="x", command=config.command, port=port)
        trial = Trial(spec=table, config=config, root=unpacked(image(), store), seconds=3)
        threading.Timer(1, server.listen).start()
        with pytest.raises(LockstitchError, match=f"port {port} is taken"):
            start(trial)


def test_a_port_that_is_taken_is_said_before(store: Store) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        with pytest.raises(LockstitchError, match=f"port {port} is taken"):
            run(store, "exit 0", port=port)


def test_a_program_whose_port_is_taken_is_started_on_another_one(store: Store) -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        port = server.getsockname()[1]
        verdict = run(store, f"echo 0.0.0.0:{port} is $PORT of {port}0; exit 1", port=port)
    assert verdict.port not in {0, port}
    assert verdict.output == f"0.0.0.0:{verdict.port} is {verdict.port} of {port}0\n"


def test_a_program_that_says_that_something_is_missing_has_not_started(store: Store) -> None:
    verdict = run(store, "echo begins; echo 'Model not found: train first'")
    assert (verdict.outcome, verdict.code) == ("failed", 0)
    assert verdict.gave_up == "Model not found: train first"
    assert run(store, "echo 'm.bin not found, a new one'; echo 3").outcome == "ended"


def test_what_the_code_of_a_program_that_gave_up_reads_is_named(store: Store) -> None:
    code = b"import os\nif not os.path.exists('d/m.bin'): print('no')\nopen('d/m.bin')\n"
    made = image()
    made = dataclasses.replace(made, layers=(*made.layers, Plain({"app/run.py": code})))
    config = dataclasses.replace(
        made.config, command=("sh", "-c", "echo 'Please train first'", "run.py")
    )
    table = ImageSpec(name="x", command=config.command)
    verdict = start(Trial(spec=table, config=config, root=unpacked(made, store), seconds=20))
    assert [(lack.kind, lack.name) for lack in verdict.lacks] == [("file", "d/m.bin")]


def test_a_layer_is_unpacked_once_and_checked(store: Store) -> None:
    made = image()
    first = unpacked(made, store)
    files = sorted((store.root / "trial" / "layers").rglob("[0-9]*"))
    before = [file.stat().st_mtime_ns for file in files]
    other = dataclasses.replace(made, layers=(made.layers[0], Plain({"app/b": b"2"})))
    second = unpacked(other, store)
    assert first.path != second.path
    assert [file.stat().st_mtime_ns for file in files] == before
    assert (second.path / "app" / "b").read_bytes() == b"2"
    assert not (second.path / "app" / "data").exists()
    with pytest.raises(LockstitchError, match="not sha256:"):
        unpacked(dataclasses.replace(made, layers=(Damaged({"app/c": b"3"}),)), store)


class Slow(Plain):
    """A layer that is read slowly, and counts how often."""

    reads: ClassVar[list[str]] = []

    def chunks(self) -> Iterator[bytes]:
        self.reads.append(self.created_by)
        time.sleep(0.2)
        yield self.data


def test_two_images_that_share_a_layer_are_unpacked_at_once(tmp_path: Path) -> None:
    store, base = Store(tmp_path / "store"), Slow({"base": b"1"})
    platform = Platform(os="linux", architecture="amd64")
    images = [
        Image(platform=platform, config=Config(), layers=(base, Plain({name: b"2"})), created=1)
        for name in ("one", "other")
    ]
    roots = threads.run(images, lambda made: unpacked(made, store), parallel=2)
    assert [(root.path / "base").read_bytes() for root in roots] == [b"1", b"1"]
    assert len(Slow.reads) == 1


@pytest.mark.parametrize("damage", ["", "longer", "no list"])
def test_a_layer_that_lost_a_file_is_unpacked_again(damage: str, tmp_path: Path) -> None:
    store, layer = Store(tmp_path / "store"), Plain({"a": b"1", "b": b"22"})
    platform = Platform(os="linux", architecture="amd64")
    image = Image(platform=platform, config=Config(), layers=(layer,), created=1)
    unpacked(image, store)
    (folder,) = (store.root / "trial/layers").iterdir()
    if damage:
        (folder / ("index.json" if damage == "no list" else "1")).write_text("333")
    else:
        (folder / "1").unlink()
    other = Image(platform=platform, config=Config(), layers=(layer, Plain({"c": b"3"})), created=1)
    root = unpacked(other, store).path
    assert [(root / name).read_bytes() for name in "abc"] == [b"1", b"22", b"3"]
