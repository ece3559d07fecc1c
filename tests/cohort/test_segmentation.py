"""Engines and raters of the configuration and of a folder of masks drawn by hand."""

import json

import pytest

from tests.cohort.test_index import dataset
from workflow_scripts.cohort.cohort import Cohort
from workflow_scripts.cohort.config import check_config
from workflow_scripts.cohort.engines import Segmentation
from workflow_scripts.cohort.index import index_manual
from workflow_scripts.cohort.segmentation import complete_pretrained, segmentations
from workflow_scripts.cohort.startup import start
from workflow_scripts.common.bids import bids_uri
from workflow_scripts.common.job import InputError
from workflow_scripts.demo.plan import plan_cohort

ATLAS = {"kind": "atlas"}
RUN = {"run": "s {T1w} {folder}", "result": "x.mgz", "labels": [1, 2]}
MASK = "sub-01/ses-{}/anat/sub-01_ses-{}_label-{}_desc-{}_mask.nii.gz"


def checked(engines: dict, **changes) -> dict:
    section = {"regions": {"thalamus": {"engines": engines} | changes.pop("region", {})}}
    config = {"output_dir": "x", "anatomical": {}, "studies": {}}
    return check_config(config | {"segmentation": section | changes})


@pytest.mark.parametrize(
    ("engine", "message"),
    [
        ({"kind": "import", "files": "/a/{prefix}", "program": "mindglide"}, "deep grey matter"),
        ({"kind": "import", "files": "/a/{prefix}", "program": "bet"}, "knows it of atlas"),
        ({"kind": "import", "files": "/a/{prefix}"}, "either the program .*freesurfer.* or its"),
        ({"kind": "import", "files": "/a/{sub}", "labels": [1, 2]}, "'sub' is none of"),
        ({"kind": "import", "files": "/a/{", "labels": [1, 2]}, "cannot be read"),
        ({"kind": "import", "files": "/a/x.mgz", "labels": [1, 2]}, "is one file for all"),
        ({"kind": "vote", "of": ["atlas", "none"]}, r"of: none is none .*\(atlas\)"),
        ({"kind": "mean", "of": ["atlas", "e"]}, r"of: e is none .*\(atlas\)"),
        ({"kind": "network"}, "'weights' is a required"),
        ({"kind": "command"}, "give a program .*samseg.*, or run, result and labels"),
        ({"kind": "command", "program": "dbsegment"}, "no command of dbsegment is known .samseg"),
        (
            {"kind": "command", "program": "bet", "run": RUN["run"], "result": "x"},
            "knows it of atlas",
        ),
        ({"kind": "command", "program": "samseg", "run": "s {T1w} {folder}"}, "together"),
        ({"kind": "command", **RUN, "run": "s {T1w} -o x"}, "has no .T1w. and .folder."),
        ({"kind": "command", **RUN, "run": "s {T1w} '{folder}"}, "cannot be read .No closing"),
        ({"kind": "command", **RUN, "run": "{T1w} {folder}"}, "begin with the program"),
        ({"kind": "command", **RUN, "run": "s {T1w} {T2} {folder}"}, "run: T2 is no contrast"),
        ({"kind": "recon"}, "kind 'recon' is none of atlas, network, import"),
    ],
)
def test_engines_that_cannot_be_are_named(engine, message):
    with pytest.raises(InputError, match=rf"regions\.thalamus\.engines\.e.*{message}"):
        checked({"atlas": ATLAS, "e": engine})


def test_regions_and_features_that_cannot_be_are_named():
    with pytest.raises(InputError, match=r"thalamus\.features: vote is none of .*\(atlas\)"):
        checked({"atlas": ATLAS}, region={"features": "vote"})
    with pytest.raises(InputError, match=r"regions\.liver: is no region of .*\(thalamus, "):
        checked({}, regions={"liver": {"engines": {"atlas": ATLAS}}})


def test_a_network_without_weights_is_an_error(tmp_path):
    engines = {"mesh": {"kind": "network", "weights": str(tmp_path / "w")}}
    config = {"output_dir": str(tmp_path / "out"), "anatomical": {}, "studies": {}}
    config["segmentation"] = {"regions": {"thalamus": {"engines": engines}}}
    with pytest.raises(InputError, match=r"engines\.mesh\.weights: .* no model\.json and no"):
        start(config, plan_cohort, main_process=False)


def test_masks_of_raters_are_found_by_region_and_desc(tmp_path):
    names = [MASK.format("a", "a", "Thalamus", r) for r in ("anna", "ben")]
    names.append(MASK.format("b", "b", "thalamus", "anna"))
    others = [MASK.format("a", "a", label, "anna") for label in ("lesion", "MCA")]
    root = dataset(tmp_path, *names, *others)
    found = index_manual(root)
    assert [(row["suffix"], row["session_id"]) for row in found] == [
        ("thalamus_anna", "ses-a"),
        ("thalamus_ben", "ses-a"),
        ("thalamus_anna", "ses-b"),
    ]
    (root / "dataset_description.json").write_text(json.dumps({"DatasetType": "derivative"}))
    assert bids_uri(found[0]["path"]) == f"bids:manual:{names[0]}"


