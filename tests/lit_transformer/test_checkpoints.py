"""Checkpoints that are damaged, dangerous or old; and the random generators they carry."""

import pickle
import random

import numpy as np
import pytest
import torch

from lit_transformer.checkpoints import (
    AtomicCheckpointIO,
    drop_old,
    is_whole,
    load_weights,
    newest_whole,
    random_state,
    restore_random_state,
    save_tensors,
    step_file,
)

WEIGHTS = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.float64)}


class Bomb:
    """What a malicious checkpoint would hold."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (type(self.path).mkdir, (self.path,))


def flip_a_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def lose_the_checksum(path):
    path.with_name(path.name + ".sha256").unlink()


def empty_the_checksum(path):
    path.with_name(path.name + ".sha256").write_bytes(b"")


DAMAGES = [flip_a_bit, truncate, lose_the_checksum, empty_the_checksum]


@pytest.fixture
def folder(tmp_path):
    """Checkpoints of the updates 9, 10 and 100, and weights of update 100."""
    for step in (9, 10, 100):
        path = step_file(tmp_path, step, ".ckpt")
        AtomicCheckpointIO().save_checkpoint({"step": step, "weights": WEIGHTS}, path)
    save_tensors(WEIGHTS, step_file(tmp_path, 100, ".safetensors"))
    return tmp_path


def test_the_newest_checkpoint_comes_back(folder, tmp_path):
    path = newest_whole(folder)
    loaded = AtomicCheckpointIO().load_checkpoint(path)
    assert loaded["step"] == 100
    assert torch.equal(loaded["weights"]["a"], WEIGHTS["a"])
    assert newest_whole(tmp_path / "absent") is None


@pytest.mark.parametrize("damage", DAMAGES)
def test_damage_is_found_and_the_one_before_is_used(folder, caplog, damage):
    newest = newest_whole(folder)
    damage(newest)
    assert not is_whole(newest)
    assert newest_whole(folder) == step_file(folder, 10, ".ckpt")
    assert f"{newest.name} does not match its checksum" in caplog.text


def test_where_all_are_damaged_there_is_none(folder):
    for path in folder.glob("*.ckpt"):
        truncate(path)
    assert newest_whole(folder) is None


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_weights_are_refused_by_name(folder, damage):
    path = step_file(folder, 100, ".safetensors")
    damage(path)
    with pytest.raises(ValueError, match=r"step-000000100\.safetensors: does not match its checks"):
        load_weights(path)


def test_weights_come_back_bit_by_bit(tmp_path):
    views = {"turned": WEIGHTS["a"].T, **WEIGHTS}
    save_tensors(views, tmp_path / "w.safetensors")
    loaded = load_weights(tmp_path / "w.safetensors")
    assert loaded.keys() == views.keys()
    for name, value in views.items():
        assert loaded[name].dtype == value.dtype
        assert torch.equal(loaded[name], value)


def test_the_newest_are_kept_with_their_checksums(folder):
    drop_old(folder, 2)
    assert sorted(path.name for path in folder.glob("*.ckpt*")) == [
        "step-000000010.ckpt",
        "step-000000010.ckpt.sha256",
        "step-000000100.ckpt",
        "step-000000100.ckpt.sha256",
    ]
    assert is_whole(step_file(folder, 100, ".safetensors"))


def test_a_removed_checkpoint_leaves_nothing(folder):
    AtomicCheckpointIO().remove_checkpoint(step_file(folder, 9, ".ckpt"))
    assert not list(folder.glob("step-000000009*"))


def test_loading_executes_nothing(tmp_path):
    made = tmp_path / "made by the bomb"
    path = tmp_path / "bomb.ckpt"
    AtomicCheckpointIO().save_checkpoint({"x": Bomb(made)}, path)
    assert is_whole(path)
    with pytest.raises(pickle.UnpicklingError):
        AtomicCheckpointIO().load_checkpoint(path)
    assert not made.exists()
    torch.load(path, weights_only=False)  # the bomb is one
    assert made.exists()


def draw():
    return (
        [random.random(), random.gauss(0, 1)],
        np.random.random(3).tolist() + np.random.standard_normal(1).tolist(),
        torch.rand(3).tolist(),
    )


def test_random_generators_go_on_where_they_were(tmp_path):
    draw()  # an odd number of normal draws leaves the second of a pair behind
    path = tmp_path / "state.ckpt"
    AtomicCheckpointIO().save_checkpoint(random_state(), path)
    expected = [draw(), draw()]
    restore_random_state(AtomicCheckpointIO().load_checkpoint(path))
    assert [draw(), draw()] == expected
