import json

import pytest

from prefrl.errors import StorageError
from prefrl.labelling.clips import ClipSource, NamedEnv
from prefrl.labelling.clips.source_file import NAME, read_source, write_source

DOT = NamedEnv("tests.labelling.robots:Dot-v0", {"max_episode_steps": 100})
ACTIONS = {"kind": "actions", "dt": 0.1, "env_id": "Dot-v0", "settings": {}}


@pytest.mark.parametrize(
    "source", [ClipSource("pictures", None, 0.05), ClipSource("actions", DOT, 0.1)]
)
def test_what_clips_are_made_from_is_read_as_it_was_written(tmp_path, source):
    assert read_source(tmp_path) is None
    write_source(tmp_path, source)
    assert read_source(tmp_path) == source


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "states"}, "'kind' is 'states'; expected 'pictures' or 'actions'"),
        ({"kind": 3}, "'kind' is a whole number, not text"),
        ({"dt": 0.0}, "'dt' is 0.0; expected seconds above 0"),
        ({"dt": None}, "'dt' is null, not a number"),
        ({"env_id": None}, "'env_id' is null, not text"),
        ({"settings": []}, "'settings' is a list, not a mapping"),
    ],
)
def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path, change, said):
    (tmp_path / NAME).write_text(json.dumps(ACTIONS | change))
    with pytest.raises(StorageError) as error:
        read_source(tmp_path)
    assert f"{NAME} is damaged: {said}" in str(error.value)
