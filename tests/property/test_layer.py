"""Layers of random trees: any order in, one layer out, and all of it comes back."""

import gzip
import io
import tarfile

from hypothesis import given
from hypothesis import strategies as st
from support.images import image, layer, members

from lockstitch.errors import LockstitchError
from lockstitch.oci.entry import Entry, Kind, file, folder, symlink
from lockstitch.oci.layer import arrange, check_path, inflate
from lockstitch.oci.rootfs import entries as read_entries
from lockstitch.oci.validate import problems

parts = st.sampled_from(["a", "b", "c", "a-b", "a.b", "zoë", "Z", "n" * 110])
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)
entries = st.one_of(
    st.builds(file, paths, st.binary(max_size=600)),
    st.builds(folder, paths),
    st.builds(symlink, paths, st.sampled_from(["a", "/b", "t" * 120])),
)
trees = st.lists(entries, max_size=12)


def outcome(found: list[Entry]) -> object:
    try:
        return arrange(found)
    except LockstitchError:
        return "refused"


@given(trees, st.data())
def test_order_does_not_decide(tree: list[Entry], data: st.DataObject) -> None:
    assert outcome(data.draw(st.permutations(tree))) == outcome(tree)


@given(trees)
def test_what_is_arranged_is_sorted_whole_and_unique(tree: list[Entry]) -> None:
    found = outcome(tree)
    if not isinstance(found, list):
        return
    paths = [entry.path for entry in found]
    assert paths == sorted(set(paths), key=str.encode)
    folders = {entry.path for entry in found if entry.kind is Kind.FOLDER}
    assert {path.rpartition("/")[0] for path in paths if "/" in path} <= folders
    assert {entry.path for entry in tree} <= set(paths)


@given(trees)
def test_a_layer_gives_back_what_it_was_made_of(tree: list[Entry]) -> None:
    arranged = outcome(tree)
    if not isinstance(arranged, list):
        return
    made = layer(tree)
    found = members(made.data)
    assert [*found] == [entry.path for entry in arranged]
    for entry in arranged:
        member, content = found[entry.path]
        assert content == b"".join(entry.content.plain() if entry.content else ())
        assert (member.mode, member.linkname) == (entry.mode, entry.target)
    assert problems(image(made)) == []
    read = {m.name: data for m, data in read_entries(made, lambda _: True)}
    assert read == {path: data for path, (_, data) in found.items()}


@given(trees, st.integers(1, 50))
def test_chunks_do_not_matter(tree: list[Entry], size: int) -> None:
    if outcome(tree) == "refused":
        return
    data = layer(tree).data
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    assert b"".join(inflate(chunks)) == gzip.decompress(data)


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
def test_a_path_that_passes_is_one_that_tar_can_hold(path: str) -> None:
    try:
        check_path(path)
    except LockstitchError:
        return
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(layer([file(path, b"x")]).data))) as tar:
        assert path in tar.getnames()
        assert all(part not in {"", ".", ".."} for part in path.split("/"))
