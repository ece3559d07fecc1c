"""Agreement of raters against other programs and by hand."""

import hashlib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats.inter_rater import cohens_kappa

from tests.common.test_ratings import ROW, write
from workflow_scripts.common.ratings import RATINGS, others_now, picture_path
from workflow_scripts.common.tables import read_table
from workflow_scripts.report.collect_ratings import (
    agreement_table,
    kappa_interval,
    main,
    rating_table,
    weighted_kappa,
)


def two_raters(pairs, sessions=1, **row):
    """Rows of Ana and Ben, who give these pairs of ratings to one participant after the other."""
    made = []
    for place, pair in enumerate(pairs):
        who = {
            "participant_id": f"sub-{place // sessions}",
            "session_id": f"ses-{place % sessions}",
        }
        for rater, rating in zip(("Ana", "Ben"), pair, strict=True):
            made.append(ROW | who | {"rater": rater, "rating": rating} | row)
    return made


def agreement(rows):
    return agreement_table(rating_table(rows, {}))


def test_weighted_kappa_is_that_of_two_libraries():
    rng = np.random.default_rng(1)
    counts = rng.integers(1, 20, (4, 3, 3))
    for table, kappa in zip(counts, weighted_kappa(counts), strict=True):
        first, second = (np.repeat(places.ravel(), table.ravel()) for places in np.indices((3, 3)))
        assert kappa == pytest.approx(cohen_kappa_score(first, second, weights="linear"))
        assert kappa == pytest.approx(cohens_kappa(table, wt="linear").kappa)
    assert np.isnan(weighted_kappa(np.diag([5, 0, 0])))


def test_interval_is_near_the_formula_for_many_participants():
    """Fleiss, Cohen & Everitt 1969, as statsmodels has it, for one picture of each of 400."""
    table = np.array([[150, 30, 5], [20, 80, 20], [5, 20, 70]])
    first, second = (np.repeat(places.ravel(), table.ravel()) for places in np.indices((3, 3)))
    formula = cohens_kappa(table, wt="linear")
    low, high = kappa_interval(np.arange(table.sum()), first, second)
    np.testing.assert_allclose([low, high], [formula.kappa_low, formula.kappa_upp], atol=0.01)
    # The same picture four times each tells no more of the raters than once.
    four = [np.repeat(values, 4) for values in (np.arange(table.sum()), first, second)]
    np.testing.assert_allclose(kappa_interval(*four), [low, high])


def test_agreement_of_each_pair_and_kind_of_picture():
    """By hand: of 6 pictures 4 are equal, one off by one and one by two.

    Observed disagreement 3 / 6; expected, with 3, 1, 2 and 2, 2, 2 ratings, is
    (3 * 2 * 1 + 3 * 2 * 2 + 1 * 2 + 1 * 2 + 2 * 2 * 2 + 2 * 2 * 1) / 36 = 34 / 36.
    """
    pairs = [("good", "good"), ("good", "bad"), ("doubtful", "doubtful")]
    pairs += [("bad", "doubtful"), ("bad", "bad"), ("good", "good")]
    rows = two_raters(pairs) + two_raters(pairs[:3], picture="desc-qc_dwi")
    table = agreement(rows).set_index("suffix")
    assert table.loc["T1w", ["rater_a", "rater_b"]].tolist() == ["Ana", "Ben"]
    assert table.loc["T1w", ["n", "participants"]].tolist() == [6, 6]
    assert table.loc["T1w", "share_equal"] == pytest.approx(4 / 6)
    assert table.loc["T1w", "kappa"] == pytest.approx(1 - (3 / 6) / (34 / 36))
    assert (
        table.loc["T1w", "kappa_low"] < table.loc["T1w", "kappa"] < table.loc["T1w", "kappa_high"]
    )
    assert table.loc["dwi", "n"] == 3
    assert table.loc["dwi", ["kappa", "kappa_low", "kappa_high", "share_equal"]].isna().all()


def test_a_handful_is_counted_in_participants_not_in_pictures():
    pairs = [("good", "good"), ("bad", "bad")] * 4
    assert agreement(two_raters(pairs, sessions=2))["kappa"].isna().all()
    assert agreement(two_raters(pairs, sessions=1))["kappa"].tolist() == [1.0]


def test_kappa_says_nothing_where_it_cannot():
    same = agreement(two_raters([("good", "good")] * 6)).iloc[0]
    assert np.isnan(same["kappa"]) and same["share_equal"] == 1
    equal = agreement(two_raters([("good", "good"), ("bad", "bad")] * 3)).iloc[0]
    assert equal["kappa"] == 1 and np.isnan(equal["kappa_low"])
    constant = agreement(two_raters([("good", "good"), ("bad", "good")] * 3)).iloc[0]
    assert constant["kappa"] == 0 and np.isnan(constant["kappa_low"])


def test_only_pictures_that_both_have_rated_in_the_same_version_count():
    rows = two_raters([("good", "good"), ("bad", "doubtful"), ("bad", "bad")] * 2)
    rows[0]["sha256"] = "b" * 64
    [row] = agreement(rows).to_dict("records")
    assert row["n"] == 5
    assert agreement([row for row in rows if row["rater"] == "Ana"]).empty


@pytest.mark.parametrize("given", [slice(2), slice(1, 2)], ids=["drawn", "drawn no more"])
def test_every_rating_is_written_and_void_ones_take_no_part(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    pairs = [("good", "doubtful"), ("bad", "bad"), ("good", "good")] * 2
    sha = hashlib.sha256(b"picture").hexdigest()
    rows = two_raters(pairs, sha256=sha)
    pictures = [picture_path(row) for row in rows[:4:2]]
    for path, content in zip(pictures, (b"another", b"picture"), strict=True):
        Path(path).parent.mkdir(parents=True)
        Path(path).write_bytes(content)
    files = [
        write(tmp_path / f"{name}.tsv", *(row for row in rows if row["rater"] == name))
        for name in ("Ben", "Ana")
    ]
    out = SimpleNamespace(ratings=tmp_path / "ratings.tsv", agreement=tmp_path / "agreement.tsv")
    source = SimpleNamespace(ratings=files, pictures=pictures[given])
    params = SimpleNamespace(others=others_now(files, source.pictures))
    assert sorted(params.others) == sorted({*pictures} - {*source.pictures})
    main(source, out, params)
    ratings = read_table(out.ratings)
    assert len(ratings) == 12 and set(ratings["rating"]) == set(RATINGS)
    void = ratings[ratings["status"] == "void"]
    assert void[["participant_id", "rater"]].values.tolist() == [["sub-0", "Ana"], ["sub-0", "Ben"]]
    assert ratings["comment"].unique().tolist() == [ROW["comment"]]
    assert read_table(out.agreement)["n"].tolist() == [5]
    once = [path.read_bytes() for path in (out.ratings, out.agreement)]
    source.ratings = files[::-1]
    main(source, out, params)
    assert [path.read_bytes() for path in (out.ratings, out.agreement)] == once
    pd.testing.assert_frame_equal(ratings, read_table(out.ratings))
