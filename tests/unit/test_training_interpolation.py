"""Weights between two states of a network."""

import torch

from unish.lab.training.interpolation import interpolate


def test_ends_and_middle() -> None:
    began = {"weight": torch.tensor([1.0, 3.0]), "steps": torch.tensor(2)}
    ended = {"weight": torch.tensor([5.0, 1.0]), "steps": torch.tensor(7)}
    for share, wanted in ((0.0, [1.0, 3.0]), (0.25, [2.0, 2.5]), (1.0, [5.0, 1.0])):
        found = interpolate(began, ended, share)
        assert found["weight"].tolist() == wanted and int(found["steps"]) == 7


def test_weights_that_were_trained_on_another_device_stay_there() -> None:
    ended = {"weight": torch.empty(2, device="meta")}
    assert interpolate({"weight": torch.ones(2)}, ended, 0.5)["weight"].device.type == "meta"
