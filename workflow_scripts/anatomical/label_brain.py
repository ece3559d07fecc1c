"""Labels of a brain by a network whose weights the user has."""

import nibabel as nib
import numpy as np
import pandas as pd
import torch

from workflow_scripts.anatomical.lesions import lesions_filled
from workflow_scripts.anatomical.meshnet import (
    bring_back,
    class_probabilities,
    conform,
    load_network,
)
from workflow_scripts.common.images import (
    save_labels,
    save_probability,
    voxel_volume_ml,
    write_sidecar,
)
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.resources import resource

TISSUES = ["CSF", "GM", "WM"]


def main(source, out, threads):
    """Label a brain, and write labels and tissue probabilities on the grid of its T1w."""
    torch.set_num_threads(threads)
    known = pd.read_csv(resource("meshnet_labels.tsv"), sep="\t")
    network = load_network(source.layers, source.weights)
    if network[-1].out_channels != len(known):
        raise InputError(
            f"{source.layers}: the network has {network[-1].out_channels} classes, where the "
            f"{len(known)} of resources/meshnet_labels.tsv are known; correct "
            "anatomical.network or the weights of the engine"
        )
    head = nib.load(source.t1w)
    mask = np.asanyarray(nib.load(source.mask).dataobj) > 0
    if source.lesions:
        seen = lesions_filled(head.get_fdata(), mask, head.header.get_zooms(), source)
        head = nib.Nifti1Image(seen, head.affine, head.header)
    box = tuple(slice(axis.min(), axis.max() + 1) for axis in np.nonzero(mask))
    conformed = conform(head, mask)
    found = class_probabilities(network, conformed)
    found = bring_back(found, conformed.affine, head, box) * mask[box]
    labels = np.zeros(mask.shape, np.uint8)
    labels[box] = found.argmax(axis=0)
    save_labels(labels, head, out.labels)
    for tissue, path in zip(TISSUES, out.probabilities, strict=True):
        of_tissue = np.zeros(mask.shape, np.float32)
        of_tissue[box] = found[known["tissue"] == tissue].sum(axis=0)
        save_probability(of_tissue, head, path)
    volumes = np.bincount(labels[mask], minlength=len(known)) * voxel_volume_ml(head)
    write_sidecar(
        out.sidecar,
        sources=[source.t1w, source.mask, *([source.lesions] if source.lesions else [])],
        software=["torch"],
        measures={},
        Description="Labels of a network, numbered as in LabelNames",
        LabelNames=dict(zip(known["label"], known["index"].tolist(), strict=True)),
        VolumesMl=dict(zip(known["label"], np.round(volumes, 3).tolist(), strict=True)),
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.threads)
