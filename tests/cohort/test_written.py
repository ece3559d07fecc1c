"""What YAML makes of a configuration: right, or said in the user's words."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import yaml

from tests.conftest import ROOT
from workflow_scripts.cohort import startup
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.disk import moved
from workflow_scripts.cohort.written import check_files, expanded
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource

STUDY = """
output_dir: out
anatomical: {}
studies:
  s:
    label: dx
    classes: [a, b]
    seed: 1
    inputs: {t: {columns: [tiv_ml]}}
    design: {kind: random_trials, trials: 2, train: {a: 2, b: 2}, test: {a: 1, b: 1}}
    models: {m: {kind: logistic, inputs: [t]}}
"""


def checked(tmp_path, text):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    check_files([file])
    return check_config(yaml.safe_load(text))


def changed(old, new):
    assert old in STUDY
    return STUDY.replace(old, new)


@pytest.mark.parametrize(
    "file", [ROOT / "config.yaml", *(ROOT / "examples").glob("*.yaml")], ids=str
)
def test_configurations_of_the_project_are_sound(file):
    check_files([file])


def test_what_is_written_plainly_is_sound(tmp_path):
    config = checked(tmp_path, changed("seed: 1", "seed: 0\n    permutations: 1_000"))
    assert config["studies"]["s"]["permutations"] == 1000
    assert checked(
        tmp_path,
        changed("[a, b]", "['01', 'no']").replace("{a: ", "{'01': ").replace("b: ", "'no': "),
    )["studies"]["s"]["classes"] == ["01", "no"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (STUDY + "studies: {}\n", "line 12: studies: stands already in line 4; keep one"),
        (STUDY + "output_dir: other\n", "output_dir: stands already in line 2"),
        (
            changed("seed: 1", "seed: 1\n    seed: 2"),
            "line 9: studies.s.seed: stands already in line 8",
        ),
        (changed("{a: 2, b: 2}", "{a: 2, b: 2, a: 3}"), "design.train.a: stands already"),
        (changed("models:", "inputs:"), "studies.s.inputs: stands already in line 9"),
        (changed("inputs: [t]", "inputs: [t], 'kind': svm"), "models.m.kind: stands already"),
    ],
)
def test_a_key_that_stands_twice_is_refused(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        checked(tmp_path, text)


def test_anchors_and_overridden_merges_are_no_second_keys(tmp_path):
    text = changed("seed: 1", "table1: &x [age]\n    other_labels: *x")
    checked(tmp_path, text)
    (tmp_path / "x.yaml").write_text("a: &a {x: 1}\nb: {<<: *a, x: 2}\n")
    check_files([tmp_path / "x.yaml"])


def test_json_is_looked_at_too(tmp_path):
    (tmp_path / "x.json").write_text('{"output_dir": "a",\n "output_dir": "b"}')
    with pytest.raises(InputError, match="x.json line 2: output_dir: stands already in line 1"):
        check_files([tmp_path / "x.json"])


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "No", "YES", "true", "False"])
def test_booleans_are_explained(tmp_path, word):
    with pytest.raises(InputError, match=r"classes.1: .*YAML reads .* in quotes, such as 'no'"):
        checked(tmp_path, changed("[a, b]", f"[a, {word}]"))
    with pytest.raises(InputError, match=f"train.{word}: YAML reads the key {word} as .*bool"):
        checked(tmp_path, changed("train: {a: 2", f"train: {{{word}: 2"))
    with pytest.raises(InputError, match="diffusion.denoise: .*YAML reads .* in quotes"):
        checked(tmp_path, STUDY + f"diffusion: {{denoise: {word}}}\n")
    checked(tmp_path, STUDY + f"diffusion: {{t1w_distortion: {word}}}\n")


@pytest.mark.parametrize("text", ["1", "0", "2.5", "1e+3", "1.0e+3", "-1", ".5", "1_000", "0x1f"])
def test_numbers_where_texts_belong_are_explained(tmp_path, text):
    wanted = r"classes.1: .*(YAML reads it as a number; write the text in quotes|has too many)"
    if isinstance(yaml.safe_load(text), str):
        checked(tmp_path, changed("[a, b]", f"[a, {text}]").replace("b: ", f"{text}: "))
        return
    with pytest.raises(InputError, match=wanted):
        checked(tmp_path, changed("[a, b]", f"[a, {text}]"))
    with pytest.raises(InputError, match="YAML reads the key .* in quotes"):
        checked(tmp_path, changed("train: {a: 2", f"train: {{{text}: 2"))


@pytest.mark.parametrize(
    ("text", "read", "number"),
    [
        *(("012", "10", "12"), ("01", "1", "1"), ("007", "7", "7"), ("-010", "-8", None)),
        *(("1:30", "90", None), ("12:30:45", "45045", None), ("1:30.5", "90.5", None)),
        *(("2020-01-05", "2020-01-05", None), ("2020-01-05 10:00:00", "2020-01-05 10", None)),
    ],
)
@pytest.mark.parametrize("place", ["seed: 1", "[a, b]", "trials: 2", "label: dx"])
def test_numbers_that_yaml_reads_as_others_are_refused(tmp_path, text, read, number, place):
    new = f"[a, {text}]" if place == "[a, b]" else f"{place.split(':')[0]}: {text}"
    with pytest.raises(InputError) as error:
        checked(tmp_path, changed(place, new))
    assert f"YAML reads {text} as {read}" in str(error.value)
    assert f"write it in quotes, '{text}'" in str(error.value)
    assert number is None or f"or the number {number}" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 1", "seed: 1e3", r"seed: '1e3' .*YAML reads it as text; write .* 1.0e\+3"),
        ("seed: 1", "seed: '1'", "seed: '1' .*write digits without quotes"),
        ("seed: 1", "seed: 1,000", "seed: '1,000' .*YAML reads it as text"),
        ("seed: 1", "seed: 1.0", "seed: 1.0 .*write it without a decimal point"),
        ("trials: 2", "trials: 2.0e+0", r"trials: 2.0 .*write it without a decimal point"),
        ("seed: 1", "seed: yes", "seed: True is not of type 'integer'"),
        ("label: dx", "label: on", "label: True .*YAML reads yes, on and true as True"),
        (
            "label: dx",
            "label: {column: x, at_least: 1e1}",
            "label.at_least: '1e1' is not .*YAML reads it as text",
        ),
        (
            "anatomical: {}",
            "anatomical: {template_resolution: 1.0}",
            "template_resolution: 1.0 .*without a decimal point",
        ),
        ("output_dir: out", "output_dir: ~", "output_dir: None .*~ alone are null to YAML"),
        ("output_dir: out", "output_dir:", "output_dir: None .*an empty value"),
        ("[a, b]", "[a, null]", "classes.1: None .*null to YAML"),
        ("anatomical: {}", "anatomical: {prior_weight: .nan}", "prior_weight: nan is not of type"),
        ("anatomical: {}", "anatomical: {prior_weight: .inf}", "prior_weight: inf"),
        ("anatomical: {}", "anatomical: {no: 1}", "YAML reads the key no as False"),
        ("output_dir: out", "output_dir: out\nbids_dir: ''", "bids_dir: '' "),
    ],
)
def test_values_of_another_type_are_explained(tmp_path, old, new, message):
    with pytest.raises(InputError, match=message):
        checked(tmp_path, changed(old, new))


# Paths


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("STUDY", "lupus")
    monkeypatch.setenv("EMPTY", "")
    monkeypatch.delenv("UNSET", raising=False)
    return f"{tmp_path}/home"


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("~", "{home}"),
        ("~/results", "{home}/results"),
        ("$HOME/results", "{home}/results"),
        ("${HOME}/results", "{home}/results"),
        ("/data/$STUDY/x", "/data/lupus/x"),
        ("/data/${STUDY}_2/x", "/data/lupus_2/x"),
        ("a~b/~", "a~b/~"),
        ("/data/$(touch x)", "/data/$(touch x)"),
        ("/data/a$", "/data/a$"),
        ("a b/é", "a b/é"),
    ],
)
def test_paths_are_expanded(home, path, found):
    assert expanded(path, "output_dir") == found.format(home=home)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("$UNSET/x", r"output_dir: \$UNSET/x: \$UNSET is not set; set it, or write the path"),
        ("/data/${UNSET}/x", r"\$\{UNSET\} is not set"),
        ("~nobodyofthisname/x", "there is no user nobodyofthisname"),
    ],
)
def test_paths_that_lead_nowhere_are_refused(home, path, message):
    with pytest.raises(InputError, match=message):
        expanded(path, "output_dir")


def test_folder_with_a_dollar_in_its_name_is_itself(tmp_path, home):
    (tmp_path / "$UNSET").mkdir()
    assert expanded(f"{tmp_path}/$UNSET", "bids_dir") == f"{tmp_path}/$UNSET"


@pytest.fixture
def bids(home):
    root = Path(home, "bids")
    (root / "sub-1/anat").mkdir(parents=True)
    (root / "sub-1/anat/sub-1_T1w.nii.gz").touch()
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    (root / "participants.tsv").write_text("participant_id\nsub-1\n")
    return root


def test_renaming_the_folder_of_the_dataset_is_told_with_what_it_costs(bids, home):
    def start(bids_dir):
        config = {"output_dir": f"{home}/out", "anatomical": {}, "studies": {}}
        config["bids_dir"] = str(bids_dir)
        return startup.start(config, None, main_process=True)

    assert start(bids).moved_from is None
    assert start(bids).moved_from is None
    renamed = bids.rename(bids.with_name("renamed"))
    assert start(renamed).moved_from == str(bids)
    said = moved(str(bids), renamed)
    assert f"bids_dir was {bids} at the last run and is {renamed} now: every step" in said
    assert f"ln -s {renamed} {bids}" in said


@pytest.mark.parametrize("path", [" ", "out ", "\tout", "out\n", "~/out "])
def test_blanks_around_a_path_are_refused_unless_it_is_there(tmp_path, monkeypatch, path):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="output_dir: .* has blanks around it; write"):
        expanded(path, "output_dir")
    Path(" x ").mkdir()
    assert expanded(" x ", "output_dir") == " x "


@pytest.mark.parametrize("path", ["\u201c/data/out\u201d", "'out'", '"out"', "\u201eout\u201c"])
def test_quotes_that_yaml_leaves_in_a_path_are_refused(path):
    with pytest.raises(InputError, match="bids_dir: .* begins with a quote of its own"):
        expanded(path, "bids_dir")


@pytest.mark.parametrize("text", ["&c [a, *c]", "&c [a, {b: *c}]"])
def test_an_anchor_inside_of_itself_is_refused(tmp_path, text):
    with pytest.raises(
        InputError, match="line 7: .*classes.1.*: the anchor stands inside of itself"
    ):
        checked(tmp_path, changed("[a, b]", text))
    checked(tmp_path, changed("label: dx", "other_labels: &c []\n    requires: *c\n    label: dx"))


def test_all_paths_of_a_configuration_are_expanded(bids, home, monkeypatch):
    monkeypatch.chdir(home)
    (bids / "exclusions.tsv").write_text("participant_id\tsession_id\tsuffix\treason\n")
    for name in ("model.json", "model.safetensors"):
        Path(home, name).touch()
    rois = resource("alps_rois.tsv").read_text().replace("27\t5\tn/a", "27\t5\tmask.nii", 1)
    Path(home, "rois.tsv").write_text(rois)
    nib.save(nib.Nifti1Image(np.ones((2, 2, 2), "u1"), np.diag([-9, 9, 9, 1])), f"{home}/mask.nii")
    config = {
        "bids_dir": "~/bids",
        "output_dir": "${HOME}/$STUDY",
        "exclusions": "~/bids/exclusions.tsv",
        "frozen_models": "~/frozen",
        "anatomical": {"network": "$HOME"},
        "diffusion": {"alps_rois": "~/rois.tsv"},
        "studies": {},
    }
    found = startup.start(config, None, main_process=True)
    assert (found.bids_dir, found.output_dir) == (bids, Path(home, "lupus"))
    assert found.config["exclusions"] == f"{home}/bids/exclusions.tsv"
    assert found.config["frozen_models"] == f"{home}/frozen"
    assert found.config["anatomical"]["network"] == home
    assert found.alps_files == [f"{home}/rois.tsv", f"{home}/mask.nii"]
    assert os.listdir(home) and not os.path.lexists("~")
