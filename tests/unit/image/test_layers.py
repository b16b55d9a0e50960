"""Making layers: what goes into the store, what is found out on the way, and what stops it."""

import concurrent.futures
import dataclasses
import gzip
import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NoReturn

import pytest
from support import values
from support.fakes import Counted
from support.zips import FILENAME, INFO, SITE, File, metadata, wheel, zipped

from lockstitch.digest import of_bytes
from lockstitch.errors import LockstitchError
from lockstitch.files import FoundFile, walk
from lockstitch.image import bytecode, layers
from lockstitch.image.bases import root_files
from lockstitch.image.bytecode import Interpreter
from lockstitch.image.layers import Damaged, Job, LayerResult, Workers, make, make_all
from lockstitch.image.plan import LayerPlan
from lockstitch.image.project_wheel import ProjectWheel
from lockstitch.image.wheel import record_hash
from lockstitch.lock.sbom import PackageFacts
from lockstitch.oci.entry import Entry
from lockstitch.python.locks.resolution import LockedWheel
from lockstitch.python.model import ImageSpec
from lockstitch.store import Store

BASE = values.debian_base()
SERVE = ImageSpec(name="serve")
CODE = File(name="demo/__init__.py", data=b"print('demo')\n" * 100)


def job(store: Store, kind: str, *wheels: LockedWheel, image: ImageSpec = SERVE) -> Job:
    planned = LayerPlan(kind=kind, title=kind, key=of_bytes(kind.encode()).hex, wheels=wheels)
    return Job(plan=planned, store=store.root, base=BASE, image=image)


def no_interpreter(wanted: Job) -> NoReturn:
    pytest.fail(f"{wanted.plan.title} compiles nothing")


def locked(store: Store, data: bytes, filename: str = FILENAME) -> LockedWheel:
    name, version = filename.split("-")[:2]
    return LockedWheel(
        name=name,
        version=version,
        filename=filename,
        url=f"https://index.test/{filename}",
        digest=store.put(data),
        size=len(data),
        uploaded=0,
    )


def made(wanted: Job) -> LayerResult:
    """Return the layer of a job whose packages are all whole."""
    result = make(wanted)
    assert isinstance(result, LayerResult)
    return result


def files(store: Store, result: LayerResult) -> dict[str, bytes]:
    plain = gzip.decompress(store.path(result.facts.digest).read_bytes())
    assert of_bytes(plain) == result.facts.diff_id
    with tarfile.open(fileobj=io.BytesIO(plain)) as tar:
        members = [(member.name, tar.extractfile(member)) for member in tar if member.isreg()]
        return {name: handle.read() for name, handle in members if handle}


def test_a_layer_is_a_blob_of_the_store_with_its_facts(store: Store) -> None:
    result = made(job(store, "venv"))
    assert store.path(result.facts.digest).stat().st_size == result.facts.size
    assert "app/.venv/pyvenv.cfg" in files(store, result)
    assert (result.notes, result.packages) == ((), {})


def test_a_wheel_whose_record_is_wrong_is_laid_out_with_the_hashes_of_its_files(
    store: Store,
) -> None:
    """Its own hash is the lock's: what is in it is what everybody gets who installs it."""
    right = File(name="demo/a.py", data=b"a = 1\n")
    wrong = [File(name=f"demo/{name}.py", data=b"b = 2\n") for name in "bc"]
    row = f"demo/a.py,{record_hash(of_bytes(right.data))},{len(right.data)}\n"
    rows = row + "".join(f"{each.name},sha256=AAAA,9\n" for each in wrong) + "demo/gone.py,,\n"
    record = File(name=f"{INFO}/RECORD", data=rows.encode())
    bad = locked(store, zipped([right, *wrong, *metadata(), record]))
    result = made(job(store, "wheels", bad))
    (note,) = result.notes
    assert note.startswith(
        f"`{FILENAME}` has other hashes in its RECORD for 2 files, as `demo/b.py"
    )
    found = files(store, result)[f"{SITE}/{INFO}/RECORD"].decode().splitlines()
    assert [line for line in found if line.startswith("demo/")] == [
        f"{each.name},{record_hash(of_bytes(each.data))},{len(each.data)}"
        for each in (right, *wrong)
    ]
    assert made(job(store, "wheels", bad)).facts == result.facts


