"""A client of labelling services, for scripts: it goes by the addresses in a run's folder."""

import http.client
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from prefrl.records import run_folder

TIMEOUT_S = 60.0
NOT_NOW = (409, 410, 503)
"""Withdrawn or answered meanwhile, or the database is busy: no fault of the one who asks."""


class AwayError(Exception):
    """The service is not there yet, is being started anew, has ended, or refuses just now."""


class LabelClient:
    """Asks a run's labelling service, as its owner or as the annotator its folder has a token for.

    Args:
        folder: of the run; its `labelling.json`, read anew each time, may not be there yet.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def ask(self, method: str, path: str, body: Any = None, *, as_owner: bool = False) -> Any:
        """Returns what the service says, None where it says nothing.

        Args:
            method: of HTTP.
            path: below `/api/v1/`.
            body: becomes JSON.
            as_owner: uses the owner's token.

        Raises:
            AwayError: see there.
            urllib.error.HTTPError: any other refusal.
        """
        try:
            links = json.loads((self._folder / run_folder.LABELLING).read_text())
            request = urllib.request.Request(
                f"{links['url']}/api/v1/{path}",
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers={
                    "Authorization": f"Bearer {links['owner_token' if as_owner else 'token']}",
                    "Content-Type": "application/json",
                },
            )
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                said = response.read()
            return json.loads(said) if said else None
        except urllib.error.HTTPError as error:
            if error.code in NOT_NOW:
                raise AwayError from error
            raise
        except (OSError, http.client.HTTPException, json.JSONDecodeError) as error:
            raise AwayError from error
