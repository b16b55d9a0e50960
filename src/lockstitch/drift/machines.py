"""What differs around the packages: interpreter, BLAS, processor, settings, the base."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lockstitch.drift import effects
from lockstitch.drift.effects import Effect
from lockstitch.fingerprint.model import Blas, Cpu, Fingerprint, Gpu, Python, System

__all__ = ["Found", "between"]

_LOCALES = ("LANG", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_NUMERIC", "LC_TIME")
_HARMLESS = ("SOURCE_DATE_EPOCH", "PYTHONUTF8")
_UTC = ("UTC", "Etc/UTC", "GMT")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One difference that is not of a Python package."""

    what: str
    name: str
    before: str
    after: str
    effect: Effect

    @property
    def kind(self) -> str:
        """Say in a word what happened to it."""
        if not self.before:
            return "added"
        return "changed" if self.after else "removed"


def between(before: Fingerprint, after: Fingerprint) -> Iterator[Found]:
    """Yield what differs in the parts that both sides know."""
    if before.inputs is not None and after.inputs is not None:
        yield from _inputs(before.inputs, after.inputs)
    if before.python and after.python:
        yield from _python(before.python, after.python)
    if before.platform and after.platform:
        yield from _platform(before.platform, after.platform)
    if before.cpu and after.cpu:
        yield from _cpu(before.cpu, after.cpu)
    if before.kind == after.kind == "environment":
        yield from _gpu(before.gpu or Gpu(driver=""), after.gpu or Gpu(driver=""))
    if before.blas is not None and after.blas is not None:
        yield from _blas(before.blas, after.blas)
    if before.variables is not None and after.variables is not None:
        yield from _variables(before.variables, after.variables)
    if before.system is not None and after.system is not None:
        yield from _system(before.system, after.system)


def _differs(what: str, effect: Effect, *rows: tuple[str, str, str]) -> Iterator[Found]:
    """Yield rows of name, before and after that differ, where both are known."""
    for name, before, after in rows:
        if before and after and before != after:
            yield Found(what=what, name=name, before=before, after=after, effect=effect)


def _inputs(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Found]:
    for path in sorted({*before, *after}, key=str.encode):
        one, other = (_short(each.get(path, "")) for each in (before, after))
        if before.get(path) != after.get(path):
            yield Found(what="input", name=path, before=one, after=other, effect=Effect.INPUT)


def _short(digest: str) -> str:
    return digest.partition(":")[2][:12]


def _python(before: Python, after: Python) -> Iterator[Found]:
    # A lock may say 3.11 and an environment 3.11.7: that is no difference.
    exact = before.version.count(".") == after.version.count(".")
    versions = (before.version, after.version) if exact else (before.minor, after.minor)
    yield from _differs(
        "python",
        Effect.PYTHON,
        ("version", *versions),
        ("implementation", before.implementation, after.implementation),
        ("threads", _threading(before), _threading(after)),
    )
    if before.version == after.version:
        yield from _differs(
            "python",
            Effect.NONE,
            ("compiler", before.compiler, after.compiler),
            ("build", before.build, after.build),
        )


def _threading(python: Python) -> str:
    return "free-threaded" if python.free_threaded else "with a GIL"


def _platform(before: System, after: System) -> Iterator[Found]:
    yield from _differs(
        "platform",
        Effect.CPU,
        ("system", before.system, after.system),
        ("machine", before.machine, after.machine),
    )
    yield from _differs("platform", Effect.LIBRARY, ("libc", before.libc, after.libc))
    yield from _differs("platform", Effect.NONE, ("release", before.release, after.release))


def _cpu(before: Cpu, after: Cpu) -> Iterator[Found]:
    lost = sorted({*before.features} - {*after.features})
    new = sorted({*after.features} - {*before.features})
    if lost or new:
        yield Found(
            what="cpu",
            name="features",
            before=" ".join(f"+{each}" for each in lost) or "without them",
            after=" ".join(f"+{each}" for each in new) or "without them",
            effect=Effect.CPU,
        )
    yield from _differs("cpu", Effect.NONE, ("model", before.model, after.model))
    cores = (f"{before.cores or ''}", f"{after.cores or ''}")
    yield from _differs("cpu", Effect.THREADS, ("cores", *cores))


def _gpu(before: Gpu, after: Gpu) -> Iterator[Found]:
    rows = [
        ("driver", before.driver, after.driver),
        ("cuda", before.cuda, after.cuda),
        ("cudnn", before.cudnn, after.cudnn),
        ("devices", ", ".join(before.devices), ", ".join(after.devices)),
    ]
    for name, was, now in rows:
        if was != now:
            yield Found(what="gpu", name=name, before=was, after=now, effect=Effect.GPU)


def _blas(before: tuple[Blas, ...], after: tuple[Blas, ...]) -> Iterator[Found]:
    old = {(each.owner, each.name): each for each in before}
    new = {(each.owner, each.name): each for each in after}
    for key in sorted({*old, *new}):
        was, now = old.get(key), new.get(key)
        name = f"{key[1]} of {key[0]}"
        if was is None or now is None:
            texts = tuple(each.version or each.file if each else "" for each in (was, now))
            yield Found(what="blas", name=name, before=texts[0], after=texts[1], effect=Effect.BLAS)
            continue
        both = bool(was.version and now.version) and was.version != now.version
        rows = (was.version, now.version) if both else (was.file, now.file)
        yield from _differs("blas", Effect.BLAS, (name, *rows))
        kernels = (f"{name}, kernels", was.kernels, now.kernels)
        yield from _differs("blas", Effect.BLAS, kernels)
        threads = (f"{name}, threads", f"{was.threads or ''}", f"{now.threads or ''}")
        yield from _differs("blas", Effect.THREADS, threads)


def _variables(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Found]:
    for name in sorted({*before, *after}):
        was, now = before.get(name, ""), after.get(name, "")
        if was != now:
            effect = _effect(name, was, now)
            yield Found(what="variable", name=name, before=was, after=now, effect=effect)


def _effect(name: str, before: str, after: str) -> Effect:
    if name in _HARMLESS or (name == "TZ" and before in _UTC and after in _UTC):
        return Effect.NONE
    if name in _LOCALES:
        plain = effects.is_plain_locale(before) and effects.is_plain_locale(after)
        return Effect.NONE if plain else Effect.SETTING
    return Effect.THREADS if name.endswith("_THREADS") else Effect.SETTING


def _system(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Found]:
    for name in sorted({*before} & {*after}):
        effect = Effect.LIBRARY if effects.computes(name) else Effect.NONE
        yield from _differs("system package", effect, (name, before[name], after[name]))
    # A desktop has a thousand packages that an image has not: that is one line.
    lost, new = len({*before} - {*after}), len({*after} - {*before})
    if lost or new:
        yield Found(
            what="system packages",
            name="on one side only",
            before=str(lost),
            after=str(new),
            effect=Effect.NONE,
        )
