"""How fast the report of many sessions opens in Chromium.

python benchmarks/report_page.py                  # 1000 sessions, pictures beside the page
python benchmarks/report_page.py --sessions 200 --single-file

Simulated measures of T1w, diffusion and vessel walls, flagged as the workflow does, and no study;
every picture is a copy of one of the template's head. In a window of 1300 x 900 px: from the
navigation to the first paint and to the end of the load event, mean over the repeats; from the key
n to the next picture; and the former with a rating of every picture kept in the browser.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import scripts  # noqa: F401

import numpy as np  # isort: skip
import pandas as pd  # isort: skip
from nilearn import datasets  # isort: skip

from tests.report.devtools import Page
from tests.report.example import CONFIG, SIDECARS, write
from workflow_scripts.common.record import checksum
from workflow_scripts.common.tables import read_table
from workflow_scripts.report import draw_qc, flag_outliers
from workflow_scripts.report.ratings import identity
from workflow_scripts.report.write_report import render

KINDS = ("T1w", "dwi", "vesselwall")
MEASURES = {
    "gm_fraction": (0.4, 0.02), "wm_fraction": (0.34, 0.02), "csf_fraction": (0.26, 0.02),
    "tiv_ml": (1400, 110), "brain_mask_volume_ml": (1400, 110), "template_correlation": (0.7, 0.02),
    "ventricles_volume_ml": (20, 6), "alps": (1.5, 0.1), "dwi_snr": (30, 3),
    "dwi_mean_displacement_mm": (0.5, 0.1), "nwi": (0.5, 0.03), "lumen_area_mm2": (6, 0.3),
}  # fmt: skip
PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime"
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"
NEXT = "document.activeElement.querySelector('img')?.complete"


def draw(folder: Path) -> bytes:
    """Picture of the template's head, as `draw_qc` makes one of a session."""
    brain = datasets.load_mni152_brain_mask(resolution=1)
    white = datasets.load_mni152_wm_mask(resolution=1)
    labels = np.where(np.asarray(white.dataobj) > 0, 3, 2) * (np.asarray(brain.dataobj) > 0)
    images = {
        "t1w": datasets.load_mni152_template(resolution=1),
        "mask": brain,
        "tissues": brain.__class__(labels.astype(np.float32), brain.affine),
        "template_wm": white,
    }
    paths = {name: str(folder / f"{name}.nii.gz") for name in images}
    for name, image in images.items():
        image.to_filename(paths[name])
    same = {"regions": "tissues", "normalized": "t1w", "template_mask": "mask"}
    source = SimpleNamespace(**paths, **{name: paths[of] for name, of in same.items()}, before=[])
    draw_qc.main(source, SimpleNamespace(picture=folder / "head.webp"), None)
    return (folder / "head.webp").read_bytes()


def inputs(folder: Path, sessions: int, picture: bytes) -> SimpleNamespace:
    """Inputs of the report in an output folder."""
    rng = np.random.default_rng(0)
    names = [f"sub-{number:04d}" for number in range(1, sessions + 1)]
    ids = pd.DataFrame({"participant_id": names, "session_id": np.nan})
    values = {name: rng.normal(*about, sessions) for name, about in MEASURES.items()}
    few = rng.random(sessions) < 0.05
    values["alps"] = np.where(few, values["alps"] - 0.7, values["alps"])
    scans = pd.concat([ids.assign(suffix=kind, status="AVAILABLE") for kind in KINDS])
    scans = scans.assign(reason=None, note=None)
    lists = ("studies", "ratings", "sites", "recovered", "gradcam", "gradcam_truth", "models")
    lists += ("segmentation", "engine_pictures")
    source = SimpleNamespace(
        scans=write(scans, folder / "cohort/scans.tsv", "cohort"),
        features=write(ids.assign(**values), folder / "cohort/features.tsv", "cohort"),
        outliers=str(folder / "cohort/outliers.tsv"),
        sidecars=str(folder / "cohort/sidecars.json"),
        pictures=[],
        viewers=[f"{folder}/{name}/figures/{name}_desc-viewer_T1w.html" for name in names],
        **{name: [] for name in lists},
    )
    sidecars, measured = {}, dict.fromkeys(MEASURES)
    for name in names:
        (folder / name / "figures").mkdir(parents=True)
        for kind in KINDS:
            path = folder / name / "figures" / f"{name}_desc-qc_{kind}.webp"
            path.write_bytes(picture)
            source.pictures.append(str(path))
            for suffix, fields in SIDECARS[kind].items():
                sidecars[f"{name}/{name}_{suffix}.json"] = {**fields, "Measures": measured}
    Path(source.sidecars).write_text(json.dumps(sidecars))
    flag_outliers.main(source, SimpleNamespace(table=source.outliers), None)
    (folder / "report").mkdir()
    return source


def rated(source: SimpleNamespace) -> str:
    """What the browser keeps once every picture is rated."""
    digest = checksum(source.pictures[0])["sha256"]
    rows = [
        {"rater": "Ana", "date": "2026-01-01T00:00:00Z", "participant_id": name, "version": "1",
         "session_id": "n/a", "picture": f"desc-qc_{kind}", "rating": "good", "sha256": digest}
        for name in read_table(source.features)["participant_id"] for kind in KINDS
    ]  # fmt: skip
    return json.dumps({"rater": "Ana", "ratings": rows})


def opened(page: Page, repeats: int) -> dict[str, float]:
    """Seconds to the first paint and to the end of the load event."""
    times = []
    for _ in range(repeats):
        page.load()
        page.wait(f"{LOADED} > 0 && {PAINTED} > 0")
        times.append([page.evaluate(PAINTED) / 1000, page.evaluate(LOADED) / 1000])
    return dict(zip(("first paint", "load"), np.mean(times, axis=0), strict=True))


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sessions", type=int, default=1000)
    options.add_argument("--single-file", action="store_true")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--screenshot", help="PNG of the pictures in the page")
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        picture = draw(folder)
        source = inputs(folder / "out", asked.sessions, picture)
        report = {**CONFIG["report"], "qc_subjects": asked.sessions}
        config = CONFIG | {"studies": {}, "report": report | {"single_file": asked.single_file}}
        began = time.perf_counter()
        html = render(source, config)[0]
        print(f"{asked.sessions} sessions, pictures of {len(picture) / 1e3:.0f} kB")
        print(f"{len(read_table(source.outliers))} flags")
        print(f"written in {time.perf_counter() - began:.1f} s, {len(html.encode()) / 1e6:.1f} MB")
        path = folder / "out/report/index.html"
        path.write_text(html, encoding="utf-8")
        with Page(path) as page:
            for what, seconds in opened(page, asked.repeats).items():
                print(f"{what}: {seconds:.2f} s")
            began = time.perf_counter()
            page.press("n")
            page.wait(NEXT)
            print(f"next picture: {time.perf_counter() - began:.2f} s")
            key = f"neuroimmune-mri ratings {identity(config)}"
            page.evaluate(f"localStorage.setItem({json.dumps(key)}, {json.dumps(rated(source))})")
            for what, seconds in opened(page, asked.repeats).items():
                print(f"{what}, all rated: {seconds:.2f} s")
            if asked.screenshot:
                page.picture(asked.screenshot, "#rating-filters")


if __name__ == "__main__":
    main()
