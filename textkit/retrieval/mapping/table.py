"""Writes a map as a Parquet file, for embedding-atlas and whatever reads tables, by pyarrow (the extra `map`).

Columns: x, y, text, cluster (its number, -1 for none), label (its name), file, line, and the record's own fields. A field that
has one of these names is called source_NAME. `embedding-atlas map.parquet --text text --x x --y y` shows it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, BinaryIO

from textkit.errors import TextkitError, pip_install
from textkit.retrieval.mapping.maps import NONE, Map

OURS = ("x", "y", "text", "cluster", "label", "file", "line")


def refuse() -> None:
    """Raises TextkitError where pyarrow is not installed."""
    try:
        import pyarrow  # noqa: F401
    except ImportError as error:
        raise TextkitError(f"Parquet needs {error.name}, which is not installed: {pip_install('map')}") from error


def write(
    stream: BinaryIO, found: Map, files: Sequence[str], lines: Sequence[int], fields: Sequence[Mapping[str, Any]]
) -> None:
    """Writes a row for each point. `fields`: each record's own, none with a name of OURS but its text."""
    import pyarrow as arrow
    from pyarrow import parquet

    columns: dict[str, Any] = {
        "x": arrow.array(found.places[:, 0], arrow.float32()),
        "y": arrow.array(found.places[:, 1], arrow.float32()),
        "text": arrow.array(list(found.texts), arrow.string()),
        "cluster": arrow.array(found.clusters, arrow.int32()),
        "label": arrow.array([found.names[at] if at >= 0 else NONE for at in found.clusters.tolist()], arrow.string()),
        "file": arrow.array(list(files), arrow.string()),
        "line": arrow.array(list(lines), arrow.int64()),
    }
    for name in dict.fromkeys(name for each in fields for name in each):
        columns.setdefault(name, _column([each.get(name) for each in fields]))
    parquet.write_table(arrow.table(columns), stream)


def _column(values: Sequence[Any]) -> Any:
    """Values of one type as they are; of several, or of objects and lists, as JSON."""
    import pyarrow as arrow

    kinds = {type(value) for value in values if value is not None}
    if kinds <= {str} or kinds <= {bool} or kinds <= {int, float}:
        try:
            return arrow.array([float(value) if float in kinds and value is not None else value for value in values])
        except (arrow.ArrowInvalid, OverflowError):  # an integer beyond 64 bits
            pass
    said = [
        value if value is None or isinstance(value, str) else json.dumps(value, ensure_ascii=False) for value in values
    ]
    return arrow.array(said, arrow.string())
