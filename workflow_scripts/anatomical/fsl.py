"""FSL through nipype, for cores that have it, with its transforms turned into ITK's.

FSL's coordinates are voxel indices times voxel sizes, the first axis counted
from the other end where the affine's determinant is positive. FSL maps source
to reference, ITK reference to source, and ITK's axes are left, posterior,
superior.
"""

import shutil
from pathlib import Path

import nibabel as nib
import numpy as np

from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.job import InputError

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
ITK_VECTOR_INTENT = 1007


def require(*programs: str) -> None:
    """Raise an InputError naming the FSL programs that are not on the PATH."""
    missing = [name for name in programs if shutil.which(name) is None]
    if missing:
        raise InputError(
            f"FSL's {', '.join(missing)} not found on the PATH; load FSL, or choose another "
            "anatomical.registration or anatomical.tissue_segmentation"
        )


def voxel_to_fsl(image: nib.Nifti1Image) -> np.ndarray:
    """(4, 4) matrix from voxel indices to FSL coordinates in mm."""
    matrix = np.diag([*image.header.get_zooms()[:3], 1.0])
    if np.linalg.det(image.affine[:3, :3]) > 0:
        matrix[0, 3] = (image.shape[0] - 1) * matrix[0, 0]
        matrix[0, 0] *= -1
    return matrix


def flirt_to_itk(
    matrix: np.ndarray, source: nib.Nifti1Image, reference: nib.Nifti1Image
) -> np.ndarray:
    """(4, 4) ITK matrix, reference to source in LPS mm, of a FLIRT matrix."""
    to_world = reference.affine @ np.linalg.inv(voxel_to_fsl(reference))
    from_world = voxel_to_fsl(source) @ np.linalg.inv(source.affine)
    return RAS_TO_LPS @ np.linalg.inv(to_world @ matrix @ from_world) @ RAS_TO_LPS


def field_to_itk(
    field: np.ndarray, source: nib.Nifti1Image, reference: nib.Nifti1Image
) -> nib.Nifti1Image:
    """ITK displacement field of a relative FSL warp field.

    Parameters
    ----------
    field : (x, y, z, 3) on the reference grid: FSL source minus FSL reference
        coordinates, mm
    """
    indices = np.moveaxis(np.indices(reference.shape), 0, -1)
    points = np.concatenate([indices, np.ones((*reference.shape, 1))], axis=-1)
    world = points @ reference.affine.T
    in_fsl = points @ voxel_to_fsl(reference).T
    in_fsl[..., :3] += field
    in_source = in_fsl @ (source.affine @ np.linalg.inv(voxel_to_fsl(source))).T
    displacement = ((in_source - world) @ RAS_TO_LPS)[..., None, :3].astype(np.float32)
    image = nib.Nifti1Image(displacement, reference.affine)
    image.header.set_intent(ITK_VECTOR_INTENT)
    return image


def write_itk_affine(matrix: np.ndarray, path: Path) -> str:
    """Write a (4, 4) LPS matrix as an ITK affine transform file."""
    transform = ants.create_ants_transform(
        transform_type="AffineTransform",
        dimension=3,
        matrix=matrix[:3, :3],
        translation=matrix[:3, 3],
    )
    ants.write_transform(transform, str(path))
    return str(path)


def register_with_fsl(template: str, brain: ants.ANTsImage, method: str, folder: Path) -> list[str]:
    """Register a brain to the template by FLIRT, or FLIRT and FNIRT.

    Parameters
    ----------
    template : path of the template's brain
    method : ``fsl_flirt`` or ``fsl_fnirt``
    folder : for the transforms and intermediate files

    Returns
    -------
    ITK transform files ``[affine]``, or ``[identity, warp, inverse warp]``: FSL's
    warps hold the affine part too.
    """
    from nipype.interfaces import fsl

    require("flirt", *(["fnirt", "convertwarp", "invwarp"] if method == "fsl_fnirt" else []))
    moving = str(folder / "brain.nii.gz")
    ants.image_write(brain, moving)
    source, reference = nib.load(moving), nib.load(template)
    matrix_file = str(folder / "flirt.mat")
    fsl.FLIRT(
        in_file=moving,
        reference=template,
        dof=12,
        cost="corratio",
        out_matrix_file=matrix_file,
        out_file=str(folder / "flirt.nii.gz"),
    ).run()
    if method == "fsl_flirt":
        matrix = flirt_to_itk(np.loadtxt(matrix_file), source, reference)
        return [write_itk_affine(matrix, folder / "affine.mat")]
    coefficients, warp, inverse = (
        str(folder / f"{name}.nii.gz") for name in ("fnirt", "warp", "inverse")
    )
    fsl.FNIRT(
        in_file=moving, ref_file=template, affine_file=matrix_file, fieldcoeff_file=coefficients
    ).run()
    fsl.ConvertWarp(
        reference=template, warp1=coefficients, relwarp=True, out_relwarp=True, out_file=warp
    ).run()
    fsl.InvWarp(warp=warp, reference=moving, relative=True, inverse_warp=inverse).run()
    files = [write_itk_affine(np.eye(4), folder / "affine.mat")]
    for name, field, origin, grid in (
        ("itk_warp", warp, source, reference),
        ("itk_inverse", inverse, reference, source),
    ):
        image = field_to_itk(nib.load(field).get_fdata(), origin, grid)
        files.append(str(folder / f"{name}.nii.gz"))
        nib.save(image, files[-1])
    return files


def fast_probabilities(brain: ants.ANTsImage) -> np.ndarray:
    """Partial volumes of CSF, GM and WM by FSL FAST, (x, y, z, tissue)."""
    import tempfile

    from nipype.interfaces import fsl

    require("fast")
    with tempfile.TemporaryDirectory() as folder:
        image = f"{folder}/brain.nii.gz"
        ants.image_write(brain, image)
        fsl.FAST(in_files=image, img_type=1, number_classes=3, out_basename=f"{folder}/fast").run()
        return np.stack(
            [nib.load(f"{folder}/fast_pve_{i}.nii.gz").get_fdata() for i in range(3)], axis=-1
        )
