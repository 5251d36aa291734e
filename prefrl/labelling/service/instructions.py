"""Instructions for those who label: Markdown in, HTML that is safe to show out."""

from collections.abc import Sequence
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from prefrl.errors import StorageError
from prefrl.records.files import content_of, reason

_SCHEMES = ("http://", "https://", "mailto:")


def html_of(markdown: str) -> str:
    """Returns Markdown as HTML in which nothing of the author's own HTML is left.

    Tags that somebody writes are shown as text, links lead to http, https and mailto alone, and
    there are no pictures: the page fetches nothing from elsewhere.
    """
    parser = MarkdownIt("js-default", {"html": False, "linkify": False}).disable("image")
    parser.validateLink = _is_harmless  # type: ignore[method-assign]
    tokens = parser.parse(markdown)
    _open_elsewhere(tokens)
    return str(parser.renderer.render(tokens, parser.options, {}))


def _is_harmless(url: str) -> bool:
    return url.strip().lower().startswith(_SCHEMES)


def _open_elsewhere(tokens: Sequence[Token]) -> None:
    """Makes links open in another tab, so that nobody loses the pair they look at."""
    for token in tokens:
        if token.type == "link_open":
            token.attrSet("target", "_blank")
            token.attrSet("rel", "noopener noreferrer")
        _open_elsewhere(token.children or ())


def read_instructions(path: Path) -> str:
    """Returns the text of a Markdown file.

    Raises:
        StorageError: it cannot be read, or is no text.
    """
    try:
        return content_of(path).decode("utf-8")
    except UnicodeDecodeError:
        raise StorageError(f"{path} is no text in UTF-8; expected Markdown") from None
    except (OSError, ValueError) as error:
        raise StorageError(f"could not read {path}: {reason(error)}") from None
