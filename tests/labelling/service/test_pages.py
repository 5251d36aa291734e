"""The pages are static files, which need nothing from elsewhere."""

import re
from importlib import resources

import pytest

from prefrl.labelling.service.pages import FILES

FOLDER = resources.files("prefrl.labelling") / "page"


def test_every_file_of_the_page_has_an_address():
    assert sorted(one.name for one in FOLDER.iterdir()) == sorted(FILES.values())


@pytest.mark.parametrize("address", FILES)
def test_a_page_is_served_to_everybody_and_kept_until_it_changes(steady, address):
    page = steady.nobody.get(address)
    assert (page.status, page.content) == (200, (FOLDER / FILES[address]).read_bytes())
    assert page.headers["Cache-Control"] == "no-cache"
    again = steady.nobody.get(address, If_None_Match=page.headers["ETag"])
    assert (again.status, again.content) == (304, b"")


@pytest.mark.parametrize(
    "address",
    [
        "/page/../service/app.py",
        "/page/%2e%2e/errors.py",
        "/page//etc/passwd",
        "/page/",
        "/page/x.js",
        "/page/page.js%00",
        "/page/..%5cerrors.py",
        "//etc/passwd",
        "/docs",
        "/redoc",
    ],
)
def test_no_path_leads_to_another_file(steady, address):
    assert steady.nobody.get(address).status == 404


@pytest.mark.parametrize("name", [one for one in FILES.values() if not one.endswith(".mp4")])
def test_no_file_names_another_host_or_runs_inline(name):
    text = (FOLDER / name).read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", text)
    if name.endswith(".html"):
        assert not re.search(r"<script(?![^>]*\bsrc=)|\bstyle=|\son[a-z]+=|<style", text)
