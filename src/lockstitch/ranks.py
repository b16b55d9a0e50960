"""Compares the environments of all ranks of a distributed program before its work begins.

Three lines in a program that torch.distributed, mpi4py or Ray has started:

    from lockstitch import ranks

    ranks.check()

Or in front of any program: `python ranks.py -- python train.py`. Each rank reads its own
environment (the fingerprint of docs/reference/fingerprint.md, the image, NCCL); rank 0 compares.
A difference that can change results ends every rank with a table; any other is noted.
Standard library only, on any CPython from 3.8: the file also runs alone, beside fingerprint.py.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import hmac
import importlib.metadata
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

SCHEMA = 1
TIMEOUT = 120.0  # seconds until every rank must have answered
LARGEST = 32 << 20  # bytes of one rank's answer
SHOWN = 40  # rows of a table
# A processor's name and its cores decide nothing by themselves: its features and the threads do.
HARMLESS = ("cpu.model", "cpu.cores")
OF_ONE_RANK = ("CUDA_VISIBLE_DEVICES",)  # variables that launchers set for each rank
# What Ray's driver shares with its workers; and a machine that only submits one, of any kind.
OF_A_DRIVER = re.compile(r"(?:python|package|platform|system)\.")
OF_A_SUBMITTER = re.compile(r"python\.version$|package\.[^.]+$")
RANKS = ("RANK", "SLURM_PROCID", "OMPI_COMM_WORLD_RANK", "PMIX_RANK", "JOB_COMPLETION_INDEX")
SIZES = ("WORLD_SIZE", "SLURM_NTASKS", "OMPI_COMM_WORLD_SIZE", "LOCKSTITCH_RANKS")
LOCALS = ("LOCAL_RANK", "SLURM_LOCALID", "OMPI_COMM_WORLD_LOCAL_RANK")
HINT = 'give all nodes one image, or name what may differ in the target: allow = ["cpu"]'
DIFFER = 87  # the exit code of every rank when the environments differ
SILENT = 88  # and when a rank did not answer


class RanksDiffer(RuntimeError):
    """Ranks of one program have environments whose difference can change results."""


class RankSilent(RuntimeError):
    """A rank did not answer in time, or ended before it did."""


class Report:
    """The facts of ranks by number, the differences, and those that can change results."""

    def __init__(self, everyone: list[dict[str, Any]], allowed: tuple[str, ...] = ()) -> None:
        """Compare the facts of all ranks; names in `allowed` may differ."""
        self.ranks = sorted(everyone, key=lambda rank: rank["rank"])
        known = [rank["facts"] for rank in self.ranks]
        names = sorted({name for rank in known for name in rank})
        self.differences: dict[str, dict[str, list[int]]] = {}
        for name in names:
            values: dict[str, list[int]] = {}
            for rank in self.ranks:
                values.setdefault(rank["facts"].get(name, "missing"), []).append(rank["rank"])
            if len(values) > 1:
                self.differences[name] = values
        self.severe = [
            name
            for name in self.differences
            if not name.startswith(HARMLESS)
            and not any(name == rule or name.startswith(rule + ".") for rule in allowed)
        ]

    def table(self) -> str:
        """Return the differences that can change results: a name, and each value with its ranks."""
        nodes = {rank["rank"]: rank["node"] for rank in self.ranks}
        first = self.ranks[0]["rank"]
        rows = [("what", _place(first, nodes), "other ranks")]
        for name in self.severe[:SHOWN]:
            values = self.differences[name]
            mine = next(value for value, ranks in values.items() if first in ranks)
            others = (
                f"{_short(value)} ({_places(ranks, nodes)})"
                for value, ranks in values.items()
                if first not in ranks
            )
            rows.append((name, _short(mine), ", ".join(others)))
        widths = [max(len(row[n]) for row in rows) for n in (0, 1)]
        lines = [f"  {a:{widths[0]}}  {b:{widths[1]}}  {c}" for a, b, c in rows]
        more = len(self.severe) - SHOWN
        return "\n".join(lines + ([f"  and {more} more"] if more > 0 else []))

    def document(self) -> dict[str, Any]:
        """Return the report as JSON: each rank, its node, and the facts in which ranks differ."""
        ranks = [
            {
                "rank": rank["rank"],
                "node": rank["node"],
                "facts": {n: rank["facts"].get(n, "missing") for n in sorted(self.differences)},
            }
            for rank in self.ranks
        ]
        return {"schema": SCHEMA, "kind": "ranks", "ranks": ranks, "severe": sorted(self.severe)}


def _short(value: str) -> str:
    return value if len(value) <= 60 else value[:40] + "…" + value[-12:]


def _place(rank: int, nodes: dict[int, str]) -> str:
    return f"rank {rank} ({nodes[rank]})"


def _places(ranks: list[int], nodes: dict[int, str]) -> str:
    shown = ", ".join(_place(rank, nodes) for rank in ranks[:3])
    return shown + (f" and {len(ranks) - 3} more" if len(ranks) > 3 else "")


# --- what one rank is


def facts() -> dict[str, Any]:
    """Return rank, node and environment of this process, with one text for each fact."""
    document = _fingerprint()
    return {
        "rank": _number(RANKS, 0),
        "node": os.environ.get("SLURMD_NODENAME") or socket.gethostname(),
        "facts": flat(document),
        "fingerprint": document,
    }


def _fingerprint() -> dict[str, Any]:
    """Return the fingerprint of this interpreter by runtime/fingerprint.py."""
    path = sys.path[:]
    # Ray puts its own copies of two packages there, which are Ray's files.
    sys.path[:] = [place for place in path if os.path.basename(place) != "thirdparty_files"]
    document: dict[str, Any] = _loaded(_script(), "lockstitch_fingerprint")["fingerprint"]()
    sys.path[:] = path
    return document


def _script() -> str:
    """Return the text of fingerprint.py, which stands in the package or beside this file."""
    if "FINGERPRINT" in globals():  # on a node that has neither: the text came with the task
        return str(globals()["FINGERPRINT"])
    here = os.path.dirname(os.path.abspath(__file__))
    places = (os.path.join(here, "runtime", "fingerprint.py"), os.path.join(here, "fingerprint.py"))
    with open(next(place for place in places if os.path.isfile(place)), encoding="utf-8") as handle:
        return handle.read()


def _loaded(text: str, name: str, **more: Any) -> dict[str, Any]:
    """Return the names of a script of ours, which need not be installed to be run."""
    names: dict[str, Any] = {"__name__": name, **more}
    exec(compile(text, name, "exec"), names)  # noqa: S102 -- our own text
    return names


def flat(document: dict[str, Any]) -> dict[str, str]:
    """Return a fingerprint as one text for each thing that can differ between ranks."""
    texts: dict[str, str] = {}
    if os.environ.get("LOCKSTITCH_IMAGE"):
        texts["image"] = os.environ["LOCKSTITCH_IMAGE"]
    for part in ("python", "platform", "cpu", "gpu"):
        for key, value in (document.get(part) or {}).items():
            texts[f"{part}.{key}"] = _text(value)
    for package in document["packages"]:
        name = f"package.{package['name']}"
        texts[name] = package["version"] + (" " + package["origin"] if "origin" in package else "")
        if package.get("record"):
            texts[name + ".files"] = package["record"]
        if package.get("edited"):
            texts[name + ".edited"] = _text([_edit(package["name"], e) for e in package["edited"]])
    for library in document.get("blas") or ():
        values = {key: library[key] for key in ("version", "kernels", "threads") if key in library}
        texts[f"blas.{library['owner']}.{library['name']}"] = _text(values)
    for name, value in (document.get("variables") or {}).items():
        if name not in OF_ONE_RANK:
            texts[f"variable.{name}"] = value
    for name, version in (document.get("system") or {}).items():
        texts[f"system.{name}"] = version
    torch: Any = sys.modules.get("torch")
    with contextlib.suppress(Exception):  # no torch, or one without NCCL
        texts["nccl"] = ".".join(map(str, torch.cuda.nccl.version()))
    return texts


def _edit(name: str, edit: str) -> str:
    """Return an edit, as `changed a.py`, with the file's digest: ranks may edit it in two ways."""
    kind, _, path = edit.partition(" ")
    try:
        place = importlib.metadata.distribution(name).locate_file(path)
        with open(str(place), "rb") as handle:
            return f"{kind} {path} {hashlib.sha256(handle.read()).hexdigest()[:12]}"
    except (OSError, importlib.metadata.PackageNotFoundError):
        return edit


