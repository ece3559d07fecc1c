"""Pictures are rated, the workflow runs again, and what is excluded stays so."""

from tests.common.test_ratings import write
from tests.workflow.snake import finished, jobs, said, snakemake
from workflow_scripts.common.ratings import picture_path
from workflow_scripts.common.record import checksum
from workflow_scripts.common.tables import read_table


def test_a_scan_rated_bad_is_excluded_and_its_rating_holds(small_copy, tmp_path):
    """Its picture is not in the report any more; the study's split was drawn with it."""
    results, rows = tmp_path / "results", []
    for number in range(1, 7):
        row = {"participant_id": f"sub-{number}", "session_id": None, "picture": "desc-qc_T1w"}
        sha256 = checksum(results / picture_path(row))["sha256"]
        rating = "bad" if number in (2, 3) else "good"
        rows.append(row | {"session_id": "n/a", "sha256": sha256, "rating": rating})
    rows[2]["sha256"] = "0" * 64
    (tmp_path / "ratings").mkdir()
    write(tmp_path / "ratings/ana.tsv", *rows)
    rated = small_copy | {"ratings": str(tmp_path / "ratings"), "exclude_rated": ["bad"]}
    process = snakemake("--dry-run", config=rated, folder=tmp_path)
    assert process.returncode == 1 and "split 1 was drawn with sub-2" in said(process)
    config = rated | {"studies": {}}
    process = finished(config=config, folder=tmp_path)
    assert "prepare_t1w" not in jobs(process)
    assert "ratings: scans excluded for their pictures: 1" in said(process)
    assert "are void, since the pictures have changed" in said(process)
    assert "sub-3 T1w (Ana)" in said(process)
    scans = read_table(results / "cohort/scans.tsv").query("status == 'EXCLUDED'")
    assert scans[["participant_id", "reason"]].values.tolist() == [
        ["sub-2", "rated bad by Ana: motion"]
    ]
    status = read_table(results / "cohort/ratings.tsv").set_index("participant_id")["status"]
    assert status[status == "void"].index.tolist() == ["sub-3"] and len(status) == 6
    page = (results / "report/index.html").read_text()
    assert 'data-participant_id="sub-2"' not in page and 'data-participant_id="sub-1"' in page
    assert not jobs(finished("--dry-run", config=config, folder=tmp_path))
