"""Whatever a text is, it is read or refused in one short line, soon and in little memory."""

import math
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefrl.config import RunConfig, from_yaml, to_yaml
from prefrl.config.yaml_file import mapping_from_text, mapping_to_text
from prefrl.config.yaml_text import DEEPEST, LARGEST_TEXT, MOST_VALUES, read_yaml
from prefrl.errors import ConfigError

LAUGHS = "a: &a [l, l, l, l, l, l, l, l, l]\n" + "".join(
    f"{one}: &{one} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, one in zip("abcdefgh", "bcdefghi", strict=True)
)


def said_of(text: str | bytes, folder: Path) -> str:
    """The line by which a file is refused."""
    path = folder / "c.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    began = time.process_time()
    with pytest.raises(ConfigError) as refused:
        from_yaml(path)
    said = str(refused.value).removeprefix(str(path)).lstrip(": ")
    assert time.process_time() - began < 20.0  # without end, where it is not refused
    assert "\n" not in said
    assert len(said) < 600
    return said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("env: &a [*a]", "is not YAML: a value holds itself (line 1, column 10)"),
        ("env_kwargs: &a {x: *a}", "is not YAML: a value holds itself"),
        ("env: &a {*a : 1}", "is not YAML: a value holds itself"),
        ("env: " + "[" * 10_000, f"is not YAML: it is nested more than {DEEPEST} deep"),
        ("".join(" " * i + "a:\n" for i in range(400)), "is not YAML: it is nested more than"),
        (LAUGHS, f"is not YAML: it stands for more than {MOST_VALUES:,} values"),
        ("x" * (LARGEST_TEXT + 1), "is not YAML: it has 200,001 characters; expected 200,000 at"),
        (b"\0" * 5_000_000, "is not YAML: it has more than 800,000 bytes"),
        ("k: v\n" * 30_000, "is not YAML: the key 'k' is given twice"),
        ("steps: " + "9" * 5_000, "is not YAML: a value is not of the type"),
        ("steps: " + "9" * 4_000, "steps is 9999999"),
        ("steps: 1e99999999999999999999", "is not YAML: a number has more than 400 digits"),
        ("steps: 1e300", "steps is 10000000000"),
        ("env: !!timestamp 2020-01-01", "is not YAML: could not determine a constructor"),
        ("objectives: !!set {a, b}", "is not YAML: could not determine a constructor"),
        ("steps: !!int x", "is not YAML: a value is not of the type"),
        ("steps: !!int ''", "is not YAML: a value is not of the type"),
        ("fixed_horizon: !!bool x", "is not YAML: a value is not of the type"),
        ("env: !!python/object:os.system x", "is not YAML: could not determine a constructor"),
        ("env: a\n---\nenv: b", "is not YAML: expected a single document in the stream, but"),
        (".nan: 1", "is not YAML: keys are text, and '.nan' is none (line 1, column 1)"),
        ("[a]: 1", "is not YAML: keys are text, and a list or mapping is none (line 1"),
        ("env_kwargs: {on: 1}", "is not YAML: keys are text, and 'on' is none (line 1, column 14"),
        ("'': 1", "unknown setting ''; choose from env, "),
        ("queries:\n\tnum_sessions: 3", "is not YAML: a tab is where only blanks may be (line 2"),
        ("env: caf\xe9".encode("latin-1"), "is not YAML: it is no text in UTF-8 (byte 8)"),
        ("env: a\0b", "is not YAML: unacceptable character #x0000"),
        (b"\xff\xfe\x00\xd8", "is not YAML: it is no text in UTF-16 (byte 2)"),
        ("a: &x [1]\n<<: *x", "is not YAML: while constructing a mapping, expected a mapping for"),
    ],
    ids=range(29),
)
def test_what_would_explode_or_is_no_value_is_refused_soon(text, said, tmp_path):
    assert said_of(text, tmp_path).startswith(said)


@pytest.mark.parametrize("path", ["/dev/zero", "a\0b", "x" * 5_000, "", "/proc/self/mem"])
def test_what_is_no_file_is_refused(path):
    with pytest.raises(ConfigError, match=r"could not read|is not YAML"):
        from_yaml(Path(path))


