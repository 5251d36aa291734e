"""Settings of the service are checked where they are made."""

import pytest

from prefrl.errors import ConfigError
from prefrl.labelling.service import ServiceSettings

ADDRESSES = (
    "http://label.example.org",
    "https://label.example.org:8443/",
    "https://lab.example.org/robots/prefrl",
    "http://[::1]:80/prefrl/",
)


@pytest.mark.parametrize("url", ADDRESSES)
def test_a_public_address_may_have_a_port_and_a_path(url):
    assert ServiceSettings(public_url=url).public_url == url


@pytest.mark.parametrize(
    "url",
    [
        "label.example.org",
        "ftp://label.example.org",
        "https://",
        "https:///prefrl",
        "https://label.example.org:port",
        "https://label.example.org:99999",
        "https://me:secret@label.example.org",
        "https://label.example.org/?a=b",
        "https://label.example.org/#token=x",
        "https://label.example.org/two words",
        "https://label.example.org/\n",
        "https://[label",
    ],
)
def test_no_link_could_begin_with_anything_else(url):
    with pytest.raises(ConfigError, match="expected an address such as https://"):
        ServiceSettings(public_url=url)


@pytest.mark.parametrize(
    "name", ["https://lab.example", "lab.example:80", "a b", "", "x/y", "[", "ö.de"]
)
def test_what_no_browser_sends_as_a_name_is_refused(name):
    with pytest.raises(ConfigError, match=r"expected names such as lab\.example\.org"):
        ServiceSettings(allowed_hosts=("lab.example", name))
