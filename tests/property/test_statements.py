"""Documents about an image are hostile: whatever they hold, they end in words."""

import contextlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from lockstitch.digest import of_bytes
from lockstitch.image import verify
from lockstitch.image.verify import BROKEN, Contents

_KEYS = (
    *("bomFormat", "metadata", "component", "components", "hashes", "content", "purl", "name"),
    *("version", "bom-ref", "subject", "digest", "sha256", "predicate", "predicateType"),
    *("buildDefinition", "externalParameters", "resolvedDependencies", "image", "platform"),
)
_TEXTS = st.sampled_from(["CycloneDX", "pkg:pypi/a", "pkg:deb/a", "serve", "\x1b[2J", ""])
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(_KEYS), inner),
    max_leaves=20,
)
BILL = {"bomFormat": "CycloneDX", "metadata": {"component": {}}}
LOCKS = verify.Locks(project="a", pylocks={}, bases={})


def words(found: Any) -> None:
    with contextlib.suppress(BROKEN):
        assert all(isinstance(each, str) for each in found)


@given(DOCUMENTS)
def test_any_bill_is_read_to_its_end_or_is_broken(said: Any) -> None:
    words(verify.check_bill(said, of_bytes(b""), Contents({})))
    words(verify.check_bill(BILL | {"components": said}, of_bytes(b""), Contents({})))


@given(DOCUMENTS)
def test_any_statement_is_read_to_its_end_or_is_broken(said: Any) -> None:
    built = {"buildDefinition": {"externalParameters": said, "resolvedDependencies": said}}
    for each in (said, {"subject": [{"name": "a"}], "predicate": built}):
        words(verify.check_origin(each, of_bytes(b""), {}))
        words(verify.check_locks(each, LOCKS, {}))