def test_masks_of_raters_that_cannot_be_used(tmp_path):
    with pytest.raises(InputError, match=r"segmentation\.manual .*dataset_description"):
        index_manual(tmp_path)
    with pytest.raises(InputError, match="holds no mask .*leave it out"):
        index_manual(dataset(tmp_path, "sub-01/anat/sub-01_T1w.nii.gz"))
    name = MASK.format("a", "a", "Thalamus", "anna")
    dataset(tmp_path, name, name.replace("_label", "_run-2_label"))
    with pytest.raises(InputError, match="sub-01_ses-a has several masks of thalamus_anna"):
        index_manual(tmp_path)
    (tmp_path / name).unlink()
    section = {"manual": str(tmp_path), "regions": {"thalamus": {"engines": {"anna": ATLAS}}}}
    with pytest.raises(InputError, match=r"engines\.anna: is the name of a rater"):
        segmentations(section, [])


@pytest.fixture
def settled(tmp_path):
    """Two sessions with a T1w: of the first there is a FreeSurfer run, of the second a mask."""
    aseg = tmp_path / "fs/sub-01_ses-a/aseg.mgz"
    aseg.parent.mkdir(parents=True)
    aseg.touch()
    root = dataset(tmp_path / "manual", MASK.format("b", "b", "Thalamus", "anna"))
    engines = {
        "atlas": ATLAS,
        "fs": {"kind": "import", "program": "freesurfer"}
        | {"files": f"{tmp_path}/fs/{{prefix}}/aseg.mgz"},
        "vote": {"kind": "vote", "of": ["atlas", "fs"]},
    }
    config = checked(engines, manual=str(root), region={"features": "vote"})
    heads = [
        {"participant_id": "sub-01", "session_id": f"ses-{name}", "suffix": "T1w", "path": "x"}
        for name in "ab"
    ]
    return config, heads, heads + segmentations(config["segmentation"], heads), aseg


def test_what_runs_in_a_session_and_why_the_rest_does_not(settled):
    config, _, index, aseg = settled
    found = Segmentation(config, Cohort([], index, [], {}))
    first, second = ({name: why for _, name, why in found.all_of(f"sub-01_ses-{n}")} for n in "ab")
    assert first == {"atlas": None, "fs": None, "vote": None, "anna": "no mask of this rater"}
    missing = f"no {aseg}".replace("ses-a", "ses-b")
    assert second == {"atlas": None, "fs": missing, "vote": f"fs: {missing}", "anna": None}
    assert found.chosen("sub-01_ses-a") == [["thalamus", "vote"]]
    assert found.chosen("sub-01_ses-b") == []
    assert list(found.masks().values()) == found.drawn() == ["sub-01_ses-b"]
    assert found.label_images() == [str(aseg)]
    assert found.settings("Thalamus", "fs")["labels"] == [10, 49]


def test_an_excluded_result_takes_along_what_stands_on_it(settled):
    config, _, index, _ = settled
    excluded = {"participant_id": "sub-01", "session_id": "ses-a", "suffix": "thalamus_fs"}
    found = Segmentation(config, Cohort([], index, [excluded | {"reason": "failed"}], {}))
    assert found.why_not("thalamus", "vote", "sub-01_ses-a") == "fs: excluded: failed"


def test_several_files_of_a_session_and_sessions_without_name(settled):
    config, heads, _, aseg = settled
    engine = config["segmentation"]["regions"]["thalamus"]["engines"]["fs"]
    (aseg.parent / "aparc+aseg.mgz").touch()
    engine["files"] = str(aseg.parents[1] / "{prefix}/*aseg.mgz")
    with pytest.raises(InputError, match=r"fs\.files: .*aseg\.mgz, .* write the pattern so"):
        segmentations(config["segmentation"] | {"manual": None}, heads)
    engine["files"] = str(aseg.parents[1] / "{participant}_{session}/aseg.mgz")
    rows = segmentations(config["segmentation"] | {"manual": None}, [heads[0]])
    assert rows[0]["path"] == str(aseg)
    rows = segmentations(
        config["segmentation"] | {"manual": None}, [heads[0] | {"session_id": None}]
    )
    assert rows[0]["path"] is None and "names a session" in rows[0]["note"]


