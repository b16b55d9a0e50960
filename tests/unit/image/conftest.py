"""One wheel on its way into a layer of the store, as `lockstitch build` takes it."""

from collections.abc import Callable, Mapping

import pytest
from support.images import MadeLayer
from support.zips import FILENAME

from lockstitch.image.contents import InstalledWheel
from lockstitch.image.paths import APP
from lockstitch.oci.entry import Generated
from lockstitch.oci.layer import arrange, stitch
from lockstitch.store import Store

MakeLayer = Callable[..., MadeLayer]


@pytest.fixture
def made(store: Store) -> MakeLayer:
    """Return a function from a wheel's bytes to the layer that is then in the store."""

    def make(
        data: bytes,
        filename: str = FILENAME,
        *,
        minor: str = "3.11",
        trimmed: bool = False,
        compiled: Mapping[str, bytes] | None = None,
    ) -> MadeLayer:
        wheel = InstalledWheel(store.path(store.put(data)), filename, minor, trimmed=trimmed)
        bytecode = {path: Generated(data) for path, data in (compiled or {}).items()}
        entries = arrange(wheel.entries(bytecode), root=APP)
        with store.writer() as writer:
            facts = stitch(entries, writer.write)
            writer.commit(facts.digest)
        wheel.close()
        data = store.path(facts.digest).read_bytes()
        return MadeLayer(facts=facts, created_by=filename, data=data)

    return make
