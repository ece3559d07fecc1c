"""Time and memory of the diffusion wing on one series without a T1w, beside MRtrix3.

python benchmarks/diffusion.py sub-01_dwi.nii.gz

Each rule's script runs by itself on one thread, as under Snakemake; then the steps of
prepare_dwi; then dwidenoise, mrdegibbs, dwi2tensor and tensor2metric where they are installed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts import MAPS, SETTINGS, Cost, make_templates, run_script

from workflow_scripts.common.gradients import gradient_files


def show(name: str, cost: Cost) -> Cost:
    print(f"{name}\t{cost.wall:.1f}\t{cost.cpu:.1f}\t{cost.memory:.0f}", flush=True)
    return cost


def run_wing(dwi: str, folder: Path) -> list[Cost]:
    log = folder / "log.txt"
    out = make_templates(folder)
    template = {"template": out["t1w"], "template_mask": out["mask"]}
    prepared = {name: f"{folder}/{name}.nii.gz" for name in ("dwi", "b0", "mask")}
    prepared |= {name: f"{folder}/dwi.{name}" for name in ("bval", "bvec")}
    prepared |= {"motion": f"{folder}/motion.tsv", "sidecar": f"{folder}/dwi.json"}
    source = {"dwi": [dwi], "epi": [], "t1w": []}
    costs = [run_script("diffusion/prepare_dwi", source, prepared, log, settings=SETTINGS)]
    show("prepare_dwi", costs[-1])
    fitted = {name: f"{folder}/{name}.nii.gz" for name in MAPS}
    fitted |= {name: f"{folder}/{name}.tsv" for name in ("outliers", "gradient_check")}
    fitted["sidecar"] = f"{folder}/tensor.json"
    costs.append(run_script("diffusion/fit_tensor", prepared, fitted, log, bval=1000))
    show("fit_tensor", costs[-1])
    transforms = [f"{folder}/mni.mat", f"{folder}/mni.nii.gz"]
    out = {"transforms": transforms, "sidecar": f"{folder}/mni.json"}
    source = prepared | template
    costs.append(run_script("diffusion/register_dwi_to_mni", source, out, log, nonlinear=True))
    show("register_dwi_to_mni", costs[-1])
    source = prepared | template | {"tensor": fitted["tensor"], "rois": []}
    source["transforms"] = transforms[::-1]
    out = {"rois": f"{folder}/rois.tsv", "colour": f"{folder}/colour.nii.gz"}
    out["sidecar"] = f"{folder}/alps.json"
    limits = {"min_voxels": 4, "min_fa": 0.2, "bval": 1000, "t1w": False}
    costs.append(run_script("diffusion/measure_alps", source, out, log, **limits))
    show("measure_alps", costs[-1])
    return costs


def run_steps(dwi: str) -> None:
    """CPU seconds of the steps of prepare_dwi, in a process of their own."""
    from scipy.ndimage import binary_dilation
    from threadpoolctl import threadpool_limits

    from workflow_scripts.diffusion import prepare_dwi
    from workflow_scripts.diffusion.denoise import denoise, remove_ringing
    from workflow_scripts.diffusion.series import read_series

    start = time.process_time()

    def tick(name):
        nonlocal start
        print(f"  {name}\t\t{time.process_time() - start:.1f}", flush=True)
        start = time.process_time()

    with threadpool_limits(1):
        series = read_series([dwi])[0]
        zooms = series.image.header.get_zooms()[:3]
        mask = prepare_dwi.brain_mask(series.b0, zooms)
        wide = binary_dilation(mask, iterations=prepare_dwi.MARGIN_VOXELS)
        tick("read, mask")
        data, _ = denoise(series.data, wide, SETTINGS["denoise"])
        tick("denoise")
        data = remove_ringing(data, wide, SETTINGS["gibbs"])
        tick("remove ringing")
        series = prepare_dwi.replace(series, data=data)
        motions = prepare_dwi.find_motion(series, mask, SETTINGS)
        tick("motion")
        dwi, gradients, *_ = prepare_dwi.correct([series], None, [motions])
        tick("resample")
        b0 = dwi[..., gradients.is_b0].mean(axis=-1)
        mask = prepare_dwi.brain_mask(b0, zooms)
        prepare_dwi.bias_field(b0, mask, zooms)
        tick("mask, bias field")


def run_mrtrix(dwi: str, folder: Path) -> None:
    bval, bvec = gradient_files(dwi)
    steps = [
        ["dwidenoise", dwi, "mr_denoised.mif"],
        ["mrdegibbs", "mr_denoised.mif", "mr_unrung.mif"],
        ["dwi2tensor", "mr_unrung.mif", "mr_tensor.mif", "-fslgrad", str(bvec), str(bval)],
        ["tensor2metric", "mr_tensor.mif", "-fa", "mr_fa.mif", "-adc", "mr_md.mif"],
    ]
    for step in steps:
        start = time.perf_counter()
        command = [*step, "-nthreads", "0", "-quiet"]
        process = subprocess.Popen(command, cwd=folder)
        _, status, used = os.wait4(process.pid, 0)
        if status:
            raise RuntimeError(f"{step[0]} failed")
        wall = time.perf_counter() - start
        show(step[0], Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024))


def main(dwi: str) -> None:
    print("step\twall s\tCPU s\tpeak MB")
    with tempfile.TemporaryDirectory() as name:
        costs = run_wing(dwi, Path(name))
        total = [sum(cost.wall for cost in costs), sum(cost.cpu for cost in costs)]
        show("whole wing", Cost(*total, max(cost.memory for cost in costs)))
        if shutil.which("dwidenoise"):
            run_mrtrix(dwi, Path(name))
    print("steps of prepare_dwi\t\tCPU s")
    run_steps(dwi)


if __name__ == "__main__":
    main(str(Path(sys.argv[1]).absolute()))
