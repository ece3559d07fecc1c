"""Pictures are rated, the workflow runs again, and what is excluded stays so."""

import shutil

from tests.common.test_ratings import write
from tests.workflow.small_cohort import configuration
from tests.workflow.snake import finished, jobs, said, snakemake
from workflow_scripts.common.ratings import picture_path
from workflow_scripts.common.record import checksum
from workflow_scripts.common.tables import read_table


def test_a_scan_rated_bad_is_excluded_and_its_rating_holds(small_study, tmp_path):
    """Its picture is not in the report any more; the study's split was drawn with it."""
    folder = shutil.copytree(small_study, tmp_path / "copy", symlinks=True)
    results, rows = folder / "results", []
    for number in range(1, 7):
        row = {"participant_id": f"sub-{number}", "session_id": None, "picture": "desc-qc_T1w"}
        sha256 = checksum(results / picture_path(row))["sha256"]
        rating = "bad" if number in (2, 3) else "good"
        rows.append(row | {"session_id": "n/a", "sha256": sha256, "rating": rating})
    rows[2]["sha256"] = "0" * 64
    (folder / "ratings").mkdir()
    write(folder / "ratings/ana.tsv", *rows)
    rated = {"ratings": str(folder / "ratings"), "exclude_rated": ["bad"]}
    process = snakemake("--dry-run", config=configuration(folder / "bids", **rated), folder=folder)
    assert process.returncode == 1 and "split 1 was drawn with sub-2" in said(process)
    config = configuration(folder / "bids", studies={}, **rated)
    process = finished(config=config, folder=folder)
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
    assert not jobs(finished("--dry-run", config=config, folder=folder))
