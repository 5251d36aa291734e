"""A folder whose questions people answer: its database, and what it keeps of its page."""

import contextlib
import dataclasses
import json
import os
import shlex
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prefrl.config import ServingConfig
from prefrl.config.checking import changed
from prefrl.errors import ConfigError, StorageError, option, text_of
from prefrl.records import run_folder
from prefrl.records.files import is_there, write_text_atomically
from prefrl.records.json_file import entry, read_json_object
from prefrl.records.run_records import say_on_stderr

if TYPE_CHECKING:
    from prefrl.labelling.store import LabelStore


@dataclass(frozen=True)
class FolderServing:
    """The page of a folder, as its serving.json keeps it; no password is in it.

    Args:
        run: an id that no other folder has, by which its database knows it.
        database: URL without any password; "" is labels.sqlite in the folder.
        host: as in `ServingConfig`; "" is the default, as of the next one.
        public_url: likewise.
        allowed_hosts: likewise.
        trusted_proxies: likewise.
        about: names what the questions are about, where that is not a run; "" elsewhere.
        turn: an id of the last time that it was gone on with, by which copies of the folder are
            known, where its database is not in it; "" elsewhere.
        is_claimed: the database was made the folder's own, so one that knows nothing of it is not
            the database that its questions are in.
    """

    run: str
    database: str = ""
    host: str = ""
    public_url: str = ""
    allowed_hosts: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    about: str = ""
    turn: str = ""
    is_claimed: bool = True

    def words(self, folder: Path) -> list[str]:
        """Returns the options of the service by which it serves the folder."""
        named = {"--host": self.host, "--public-url": self.public_url}
        instructions = folder / run_folder.INSTRUCTIONS
        if instructions.exists():
            named["--instructions"] = str(instructions)
        listed = {"--allowed-host": self.allowed_hosts, "--trusted-proxy": self.trusted_proxies}
        pairs = [(name, value) for name, value in named.items() if value]
        pairs += [(name, value) for name, values in listed.items() for value in values]
        return [f"{name}={value}" for name, value in pairs]


def read_serving(folder: Path) -> FolderServing | None:
    """Reads what a folder keeps of its page; returns None where it has kept nothing yet.

    Raises:
        StorageError: the file is damaged.
    """
    path = folder / run_folder.SERVING
    if not is_there(path):
        return None
    tree = read_json_object(path, {"run": str})
    known: dict[str, Any] = {}
    try:
        for one in dataclasses.fields(FolderServing):
            if one.name not in tree:
                continue
            is_list = one.default == ()
            kind = list if is_list else bool if one.name == "is_claimed" else str
            value = entry(tree, one.name, kind)
            if is_list and not all(isinstance(part, str) for part in value):
                raise ValueError(f"{one.name!r} holds something else than text")
            known[one.name] = tuple(value) if is_list else value
    except ValueError as error:
        raise StorageError(f"{path} is damaged: {error}") from None
    return FolderServing(**known)


def check_installed() -> None:
    """Makes sure that what serves people is installed.

    Raises:
        ConfigError: something is not; it says what to install.
    """
    try:
        import prefrl.labelling.service.server
        import prefrl.labelling.store  # noqa: F401
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"people label in a page, which needs {error.name}: pip install 'prefrl[human]'"
        ) from None


def check_serving(serving: ServingConfig) -> None:
    """Refuses what the page cannot be served with, before there is anything to serve.

    Raises:
        ConfigError: a setting is wrong, or a package is missing.
        StorageError: the instructions cannot be read.
    """
    check_installed()
    from prefrl.labelling.service.instructions import read_instructions
    from prefrl.labelling.service.settings import ServiceSettings
    from prefrl.labelling.store.database import url_of

    if serving.database is not None:
        url_of(serving.database)
    settings = ServiceSettings(
        public_url=serving.public_url or "", allowed_hosts=serving.allowed_hosts
    )
    if serving.instructions is not None:
        dataclasses.replace(settings, instructions=read_instructions(serving.instructions))


def open_store(
    folder: Path,
    database: str | None = None,
    *,
    first_id: int = 0,
    kept: FolderServing | None,
    begins: bool = False,
    say: Callable[[str], None] | None = None,
) -> "LabelStore":
    """Opens the database of a folder.

    It is the one that is named, else that of the environment variable PREFRL_DATABASE, else the one
    that the folder has kept, else labels.sqlite in it.

    Args:
        folder: of a run, or of answers about a file.
        database: its URL.
        first_id: as in `LabelStore`.
        kept: what the folder has kept; None: nothing yet.
        begins: a folder that has asked nothing yet gets its database made; whoever only reads makes
            none.
        say: called with what is waited for while the database is away, once it was reached; None
            does not wait.

    Raises:
        PrefrlError: it cannot be reached or used, is gone, or the folder's questions are in another
            one.
    """
    from prefrl.labelling.errors import NoStore
    from prefrl.labelling.patience import PatientStore
    from prefrl.labelling.starting import DATABASE_VARIABLE
    from prefrl.labelling.store import LabelStore
    from prefrl.labelling.store.database import address_of, url_of

    named = database or os.environ.get(DATABASE_VARIABLE, "")
    usual = (kept.database if kept is not None else "") or folder / run_folder.LABELS
    chosen = named or usual
    is_other = address_of(url_of(chosen)) != address_of(url_of(usual))
    has_asked = kept is not None and kept.is_claimed
    is_made = begins and not has_asked
    try:
        if say is None:
            store = LabelStore(chosen, first_id=first_id, is_made=is_made)
        else:
            store = PatientStore(chosen, first_id=first_id, is_made=is_made, say=say)
    except NoStore as error:
        if not has_asked:
            raise NoStore(f"{folder} has asked no people anything yet: {text_of(error)}") from None
        if is_other:
            raise _elsewhere(folder, usual, address_of(url_of(chosen))) from None
        raise _gone(folder, text_of(error)) from None
    except StorageError as error:
        if named or isinstance(usual, Path):
            raise
        raise type(error)(
            f"{text_of(error)}; if it has a password, which {folder} does not keep, give the whole "
            f"URL in {DATABASE_VARIABLE}"
        ) from error
    with contextlib.ExitStack() as stack:
        stack.callback(store.close)
        owner = store.owner()
        if kept is not None and kept.is_claimed and (owner is None or owner.run != kept.run):
            if is_other:
                raise _elsewhere(folder, usual, store.name)
            whose = "no questions" if owner is None else f"those of another run, {owner.name}"
            raise _gone(folder, f"{store.name} holds {whose}")
        stack.pop_all()
    return store


