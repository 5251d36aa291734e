"""The labelling service: questions, answers and clips over HTTP, and the pages to answer on."""

from prefrl.labelling.service.app import make_app
from prefrl.labelling.service.settings import ServiceSettings

__all__ = ["ServiceSettings", "make_app"]
