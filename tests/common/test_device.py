import pytest
import torch

from workflow_scripts.common.device import choose_device
from workflow_scripts.common.job import InputError


def test_a_gpu_that_is_not_there_is_said_with_what_to_do():
    there = torch.cuda.device_count()
    with pytest.raises(InputError, match=rf"sees {there} on this machine.*set gpus: 0"):
        choose_device("float32", gpus=there + 1, rank=there)
    assert choose_device("float32", gpus=0).name == "cpu"
