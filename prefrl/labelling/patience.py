"""A store for whoever cannot go on without it: while the database is away, its calls wait."""

import functools
import os
import time
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from prefrl.errors import text_of
from prefrl.feedback.protocols import Question
from prefrl.labelling.errors import Unavailable
from prefrl.labelling.store import LabelStore
from prefrl.labelling.store.asking import next_id
from prefrl.segments import SegmentBatch

# Between two tries.
_AWAY_S = 1.0

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")


def _patient(
    method: Callable[Concatenate[Any, _Given], _Result],
) -> Callable[Concatenate[Any, _Given], _Result]:
    """Makes a call again and again while the database is away."""

    @functools.wraps(method)
    def call(self: Any, /, *args: _Given.args, **options: _Given.kwargs) -> _Result:
        began_s: float | None = None
        while True:
            try:
                result = method(self, *args, **options)
            except Unavailable as error:
                if began_s is None:
                    began_s = time.monotonic()
                    self.say(f"{text_of(error)}; waiting until it is back")
                self.sleep(_AWAY_S)
            else:
                if began_s is not None:
                    self.say(f"the database is back after {time.monotonic() - began_s:.0f} s")
                return result

    return call


class PatientStore(LabelStore):
    """A store that says when its database is away, and waits until it is back.

    What could not be done is then done, and once: of a change that was cut off nobody knows whether
    the database had made it, so what would be there twice is looked for first. Only the making of
    the store itself does not wait, and what the trainer does not call.

    Args:
        database: as in `LabelStore`.
        first_id: likewise.
        is_made: likewise.
        say: called with what is waited for, and when that is over.
        sleep: waits for so many seconds.
    """

    def __init__(
        self,
        database: str | os.PathLike[str],
        *,
        first_id: int = 0,
        is_made: bool = True,
        say: Callable[[str], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(database, first_id=first_id, is_made=is_made)
        self.say, self.sleep = say, sleep

    revision = _patient(LabelStore.revision)
    entries = _patient(LabelStore.entries)
    standings = _patient(LabelStore.standings)
    answers = _patient(LabelStore.answers)
    question = _patient(LabelStore.question)
    answer = _patient(LabelStore.answer)
    withdraw = _patient(LabelStore.withdraw)
    add_clips = _patient(LabelStore.add_clips)
    add_clip = _patient(LabelStore.add_clip)
    set_settings = _patient(LabelStore.set_settings)
    set_status = _patient(LabelStore.set_status)
    set_predictions = _patient(LabelStore.set_predictions)
    predictions = _patient(LabelStore.predictions)

    def put(
        self,
        left: SegmentBatch,
        right: SegmentBatch,
        *,
        session: int,
        policy_step: int,
        objective: NDArray[np.int64] | None = None,
        is_audit: NDArray[np.bool_] | None = None,
        model_version: int | None = None,
    ) -> list[Question]:
        """Opens questions; see `Asking.put`."""
        made = functools.partial(
            super().put,
            left,
            right,
            session=session,
            policy_step=policy_step,
            objective=objective,
            is_audit=is_audit,
            model_version=model_version,
        )
        return self._put_once(self._next_id(), made)

    def put_repeat(self, question: int, *, session: int, policy_step: int) -> Question:
        """Opens an answered question once more; see `Asking.put_repeat`."""
        put = super().put_repeat

        def made() -> list[Question]:
            return [put(question, session=session, policy_step=policy_step)]

        return self._put_once(self._next_id(), made)[0]

    @_patient
    def _put_once(self, first: int, put: Callable[[], list[Question]]) -> list[Question]:
        """Puts questions, unless those from this id on were put before the connection was cut."""
        ids = range(first, self._next_id())
        return [self.question(number) for number in ids] or put()

    @_patient
    def _next_id(self) -> int:
        """Returns the id that the next question will have; nobody else puts any."""
        with self._database.reading() as connection:
            return next_id(connection, self.first_id)
