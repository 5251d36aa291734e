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


def test_links_and_folders_of_such_names_change_nothing_elsewhere(tmp_path):
    elsewhere, folder = tmp_path / "mine.txt", tmp_path / "tensorboard"
    elsewhere.write_text("not of the run")
    folder.mkdir()
    (folder / "events.out.tfevents.1").symlink_to(elsewhere)
    (folder / "events.out.tfevents.2").symlink_to(tmp_path / "nowhere")
    (folder / "events.out.tfevents.3").mkdir()
    events = EventFiles(folder)
    assert events.mark().keys() <= {"events.out.tfevents.1"}
    events.cut_back({"events.out.tfevents.1": 3, "events.out.tfevents.2": 3})
    assert elsewhere.read_text() == "not of the run"
    assert (folder / "events.out.tfevents.3").is_dir()


@pytest.mark.parametrize("mark", [3, [], {"a": "1"}, {"a": None}])
def test_a_mark_that_is_none_is_refused(tmp_path, mark):
    with pytest.raises(DataError):
        EventFiles(tmp_path).cut_back(mark)