def _text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{key} {part}" for key, part in value.items())
    return str(value)


def _number(names: tuple[str, ...], default: int) -> int:
    for name in names:
        text = os.environ.get(name, "")
        if text.isdigit():
            return int(text)
    return default


# --- all ranks


def compare(everyone: list[dict[str, Any]], allowed: tuple[str, ...] = ()) -> Report:
    """Return how the facts of all ranks compare: for callers that gather `facts()` themselves.

    Names in `allowed` (`cpu`, `package.pip`, `variable.OMP_NUM_THREADS`) may differ.
    Raises RanksDiffer, with a table, when a difference can change results.
    """
    if len({rank["rank"] for rank in everyone}) < len(everyone):  # workers that know no rank
        everyone = [{**rank, "rank": number} for number, rank in enumerate(everyone)]
    report = Report(everyone, allowed)
    if report.severe:
        raise RanksDiffer(_message(report))
    return report


def _message(report: Report) -> str:
    count = len(report.severe)
    things = "1 thing" if count == 1 else f"{count} things"
    return f"the ranks' environments differ in {things} that can change results\n{report.table()}"


def check(
    exchange: Any = None, *, timeout: float = TIMEOUT, allowed: tuple[str, ...] = ()
) -> Report:
    """Compare this rank's environment with all others', on every rank at the same time.

    `exchange` is a communicator of mpi4py, or a function that is given a text and returns those
    of all ranks. Without it, torch.distributed is used where it is initialized, else a connection
    to MASTER_ADDR (or, on Slurm, to the job's first node) at LOCKSTITCH_RANKS_PORT.
    Raises RanksDiffer, with a table, when a difference can change results, and RankSilent when a
    rank does not answer within `timeout` seconds.
    """
    gather = _gather_of(exchange, timeout)
    if gather is not None:
        mine = facts()
        texts = gather(json.dumps(mine))
        everyone = [json.loads(text) for text in texts]
        for number, rank in enumerate(everyone):
            rank["rank"] = number
        report = Report(everyone, allowed)
    else:
        size = _number(SIZES, 1)
        everyone = [facts()] if size == 1 else _by_socket(size, timeout)
        report = Report(everyone, allowed)
    if report.severe:
        raise RanksDiffer(_message(report))
    return report


