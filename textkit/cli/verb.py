"""What a verb is to click, and how its help looks: examples at its end, lists of definitions, a model's own defaults.

Knows no verb; light to import.
"""

from __future__ import annotations

import inspect
from typing import Any

import click

from textkit.errors import UsageError, is_address


def examples(*lines: str) -> str:
    """The end of a verb's help: command lines that work as they stand, none wider than a terminal of 80 columns shows."""
    return "\n".join(lines)


# The serving defaults of the shipped models. Kept here because --help opens no model; a test compares them.
SHIPPED: dict[str, dict[str, str]] = {
    "en-de": {
        "--beam-size": "4",
        "--length-penalty": "1",
        "--min-length": "0",
        "--max-length": "127",
        "--max-length-factor": "3",
        "--no-repeat-ngram-size": "0",
        "--sentences": "yes",
        "--guard": "yes",
        "--truecase": "yes",
        "--shortlist": "yes",
    },
    "en-lm": {"--max-tokens": "100", "--temperature": "1", "--top-k": "0", "--top-p": "1"},
    "en-sentences": {"--pooling": "mean", "--normalize": "yes"},
}


def own(model: str, option: str) -> str:
    """'Default: ...' for an option whose default each model sets, with the value of the shipped `model`."""
    return f"Default: the model's own ({model}: {SHIPPED[model][option]})."


def _narrow() -> int | None:
    """The width of a terminal that is narrower than click's minimum; None: click decides."""
    import shutil  # imports bz2 and lzma

    columns = shutil.get_terminal_size().columns - 2
    return max(columns, 20) if columns < 50 else None


class WholeWords(click.HelpFormatter):
    """Wraps lines only between words, so that no model's name and no option is broken at its hyphen."""

    _HYPHEN = "\ue000"  # stands for a hyphen while lines are wrapped; not white space, which would count as an indent

    def write_dl(self, rows: Any, col_max: int = 30, col_spacing: int = 2) -> None:
        if self.width < 50:  # a column of terms would leave no room for what they mean
            col_max = 8
        super().write_dl([(term, text.replace("-", self._HYPHEN)) for term, text in rows], col_max, col_spacing)

    def write_text(self, text: str) -> None:
        super().write_text(text.replace("-", self._HYPHEN))

    def getvalue(self) -> str:
        return super().getvalue().replace(self._HYPHEN, "-")


class _Unnamed(dict[str, Any]):
    """A parser's long options, which click takes for none when it looks for the nearest of them.

    It would look whenever it meets a short option, because that could be a long one. The import of difflib alone takes 8 ms.
    """

    def __bool__(self) -> bool:
        return False


class Verb(click.Command):
    """A command whose epilog is `examples`: its help ends with them, one line each.

    A paragraph of its help that begins with \\b, and whose lines are a term, at least two spaces and a text, is a list of
    definitions: the texts are wrapped in a second column.
    """

    def get_help_option_names(self, ctx: click.Context) -> list[str]:
        """The same names in every context, because click keeps the option that it makes of them the first time."""
        return ["-h", "--help"]

    def get_help(self, ctx: click.Context) -> str:
        ctx.formatter_class = WholeWords
        ctx.terminal_width = ctx.terminal_width or _narrow()
        return super().get_help(ctx)

    def make_parser(self, ctx: click.Context) -> Any:
        parser: Any = super().make_parser(ctx)
        if isinstance(known := getattr(parser, "_long_opt", None), dict):
            parser._long_opt = _Unnamed(known)
        return parser

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Raises UsageError for -o with an address: as a path, s3://bucket would be a new folder named `s3:`."""
        given = super().parse_args(ctx, args)
        for option in self.params if not ctx.resilient_parsing else ():  # which completes a word, and says nothing
            value = ctx.params.get(option.name or "")
            if "-o" in option.opts and value is not None and is_address(str(value)):
                raise UsageError(
                    f"-o {value}: is an address, to which nothing is written; name a file or a folder here"
                )
        return given

    def help_text(self) -> str:
        """The verb's description in its help."""
        return inspect.cleandoc(self.help or "")

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        paragraphs = self.help_text().split("\n\n")
        for paragraph in paragraphs:
            formatter.write_paragraph()
            with formatter.indentation():
                rows = _definitions(paragraph)
                if rows:
                    formatter.write_dl(rows)
                else:
                    formatter.write_text(paragraph)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        if self.epilog:
            with formatter.section("Examples"):
                for line in self.epilog.splitlines():
                    formatter.write(f"{'':{formatter.current_indent}}{line}\n")


def _definitions(paragraph: str) -> list[tuple[str, str]]:
    """(term, text) of each definition in a paragraph; empty where it is no list of definitions."""
    if not paragraph.startswith("\b\n"):
        return []
    rows: list[tuple[str, str]] = []
    for line in paragraph.splitlines()[1:]:
        term, _, text = line.partition("  ")
        if not term and rows:  # the text goes on
            rows[-1] = (rows[-1][0], f"{rows[-1][1]} {text.strip()}")
        else:
            rows.append((term, text.strip()))
    return rows


class Remembering(Verb):
    """A command that keeps the words it was called with, for run.json and the manifest: `ctx.meta[Remembering.KEY]`."""

    KEY = "textkit.command"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[self.KEY] = ["textkit", ctx.info_name or "", *args]
        return super().parse_args(ctx, args)