def test_layers_of_a_base_share_its_files(store: Store) -> None:
    system, python = (made(job(store, kind)) for kind in ("system", "python"))
    assert "etc/passwd" in files(store, system)
    assert files(store, python) == {}


def test_a_wheel_comes_with_its_licence_and_what_is_left_out(store: Store) -> None:
    data = wheel(CODE, File(name="demo/tests/test_a.py"), File(name="demo/a.pyi"))
    one = locked(store, data)
    result = made(job(store, "wheels", one, image=ImageSpec(name="serve", trim=True)))
    facts = PackageFacts(left_out=("demo/a.pyi", "demo/tests/"))
    assert result.packages == {one.digest.hex: facts}
    assert f"{SITE}/demo/tests/test_a.py" not in files(store, result)


def test_of_two_wheels_with_one_path_the_later_wins_and_a_note_names_both(store: Store) -> None:
    shared = "shared/data.txt"
    first = locked(store, wheel(File(name=shared, data=b"one")))
    data = wheel(File(name=shared, data=b"two"), name="other")
    second = locked(store, data, "other-1.0-py3-none-any.whl")
    result = made(job(store, "wheels", first, second))
    assert files(store, result)[f"{SITE}/{shared}"] == b"two"
    assert result.notes == (f"`{SITE}/{shared}` is in demo and in other: kept the latter",)
    same = locked(store, wheel(File(name=shared, data=b"two")))
    assert made(job(store, "wheels", same, second)).notes == ()


def test_the_project_wheel_gives_one_layer_whatever_zlib_packed_it(store: Store) -> None:
    results = []
    for level in (1, 9):
        data = wheel(dataclasses.replace(CODE, level=level))
        built = ProjectWheel(
            filename=FILENAME, digest=store.put(data), contents=of_bytes(b"the contents")
        )
        results.append(made(dataclasses.replace(job(store, "own"), project_wheel=built)))
    assert results[0] == results[1]
    assert list(results[0].packages) == [of_bytes(b"the contents").hex]


def test_a_layer_made_twice_at_once_is_one_blob(store: Store) -> None:
    one = job(store, "wheels", locked(store, wheel(CODE)))
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(make, [one] * 8))
    assert len(set(map(str, results))) == 1
    assert files(store, results[0])[f"{SITE}/demo/__init__.py"] == CODE.data
    assert list((store.root / "tmp").iterdir()) == []


def app_file(tmp_path: Path) -> FoundFile:
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "main.py").write_text("print(1)\n")
    (found,) = walk(tmp_path / "project")
    return found


def of_files(job: Job, *found: FoundFile) -> Job:
    hashed = tuple((each, of_bytes(each.path.read_bytes())) for each in found)
    return dataclasses.replace(job, plan=dataclasses.replace(job.plan, files=hashed))


def test_a_file_that_changed_since_it_was_hashed_stops_the_layer(
    store: Store, tmp_path: Path
) -> None:
    found = app_file(tmp_path)
    wanted = of_files(job(store, "app"), found)
    assert files(store, made(wanted))["app/main.py"] == b"print(1)\n"
    found.path.write_text("print(2) # and more\n")
    with pytest.raises(LockstitchError, match=r"`main\.py` changed while the image was built"):
        make(wanted)
    assert list((store.root / "tmp").iterdir()) == []


def test_a_wheel_that_is_missing_or_damaged_is_to_be_fetched_again(store: Store) -> None:
    whole, one = locked(store, wheel(File(name="demo/a.py", data=b"1"))), locked(store, wheel(CODE))
    flip(store.path(one.digest))
    for _ in ("damaged", "missing"):
        result = make(job(store, "wheels", whole, one))
        assert result == Damaged(digests=(one.digest,))
        assert not store.path(one.digest).exists()
    assert not (store.root / "tmp").exists() or not list((store.root / "tmp").iterdir())


