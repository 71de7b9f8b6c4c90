"""Makes README and similar files pages of the site too, without a second copy. A hook of mkdocs, named in mkdocs.yml.

Links in these files are relative to the repository. On the site, a link to a file that is a page leads to that page, and a
link to any other file of the repository becomes plain text. A link to nothing stays as it is, so that mkdocs refuses it.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = {"index.md": "README.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
LINK = re.compile(r"(?P<image>!?)\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s#:]+)(?P<anchor>#[^()\s]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages whose text is in the root of the repository."""
    from mkdocs.structure.files import File

    for page, source in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / source).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Turns links within the repository into links of the site."""
    pages = {PAGES.get(file.src_uri, f"docs/{file.src_uri}"): file.src_uri for file in files}
    return led(markdown, page.file.src_uri, pages)


def led(markdown: str, page: str, pages: Mapping[str, str]) -> str:
    """The text of `page` with links of the site; `pages` maps each file of the repository to its page."""
    folder = posixpath.dirname(PAGES.get(page, f"docs/{page}"))

    def link(found: re.Match[str]) -> str:
        file = posixpath.normpath(posixpath.join(folder, found["target"]))
        if file in pages:
            target = posixpath.relpath(pages[file], posixpath.dirname(page) or ".")
            return f"{found['image']}[{found['text']}]({target}{found['anchor'] or ''})"
        known = not file.startswith("..") and (ROOT / file).exists()
        return found["text"] if known and not found["image"] else found[0]

    return LINK.sub(link, markdown)
