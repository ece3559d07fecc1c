import copy

import pytest
import yaml

from tests.conftest import ROOT
from workflow_scripts.cohort.config import check_config
from workflow_scripts.common.job import InputError


@pytest.fixture
def config():
    return yaml.safe_load((ROOT / "config.yaml").read_text())


def test_demo_config_is_valid_and_gets_defaults(config):
    del config["report"], config["anatomical"]["registration"]
    checked = check_config(config)
    assert checked["report"]["qc_subjects"] == 200
    assert checked["anatomical"]["registration"] == "syn"


def test_checking_leaves_the_given_config_alone(config):
    before = copy.deepcopy(config)
    check_config(config)
    assert config == before


@pytest.mark.parametrize(
    ("keys", "value", "message"),
    [
        (["colour"], 1, r"unknown key colour; known keys: .*bids_dir"),
        (["anatomical", "registraton"], "syn", r"anatomical: unknown key registraton"),
        (["anatomical", "registration"], "spm", r"anatomical.registration: 'spm' is not one of"),
        (["anatomical", "template_resolution"], "2", r"anatomical.template_resolution"),
        (["output_dir"], 3, r"output_dir: 3 is not of type 'string'; expected: Folder"),
        (["studies", "npsle_contrastive", "permutations"], "many", r"permutations: 'many'"),
        (["studies", "npsle_contrastive", "classes"], ["a"], r"npsle_contrastive.classes"),
        (["studies", "../x"], {}, r"'../x' does not match"),
        (["studies", "npsle_contrastive", "classes"], ["SLE", "NPSLE"], r"design.train: has the"),
        (["studies", "npsle_contrastive", "classes"], ["a", "b", "c"], r"trials take two classes"),
        (["studies", "npsle_multimodal", "models", "classes"], ["SLE", "NPSLE"], r"'SLE'\] is not"),
        (["studies", "npsle_multimodal", "correlations", "method"], "kendall", r"'kendall' is not"),
        (["diffusion", "denoise"], True, r"diffusion.denoise: True is not one of"),
    ],
)
def test_errors_name_the_key(config, keys, value, message):
    target = config
    for key in keys[:-1]:
        target = target[key]
    target[keys[-1]] = value
    with pytest.raises(InputError, match=message):
        check_config(config)


def test_all_errors_at_once(config):
    config["colour"] = 1
    config["output_dir"] = 3
    del config["studies"]["npsle_contrastive"]["label"]
    with pytest.raises(InputError) as error:
        check_config(config)
    for part in ("colour", "output_dir", "'label' is a required property"):
        assert part in str(error.value)


def test_class_cannot_be_left_out_and_analysed(config):
    config["studies"]["npsle_contrastive"]["other_labels"] = ["NPSLE"]
    with pytest.raises(InputError, match="also stands in classes"):
        check_config(config)