def _gather_of(exchange: Any, timeout: float) -> Callable[[str], list[str]] | None:
    if exchange is not None:
        gather_all: Callable[[str], list[str]] = getattr(exchange, "allgather", exchange)
        return gather_all
    distributed = sys.modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None

    def gather(text: str) -> list[str]:
        rank, size = distributed.get_rank(), distributed.get_world_size()
        _wait_for_all(distributed.distributed_c10d._get_default_store(), rank, size, timeout)  # noqa: SLF001 -- the only door
        texts: list[str] = [""] * size
        distributed.all_gather_object(texts, text)
        return texts

    return gather


def _wait_for_all(store: Any, rank: int, size: int, timeout: float) -> None:
    """Wait in torch's own store until all ranks are about to answer; raises RankSilent.

    A collective would wait for half an hour, and names no rank.
    """
    deadline = time.monotonic() + timeout
    store.add(f"lockstitch/ranks/{rank}", 1)
    while silent := [n for n in range(size) if not store.add(f"lockstitch/ranks/{n}", 0)]:
        if time.monotonic() > deadline:
            named = ", ".join(f"rank {number}" for number in silent)
            raise RankSilent(f"no answer within {timeout:g} s from {named}")
        time.sleep(0.1)


# --- by a socket: before the program runs, when no library has connected the ranks yet


