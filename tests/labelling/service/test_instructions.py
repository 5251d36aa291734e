"""Markdown becomes HTML that is safe to show."""

import pytest

from prefrl.errors import StorageError
from prefrl.labelling.service.instructions import html_of, read_instructions


def test_markdown_becomes_html():
    assert html_of("Which *walks*?\n\n- one\n- two") == (
        "<p>Which <em>walks</em>?</p>\n<ul>\n<li>one</li>\n<li>two</li>\n</ul>\n"
    )


def test_html_of_the_authors_is_shown_as_text():
    html = html_of("<script>alert(1)</script> <img src=x onerror=alert(1)>\n\n<div onclick=x>")
    assert "<script" not in html
    assert "<img" not in html
    assert "<div" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "file:///etc",
        "//evil.example",
        "/owner",
        "&#106;avascript:alert(1)",
        "java\tscript:alert(1)",
    ],
)
def test_links_lead_to_no_code_and_to_no_page_of_the_service(url):
    assert "href" not in html_of(f"[x]({url}) <{url}>\n\n[y]\n\n[y]: {url}")


def test_links_open_beside_the_page():
    html = html_of("[x](https://a.example/?q=%22)")
    assert 'href="https://a.example/?q=%22" target="_blank" rel="noopener noreferrer"' in html


def test_there_are_no_pictures():
    assert "<img" not in html_of("![x](https://a.example/x.png)")


def test_a_file_that_is_no_text_is_refused_by_name(tmp_path):
    path = tmp_path / "what.md"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(StorageError, match=r"what\.md is no text in UTF-8"):
        read_instructions(path)
    with pytest.raises(StorageError, match=r"could not read .*none\.md"):
        read_instructions(tmp_path / "none.md")
