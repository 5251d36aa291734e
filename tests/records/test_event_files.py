import pytest

from prefrl.errors import DataError
from prefrl.records.event_files import EventFiles


def test_what_was_written_after_a_mark_is_cut_off_and_nothing_else_touched(tmp_path):
    one, other = (tmp_path / f"events.out.tfevents.{name}" for name in ("1.a.2.0", "2.a.3.0"))
    note = tmp_path / "note.txt"
    one.write_bytes(b"before")
    note.write_text("mine")
    events = EventFiles(tmp_path)
    mark = events.mark()
    one.write_bytes(b"before, after")
    other.write_bytes(b"after")
    note.write_text("mine, later")
    events.cut_back(mark)
    assert one.read_bytes() == b"before"
    assert not other.exists()
    assert note.read_text() == "mine, later"


def test_files_that_somebody_removed_are_not_missed(tmp_path):
    EventFiles(tmp_path / "gone").cut_back({"events.out.tfevents.1": 9})
    assert EventFiles(tmp_path / "gone").mark() == {}


@pytest.mark.parametrize("mark", [3, [], {"a": "1"}, {"a": None}])
def test_a_mark_that_is_none_is_refused(tmp_path, mark):
    with pytest.raises(DataError):
        EventFiles(tmp_path).cut_back(mark)
