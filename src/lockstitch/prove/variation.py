"""The ways in which the world is made another one, each with what it takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["BUILD", "TRAINING", "Variation", "together"]

_AVX512 = "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR X86_V4"
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """One variation; runtime/varied.py sets `world` up before lockstitch starts."""

    name: str
    env: Mapping[str, str | None] = field(default_factory=dict)
    world: Mapping[str, Any] = field(default_factory=dict)
    folder: bool = False  # a copy of the project, deeper and under other names
    home: bool = False  # an empty HOME
    store: bool = False  # nothing downloaded, nothing recorded
    root_only: bool = False
    slow: bool = False  # takes the time of a machine with fewer cores, or of another user
    hardware: bool = False  # another CPU computes other last digits; metrics must still agree


BUILD: tuple[Variation, ...] = (
    Variation(name="umask", world={"umask": 0o077}),
    # Who is somebody else has a store, a HOME and a copy of the project of their own.
    Variation(
        name="user",
        world={"uid": 65534},
        folder=True,
        home=True,
        store=True,
        root_only=True,
        slow=True,
    ),
    Variation(name="time zone", env={"TZ": "Asia/Kathmandu"}),
    Variation(name="locale", env={"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8"}),
    Variation(name="hash seed", env={"PYTHONHASHSEED": "4242"}),
    Variation(name="home", home=True),
    Variation(name="folder", folder=True),
    Variation(name="listing order", world={"backwards": True}),
    Variation(name="workers", env={"LOCKSTITCH_JOBS": "1"}, world={"cpus": 1}, slow=True),
    Variation(name="clock", world={"clock": 400 * 86_400}),
    Variation(name="empty store", store=True),
)
TRAINING: tuple[Variation, ...] = (
    Variation(name="repeat"),
    Variation(name="hash seed", env={"PYTHONHASHSEED": "4242"}),
    Variation(name="one thread", env=dict.fromkeys(_THREADS, "1")),
    Variation(name="all threads", env=dict.fromkeys(_THREADS)),
    Variation(name="CPU of AVX2 (Haswell)", env={"OPENBLAS_CORETYPE": "Haswell"}, hardware=True),
    Variation(name="CPU of SSE4.2 (Nehalem)", env={"OPENBLAS_CORETYPE": "Nehalem"}, hardware=True),
    Variation(
        name="NumPy without AVX512", env={"NPY_DISABLE_CPU_FEATURES": _AVX512}, hardware=True
    ),
    Variation(name="listing order", world={"backwards": True}),
    Variation(name="folder", folder=True),
    Variation(name="clock", world={"clock": 400 * 86_400}),
    Variation(name="time zone and locale", env={"TZ": "Asia/Kathmandu", "LC_ALL": "tr_TR.UTF-8"}),
)


def together(variations: tuple[Variation, ...], name: str) -> Variation:
    """Return all of them at once; of two that set the same, the later counts."""
    env: dict[str, str | None] = {}
    world: dict[str, Any] = {}
    for each in variations:
        env |= each.env
        world |= each.world
    return Variation(
        name=name,
        env=env,
        world=world,
        folder=any(each.folder for each in variations),
        home=any(each.home for each in variations),
        store=any(each.store for each in variations),
    )
