"""Ties of the methods text on regions by several engines, see test_methods_text."""

from types import SimpleNamespace

import numpy as np

from tests.report.code import calls, constant, text_of, uses

G, COMMON = "segmentation/", "common/"


def largest_shares() -> bool:
    """Half a voxel more than two whole ones: the two, and the larger of the halves."""
    from workflow_scripts.segmentation.bring_back import as_many_voxels

    shares = np.zeros((7, 3, 3))
    shares[2:6, 1, 1] = [0.3, 1, 1, 0.6]
    return np.flatnonzero(as_many_voxels(shares)[:, 1, 1]).tolist() == [3, 4, 5]


def sessions_of_four(engine: dict):
    """`Segmentation` of an engine "e", of four people drawn by anna in two sessions each."""
    from workflow_scripts.cohort.cohort import Cohort
    from workflow_scripts.cohort.config import check_config
    from workflow_scripts.cohort.engines import Segmentation

    engines = {"e": engine}
    config = {"output_dir": "x", "anatomical": {}, "studies": {}}
    config["segmentation"] = {"manual": "m", "regions": {"thalamus": {"engines": engines}}}
    rows = [
        {"participant_id": f"sub-{person}", "session_id": session, "suffix": suffix, "path": "x"}
        for person in range(4)
        for session in ("ses-1", "ses-2")
        for suffix in ("T1w", "thalamus_anna")
    ]
    return Segmentation(check_config(config), Cohort([], rows, [], {}))


def nobodys_own_mask() -> bool:
    """Not the other sessions' either."""
    found = sessions_of_four({"kind": "multi_atlas", "rater": "anna"})
    others = found.others("thalamus", "anna", "sub-2_ses-1")
    return others == ["sub-0_ses-1", "sub-1_ses-1", "sub-3_ses-1"]


def folds_apart() -> bool:
    """No network that segments a person has seen the person; who was not drawn has that of all."""
    found = sessions_of_four({"kind": "unet", "rater": "anna", "folds": 2})
    made = SimpleNamespace(
        output=SimpleNamespace(sides="{prefix}", t1w="{prefix}", transforms=["{prefix}"])
    )
    made.output.aligned = None
    rules = SimpleNamespace(
        segment_region=made, prepare_t1w=made, register_to_mni=made, align_contrast=made
    )
    apart = []
    for person in range(4):
        fold = found.fold_of("thalamus", "e", f"sub-{person}_ses-2")
        wildcards = SimpleNamespace(region="Thalamus", engine="e", fold=str(fold))
        trained = found.training(wildcards, rules)["sides"]
        apart.append(fold > 0 and len(trained) == 2 and f"sub-{person}_ses-1" not in trained)
    return all(apart) and found.fold_of("thalamus", "e", "sub-9_ses-1") == 0


def more_than_half() -> bool:
    return "> len(source.members) / 2" in text_of(G + "segment_region", "vote")


def three_masks() -> bool:
    """A cube of 5 voxels of 1 mm at the edge of a scan, a millimetre less and more."""
    from workflow_scripts.segmentation.measure_radiomics import masks_of

    inside = np.zeros((7, 9, 9), bool)
    inside[:5, 2:7, 2:7] = True
    counts = [mask.sum() for mask in masks_of(inside, (1, 1, 1), 1.0).values()]
    return counts == [125, 4 * 3 * 3, 125 + 25 + 4 * 25]


def in_units_of_the_mean() -> bool:
    from workflow_scripts.segmentation.measure_radiomics import relative

    data = np.array([0, 1.0, 3, 50])
    return relative(data, np.array([True, True, True, False])).tolist() == [0, 0.5, 1.5, 25]