def test_a_network_runs_once_for_the_same_weights():
    mesh = {"kind": "network", "weights": "/w"}
    config = checked({"one": mesh, "two": mesh, "other": mesh | {"weights": "/v"}})
    found = Segmentation(config, Cohort([], [], [], {}))
    assert found.networks == {"networkone": "/w", "networkother": "/v"}
    config["anatomical"]["network"] = "/v"
    found = Segmentation(config, Cohort([], [], [], {}))
    assert found.networks == {"network": "/v", "networkone": "/w"}
    assert found.network_of("/v") == "network"


UNET = {"kind": "unet", "rater": "anna", "study": "s", "splits": 2, "split": 1}


def drawn(engines, people=5):
    """Segmentation of participants drawn by anna."""
    config = checked({name: {"kind": "atlas"} for name in engines}, manual="m")
    found = config["segmentation"]["regions"]["thalamus"]["engines"]
    for name, engine in engines.items():
        found[name] = {"channels": ["T1w"], "folds": 2} | engine
    rows = [
        {"participant_id": f"sub-{n}", "session_id": None, "suffix": suffix, "path": "x"}
        for n in range(people)
        for suffix in ("T1w", "thalamus_anna")
    ]
    return Segmentation(config, Cohort([], rows, [], {}))


def test_a_network_of_a_study_with_several_splits_is_another_in_each():
    vote = {"kind": "vote", "of": ["net", "atlas"]}
    found = drawn({"net": UNET, "atlas": ATLAS, "vote": vote})
    shown = {name for _, name, why in found.all_of("sub-1") if not why}
    assert shown == {"net", "atlas", "vote", "anna"}  # the twins stand behind the network's name
    assert found.parted("thalamus", "net") and not found.parted("thalamus", "atlas")
    assert found.in_split("thalamus", "net", 2) == "netsplit2"
    assert found.in_split("thalamus", "atlas", 2) == "atlas"
    assert found.settings("Thalamus", "netsplit2")["of_split"] == 2
    assert found.settings("Thalamus", "votesplit2")["of"] == ["netsplit2", "atlas"]
    assert found.settings("Thalamus", "vote")["of"] == ["net", "atlas"]
    assert found.settings("Thalamus", "net")["by_split"] == ["netsplit1", "netsplit2"]
    assert found.for_new_patients("{engine}_{fold}") == ["netsplit1_0"]


def test_of_one_split_a_network_is_one():
    one = {key: value for key, value in UNET.items() if key != "splits"}
    found = drawn({"net": one})
    assert not found.parted("thalamus", "net")
    assert "by_split" not in found.settings("Thalamus", "net")
    assert found.for_new_patients("{region}_{engine}_{fold}") == ["Thalamus_net_0"]
    assert drawn({"net": one}, people=3).for_new_patients("{engine}") == []  # four are needed


def test_an_engine_with_the_name_of_a_split_is_refused():
    with pytest.raises(InputError, match="netsplit1: is the name of net in split 1 .*rename it"):
        drawn({"net": UNET, "netsplit1": ATLAS})


def pretrained(folder, **told):
    """Section with a network of another run, whose description says this."""
    weights = folder / "Thalamus_net_fold-0_model.safetensors"
    weights.touch()
    described = {"Region": "thalamus", "Channels": ["T1w", "FLAIR"], "SpacingMm": 1.5} | told
    weights.with_suffix(".json").write_text(json.dumps(described))
    engine = {"kind": "pretrained_unet", "weights": str(weights)}
    return {"regions": {"thalamus": {"engines": {"net": engine}}}}


def test_a_network_of_another_run_reads_what_it_read_there(tmp_path):
    section = pretrained(tmp_path)
    complete_pretrained(section, {"T1w": {}, "FLAIR": {}})
    engine = section["regions"]["thalamus"]["engines"]["net"]
    assert engine["channels"] == ["T1w", "FLAIR"] and engine["spacing"] == 1.5


@pytest.mark.parametrize(
    ("told", "scans", "message"),
    [
        ({"Region": "caudate"}, ["T1w", "FLAIR"], "net.weights: is of caudate; name a network of"),
        ({}, ["T1w"], "net.weights: reads FLAIR, which scans does not name .T1w.; add it"),
        ({"Channels": None}, ["T1w"], "it names no region, channels or spacing.; copy both files"),
    ],
)
def test_a_network_that_does_not_fit_is_said_before_anything_runs(told, scans, message, tmp_path):
    with pytest.raises(InputError, match=message):
        complete_pretrained(pretrained(tmp_path, **told), dict.fromkeys(scans))


def test_weights_without_their_description_are_said(tmp_path):
    section = pretrained(tmp_path)
    (tmp_path / "Thalamus_net_fold-0_model.json").unlink()
    with pytest.raises(InputError, match="with its .json beside it .*; copy both files"):
        complete_pretrained(section, {"T1w": {}, "FLAIR": {}})
