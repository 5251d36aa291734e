"""`labelling.json`: where the service of a run is, and the tokens that open it."""

import dataclasses
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from prefrl.errors import StorageError
from prefrl.labelling.store import LabelStore
from prefrl.records import run_folder
from prefrl.records.files import write_atomically
from prefrl.records.json_file import read_json

ANNOTATOR = "annotator 1"


@dataclass(frozen=True)
class Links:
    """The address of a service, and the tokens that open it.

    Args:
        url: where it answers programs on this machine, and everybody unless there is a public one.
        owner_token: opens the owner's page.
        annotator: the name of an annotator.
        token: theirs.
        public_url: where it answers others; "" nowhere else.
    """

    url: str
    owner_token: str
    annotator: str
    token: str
    public_url: str = ""

    @property
    def label_link(self) -> str:
        """Returns the link under which the annotator labels.

        What comes after # stays in the browser: it is in no request, and so in no log.
        """
        return f"{self.public_url or self.url}/#token={self.token}"

    @property
    def owner_link(self) -> str:
        """Returns the link of the owner's page."""
        return f"{self.public_url or self.url}/owner#token={self.owner_token}"

    def as_text(self) -> str:
        """Returns both links, a line each."""
        return f"label:  {self.label_link}\nowner:  {self.owner_link}"


def read_links(folder: Path) -> Links | None:
    """Returns what is in a folder's `labelling.json`; None where it is not there, or damaged."""
    path = folder / run_folder.LABELLING
    try:
        found = read_json(path) if path.exists() else None
    except StorageError:
        return None  # It is written anew, with other tokens.
    names = [field.name for field in dataclasses.fields(Links)]
    if not isinstance(found, dict) or not all(isinstance(found.get(name), str) for name in names):
        return None
    return Links(**{name: found[name] for name in names})


def write_links(folder: Path, links: Links) -> None:
    """Writes `labelling.json`, which nobody but its owner may read.

    Raises:
        StorageError: it could not be written.
    """
    text = json.dumps(dataclasses.asdict(links), indent=2) + "\n"

    def write(file: BinaryIO) -> None:
        os.fchmod(file.fileno(), 0o600)  # before anything is in it
        file.write(text.encode())

    write_atomically(folder / run_folder.LABELLING, write)


def tokens_of(store: LabelStore, known: Links | None) -> tuple[str, str, str]:
    """Returns the owner's token, the name of an annotator and their token.

    Those that are known stay as they are, so that whoever labels can go on after a restart.

    Args:
        store: knows which of them are valid.
        known: what was in the file.
    """
    owner = known.owner_token if known else ""
    if not (owner and store.is_owner(owner)):
        owner = store.set_owner_token()
    if known:
        who = store.annotator_of(known.token)
        if who is not None:
            return owner, who.name, known.token
    names = {one.name for one in store.annotators()}
    if ANNOTATOR in names:
        return owner, ANNOTATOR, store.renew_token(ANNOTATOR)
    return owner, ANNOTATOR, store.add_annotator(ANNOTATOR)