@pytest.mark.parametrize("what", ["zeros", "half", "nothing", "folder"])
def test_no_wheel_is_blamed_for_what_became_of_it_here(what: str, store: Store) -> None:
    one = locked(store, wheel(CODE))
    path = store.path(one.digest)
    data = path.read_bytes()
    path.unlink()
    if what == "folder":
        path.mkdir()
    else:
        kept = {"zeros": bytes(len(data)), "half": data[: len(data) // 2], "nothing": b""}
        path.write_bytes(kept[what])
    assert make(job(store, "wheels", one)) == Damaged(digests=(one.digest,))


def flip(path: Path, at: int = -1, bit: int = 1) -> None:
    """Change one bit of a file that keeps its stat, as a disk does."""
    facts = path.stat()
    data = bytearray(path.read_bytes())
    data[at] ^= bit
    path.chmod(0o644)
    path.write_bytes(data)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def test_a_mode_bit_in_the_directory_of_a_wheel_changes_no_layer(store: Store) -> None:
    data = wheel(CODE)
    one = locked(store, data)
    first = made(job(store, "wheels", one))
    # The external attributes of the first member: their third byte holds the x bits.
    flip(store.path(one.digest), at=data.index(b"PK\x01\x02") + 40, bit=0x40)
    assert make(job(store, "wheels", one)) == Damaged(digests=(one.digest,))
    store.put(data)
    assert made(job(store, "wheels", one)) == first


def test_all_jobs_are_done_the_heaviest_first(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCKSTITCH_JOBS", "1")
    light = of_files(job(store, "app"), app_file(tmp_path))
    jobs = [job(store, "venv"), light, job(store, "wheels", locked(store, wheel(CODE)))]
    progress = Counted()
    done = [
        one.plan.kind
        for one, _ in make_all([*jobs, job(store, "system")], progress, no_interpreter)
    ]
    assert done == ["system", "wheels", "app", "venv"]
    assert progress.labels == ["build 4 layers"]
    assert progress.done == progress.total


def test_processes_make_what_one_process_makes(store: Store, tmp_path: Path) -> None:
    jobs = [job(store, "system"), job(store, "venv")]
    results = {one.plan.kind: result for one, result in make_all(jobs, Counted(), no_interpreter)}
    elsewhere = Store(tmp_path / "elsewhere")
    for kind, result in results.items():
        assert result == make(job(elsewhere, kind))
        assert isinstance(result, LayerResult)
        assert store.has(result.facts.digest, result.facts.size)


def test_the_packages_of_a_base_are_read_once_for_both_of_its_layers(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    apart = {kind: make(job(store, kind)) for kind in ("system", "python")}
    times = []

    def counted(*words: Any) -> Iterator[Entry]:
        times.append(words)
        return root_files(*words)

    monkeypatch.setattr(layers, "root_files", counted)
    jobs = [job(store, "python"), job(store, "venv"), job(store, "system")]
    together = {one.plan.kind: result for one, result in make_all(jobs, Counted(), no_interpreter)}
    assert len(times) == 1
    assert together["system"] == apart["system"]
    assert together["python"] == apart["python"]


@pytest.mark.parametrize("cores", [1, 2])
def test_who_reads_the_packages_of_a_base_writes_them_for_its_interpreter(
    cores: int, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    of(monkeypatch, limit=16384, free=8192, cores=cores)
    seen: list[bool] = []

    def interpreter(one: Job) -> Interpreter:
        seen.append(bytecode.is_unpacked(one.base, store))
        message = "none is needed here"
        raise LockstitchError(message)

    wheels = dataclasses.replace(job(store, "wheels", locked(store, wheel(CODE))), compiles=True)
    jobs = [wheels, job(store, "python"), job(store, "system")]
    with pytest.raises(LockstitchError, match="none is needed here"):
        list(make_all(jobs, Counted(), interpreter))
    assert seen == [True]
    root = bytecode.unpacked(wheels.base, store, iter(()))  # as it is there
    unread = ("etc/", "usr/share/", "var/")
    entries = [e for e in root_files(wheels.base, store) if not e.path.startswith(unread)]
    assert {entry.path for entry in entries if not entry.target.startswith("/")} == {
        path.relative_to(root).as_posix() for path in root.rglob("*")
    }
    assert any(entry.path == "usr/lib" for entry in entries)


def test_layers_of_a_base_that_were_begun_are_taken_over(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    of(monkeypatch, limit=16384, free=8192, cores=2)
    bases = [job(store, "python"), job(store, "system")]
    jobs = [*bases, job(store, "venv")]
    with Workers() as workers:
        workers.begin(jobs)
        (future,) = workers.begun.values()
        made_all = make_all(jobs, Counted(), no_interpreter, workers)
        results = {one.plan.kind: result for one, result in made_all}
        assert results["system"] is future.result()[0]
        assert not workers.begun
    assert results["python"] == make(bases[0])
    workers.begin(bases)  # after the build
    assert not workers.begun


def test_one_core_begins_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    of(monkeypatch, limit=16384, free=8192, cores=1)
    workers = Workers()
    workers.begin([job(store, "system")])
    assert not workers.begun


def test_the_error_of_a_process_arrives_whole(store: Store) -> None:
    one = locked(store, b"no zip at all")
    with pytest.raises(LockstitchError, match=f"`{FILENAME}` is not a wheel"):
        list(make_all([job(store, "system"), job(store, "wheels", one)], Counted(), no_interpreter))


def test_a_process_that_dies_is_an_error_with_the_layer_s_title(store: Store) -> None:
    future: concurrent.futures.Future[LayerResult | Damaged] = concurrent.futures.Future()
    future.set_exception(BrokenProcessPool())
    with pytest.raises(LockstitchError, match="a worker died while it made `venv`") as caught:
        layers._results(future, (job(store, "venv"),))
    assert "LOCKSTITCH_JOBS=1" in caught.value.hint
    assert "it takes 160 MiB of memory, and " in caught.value.message


def of(monkeypatch: pytest.MonkeyPatch, *, limit: int, free: int, cores: int = 8) -> None:
    monkeypatch.delenv("LOCKSTITCH_JOBS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    monkeypatch.setattr(layers.memory, "limit", lambda: limit << 20)
    monkeypatch.setattr(layers.memory, "free", lambda: free << 20)


@pytest.mark.parametrize(
    ("free", "cores", "workers"),
    [
        (8192, 8, 8),
        (8192, 2, 2),
        (8192, 1, 0),  # this process itself
        (512, 8, 3),
        (450, 2, 2),
        (300, 8, 1),
        (300, 1, 1),  # a process, which may be killed for its memory
        (10, 8, 1),
    ],
)
def test_workers_are_as_many_as_memory_and_cores_allow(
    free: int, cores: int, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    of(monkeypatch, limit=16384, free=free, cores=cores)
    assert layers._workers(25) == workers
    assert layers._workers(1) <= 1


def test_too_little_memory_is_an_error_with_both_values(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    of(monkeypatch, limit=128, free=100)
    with pytest.raises(LockstitchError) as caught:
        list(make_all([job(store, "system")], Counted(), no_interpreter))
    assert caught.value.message == (
        "making layers takes 160 MiB of memory, and the limit here is 128 MiB"
    )
    assert "docker run --memory" in caught.value.hint


def test_wheels_of_an_index_that_says_no_sizes_weigh_what_they_are(store: Store) -> None:
    light, heavy = (
        dataclasses.replace(locked(store, wheel(CODE) * times), size=None) for times in (1, 9)
    )
    weights = [layers._weight(job(store, "wheels", each)) for each in (light, heavy)]
    assert weights[1] == 9 * weights[0] > 0


@pytest.mark.slow
def test_a_worker_ends_with_its_parent() -> None:
    code = (
        "import os, signal, sys\n"
        "from lockstitch.image import layers\n"
        "if __name__ == '__main__':\n"
        "    pool = layers._pool(2)\n"
        "    print(pool.submit(os.getpid).result(), flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    # Its output is read to the end: a worker that lives on would hold it open.
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout.strip().isdigit()
