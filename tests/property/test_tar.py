"""Headers: what tarfile reads is what was asked for, whatever the path."""

import io
import string
import tarfile

from hypothesis import given
from hypothesis import strategies as st

from lockstitch.oci.entry import MTIME, TAR_END, Entry, Kind, tar_header

parts = st.one_of(
    st.text(string.ascii_letters + string.digits + "._- ", min_size=1, max_size=12),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/\\"), min_size=1),
    st.integers(90, 160).map(lambda size: "n" * size),
).filter(lambda part: part not in {".", ".."} and not part.startswith(".wh."))
paths = st.one_of(
    st.lists(parts, min_size=1, max_size=8).map("/".join),
    st.builds(
        lambda size, step: "".join("/" if n % step == 2 else "p" for n in range(size)),
        st.integers(95, 300),
        st.integers(4, 200),
    ).map(lambda path: path.rstrip("/")),
)
targets = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
modes = st.sampled_from([0o644, 0o755, 0o1777])
entries = st.one_of(
    st.builds(Entry, path=paths, kind=st.just(Kind.FILE), mode=modes),
    st.builds(Entry, path=paths, kind=st.just(Kind.FOLDER), mode=modes),
    st.builds(
        Entry,
        path=paths,
        kind=st.just(Kind.SYMLINK),
        mode=st.just(0o777),
        target=st.one_of(targets, st.integers(95, 130).map(lambda size: "t" * size)),
    ),
)
TYPES = {Kind.FILE: tarfile.REGTYPE, Kind.FOLDER: tarfile.DIRTYPE, Kind.SYMLINK: tarfile.SYMTYPE}


@given(entries, st.one_of(st.just(0), st.integers(0, 1 << 45)))
def test_tarfile_reads_what_was_asked_for(entry: Entry, size: int) -> None:
    size = size if entry.kind is Kind.FILE else 0
    block = tar_header(entry, size=size)
    with tarfile.open(fileobj=io.BytesIO(block + TAR_END)) as archive:
        member = archive.next()
    assert member is not None
    assert (member.name, member.linkname) == (entry.path, entry.target)
    assert (member.mode, member.size, member.type) == (entry.mode, size, TYPES[entry.kind])
    assert (member.uid, member.gid, member.uname, member.gname) == (0, 0, "", "")
    assert member.mtime == MTIME
    assert len(block) % 512 == 0
    assert set(member.pax_headers) <= {"path", "linkpath", "size"}


@given(entries)
def test_pax_only_when_needed(entry: Entry) -> None:
    path = entry.path + ("/" if entry.kind is Kind.FOLDER else "")
    fits = path.isascii() and len(path) <= 100 and len(entry.target.encode()) <= 100
    if fits:
        assert len(tar_header(entry)) == 512