def test_aliases_that_stand_for_little_are_read():
    assert read_yaml("a: &x {n: 1}\nb: *x\nc: {<<: *x, m: 2}\n") == {
        "a": {"n": 1},
        "b": {"n": 1},
        "c": {"n": 1, "m": 2},
    }


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e3", 1_000), ("+2E+2", 200), ("1_0e1", 100), ("-1e0", -1), ("0e0", 0)],
)
def test_a_power_of_ten_is_a_whole_number(text, number):
    assert mapping_from_text(f"{{n: {text}}}") == {"n": number}
    assert type(mapping_from_text(f"{{n: {text}}}")["n"]) is int


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *[("012", 12), ("-007", -7), ("0o14", 12), ("0x1F", 31), ("0b11", 3), ("1_000", 1_000)],
        *[("1:30", "1:30"), ("190:20:30.5", "190:20:30.5"), ("2020-01-01", "2020-01-01")],
        *[("=", "="), (".5", 0.5), ("1.", 1.0), ("-.inf", -math.inf), ("09.5", 9.5)],
        *[("yes", True), ("off", False), ("~", None), ("y", "y"), ("0o9", "0o9"), ("1,5", "1,5")],
    ],
)
def test_numbers_are_read_as_they_look(text, value):
    assert read_yaml(text) == value
    assert type(read_yaml(text)) is type(value)


NUMBERS = st.from_regex(r"[-+]?[0-9]{1,9}", fullmatch=True)


@given(text=NUMBERS)
def test_digits_are_the_number_that_python_and_the_command_line_read(text):
    assert read_yaml(text) == int(text)


@given(text=st.text("0123456789+-_.:eExob=~ynNt", max_size=8))
def test_a_text_is_written_so_that_it_is_read_again(text):
    assert mapping_from_text(mapping_to_text({"a": text})) == {"a": text}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_file_is_read_in_the_encodings_that_editors_write(encoding, end, tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes(f"env: ü{end}budget: 5{end}".encode(encoding))
    assert from_yaml(path) == RunConfig(env="ü", budget=5)


@pytest.mark.parametrize("text", ["1.5e3", "1e-3", "3.0e+0", "1.e2"])
def test_any_other_number_with_an_exponent_is_a_fraction(text):
    assert type(mapping_from_text(f"{{n: {text}}}")["n"]) is float


def test_mappings_that_hold_themselves_or_too_much_are_refused():
    endless: dict[str, object] = {}
    endless["again"] = [endless]
    laughs: list[object] = ["l"]
    for _ in range(40):
        laughs = [laughs] * 9
    for value in (endless, {"x": laughs}, {"x": 1 << 20_000}):
        with pytest.raises(ConfigError, match=r"^env_kwargs is .*expected"):
            RunConfig(env_kwargs=value)


WORDS = st.sampled_from(
    [
        *("env", "steps", "teacher", "env_kwargs", "queries", "name", "<<", "1e6", "~", "yes"),
        *(": ", ":\n ", ", ", "- ", "\n", "? ", "| ", "> ", "---", "...", "%YAML 9.9", "# "),
        *("&a ", "*a", "!!int ", "!!set ", "!!omap ", "!!binary ", "!x ", "[", "]", "{", "}"),
        *(
            "'",
            '"',
            "\\u",
            "\t",
            "  ",
            ".nan",
            "0x",
            "0b",
            "1:99",
            "0o17",
            "012",
            "2020-13-01",
            "=",
            "\x85",
            "\ud800",
        ),
    ]
)
TEXTS = st.lists(WORDS | st.text(max_size=3), max_size=14).map("".join)


@given(text=TEXTS.map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=60))
def test_any_text_is_settings_or_is_refused_in_one_short_line(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(text)
    config, said = None, ""
    try:
        config = from_yaml(path)
    except ConfigError as error:
        said = str(error)
    if config is None:
        assert said.startswith(str(path))
        assert "\n" not in said
        assert len(said) < 1_000
    else:
        path.write_text(to_yaml(config), encoding="utf-8")
        assert from_yaml(path) == config