def _by_socket(size: int, timeout: float) -> list[dict[str, Any]]:
    """Return the facts of all ranks: rank 0 listens, the others send theirs and get all back."""
    rank, deadline = _number(RANKS, 0), time.monotonic() + timeout
    port = int(os.environ.get("LOCKSTITCH_RANKS_PORT") or _port())
    key = os.environ.get("LOCKSTITCH_RANKS_KEY") or os.environ.get("SLURM_JOB_ID", "")
    if rank == 0:
        return _Listener(size, port, key, timeout).everyone()
    address = os.environ.get("MASTER_ADDR", "127.0.0.1")
    node = os.environ.get("SLURMD_NODENAME") or socket.gethostname()
    connection = _connected(address, port, deadline)
    with connection, connection.makefile("rwb") as stream:
        _send(stream, {"key": key, "rank": rank, "node": node})
        _send(stream, facts())
        connection.settimeout(max(1.0, deadline + 5 - time.monotonic()))
        try:
            answer = _received(stream)
        except (OSError, ValueError) as error:
            raise RankSilent(f"rank 0 ({address}) did not answer: {error}") from error
    if "silent" in answer:
        raise RankSilent(answer["silent"])
    return list(answer["everyone"])


def _port() -> int:
    """Return a port beside MASTER_PORT, which the program's own library is going to take."""
    text = os.environ.get("MASTER_PORT", "")
    return (int(text) if text.isdigit() else 29500) + 1


def _connected(address: str, port: int, deadline: float) -> socket.socket:
    while True:
        try:
            return socket.create_connection((address, port), timeout=5)
        except OSError as error:
            if time.monotonic() > deadline:
                raise RankSilent(f"rank 0 is not at {address}:{port}: {error}") from error
            time.sleep(0.1)


def _send(stream: Any, document: dict[str, Any]) -> None:
    data = json.dumps(document).encode()
    stream.write(len(data).to_bytes(8, "big") + data)
    stream.flush()


def _received(stream: Any, largest: int = LARGEST * 64) -> dict[str, Any]:
    head = stream.read(8)
    length = int.from_bytes(head, "big")
    if len(head) < 8 or length > largest:
        message = "the connection ended" if len(head) < 8 else f"{length} bytes are too many"
        raise ValueError(message)
    data = stream.read(length)
    document = json.loads(data) if len(data) == length else None
    if not isinstance(document, dict):
        message = "the connection ended"
        raise ValueError(message)  # noqa: TRY004 -- of a value, as json's own
    return document


