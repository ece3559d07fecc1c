"""Hostile names in the dataset and the configuration neither run a command nor leave the output
folder, and no file is read in a way that runs code."""

import os
import pickle
import re
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from tests.conftest import ROOT
from tests.workflow.small_cohort import STUDY, configuration, t1w
from tests.workflow.snake import finished
from workflow_scripts.audit.compare import read_values
from workflow_scripts.cohort import startup
from workflow_scripts.cohort.config import check_config
from workflow_scripts.common.checkpoint import Checkpoint
from workflow_scripts.common.job import InputError
from workflow_scripts.demo.plan import plan_cohort
from workflow_scripts.learning.encoders import build_encoder, with_classifier
from workflow_scripts.learning.models import load_weights
from workflow_scripts.learning.volumes import read_volumes

TARGET = "sub-1/anat/sub-1_desc-preproc_T1w.nii.gz"
HOSTILE = ["a b", "$(touch pwned)", "`touch pwned`", "a'; touch pwned; '", 'a"b', "a&b"]


def nothing_ran(*folders):
    assert not [path for folder in folders for path in Path(folder).rglob("pwned*")]


def refused(config, *messages):
    """By what the Snakefile does before it makes any rule."""
    with pytest.raises(InputError) as raised:
        startup.start(config, plan_cohort, main_process=True)
    for message in messages:
        assert message in str(raised.value)


def test_hostile_names_of_folders_and_files(bids, templates, small_study, tmp_path):
    """Dataset, output folder and scan bear all of them, and the result is that of plain names."""
    where = tmp_path / "".join(HOSTILE)
    where.mkdir()
    shutil.copytree(bids, where / "bids")
    scan = t1w(where / "bids", 1)
    scan.rename(scan.with_name("sub-1_acq-$(touch pwned)`touch pwned`'\"_T1w.nii.gz"))
    shutil.copytree(templates, where / "results", symlinks=True)
    finished(TARGET, config=configuration(where / "bids", studies={}), folder=tmp_path)
    nothing_ran(tmp_path, ROOT)
    plain = small_study / "results" / TARGET
    assert (where / "results" / TARGET).read_bytes() == plain.read_bytes()


@pytest.mark.parametrize("name", ["sub-1_acq-{prefix}_T1w.nii.gz", "sub-1_acq-{folder_T1w.nii.gz"])
def test_braces_in_names_are_refused(bids, name):
    t1w(bids, 1).rename(t1w(bids, 1).with_name(name))
    refused(configuration(bids), "braces in a path", name)


@pytest.mark.parametrize("name", ["sub-1;touch pwned", "sub-$(id)", "sub-../../x", "sub-1\n"])
def test_hostile_participants_are_refused(bids, tmp_path, name):
    refused(configuration(bids, participants=[name]), "participants.0")
    nothing_ran(tmp_path, ROOT)


@pytest.mark.parametrize("name", ["../../../outside", "a/b", "a;touch pwned", "{scope}", "x\n", ""])
def test_hostile_names_of_studies_are_refused(bids, name):
    with pytest.raises(InputError, match="studies"):
        check_config(configuration(bids, studies={name: STUDY}))


@pytest.mark.parametrize("name", ["sub-7;touch pwned", "sub-{prefix}", "sub-8 9", "sub-8_9"])
def test_hostile_folders_of_participants_are_named(bids, tmp_path, name):
    folder = bids / name / "anat"
    folder.mkdir(parents=True)
    shutil.copyfile(t1w(bids, 1), folder / f"{name}_T1w.nii.gz")
    refused(configuration(bids), name, "letters and digits alone")
    nothing_ran(tmp_path, ROOT)


def test_labels_are_text_to_the_shell_and_the_report(measured, tmp_path):
    """A class with markup and commands in its name, through a table to a page."""
    bids = measured(2)
    label = "<script>alert(1)</script>$(touch pwned){study}"
    table = (bids / "participants.tsv").read_text().replace("patient", label)
    (bids / "participants.tsv").write_text(table)
    study = {"label": "diagnosis", "classes": ["control", label], "table1": ["age"]}
    title = "<img src=x onerror=alert(2)>"
    config = configuration(bids, studies={"study": study}, report={"title": title})
    finished(config=config, folder=tmp_path)
    nothing_ran(tmp_path, ROOT)
    page = (tmp_path / "results/report/index.html").read_text()
    assert page.count("<script") == 1 and "<script>alert" not in page  # the report's own
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert re.search("Content-Security-Policy[^>]*default-src 'none'[^>]*script-src 'sha256-", page)


class Bomb:
    def __reduce__(self):
        return os.system, ("touch pwned",)


@pytest.fixture
def bomb(tmp_path, monkeypatch):
    """Function that writes a pickle that runs a command."""
    monkeypatch.chdir(tmp_path)

    def write(name):
        (tmp_path / name).write_bytes(pickle.dumps(Bomb()))
        return tmp_path / name

    return write


def test_weights_that_are_a_pickle_are_refused(bomb, tmp_path):
    network = with_classifier(build_encoder("paper", [2, 2, 2]))
    with pytest.raises(InputError, match="not the weights of this network"):
        load_weights(network, bomb("model.safetensors"))
    nothing_ran(tmp_path)


def test_checkpoint_that_is_a_pickle_is_not_run(bomb, tmp_path):
    torch.save({"bomb": Bomb()}, tmp_path / "saved.checkpoint")
    for path in (bomb("raw.checkpoint"), tmp_path / "saved.checkpoint"):
        with pytest.raises(pickle.UnpicklingError):
            Checkpoint(path, "key").load(None, None, "cpu")
    nothing_ran(tmp_path)


def test_arrays_that_are_pickles_are_refused(bomb, tmp_path):
    np.save(tmp_path / "object.npy", np.array([Bomb()], dtype=object), allow_pickle=True)
    (tmp_path / "volumes.tsv").write_text("participant_id\tsession_id\n")
    shutil.copyfile(tmp_path / "object.npy", tmp_path / "volumes.npy")
    for path in (tmp_path / "object.npy", bomb("raw.npy")):
        with pytest.raises(ValueError, match="allow_pickle|mmap|Python objects"):
            read_values(path)
    with pytest.raises(ValueError, match="Python objects|Array can't be memory-mapped"):
        read_volumes(tmp_path / "volumes.npy")
    nothing_ran(tmp_path)


def test_code_reads_no_pickle_and_gives_no_text_to_a_shell():
    unsafe = r"\bpickle\b|\byaml\.load\(|joblib\.load|allow_pickle=True|weights_only=False"
    unsafe += r"|shell=True|os\.system|\beval\((?!\))|\bexec\("
    for path in [*ROOT.glob("workflow_scripts/**/*.py"), *ROOT.glob("rules/**/*.smk")]:
        found = re.findall(unsafe, path.read_text())
        assert not [text for text in found if text != "eval("], path
        assert not re.search(r"^\s+shell:", path.read_text(), re.M), path


def test_links_in_the_dataset_are_read_and_never_written(bids, begun, tmp_path):
    """A scan that is a link to a file elsewhere."""
    elsewhere = tmp_path / "archive/scan.nii.gz"
    elsewhere.parent.mkdir()
    shutil.move(t1w(bids, 1), elsewhere)
    t1w(bids, 1).symlink_to(elsewhere)
    before = elsewhere.read_bytes()
    finished(TARGET, config=configuration(bids, studies={}), folder=tmp_path)
    assert elsewhere.read_bytes() == before
    nib.load(tmp_path / "results" / TARGET)
