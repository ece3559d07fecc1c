import pytest

from workflow_scripts.cohort.arteries import arteries_of, check_arteries
from workflow_scripts.common.job import InputError

MCA = ["hemi-L_label-MCA_desc-lumen_mask.nii.gz", "hemi-L_label-MCA_desc-outerwall_mask.nii.gz"]
MCA += ["hemi-R_label-MCA_desc-vesselwall_contours.tsv"]
BA = ["label-BA_desc-centerline_points.tsv"]


def rows(names):
    return [{"path": f"/data/vw/sub-01/anat/sub-01_ses-2_{name}"} for name in names]


def test_arteries_are_named_by_the_files():
    assert arteries_of(rows(MCA + BA)) == ("BA", "MCA_left", "MCA_right")


def test_different_arteries_are_refused_unless_a_set_is_declared():
    vessels = {"sub-01": rows(MCA), "sub-02": rows(MCA), "sub-03": rows(MCA[:2])}
    with pytest.raises(InputError) as error:
        check_arteries(None, vessels, "s")
    message = str(error.value)
    assert "vessel_wall.arteries: the sessions of studies.s have different arteries" in message
    assert "MCA_left, MCA_right: 2 (sub-01); MCA_left: 1 (sub-03)" in message
    assert "[MCA_left, MCA_right]" in message
    check_arteries(["MCA_left", "MCA_right"], vessels, "s")
    check_arteries(None, {"sub-01": rows(MCA), "sub-02": rows(MCA[::-1])}, "s")
    check_arteries(None, {}, "s")


def test_declared_artery_that_nobody_has_is_refused():
    with pytest.raises(InputError, match=r"no session of studies.s has ICA_left \(found: MCA_left"):
        check_arteries(["MCA_left", "ICA_left"], {"sub-01": rows(MCA)}, "s")
    check_arteries(["ICA_left"], {}, "s")
