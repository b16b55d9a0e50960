"""Fields `Name: value`, of control files, lists of packages and METADATA (RFC 822's form)."""


def fields_of(data: bytes | str) -> dict[str, str]:
    """Return the fields before the first empty line, by their names in lower case.

    A line that goes on with the one before is joined to it; of two of one name, the first counts.
    """
    text = data.decode("utf-8", "replace") if isinstance(data, bytes) else data
    fields: dict[str, list[str]] = {}
    parts: list[str] = []  # of the field that the next line may go on with
    for line in text.replace("\r\n", "\n").partition("\n\n")[0].split("\n"):
        name, colon, value = line.partition(":")
        if line[:1] in {" ", "\t"}:
            parts.append(line.strip())
        elif colon and not line.startswith("#"):
            parts = [value.strip()]
            fields.setdefault(name.strip().lower(), parts)
    return {name: " ".join(values) for name, values in fields.items()}
