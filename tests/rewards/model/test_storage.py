import json
from dataclasses import asdict

import pytest
import torch
from safetensors.torch import load_file, save_file

from prefrl.errors import StorageError
from prefrl.rewards import EnhancedRewardModel
from tests.rewards.small_model import SHAPES, assert_same, make_model, rows, weights_of

FILES = ["config.json", "model.safetensors"]


class TestFolder:
    @pytest.mark.parametrize("settings", SHAPES)
    def test_a_model_comes_back_bit_for_bit(self, tmp_path, settings):
        model = make_model(
            **settings, dropout=0.25, bank_size=7, observation_dim=3, env_id="My/Ünv-v0"
        )
        model.save(tmp_path / "new" / "reward_model")
        again = EnhancedRewardModel.load(tmp_path / "new" / "reward_model")
        assert again.config == model.config
        assert_same(weights_of(model), weights_of(again))
        assert not again.training
        assert torch.equal(model(rows(5))["rewards"], again(rows(5))["rewards"])

    def test_saving_again_replaces_what_was_there(self, tmp_path):
        make_model(1).save(tmp_path)
        model = make_model(2, hidden_dim=16)
        model.save(str(tmp_path))
        assert_same(weights_of(model), weights_of(EnhancedRewardModel.load(str(tmp_path))))
        assert sorted(path.name for path in tmp_path.iterdir()) == FILES

    def test_the_files_can_be_read_without_prefrl(self, tmp_path):
        model = make_model(env_id="Hopper-v4")
        model.save(tmp_path)
        tree = json.loads((tmp_path / "config.json").read_text())
        assert tree == {"format_version": 1, **asdict(model.config)}
        assert_same(load_file(tmp_path / "model.safetensors"), weights_of(model))

    def test_weights_that_another_program_wrote_are_taken(self, tmp_path):
        model = make_model()
        model.save(tmp_path)
        doubled = {**weights_of(model), "head_out": model.head_out.detach() * 2}
        save_file(doubled, tmp_path / "model.safetensors")
        assert_same(weights_of(EnhancedRewardModel.load(tmp_path)), doubled)

    @pytest.mark.parametrize("missing", ["config.json", "model.safetensors"])
    def test_a_missing_file_is_named(self, tmp_path, missing):
        make_model().save(tmp_path)
        (tmp_path / missing).unlink()
        with pytest.raises(StorageError, match=f"holds no reward model: there is no .*{missing}"):
            EnhancedRewardModel.load(tmp_path)

    @pytest.mark.parametrize(
        "text",
        ["", "{", "[]", "5", "null", "{}", '{"format_version": 2}', '{"input_dim": 5}', "\xff"],
    )
    def test_a_config_that_is_none_is_named_and_said_to_be_damaged_or_foreign(self, tmp_path, text):
        make_model().save(tmp_path)
        (tmp_path / "config.json").write_bytes(text.encode("latin-1"))
        with pytest.raises(StorageError, match=r"config\.json (is damaged|has format version)"):
            EnhancedRewardModel.load(tmp_path)

    @pytest.mark.parametrize(
        "change",
        [
            {"hidden_dim": 0},
            {"hidden_dim": "wide"},
            {"hidden_dim": 8.5},
            {"hidden_dim": None},
            {"dropout": 2},
            {"learning_rate": 1},
            {"num_reward_heads": 10**15},
        ],
    )
    def test_a_config_of_no_model_is_named(self, tmp_path, change):
        make_model().save(tmp_path)
        tree = json.loads((tmp_path / "config.json").read_text())
        save_file(weights_of(make_model()), tmp_path / "model.safetensors")
        (tmp_path / "config.json").write_text(json.dumps({**tree, **change}))
        with pytest.raises(
            StorageError, match=r"config\.json describes no reward model"
        ) as refused:
            EnhancedRewardModel.load(tmp_path)
        assert "\n" not in str(refused.value)

    @pytest.mark.parametrize(
        "other", [{"hidden_dim": 16}, {"num_reward_heads": 4}, {"env_id": "B"}]
    )
    def test_weights_of_another_model_are_named(self, tmp_path, other):
        make_model(env_id="A").save(tmp_path / "a")
        make_model(**{"env_id": "A", **other}).save(tmp_path / "b")
        (tmp_path / "b" / "model.safetensors").replace(tmp_path / "a" / "model.safetensors")
        with pytest.raises(StorageError, match=r"model\.safetensors is of another model than"):
            EnhancedRewardModel.load(tmp_path / "a")

    @pytest.mark.parametrize("change", ["missing", "extra", "shape", "dtype"])
    def test_weights_that_do_not_fit_are_named(self, tmp_path, change):
        make_model().save(tmp_path)
        weights = weights_of(make_model())
        if change == "missing":
            del weights["head_bias"]
        elif change == "extra":
            weights["more"] = torch.zeros(1)
        elif change == "shape":
            weights["head_bias"] = torch.zeros(4)
        else:
            weights["head_bias"] = weights["head_bias"].to(torch.bfloat16)
        save_file(weights, tmp_path / "model.safetensors")
        with pytest.raises(StorageError, match=r"model\.safetensors is of another model than"):
            EnhancedRewardModel.load(tmp_path)

    def test_weights_that_are_not_finite_are_named(self, tmp_path):
        model = make_model()
        model.head_bias.data[1] = float("nan")
        model.save(tmp_path)
        with pytest.raises(StorageError, match=r"model\.safetensors is damaged: .* not finite"):
            EnhancedRewardModel.load(tmp_path)

    def test_a_damaged_byte_anywhere_is_refused_by_name_or_changes_nothing(self, tmp_path):
        model = make_model(num_layers=1)
        model.save(tmp_path)
        path = tmp_path / "model.safetensors"
        whole = path.read_bytes()
        for place in range(0, len(whole), 13):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
            said = ""
            try:
                assert_same(weights_of(model), weights_of(EnhancedRewardModel.load(tmp_path)))
            except StorageError as error:
                said = str(error)
            assert said == "" or str(path) in said

    def test_every_cut_is_refused_by_name(self, tmp_path):
        make_model().save(tmp_path)
        path = tmp_path / "model.safetensors"
        whole = path.read_bytes()
        for length in (0, 1, 8, 100, len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:length])
            with pytest.raises(StorageError, match=r"model\.safetensors is damaged"):
                EnhancedRewardModel.load(tmp_path)

    def test_a_folder_that_cannot_be_made_is_named(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError, match=r"could not make .*file/model: Not a directory"):
            make_model().save(tmp_path / "file" / "model")

    def test_a_write_that_fails_leaves_the_old_model_whole(self, tmp_path):
        model = make_model(1)
        model.save(tmp_path)
        weights = tmp_path / "model.safetensors"
        old = weights.read_bytes()
        weights.unlink()
        weights.mkdir()  # Nothing can be renamed onto a folder.
        with pytest.raises(StorageError, match=r"could not write .*safetensors"):
            make_model(2, hidden_dim=16).save(tmp_path)
        assert sorted(path.name for path in tmp_path.iterdir()) == FILES
        weights.rmdir()
        weights.write_bytes(old)
        assert_same(weights_of(EnhancedRewardModel.load(tmp_path)), weights_of(model))


def test_a_run_folder_is_loaded_by_the_model_within_it(tmp_path):
    model = EnhancedRewardModel(5, hidden_dim=8)
    model.save(tmp_path / "run" / "reward_model")
    loaded = EnhancedRewardModel.load(tmp_path / "run")
    assert loaded.config == model.config
    (tmp_path / "empty" / "reward_model").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"reward_model holds no reward model"):
        EnhancedRewardModel.load(tmp_path / "empty")
