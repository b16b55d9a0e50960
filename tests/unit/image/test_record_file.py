"""RECORD files."""

from lockstitch.image import record_file


def test_hash_is_urlsafe_base64_without_padding() -> None:
    assert record_file.digest(b"") == "sha256=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU"
    assert record_file.digest(b"hello\n") == "sha256=WJG1tSLV3whtD_CxEPvZ0hu0_HFjrzTQgoai6Eb2vgM"


def test_rows_are_sorted_by_path_bytes_and_alike_ones_are_one() -> None:
    rows = [("b", "h", "1"), ("é", "h", "1"), ("a-b", "", ""), ("a/b", "", ""), ("b", "h", "1")]
    assert record_file.write(rows) == "a-b,,\na/b,,\nb,h,1\né,h,1\n".encode()
    assert record_file.write([]) == b""


def test_what_csv_has_to_quote_is_quoted() -> None:
    rows = [("a,b", "h", "1"), ('say "x"', "h", "2"), ("c d", "h", "3")]
    data = record_file.write(rows)
    assert data == b'"a,b",h,1\nc d,h,3\n"say ""x""",h,2\n'
    assert sorted(record_file.read(data)) == sorted(rows)


def test_other_writers_rows_are_read() -> None:
    data = b'"demo/a.py","sha256=x","1"\r\n\r\ndemo/b.py,,\r\ndemo/c.py\r\nd,e\r\nf,g,h,i\r\n'
    assert record_file.read(data) == [
        ("demo/a.py", "sha256=x", "1"),
        ("demo/b.py", "", ""),
        ("demo/c.py", "", ""),
        ("d", "", ""),
        ("f", "g", "h"),
    ]