def _elsewhere(folder: Path, usual: str | Path, named: str) -> StorageError:
    """Returns the error that a folder's questions are not in the database that was named."""
    from prefrl.labelling.starting import DATABASE_VARIABLE

    return StorageError(
        f"the questions of {folder} are in {usual}, and {named} has none of them; leave "
        f"{option('database')} and {DATABASE_VARIABLE} out"
    )


def _gone(folder: Path, what: str) -> StorageError:
    """Returns the error that the database in which a folder's answers were has them no longer."""
    return StorageError(
        f"{what}, in which the answers of {folder} were; put a backup in its place, or, to go on "
        f"without them, remove {folder / run_folder.SERVING}"
    )


@contextlib.contextmanager
def claimed_store(
    folder: Path,
    serving: ServingConfig,
    *,
    first_id: int = 0,
    about: str = "",
    say: Callable[[str], None] = say_on_stderr,
) -> Iterator[tuple["LabelStore", FolderServing]]:
    """Opens the database of a folder as its own; the folder keeps which one that is.

    Args:
        folder: of a run, or of answers about a file.
        serving: what is given anew; the rest is as it was.
        first_id: of the first question, in a database that has none.
        about: as in `FolderServing`.
        say: as in `open_store`.

    Yields:
        the store, and what the folder keeps.

    Raises:
        PrefrlError: as `open_store`, or the database is another run's.
    """
    from prefrl.labelling.store.database import address_of, url_of

    before = read_serving(folder)
    now = before or FolderServing(uuid.uuid4().hex, about=about, is_claimed=False)
    store = open_store(
        folder, serving.database, first_id=first_id, kept=before, begins=True, say=say
    )
    with contextlib.closing(store):
        own = address_of(url_of(folder / run_folder.LABELS))
        given = {
            name: getattr(serving, name)
            for name in ("host", "public_url", "allowed_hosts", "trusted_proxies")
            if name in changed(serving)
        }
        database = "" if store.address == own else store.address
        if database:
            _check_is_no_copy(store, folder, now)
        turn = uuid.uuid4().hex if database else ""
        now = dataclasses.replace(now, **given, database=database, turn=turn)
        _claim(store, folder, before, now)
        now = dataclasses.replace(now, is_claimed=True)
        try:
            _keep(folder, now)
            if serving.instructions is not None:
                _keep_instructions(folder, serving.instructions)
            yield store, now
        except BaseException:
            with contextlib.suppress(StorageError):
                if store.release(now.run):
                    _keep(folder, dataclasses.replace(now, is_claimed=False))
            raise


def _check_is_no_copy(store: "LabelStore", folder: Path, kept: FolderServing) -> None:
    """Makes sure that the database is not that of a folder which this one is a copy of.

    A folder that was moved is none: nothing is left where it was, and nobody has gone on there.

    Raises:
        StorageError: it is.
    """
    owner = store.owner()
    if owner is None:
        return
    there = Path(owner.folder)
    if owner.folder and not _is_same(there, folder) and _id_in(there) == kept.run:
        what = f"{folder} is a copy of {there}"
    elif kept.turn in owner.turns[:-1]:
        what = f"a copy of {folder}, {owner.name}, has been gone on with"
    else:
        return
    own = folder.absolute() / run_folder.LABELS
    raise StorageError(
        f"{what}, and two runs cannot share {store.name}; give {folder} a database of its own: "
        f"prefrl label backup {shlex.quote(str(folder))} {shlex.quote(str(own))}, and go on with "
        f"{option('database')} {shlex.quote(f'sqlite:///{own}')}"
    )


def _is_same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _id_in(folder: Path) -> str | None:
    """Returns the id that a folder has, if there is one that can be read."""
    try:
        kept = read_serving(folder)
    except StorageError:
        return None
    return kept.run if kept is not None else None


def _claim(
    store: "LabelStore", folder: Path, before: FolderServing | None, now: FolderServing
) -> None:
    """Makes a database a folder's own."""
    # First what is kept: by it a kill in between is made good the next time.
    _keep(folder, now)
    try:
        where = folder.absolute()
        store.claim(now.run, name=where.name, folder=str(where), turn=now.turn)
    except BaseException:
        if before is not None:
            _keep(folder, before)
        else:
            (folder / run_folder.SERVING).unlink()
        raise


def _keep(folder: Path, serving: FolderServing) -> None:
    text = json.dumps(dataclasses.asdict(serving), indent=2) + "\n"
    write_text_atomically(folder / run_folder.SERVING, text)


def _keep_instructions(folder: Path, path: Path) -> None:
    from prefrl.labelling.service.instructions import read_instructions

    write_text_atomically(folder / run_folder.INSTRUCTIONS, read_instructions(path))
