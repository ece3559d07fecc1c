"""Noise and Gibbs ringing of a diffusion series."""

import subprocess
import sys
import tempfile
from pathlib import Path

import nibabel as nib
import numpy as np
from dipy.denoise.gibbs import gibbs_removal
from dipy.denoise.localpca import mppca

from workflow_scripts.common.job import InputError


def denoise(dwi: np.ndarray, mask: np.ndarray, method: str) -> tuple[np.ndarray, float | None]:
    """Remove thermal noise by Marchenko-Pastur PCA.

    Veraart et al. 2016, doi:10.1016/j.neuroimage.2016.08.016.

    Parameters
    ----------
    dwi : (x, y, z, volumes) float32
    mask : (x, y, z) bool; outside of it nothing changes
    method : ``mppca`` (dipy), ``mrtrix3`` or ``none``

    Returns
    -------
    (x, y, z, volumes) float32, and the median standard deviation of the noise in
    the mask (None without denoising)
    """
    if method == "none":
        return dwi, None
    if method == "mrtrix3":
        with tempfile.TemporaryDirectory() as folder:
            clean = _mrtrix("dwidenoise", dwi, ["-noise", f"{folder}/noise.nii"])
            noise = nib.load(f"{folder}/noise.nii").get_fdata()
    else:
        with np.errstate(invalid="ignore"):  # dipy divides by zero outside the mask
            clean, noise = mppca(
                dwi, mask=mask, patch_radius=2, return_sigma=True, suppress_warning=True
            )
    changed = mask[..., None] & np.isfinite(clean)
    return np.where(changed, clean, dwi).astype(np.float32), float(np.nanmedian(noise[mask]))


def remove_ringing(dwi: np.ndarray, mask: np.ndarray, method: str) -> np.ndarray:
    """Remove Gibbs ringing in the slices (third axis) by subvoxel shifts.

    Kellner et al. 2016, doi:10.1002/mrm.26054.

    Parameters
    ----------
    dwi : (x, y, z, volumes) float32
    mask : (x, y, z) bool; dipy leaves slices that it does not touch as they are
    method : ``dipy``, ``mrtrix3`` or ``none``
    """
    if method == "none":
        return dwi
    if method == "mrtrix3":
        return _mrtrix("mrdegibbs", dwi, [])
    slices = mask.any(axis=(0, 1))
    clean = dwi.copy()
    clean[:, :, slices] = gibbs_removal(dwi[:, :, slices], slice_axis=2, num_processes=1)
    return clean


def _mrtrix(program, dwi, options):
    with tempfile.TemporaryDirectory() as folder:
        before, after = Path(folder, "in.nii"), Path(folder, "out.nii")
        nib.save(nib.Nifti1Image(dwi, np.eye(4)), before)
        command = [program, str(before), str(after), "-nthreads", "1", *options]
        try:
            subprocess.run(command, check=True, stdout=sys.stdout, stderr=sys.stderr)
        except FileNotFoundError as error:
            raise InputError(
                f"{program} is not installed; install MRtrix3 or choose another engine "
                "in the configuration's section diffusion"
            ) from error
        return np.asanyarray(nib.load(after).dataobj).astype(np.float32)
