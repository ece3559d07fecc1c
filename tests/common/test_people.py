import numpy as np
import pandas as pd
import pytest

from workflow_scripts.common.job import InputError
from workflow_scripts.common.people import as_covariates, as_numbers, as_terms, columns_of, members

POPULATION = pd.DataFrame(
    {
        "participant_id": ["sub-3", "sub-1", "sub-2", "sub-4"],
        "session_id": ["ses-1", "ses-2", "ses-1", "ses-1"],
        "label": ["ill", "healthy", "ill", "other"],
    }
)
KEY, FILE = "studies.s.inputs.clinical.columns", "clinical.tsv"


def people():
    return members(POPULATION, ["healthy", "ill"], "studies.s.classes")


def clinical(**columns):
    return pd.DataFrame({"participant_id": ["sub-1", "sub-2", "sub-3"], **columns})


def test_members_are_ordered_and_of_the_classes():
    found = people()
    assert found["participant_id"].tolist() == ["sub-1", "sub-2", "sub-3"]
    assert found["label"].tolist() == ["healthy", "ill", "ill"]


def test_members_refuse_missing_classes():
    with pytest.raises(InputError, match=r"studies.s.classes: .*no participant of \['dead'\]"):
        members(POPULATION, ["healthy", "dead"], "studies.s.classes")


def test_members_have_one_row_of_their_first_session():
    twice = pd.concat([POPULATION, POPULATION.iloc[[0, 3]].assign(session_id="ses-2", label="ill")])
    found = members(twice, ["healthy", "ill"], "studies.s.classes")
    assert found["participant_id"].tolist() == ["sub-1", "sub-2", "sub-3", "sub-4"]
    # sub-4 counts from the first session with one of the classes
    assert found["session_id"].tolist() == ["ses-2", "ses-1", "ses-1", "ses-2"]


def test_members_are_not_external():
    table = POPULATION.assign(external=["yes", "no", "no", "no"])
    found = members(table, ["healthy", "ill"], "studies.s.classes")
    assert found["participant_id"].tolist() == ["sub-1", "sub-2"]
    with pytest.raises(InputError, match=r"no participant of \['ill'\]"):
        members(table.assign(external="yes").iloc[:2], ["ill"], "studies.s.classes")


def test_columns_are_joined_by_participant_and_session():
    features = pd.DataFrame(
        {
            "participant_id": ["sub-1", "sub-1", "sub-2", "sub-3"],
            "session_id": ["ses-1", "ses-2", "ses-1", "ses-1"],
            "a": [1.0, 2.0, 3.0, 4.0],
        }
    )
    assert columns_of(people(), features, ["a"], KEY, "features.tsv")["a"].tolist() == [2, 3, 4]
    without = features.assign(session_id=np.nan).astype({"session_id": object}).iloc[1:]
    alone = people().assign(session_id=np.nan).astype({"session_id": object})
    assert columns_of(alone, without, ["a"], KEY, "features.tsv")["a"].tolist() == [2, 3, 4]
    table = clinical(age=[30, 40, 50])
    assert columns_of(people(), table[::-1], ["age"], KEY, FILE)["age"].tolist() == [30, 40, 50]


def test_columns_refuse_what_is_not_there():
    table = clinical(age=[30, 40, 50])
    with pytest.raises(InputError, match=f"{KEY}: {FILE} has no column bmi"):
        columns_of(people(), table, ["age", "bmi"], KEY, FILE)
    with pytest.raises(InputError, match=f"{KEY}: age stands twice"):
        columns_of(people(), table, ["age", "age"], KEY, FILE)
    with pytest.raises(InputError, match=f"{FILE}: no row for sub-3"):
        columns_of(people(), table[:2], ["age"], KEY, FILE)


def test_text_is_coded_against_its_first_level_and_missing_stays_missing():
    table = clinical(sex=["M", "F", None], race=["b", "c", "a"], on=[True, False, True])
    terms = as_terms(table.set_index("participant_id"), KEY, FILE)
    assert list(terms) == ["sex_M", "race_b", "race_c", "on"]
    assert terms["sex_M"].tolist()[:2] == [1, 0] and np.isnan(terms["sex_M"].iloc[2])
    assert terms["race_b"].tolist() == [1, 0, 0]
    assert terms["race_c"].tolist() == [0, 1, 0]
    assert terms["on"].tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([5, 5, None], "same for all 3"),
        ([None, None, None], "n/a for all 3"),
        ([1.0, np.inf, 2.0], "'inf' in sub-2"),
        (["1,5", "2", "3"], "'1,5' in sub-1"),
    ],
)
def test_numbers_refuse_what_cannot_be_analysed(values, message):
    table = clinical(x=values).set_index("participant_id")
    with pytest.raises(InputError, match=f"{KEY}: x of {FILE} .*{message}"):
        as_numbers(table, KEY, FILE)


def test_terms_refuse_numbers_written_as_text():
    table = pd.DataFrame({"x": [f"{i},5" for i in range(8)]})
    with pytest.raises(InputError, match=f"{KEY}: x of {FILE} has 8 different texts"):
        as_terms(table, KEY, FILE)
    with pytest.raises(InputError, match="same for all"):
        as_terms(pd.DataFrame({"x": ["yes", "yes"]}), KEY, FILE)


def test_constant_covariate_is_left_out_and_an_empty_one_refused(caplog):
    values = pd.DataFrame({"age": [30, 40, 50], "sex": ["F", "F", "F"]})
    assert list(as_covariates(values, KEY, FILE)) == ["age"]
    assert f"{KEY}: sex of {FILE} is the same for all 3 participants" in caplog.text
    with pytest.raises(InputError, match=f"{KEY}: bmi of {FILE} is n/a for all"):
        as_covariates(pd.DataFrame({"bmi": [np.nan, np.nan]}), KEY, FILE)
