"""Which repositories of a registry have a blob, as far as this machine has seen."""

from lockstitch.digest import Digest, of_bytes
from lockstitch.oci import canonical
from lockstitch.store import Store

__all__ = ["Places"]

_MOST = 4  # the newest ones: a mount from a repository that lost the blob costs one request
_KIND = "places"


class Places:
    """Remembers in the store where blobs were put, so that another repository mounts them."""

    def __init__(self, store: Store, host: str) -> None:
        """Remember for one registry."""
        self._store = store
        self._host = host

    def of(self, digest: Digest, but: str) -> tuple[str, ...]:
        """Return the repositories that may have a blob, but one, the newest first."""
        known = self._store.record(_KIND, self._key(digest))
        names = known if isinstance(known, list) else []
        return tuple(name for name in names if isinstance(name, str) and name != but)

    def note(self, digest: Digest, repository: str) -> None:
        """Remember that a repository has a blob."""
        names = [repository, *self.of(digest, repository)][:_MOST]
        if self._store.record(_KIND, self._key(digest)) != names:
            self._store.put_record(_KIND, self._key(digest), names)

    def _key(self, digest: Digest) -> str:
        return of_bytes(canonical.dumps([self._host, digest])).hex