class _Listener:
    """Rank 0: gathers the facts of all other ranks, a thread for each, then answers them."""

    def __init__(self, size: int, port: int, key: str, timeout: float) -> None:
        self._size, self._key, self._timeout = size, key, timeout
        self._deadline = time.monotonic() + timeout
        self._facts: dict[int, dict[str, Any]] = {}
        self._nodes: dict[int, str] = {}
        self._lost: dict[int, str] = {}
        self._streams: list[tuple[socket.socket, Any]] = []
        self._changed = threading.Condition()
        self._server = socket.create_server(("", port), backlog=size, reuse_port=False)
        threading.Thread(target=self._accept, daemon=True).start()

    def everyone(self) -> list[dict[str, Any]]:
        """Return the facts of all ranks and send them to the others; raises RankSilent."""
        mine = facts()
        with self._changed:
            self._facts[0] = mine
            while len(self._facts) < self._size and not self._lost:
                left = self._deadline - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(left)
            gathered, problem = [*self._facts.values()], self._problem()
            streams = list(self._streams)
        self._server.close()
        slim = [{k: v for k, v in rank.items() if k != "fingerprint"} for rank in gathered]
        for connection, stream in streams:
            with contextlib.suppress(OSError, ValueError):
                _send(stream, {"silent": problem} if problem else {"everyone": slim})
                connection.close()
        if problem:
            raise RankSilent(problem)
        return gathered

    def _problem(self) -> str:
        if self._lost:
            rank, reason = min(self._lost.items())
            return f"rank {rank} ({self._nodes[rank]}) ended before it answered: {reason}"
        missing = [rank for rank in range(self._size) if rank not in self._facts]
        if not missing:
            return ""
        named = ", ".join(
            f"rank {rank} ({self._nodes[rank]})" if rank in self._nodes else f"rank {rank}"
            for rank in missing[:8]
        )
        more = f" and {len(missing) - 8} more" if len(missing) > 8 else ""
        return f"no answer within {self._timeout:g} s from {named}{more}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(max(1.0, self._deadline - time.monotonic()))
        stream = connection.makefile("rwb")
        rank = -1
        try:
            hello = _received(stream, 4096)
            if not hmac.compare_digest(str(hello.get("key")).encode(), self._key.encode()):
                connection.close()
                return
            rank = int(hello["rank"])
            with self._changed:
                self._nodes[rank] = str(hello["node"])[:200]
                self._streams.append((connection, stream))
            answer = _received(stream, LARGEST)
            with self._changed:
                self._facts[rank] = {**answer, "rank": rank, "node": self._nodes[rank]}
                self._changed.notify()
        except (OSError, ValueError, KeyError) as error:
            with self._changed:
                if 0 < rank < self._size and rank not in self._facts:
                    self._lost[rank] = str(error)
                self._changed.notify()


# --- by Ray: before the driver runs, a task on each node


