"""Search by words: BM25 (k1 = 1.2, b = 0.75; Robertson and Zaragoza 2009), as tantivy computes it. Knows no vectors.

A document of tantivy's is a row of the index: its text as terms, which is not kept there, and its number. Queries are made of
terms. tantivy's query language is never used, so that no query can be wrong.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from textkit import temporary
from textkit.errors import TextkitError, told
from textkit.retrieval.analysis import analyser, prepared

_HEAP = 64_000_000  # bytes that tantivy may use before it writes a segment
_LEAST_ROOM = 1 << 20  # bytes; a disk with less has none for a segment
_MOST_TERMS = 1024  # of a query; a longer one is a document
_ANALYSER = "textkit"


def _schema() -> Any:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("text", stored=False, tokenizer_name=_ANALYSER, index_option="freq")
    builder.add_integer_field("row", stored=False, indexed=False, fast=True)
    return builder.build()


@contextmanager
def _named(folder: Path | None, writing: bool = False) -> Iterator[None]:
    """Turns what tantivy raises, and a panic of it, into a TextkitError that names the folder."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit, TextkitError, MemoryError):
        raise
    except BaseException as error:  # a panic is no Exception
        if type(error).__name__ != "PanicException" and not isinstance(error, Exception):
            raise
        # A full disk ends a thread of tantivy's, whose own error is not told.
        if "os error 28" in str(error) or "No space left" in str(error) or (writing and is_full(folder)):
            raise TextkitError(f"{folder}: cannot be written: No space left on device") from error
        what = "cannot be written" if writing else "is damaged"
        raise TextkitError(f"{folder}: the index of words {what}: {told(error)}") from error


def is_full(folder: Path | None) -> bool:
    """Whether the disk has no room for another segment of tantivy's."""
    if folder is None:
        return False
    with suppress(OSError):
        disk = os.statvfs(folder)
        return disk.f_bavail * disk.f_frsize < _LEAST_ROOM or (disk.f_files > 0 and disk.f_favail == 0)
    return False


@contextmanager
def _readable(folder: Path | None) -> Iterator[Path | None]:
    """Where tantivy can open the index in `folder`: it makes a lock file there, which a place to read alone does not allow.

    Then it is a temporary folder of links. What tantivy has opened stays open when that is gone.
    """
    if folder is None or os.access(folder, os.W_OK) or not folder.is_dir():
        yield folder
        return
    import tempfile

    # A thread of tantivy's may make its lock file anew while the folder is being removed.
    with tempfile.TemporaryDirectory(prefix="textkit-", ignore_cleanup_errors=True) as scratch:
        for path in folder.iterdir():
            if not path.name.endswith(".lock"):
                (Path(scratch) / path.name).symlink_to(path.absolute())
        yield Path(scratch)
    temporary.remove(Path(scratch))


class Words:
    """The words of an index, for reading. `folder` None: in memory, for `WordsWriter.searched`."""

    def __init__(self, folder: Path | None, index: Any = None) -> None:
        import tantivy

        self._folder = folder
        with _named(folder), _readable(folder) as place:
            self._index = index or tantivy.Index.open(str(place))  # the constructor would make a new one
            self._index.register_tokenizer(_ANALYSER, analyser())
            self._schema = self._index.schema
            self._index.reload()
            self._searcher = self._index.searcher()

    def search(self, terms: Sequence[str], most: int, every: bool = False) -> list[tuple[int, float]]:
        """(row, BM25 score) of at most `most` rows that have any of `terms` (or `every` one of them), the best first.

        Of equal rows, the earlier comes first.
        """
        return self._search(dict.fromkeys(terms, 1.0), most, every)

    def weighted(self, weights: Mapping[str, float], most: int) -> list[tuple[int, float]]:
        """The same, of any of the terms, where what each gives is multiplied by its weight."""
        return self._search(weights, most)

    def _search(self, weights: Mapping[str, float], most: int, every: bool = False) -> list[tuple[int, float]]:
        import tantivy

        if not weights or most < 1:
            return []
        occur = tantivy.Occur.Must if every else tantivy.Occur.Should
        with _named(self._folder):
            parts = []
            for term, weight in islice(weights.items(), _MOST_TERMS):
                one = tantivy.Query.term_query(self._schema, "text", term, "freq")
                parts.append((occur, one if weight == 1 else tantivy.Query.boost_query(one, weight)))
            query = parts[0][1] if len(parts) == 1 else tantivy.Query.boolean_query(parts)
            most = min(most, self._searcher.num_docs)
            if not most:
                return []
            hits = self._searcher.search(query, limit=most, count=False).hits
            rows = self._searcher.fast_field_values("row", [address for _, address in hits])
        return sorted(
            ((int(row), float(score)) for row, (score, _) in zip(rows, hits, strict=True)),
            key=lambda found: (-found[1], found[0]),
        )

    def frequency(self, term: str) -> int:
        """The number of rows that have `term`."""
        with _named(self._folder):
            return int(self._searcher.doc_freq("text", term))

    def __len__(self) -> int:
        return int(self._searcher.num_docs)


class WordsWriter:
    """The words of an index, for its one writer. Nothing is kept before `commit`."""

    def __init__(self, folder: Path | None, begun: bool = False) -> None:
        """`folder`: made if it is not there, unless `begun` says that it has rows; None: in memory."""
        import tantivy

        self._folder = folder
        with _named(folder):
            if folder is not None and begun:
                self._index = tantivy.Index.open(str(folder))
            else:
                if folder is not None:
                    folder.mkdir(exist_ok=True)
                self._index = tantivy.Index(_schema(), path=None if folder is None else str(folder))
            self._index.register_tokenizer(_ANALYSER, analyser())
            self._schema = self._index.schema
            self._writer = self._index.writer(_HEAP, 1)  # one thread keeps the rows in order

    def add(self, first: int, texts: Sequence[str]) -> None:
        """Adds rows from `first` on."""
        import tantivy

        add, document = self._writer.add_document, tantivy.Document
        with _named(self._folder, writing=True):
            for row, text in enumerate(texts, first):
                made = document()  # by its methods: naming the fields as arguments takes twice the time
                made.add_text("text", prepared(text))
                made.add_integer("row", row)
                add(made)

    def remove(self, start: int, stop: int) -> None:
        """Removes the rows from `start` to `stop` - 1."""
        import tantivy

        if stop > start:
            with _named(self._folder, writing=True):
                rows = tantivy.Query.range_query(
                    self._schema, "row", tantivy.FieldType.Integer, start, stop, include_upper=False
                )
                self._writer.delete_documents_by_query(rows)

    def commit(self) -> None:
        with _named(self._folder, writing=True):
            self._writer.commit()

    def close(self) -> None:
        """Waits for tantivy's own work on what is committed. Nothing can be added any more."""
        with _named(self._folder, writing=True):
            self._writer.wait_merging_threads()

    def searched(self) -> Words:
        """What is committed, for reading."""
        return Words(self._folder, self._index)
