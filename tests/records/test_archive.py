import io
import re
import tracemalloc
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from prefrl.errors import StorageError
from prefrl.records import archive
from prefrl.records.archive import read_arrays, write_arrays

SMALL = {"a": np.arange(6.0).reshape(2, 3), "b": np.zeros((4, 0)), "c": np.array("text")}
ARRAYS = st.sampled_from(["<f4", ">f8", "|b1", "<i8", "<U3", "|u1", "<c8"]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, min_side=0, max_side=3))
)
LENGTHS = st.integers(-3, 3) | st.sampled_from([10**6, 10**12, 2**63, 2**64 - 1])
HEADERS = st.builds(
    "{{'descr': {!r}, 'fortran_order': {}, 'shape': {}}}".format,
    st.sampled_from(["<f8", "|O", "|V0", "<U0", "<M8[ns]", "f4", "nonsense", [("a", "<f8")], None]),
    st.sampled_from([True, False, "x"]),
    st.lists(LENGTHS, max_size=3).map(tuple) | st.just("x"),
)
CONTENTS = st.one_of(
    st.binary(max_size=20),
    st.builds(
        lambda version, header, rest: (
            b"\x93NUMPY"
            + bytes(version)
            + len(header).to_bytes(2 if version[0] == 1 else 4, "little")
            + header.encode()
            + rest
        ),
        st.sampled_from([(1, 0), (2, 0), (3, 0), (9, 9)]),
        HEADERS | st.text(max_size=20),
        st.binary(max_size=48) | st.integers(0, 64).map(bytes),
    ),
)


def packed(members, kind=zipfile.ZIP_STORED):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as zipped:
        for name, content in members:
            zipped.writestr(name, content)
    return file.getvalue()


def members_of(arrays):
    file = io.BytesIO()
    write_arrays(file, arrays)
    with zipfile.ZipFile(file) as zipped:
        return [(name, zipped.read(name)) for name in zipped.namelist()]


def refusal(path):
    """Returns what is said of a file without its name, None where it can be read."""
    tracemalloc.start()
    try:
        read_arrays(path, "answers")
    except StorageError as error:
        said = str(error)
    else:
        return None
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 20e6
    assert said.startswith(f"{path} ")
    assert "\n" not in said
    return said.removeprefix(f"{path} ")


@given(arrays=st.dictionaries(st.text("abc", min_size=1, max_size=3), ARRAYS, max_size=3))
@pytest.mark.parametrize("is_compact", [True, False])
def test_arrays_come_back_as_they_were(tmp_path_factory, arrays, is_compact):
    path = tmp_path_factory.mktemp("archive") / "a.npz"
    with path.open("wb") as file:
        write_arrays(file, arrays, is_compact=is_compact)
    again = read_arrays(path, "answers")
    assert list(again) == list(arrays)
    for name, array in arrays.items():
        assert again[name].dtype == array.dtype
        np.testing.assert_array_equal(again[name], array)


@given(
    changed=st.lists(st.tuples(st.sampled_from(["a", "b", "new"]), CONTENTS), max_size=3),
    kind=st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
)
@settings(max_examples=150, deadline=None)
def test_a_member_of_any_content_is_an_array_or_one_line(tmp_path_factory, changed, kind):
    path = tmp_path_factory.mktemp("archive") / "a.npz"
    members = dict(members_of(SMALL)) | {f"{name}.npy": content for name, content in changed}
    path.write_bytes(packed(members.items(), kind))
    refusal(path)


@given(
    cuts=st.lists(st.tuples(st.integers(0, 10**4), st.integers(0, 255)), min_size=1, max_size=4),
    end=st.none() | st.integers(0, 10**4),
)
@settings(max_examples=100, deadline=None)
def test_damage_anywhere_is_harmless_or_one_line(tmp_path_factory, cuts, end):
    path = tmp_path_factory.mktemp("archive") / "a.npz"
    content = bytearray(packed(members_of(SMALL), zipfile.ZIP_DEFLATED))
    for position, value in cuts:
        content[position % len(content)] = value
    path.write_bytes(content if end is None else content[: end % len(content)])
    if refusal(path) is None:
        # A name has no checksum, but is told twice.
        np.testing.assert_equal(read_arrays(path, "answers"), SMALL)