def _by_ray(timeout: float, driver: str) -> list[dict[str, Any]]:
    """Return the facts of the driver and of every node of a Ray cluster.

    In a job of Ray, `driver` is a file with the facts of the environment that submitted it.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    address = os.environ.get("RAY_ADDRESS", "auto")
    try:
        ray.init(address=address, logging_level="ERROR", log_to_driver=False)
    except (OSError, RuntimeError, ValueError) as error:  # as of another version of Ray or Python
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        message = f"Ray at {address} did not answer: {reason}"
        raise RankSilent(message) from error
    with open(__file__, encoding="utf-8") as handle:
        source = handle.read()

    def read(source: str, fingerprint: str) -> str:  # inside, so that Ray sends its code
        import json

        names: dict[str, Any] = {"__name__": "lockstitch_ranks", "FINGERPRINT": fingerprint}
        exec(compile(source, "ranks.py", "exec"), names)  # noqa: S102 -- our own text
        return json.dumps(names["facts"]())

    nodes = [node for node in ray.nodes() if node["Alive"]]
    task = ray.remote(num_cpus=0)(read)
    waiting = {
        task.options(
            scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        ).remote(source, _script()): node
        for node in nodes
    }
    mine, own = facts(), OF_A_DRIVER  # while the nodes read theirs
    done, missing = ray.wait([*waiting], num_returns=len(waiting), timeout=timeout)
    if missing:
        named = ", ".join(_node(waiting[rank]) for rank in missing)
        message = f"no answer within {timeout:g} s from {named}"
        raise RankSilent(message)
    everyone = []
    for answer in done:
        try:
            everyone.append({**json.loads(ray.get(answer)), "node": _node(waiting[answer])})
        except ray.exceptions.RayError as error:  # packages that Ray's worker does not run with
            message = f"{_node(waiting[answer])} ended before it answered: {type(error).__name__}"
            raise RankSilent(message) from error
    ray.shutdown()
    # Ray gives its workers threads, processors and settings of their own: the driver has others.
    if driver:
        with open(driver, encoding="utf-8") as handle:
            mine, own = json.load(handle), OF_A_SUBMITTER
    shared = {name: value for name, value in mine["facts"].items() if own.match(name)}
    other = {name: value for name, value in everyone[0]["facts"].items() if not own.match(name)}
    first = {**everyone[0], "node": "submitter"} if driver else {**mine, "node": "driver"}
    everyone.insert(0, {**first, "facts": {**shared, **other}})
    return [{**rank, "rank": number} for number, rank in enumerate(everyone)]


def _node(node: dict[str, Any]) -> str:
    return f"{node['NodeManagerHostname']} {node['NodeID'][:8]}"


# --- in front of a program


def main(words: list[str]) -> int:
    """Check, then become the program: `python ranks.py [OPTIONS] -- PROGRAM`.

    Options: --env FILE, --report FILE, --allow NAME (many times), --timeout SECONDS, --ray, and
    with it --driver FILE, the facts of where a job was submitted.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--env", default="")
    parser.add_argument("--report", default="")
    parser.add_argument("--allow", action="append", default=[])
    parser.add_argument("--timeout", type=float, default=TIMEOUT)
    parser.add_argument("--ray", action="store_true")
    parser.add_argument("--driver", default="")
    end = words.index("--") if "--" in words else len(words)
    options, program = parser.parse_args(words[:end]), words[end + 1 :]
    timeout, allowed = options.timeout, tuple(options.allow)
    if options.env:
        _set(options.env)
    rank, size = _number(RANKS, 0), _number(SIZES, 1)
    os.environ.update(
        {"RANK": str(rank), "WORLD_SIZE": str(size), "LOCAL_RANK": str(_number(LOCALS, 0))}
    )
    started = time.monotonic()
    try:
        if options.ray:
            report = compare(_by_ray(timeout, options.driver), allowed)
        else:
            report = check(timeout=timeout, allowed=allowed)
    except RanksDiffer as error:
        return _refused(rank, f"{error}\nhint: {HINT}", DIFFER)
    except RankSilent as error:
        return _refused(rank, str(error), SILENT)
    if rank == 0:
        who = f"nodes, the {report.ranks[0]['node']} among them" if options.ray else "ranks"
        who = "rank" if len(report.ranks) == 1 else who
        count = f"{len(report.ranks)} {who}"
        noted = f"; noted: {', '.join(sorted(report.differences))}" if report.differences else ""
        seconds = time.monotonic() - started
        sys.stderr.write(f"lockstitch: {count}, one environment ({seconds:.1f} s{noted})\n")
        if options.report:
            document = {**report.document(), "fingerprint": report.ranks[0].get("fingerprint")}
            # the tasks of a sweep write one report at once
            new = f"{options.report}.{socket.gethostname()}-{os.getpid()}"
            with open(new, "w", encoding="utf-8") as handle:
                json.dump(document, handle, sort_keys=True)
            os.replace(new, options.report)
    sys.stderr.flush()
    if not program:
        return 0
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        os.execvp(program[0], program)
    except OSError as error:
        sys.stderr.write(f"error: `{program[0]}` cannot be started: {error.strerror}\n")
    return 127


def _set(path: str) -> None:
    """Set the image's own variables, and none of the host's that would change its Python."""
    with open(path, encoding="utf-8") as handle:
        own = json.load(handle)
    for name in list(os.environ):
        if name.startswith(("PYTHON", "VIRTUAL_ENV")) and name not in own:
            del os.environ[name]
    os.environ.update(own)


def _refused(rank: int, message: str, code: int) -> int:
    if rank == 0:
        sys.stderr.write(f"error: {message}\n")
        sys.stderr.flush()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
