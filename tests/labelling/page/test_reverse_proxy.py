"""The pages below a path of another name, where a reverse proxy puts them."""

import pytest
from playwright.sync_api import expect

from prefrl.labelling.service import ServiceSettings
from tests.labelling.page.browsing import is_shown, said_of, say
from tests.labelling.page.proxy import ReverseProxy
from tests.labelling.service.serving import Client
from tests.waiting import wait_until


@pytest.fixture
def proxy():
    made = ReverseProxy("/robots/prefrl")
    yield made
    made.close()


@pytest.fixture
def proxied(labelling_of, proxy):
    with labelling_of(ServiceSettings(public_url=f"{proxy.url}/")) as service:
        proxy.upstream = service.ann.address
        yield service


def test_people_label_below_a_path(proxied, proxy, open_page):
    page = open_page(f"{proxy.url}/#token={proxied.ann.token}", is_first_use=True)
    expect(page.locator("#tour")).to_be_visible()
    is_shown(page)
    page.get_by_role("button", name="Skip the tour").click()
    expect(page.locator("#tour")).to_be_hidden()
    is_shown(page)
    expect(page.locator("#policy-clip")).to_be_visible()
    say(page, "ArrowLeft")
    wait_until(lambda: said_of(proxied.store) == {("ann", proxied.ids[0]): "left"})
    page.reload()
    is_shown(page)
    assert page.url == f"{proxy.url}/"
    assert proxy.strays == []


def test_the_owner_invites_somebody_below_a_path(proxied, proxy, open_page):
    proxied.ann.answer(proxied.ids[0], "left")
    page = open_page(f"{proxy.url}/owner#token={proxied.owner.token}")
    page.get_by_label("Name").fill("Zoë")
    page.get_by_role("button", name="Invite").click()
    link = page.locator("#link")
    expect(link).to_contain_text(f"{proxy.url}/#token=")
    theirs = open_page(link.inner_text())
    expect(theirs.locator("#who")).to_have_text("Zoë")
    is_shown(theirs)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download all answers").click()
    assert download.value.suggested_filename == "comparisons.npz"
    assert page.url == f"{proxy.url}/owner"
    assert proxy.strays == []


def test_runs_below_paths_of_one_name_keep_their_tokens_apart(proxied, proxy, open_page):
    page = open_page(f"{proxy.url}/#token={proxied.ann.token}")
    is_shown(page)
    # Another run under the same name, whose pages share the browser's memory with these.
    page.evaluate(
        """() => { for (const storage of [localStorage, sessionStorage])
          storage.setItem('prefrl.annotator', 'the token of another run') }"""
    )
    page.reload()
    is_shown(page)
    expect(page.locator("#who")).to_have_text("ann")


def test_an_owner_on_the_machine_itself_invites_under_the_public_address(proxied, proxy, open_page):
    page = open_page(f"{proxied.url}/owner#token={proxied.owner.token}")
    page.get_by_label("Name").fill("Zoë")
    page.get_by_role("button", name="Invite").click()
    expect(page.locator("#link")).to_contain_text(f"{proxy.url}/#token=")


@pytest.mark.parametrize("path", ["/owner/", "/page/page.css/", "/api/v1/progress/", "//"])
def test_nothing_is_sent_on_to_an_address_that_only_the_service_knows(steady, path):
    answered = steady.ann.get(path)
    assert (answered.status, answered.headers["Location"]) == (404, None)


def test_programs_find_clips_below_the_address_of_the_service(proxied, proxy):
    # A client that is told the public address goes by what it was given, too.
    question = proxied.ann.get("questions/next").json
    assert question["left"].startswith("/api/v1/clips/")
    address, prefix = proxy.url.removeprefix("http://").split("/", 1)
    client = Client(f"http://{address}", proxied.ann.token)
    assert client.get(f"/{prefix}{question['left']}").status == 200