def test_a_member_that_another_swallows_as_its_comment_is_missed(tmp_path):
    path = tmp_path / "a.npz"
    content = bytearray(packed(members_of(SMALL), zipfile.ZIP_STORED))
    entries = [m.start() for m in re.finditer(b"PK\x01\x02", bytes(content))]
    content[entries[0] + 32] = entries[2] - entries[1]  # the length of the first one's comment
    path.write_bytes(content)
    assert f"it declares {len(SMALL)} members and has {len(SMALL) - 1}" in refusal(path)


def npy(shape, descr="<f8", rest=b""):
    header = f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape}}}".encode()
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + rest


CASES = {
    "a declared array of 10^12 numbers": (
        [("a.npy", npy((10**12,)))],
        "is damaged: a: it declares 8000000000000 bytes and has 0",
    ),
    "rows without bytes": (
        [("a.npy", npy((10**12, 0)))],
        r"is damaged: a: it has the shape \(1000000000000, 0\), in a file of .* bytes",
    ),
    "a dtype without bytes": (
        [("a.npy", npy((10,), "<U0"))],
        "is damaged: a: it is of type <U0, which has no bytes",
    ),
    "negative lengths": (
        [("a.npy", npy((-1, -2), rest=bytes(16)))],
        r"is damaged: a: it has the shape \(-1, -2\)",
    ),
    "Python objects": (
        [("a.npy", npy((1,), "|O", b"\x80\x04N."))],
        "is damaged: a: it holds Python objects, which are not read",
    ),
    "a member that is no array": ([("a.txt", b"x")], "is damaged: a.txt in it is no array"),
    "a member twice": ([("a.npy", b"")] * 2, "is damaged: a.npy is in it twice"),
    "a bomb": (
        [("a.npy", npy((2**21,), rest=bytes(2**24)))],
        "is damaged: it has .* bytes, but would unpack to 16777",
    ),
}


@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
@pytest.mark.parametrize("case", CASES)
def test_an_archive_made_by_hand_is_refused_by_name(tmp_path, monkeypatch, case):
    monkeypatch.setattr(archive, "MAX_UNPACKED", 2**20)
    members, expected = CASES[case]
    path = tmp_path / "a.npz"
    path.write_bytes(packed(members, zipfile.ZIP_DEFLATED))
    del members
    said = refusal(path)
    assert re.match(expected, said or "")


def test_a_length_that_the_zip_file_lies_about_is_refused(tmp_path):
    path = tmp_path / "a.npz"
    whole = packed([("a.npy", npy((1,), rest=bytes(8)))], zipfile.ZIP_DEFLATED)
    size = len(npy((1,), rest=bytes(8))).to_bytes(4, "little")
    assert whole.count(size) >= 2
    path.write_bytes(whole.replace(size, (2**27).to_bytes(4, "little")))
    said = refusal(path)
    assert re.match("is damaged: a declares 134217728 bytes and has", said or "")


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"", "is damaged: it is empty"), (b"hello", "holds no answers: it is no .npz archive")],
)
def test_a_file_of_another_kind_is_named(tmp_path, content, said):
    (tmp_path / "a.npz").write_bytes(content)
    assert refusal(tmp_path / "a.npz") == said


def test_a_file_that_is_missing_or_none_is_named(tmp_path):
    with pytest.raises(StorageError, match=r"there is no file .*gone\.npz"):
        read_arrays(tmp_path / "gone.npz", "answers")
    with pytest.raises(StorageError, match=r"cannot read .*: Is a directory"):
        read_arrays(tmp_path, "answers")
    with pytest.raises(StorageError, match=r"cannot read .*: embedded null byte"):
        read_arrays("a\0b", "answers")
