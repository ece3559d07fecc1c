"""Which sessions' pages wait for the maps of a study's networks."""

from types import SimpleNamespace

import pytest

from workflow_scripts.cohort.wiring import Wiring

POPULATION = [
    {"participant_id": "sub-1", "session_id": None, "label": "HC", "external": "no"},
    {"participant_id": "sub-2", "session_id": "ses-1", "label": "MS", "external": "no"},
    {"participant_id": "sub-3", "session_id": None, "label": "MS", "external": "yes"},
    {"participant_id": "sub-4", "session_id": None, "label": "other", "external": "no"},
]
STUDY = {
    "models": {"a": {"kind": "cnn"}, "b": {"kind": "contrastive"}, "c": {"kind": "svm"}},
    "design": {"classes": ["HC", "MS"]},
    "evaluation": {"gradcam": {}},
}
ANATOMICAL = {"brain_extraction": "deepbet", "registration": "syn", "preprocessed": None}


@pytest.fixture
def explained():
    studies = {"one": STUDY, "two": STUDY | {"evaluation": {"metrics": {}}}}
    started = SimpleNamespace(
        scans={},
        contrasts={},
        preprocessed={},
        segmentation=None,
        config={"studies": studies, "bids_dir": "x", "scans": {}, "anatomical": ANATOMICAL},
        populations=dict.fromkeys(studies, POPULATION),
    )
    maps = Wiring(started, 4).explained(["{folder}/{prefix}.mat"])
    return lambda prefix: maps(SimpleNamespace(prefix=prefix))


@pytest.mark.parametrize(("prefix", "folder"), [("sub-1", "sub-1"), ("sub-2_ses-1", "sub-2/ses-1")])
def test_maps_of_all_networks_of_the_study_that_asks_for_them(explained, prefix, folder):
    found = explained(prefix)
    names = [f"studies/one/gradcam/model-{name}" for name in "ab"]
    assert found["maps"] == [f"{name}_desc-sessions_gradcam.safetensors" for name in names]
    assert found["maps_index"] == [f"{name}_sessions.tsv" for name in names]
    assert found["transforms"] == [f"{folder}/{prefix}.mat"]


@pytest.mark.parametrize("prefix", ["sub-3", "sub-4", "sub-5"])
def test_pages_of_those_whom_no_network_tests_wait_for_none(explained, prefix):
    assert explained(prefix) == {"maps": [], "maps_index": [], "transforms": []}
