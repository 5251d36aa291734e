import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.errors import StorageError
from prefrl.records.files import beside
from prefrl.records.new_folder import check_new_folder, new_folder


@given(
    num_there=st.integers(0, 3),
    is_failing=st.booleans(),
    is_worth_keeping=st.booleans(),
    has_neighbour=st.booleans(),
)
def test_a_folder_that_holds_nothing_goes_with_the_folders_made_for_it_and_nothing_else(
    tmp_path_factory, num_there, is_failing, is_worth_keeping, has_neighbour
):
    home = tmp_path_factory.mktemp("home")
    folders = [home / "a", home / "a/b", home / "a/b/c"]
    for folder in folders[:num_there]:
        folder.mkdir()

    def work() -> None:
        with new_folder(folders[-1], is_worth_keeping=lambda: is_worth_keeping):
            (folders[-1] / "inside").mkdir()
            (folders[-1] / "inside/file").write_text("x")
            if has_neighbour:
                (home / "a/b/mine").write_text("x")
            if is_failing:
                raise ValueError("why")

    if is_failing:
        with pytest.raises(ValueError, match="why"):
            work()
    else:
        work()
    if is_failing and not is_worth_keeping:
        expected = max(num_there, 2) if has_neighbour else num_there
        assert [folder.exists() for folder in folders] == [i < expected for i in range(3)]
        assert num_there < 3 or list(folders[-1].iterdir()) == []
        assert not has_neighbour or (home / "a/b/mine").exists()
    else:
        assert (folders[-1] / "inside/file").exists()


def test_what_cannot_be_made_leaves_no_part_of_its_path(tmp_path):
    made = new_folder(tmp_path / "a" / ("b" * 300), is_worth_keeping=lambda: False)
    with pytest.raises(StorageError, match=r"could not make .*: File name too long"), made:
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["any", "config.yaml", "parts.json"])
def test_a_folder_that_holds_nothing_but_what_a_kill_cut_short_is_new(name, tmp_path):
    beside(tmp_path / name).write_text("half")
    check_new_folder(tmp_path, instead="choose another")
    (tmp_path / name).write_text("whole")
    with pytest.raises(StorageError, match="is in use; choose another"):
        check_new_folder(tmp_path, instead="choose another")


@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_that_another_process_works_in_loses_nothing(is_there, tmp_path):
    out = tmp_path / "out"
    if is_there:
        out.mkdir()
    with new_folder(out, is_worth_keeping=lambda: False):
        with pytest.raises(StorageError, match="another process is at work in"), second_of(out):
            pass  # Both had found it unused before either made it.
        assert out.is_dir()
        (out / "summary.json").write_text("{}")
        with pytest.raises(StorageError, match="another process is at work in"), second_of(out):
            pass
        assert (out / "summary.json").exists()
    with pytest.raises(StorageError, match="is in use; choose another"), second_of(out):
        pass  # It has begun and ended meanwhile.
    assert (out / "summary.json").exists()


def second_of(out):
    """Stands for another process that wants the same folder."""
    return new_folder(out, is_worth_keeping=lambda: False, instead="choose another")
