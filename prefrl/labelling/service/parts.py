"""Parts that all endpoints share: the store, the settings, and the check of tokens."""

from dataclasses import dataclass, field

from prefrl.labelling.service.access import Access
from prefrl.labelling.service.digest import Digest
from prefrl.labelling.service.failures import FailedTokens
from prefrl.labelling.service.instructions import html_of
from prefrl.labelling.service.settings import ServiceSettings
from prefrl.labelling.store import LabelStore

API = "/api/v1"
# Nobody need ask more often whether there is something to answer, seconds.
NOTHING_RETRY_S = 2


@dataclass(frozen=True)
class Parts:
    """The parts of a service.

    Args:
        store: where questions, answers and clips are.
        settings: of the service.
        access: tells who is asking.
        digest: sums the store up.
        instructions: what to look for, as HTML.
    """

    store: LabelStore
    settings: ServiceSettings
    access: Access = field(init=False)
    digest: Digest = field(init=False)
    instructions: str = field(init=False)

    def __post_init__(self) -> None:
        failed = FailedTokens(self.settings.failed_per_minute)
        object.__setattr__(self, "access", Access(self.store, failed))
        object.__setattr__(self, "digest", Digest(self.store))
        object.__setattr__(self, "instructions", html_of(self.settings.instructions))


def clip_address(key: str) -> str:
    """Returns the address of a clip."""
    return f"{API}/clips/{key}"
