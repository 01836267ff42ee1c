"""Share the GPUs among the slots of an agent."""

from __future__ import annotations

import sys

import pytest

from lightsweep.agents.gpus import gpu_slots
from lightsweep.errors import InputError


def test_one_slot_for_each_gpu_in_the_order_given() -> None:
    assert gpu_slots("2,0,1", environ={}) == ["2", "0", "1"]
    assert gpu_slots(" 3 , GPU-8f6a ", environ={}) == ["3", "GPU-8f6a"]


def test_several_gpus_for_a_run() -> None:
    assert gpu_slots("0,1,2,3", 2, environ={}) == ["0,1", "2,3"]
    with pytest.raises(InputError, match=r"3 GPUs .* cannot be divided into groups of 2"):
        gpu_slots("0,1,2", 2, environ={})


def test_all_means_those_that_the_scheduler_gave() -> None:
    assert gpu_slots("all", environ={"CUDA_VISIBLE_DEVICES": "4,6"}) == ["4", "6"]
    assert gpu_slots("all", environ={"CUDA_VISIBLE_DEVICES": "0, 2,-1,3"}) == ["0", "2"], "CUDA stops at -1"
    with pytest.raises(InputError, match="5 is not among CUDA_VISIBLE_DEVICES=4,6"):
        gpu_slots("4,5", environ={"CUDA_VISIBLE_DEVICES": "4,6"})


@pytest.mark.parametrize("given", ["", "-1,0", "NoDevFiles"])
@pytest.mark.parametrize("gpus", ["0", "all"])
def test_a_process_that_was_given_none_has_none(gpus: str, given: str) -> None:
    with pytest.raises(
        InputError, match=rf"GPUs {gpus}: this process was given no GPU \(CUDA_VISIBLE_DEVICES={given}\)"
    ):
        gpu_slots(gpus, environ={"CUDA_VISIBLE_DEVICES": given})


def test_all_asks_the_driver_otherwise() -> None:
    listing = (sys.executable, "-c", r"print('0\n1')")
    assert gpu_slots("all", environ={}, listing=listing) == ["0", "1"]
    with pytest.raises(InputError, match="this machine has no GPU"):
        gpu_slots("all", environ={}, listing=(sys.executable, "-c", ""))
    with pytest.raises(InputError, match="cannot be listed by no-such-program"):
        gpu_slots("all", environ={}, listing=("no-such-program",))


@pytest.mark.parametrize(
    ("gpus", "words"),
    [
        ("0,,1", "'' is not the index or UUID of a GPU; separate indices by commas"),
        ("", "separate"),
        ("0,1,0", "twice"),
        ("cuda:0", "'cuda:0' is not the index or UUID of a GPU"),
    ],
)
def test_a_list_that_means_nothing_is_an_error(gpus: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        gpu_slots(gpus, environ={})