SEGMENTATION = {
    "left and right as one mask, were computed by mirp": lambda: (
        "np.asanyarray(sides.dataobj) > 0" in text_of(G + "measure_radiomics", "measured")
        and calls(G + "mirp_features", "extract_features", "features_of")
        and uses(G + "mirp_features", "compute_spatial_information")
        and "name != OF_SHAPE or channel == first" in text_of(G + "measure_radiomics", "measured")
    ),
    "Intensities are in units of their mean over brain or body": in_units_of_the_mean,
    "and intensities were brought to grey levels between the least and": lambda: (
        calls(
            G + "mirp_features",
            "extract_features",
            "features_of",
            base_discretisation_method="'fixed_bin_number'",
            new_spacing="settings['spacing'] and settings['spacing'][::-1]",
        )
        and not uses(G + "mirp_features", "spline_order")  # whose default is 3
    ),
    "texture is that of matrices merged over all directions": lambda: (
        not (
            uses(G + "mirp_features", "by_slice")
            or uses(G + "mirp_features", "glcm_spatial_method")
            or uses(G + "mirp_features", "glrlm_spatial_method")
        )
    ),
    "eroded and dilated by mm, the edge of the scan being none": three_masks,
    "of the workflow's own segmentation was parted": lambda: (
        "rules.segment_brain.output.regions" in text_of("cohort/engines", "inputs")
    ),
    "among the labels of a MeshNet": lambda: (
        "rules.label_brain.output.labels" in text_of("cohort/engines", "inputs")
    ),
    "were made outside of this workflow": lambda: (
        "self._files" in text_of("cohort/engines", "inputs")
    ),
    "to the grid of the T1w by the headers alone": lambda: uses(G + "bring_back", "affine"),
    "and as many of the voxels with the largest shares": largest_shares,
    "whose normalized brains correlate best": lambda: calls(
        G + "fuse_atlases", "corrcoef", "most_alike"
    ),
    "around the region by SyN with mutual information": lambda: uses(
        G + "fuse_atlases", "SyNOnly", "mattes", "joint_label_fusion", "part_of"
    ),
    "No person's own mask took part": nobodys_own_mask,
    "A 3D U-Net": lambda: (
        constant(G + "unet", "WIDTHS") == (16, 32, 64)
        and uses(G + "unet", "UNet", "DiceCELoss", "AdamW")
    ),
    "of MNI152 within 16 mm of the region": lambda: (
        constant(G + "unet", "MARGIN_MM") == 16.0 and uses(G + "unet", "affine", "frame")
    ),
    "within 24 mm of where the region was drawn in others": lambda: (
        constant(G + "unet", "NATIVE_MARGIN_MM") == 24.0
        and calls(G + "train_unet", "extent_of", "main")
    ),
    "tests, validates or calls external was trained on": lambda: (
        constant(G + "train_unet", "KEPT_APART") == ("test", "validation", "external")
    ),
    "splits of that study had such networks of its own": lambda: (
        "source.splits, where, split)" in text_of(G + "train_unet", "main")
    ),
    "of the split that tests a participant": lambda: (
        "splits['role'] == 'test'" in text_of(G + "segment_region", "of_tested_split")
    ),
    "nothing was brought to a template": lambda: (
        "if source.transforms:" in text_of("anatomical/align_contrast", "main")
    ),
    "mirrored, turned by up to 8 degrees": lambda: (
        constant(G + "unet", "DEGREES") == 8.0 and constant(G + "unet", "SCALE") == 0.08
    ),
    "segmented by the network of the other folds": folds_apart,
    "Taken was what more than half of": more_than_half,
    "and the likeliest voxels taken": lambda: calls(G + "segment_region", "as_many_voxels", "mean"),
    "95th percentile of the Hausdorff distance": lambda: calls(
        G + "overlap", "compute_hausdorff_distance", "hausdorff_95", percentile="95"
    ),
    "Friedman's test": lambda: (
        calls(G + "ranking", "friedmanchisquare", "_ranked")
        and calls(G + "ranking", "wilcoxon", "_ranked")
        and calls(G + "ranking", "multipletests", "_ranked", method="'holm'")
        and "wide.dropna(axis=1, how='all').dropna()" in text_of(G + "ranking", "ranking_table")
        and constant(G + "ranking", "SAMPLES") == 2000
    ),
    "and Deming's line with intervals of the jackknife": lambda: (
        calls(G + "compare_segmentations", "deming", "agreement_table")
        and calls(G + "compare_segmentations", "proportional_bias", "agreement_table")
        and uses(COMMON + "agreement", "ICC(A,1)")
    ),
}
