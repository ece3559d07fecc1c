"""A region of a session by one engine: left and right on the grid of its T1w, with volumes."""

import json
import tempfile
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np
from scipy import ndimage

from workflow_scripts.common.antspyx import ants
from workflow_scripts.common.bids import bids_uri, entities_of
from workflow_scripts.common.engines import (
    LEFT,
    RIGHT,
    SIDES,
    Labels,
    body_part_of,
    labels_of,
    plausible_ml,
    training_of,
)
from workflow_scripts.common.images import (
    load_scan,
    save_labels,
    save_probability,
    voxel_volume_ml,
    write_sidecar,
)
from workflow_scripts.common.job import InputError, job
from workflow_scripts.common.registration import from_template
from workflow_scripts.common.scans import require_usable
from workflow_scripts.common.splits import read_splits
from workflow_scripts.segmentation.bring_back import as_many_voxels, bring_back
from workflow_scripts.segmentation.fuse_atlases import Atlas, fuse, most_alike
from workflow_scripts.segmentation.run_program import run_program, without_places
from workflow_scripts.segmentation.sides import (
    exchanged,
    likeliest,
    one_hot,
    right_of_middle,
    right_of_midplane,
    sides_of,
)

VOLUME_KEPT = 0.02
IN_BODY = 0.8
SECOND_PIECE = 0.1
LEFT_TO_RIGHT = (0.75, 1.33)
# Kinds whose files others have made, and an empty one of which is an error.
GIVEN = ("import", "manual")


class Found(NamedTuple):
    """What an engine found.

    Attributes
    ----------
    sides : (x, y, z), 0 elsewhere, 1 left, 2 right
    probabilities : (left and right, x, y, z)
    fields : for the sidecar
    flags : what is doubtful
    """

    sides: np.ndarray
    probabilities: np.ndarray
    fields: dict
    flags: list[str]


def of_labels(source, settings: dict, right: np.ndarray) -> Found:
    """A region of a label image or a mask on the grid of the T1w: `atlas`, `network`, `manual`."""
    labels = np.asanyarray(load_scan(source.labels).dataobj)
    labels = labels >= 0.5 if settings["kind"] == "manual" else labels
    sides = sides_of(labels, Labels(*settings["labels"]), right)
    return Found(sides, one_hot(sides), {"LabelNumbers": settings["labels"]}, [])


def of_another_program(source, settings: dict, right: np.ndarray) -> Found:
    """A region of another program's label image, on whatever grid."""
    return _brought_back(source.labels, source.t1w, settings, right)


def of_a_program_run_here(source, settings: dict, right: np.ndarray) -> Found:
    """A region of the label image that a program makes of the T1w and other contrasts."""
    images = dict(zip(settings["channels"], source.channels, strict=True))
    where = f"engine {settings['engine']}"
    with tempfile.TemporaryDirectory() as folder:
        labels = run_program(settings, images, Path(folder), where)
        found = _brought_back(labels, source.t1w, settings, right)
    told = {"Command": without_places(settings["run"])}
    return found._replace(
        fields=found.fields | told | {"ProgramVersion": settings.get("version", "n/a")}
    )


def _brought_back(labels, t1w: str, settings: dict, right: np.ndarray) -> Found:
    require_usable(labels, labels=True)
    image, head, numbers = load_scan(labels), nib.load(t1w), settings["labels"]
    shares = bring_back(image, Labels(*numbers), head)
    one_number = numbers[0] == numbers[1]
    whole = shares[0] if one_number else shares.sum(axis=0)
    there = np.isin(np.asanyarray(image.dataobj), numbers).sum() * voxel_volume_ml(image)
    inside = as_many_voxels(whole)
    on_left = right < 0 if one_number else shares[0] >= shares[1]
    sides = np.where(inside, np.where(on_left, LEFT, RIGHT), 0)
    if one_number:
        shares = np.stack([whole * on_left, whole * ~on_left])
    kept, flags = inside.sum() * voxel_volume_ml(head), []
    if abs(kept - there) > VOLUME_KEPT * there:
        flags.append(
            f"{there:.2f} mL in the program's own file, {kept:.2f} mL on the grid of the T1w: "
            "cut off at its edge?"
        )
    fields = {"LabelNumbers": numbers, "Program": settings.get("program", "n/a")}
    return Found(sides, shares, fields | {"VolumeBeforeMl": round(there, 4)}, flags)


def vote(source, settings: dict, right: np.ndarray) -> Found:
    """What more than half of several engines call the region; its side by most of these."""
    total = np.zeros((2, *right.shape), np.float32)
    for path in source.members:
        total += one_hot(np.asanyarray(nib.load(path).dataobj))
    inside = total.sum(axis=0) > len(source.members) / 2
    sides = np.where(inside, np.where(total[0] >= total[1], LEFT, RIGHT), 0)
    return Found(sides, total / len(source.members), {"Of": settings["of"]}, [])


def mean(source, settings: dict, right: np.ndarray) -> Found:
    """The voxels with the largest mean probability of several engines, as many as these have.

    So the volume is the mean of theirs. At one half, two engines without probabilities would give
    either all that any of them has or what both have; and those of a network trained with a weight
    on a small region add up to more than it calls the region.
    """
    total = np.zeros((2, *right.shape), np.float32)
    for path in source.probabilities:
        total += np.moveaxis(nib.load(path).get_fdata(dtype=np.float32), -1, 0)
    total /= len(source.probabilities)
    counts = [np.count_nonzero(np.asanyarray(nib.load(path).dataobj)) for path in source.members]
    sides = np.where(total[0] >= total[1], LEFT, RIGHT)
    sides = np.where(as_many_voxels(total.sum(axis=0), np.mean(counts)), sides, 0)
    return Found(sides, total, {"Of": settings["of"]}, [])


def multi_atlas(source, settings: dict, right: np.ndarray) -> Found:
    """The masks that a rater drew in other participants, registered and fused."""
    number = len(source.transforms)
    transforms = [
        source.atlas_transforms[place : place + number]
        for place in range(0, len(source.atlas_transforms), number)
    ]
    columns = (source.atlas_t1w, source.atlas_sides, source.atlas_normalized, transforms)
    atlases = [Atlas(*files) for files in zip(*columns, strict=True)]
    chosen = most_alike(source.normalized, atlases, settings["atlases"])
    shares = fuse(ants.image_read(source.t1w), source.transforms, chosen)
    fields = {"Atlases": [bids_uri(one.sides) for one in chosen], "Known": len(atlases)}
    return Found(likeliest(shares), shares, fields, [])


def unet(source, settings: dict, right: np.ndarray) -> Found:
    """What a network finds that was trained without this participant, parted at the midplane."""
    # several seconds, which other engines need not wait for
    from safetensors.torch import load_file

    from workflow_scripts.segmentation import unet as networks

    spacing, affine = settings["spacing"], source.transforms[:1]
    if affine:
        number = labels_of("atlas", settings["region"]).left
        frame = networks.frame_around(source.regions, number, spacing)
    else:
        extent = training_of(source.model)["ExtentMm"]
        frame = networks.frame_of(source.t1w, np.array(extent), spacing)
    network = networks.make_network(len(settings["channels"]))
    network.load_state_dict(load_file(source.model))
    image = networks.seen(source.channels, affine, frame)
    found, t1w = frame.new_image_like(networks.shares_of(network.eval(), image)), source.t1w
    onto = ants.image_read(t1w)
    whole = (
        from_template(found, onto, affine)
        if affine
        else ants.apply_transforms(onto, found, []).numpy()
    )
    shares = np.stack([whole * (right < 0), whole * (right >= 0)]).astype(np.float32)
    sides = likeliest(shares)
    return Found(sides, shares, {"Model": bids_uri(source.model)}, in_pieces(sides))


def of_tested_split(source, settings: dict, right: np.ndarray) -> Found:
    """What the network of that split of a study finds which tests the participant.

    The first split's where none does, or several the first of these.
    """
    person = f"sub-{entities_of(Path(source.t1w).name)['sub']}"
    splits = read_splits(source.splits)
    tested = splits.loc[(splits["role"] == "test") & (splits["participant_id"] == person), "split"]
    split = int(tested.min()) if len(tested) else 1
    told = [json.loads(Path(path).read_text()) for path in source.sidecars]
    sides = np.asanyarray(nib.load(source.members[split - 1]).dataobj)
    shares = np.moveaxis(
        nib.load(source.probabilities[split - 1]).get_fdata(dtype=np.float32), -1, 0
    )
    flags, twins = in_pieces(sides), zip(settings["by_split"], told, strict=True)
    doubted = [name for name, one in twins if one["Flags"] and one is not told[split - 1]]
    if doubted:
        flags.append(f"in doubt in other splits too, see the flags of {', '.join(doubted)}")
    return Found(sides, shares, {"Model": told[split - 1]["Model"], "Split": split}, flags)


ENGINES = {
    "atlas": of_labels,
    "network": of_labels,
    "manual": of_labels,
    "import": of_another_program,
    "command": of_a_program_run_here,
    "vote": vote,
    "mean": mean,
    "multi_atlas": multi_atlas,
    "unet": unet,
    "pretrained_unet": unet,
}
SOFTWARE = {
    "import": ["nibabel", "scipy"],
    "command": ["nibabel", "scipy"],
    "multi_atlas": ["antspyx"],
    "unet": ["monai", "torch", "antspyx"],
    "pretrained_unet": ["monai", "torch", "antspyx"],
}


def volumes_of(sides: np.ndarray, voxel_ml: float) -> dict[str, float]:
    """Volumes in mL of left, right and both, by their names; none of a side without a voxel."""
    counts = {side: int((sides == number).sum()) for side, number in SIDES.items()}
    found = {side: count * voxel_ml for side, count in counts.items() if count}
    return found | ({"both": sum(found.values())} if len(found) == len(SIDES) else {})


def doubts(volumes: dict[str, float], region: str) -> list[str]:
    """Flags of volumes as of `volumes_of`: a side without a voxel, sizes that no region has."""
    low, high = plausible_ml(region)
    region = region.replace("_", " ")
    if empty := [side for side in SIDES if side not in volumes]:
        return [f"no voxel of the {region} on the {' and the '.join(empty)}: look at it"]
    flags = []
    if not low <= volumes["both"] <= high:
        flags.append(f"{region}: {volumes['both']:.1f} mL, outside {low:g} to {high:g}")
    ratio, (least, most) = volumes["left"] / volumes["right"], LEFT_TO_RIGHT
    if not least <= ratio <= most:
        flags.append(f"{region}: the left side is {ratio:.2f} times the right one")
    return flags


def in_pieces(sides: np.ndarray) -> list[str]:
    """Flags of sides (x, y, z) of which a second piece has more than `SECOND_PIECE` of the first.

    As where a network has taken something else for the region.
    """
    flags = []
    for side, number in SIDES.items():
        pieces, count = ndimage.label(sides == number)
        sizes = np.sort(np.bincount(pieces.ravel())[1:])[::-1]
        if count > 1 and sizes[1] > SECOND_PIECE * sizes[0]:
            large = int((sizes > SECOND_PIECE * sizes[0]).sum())
            flags.append(f"the {side} side is in {large} pieces: look at it")
    return flags


def check_place(
    found: Found, mask: np.ndarray, right: np.ndarray, path: str | None, body: str = "brain"
) -> None:
    """Refuse what cannot be the region of this scan.

    Parameters
    ----------
    mask : (x, y, z) bool, the brain or body
    right : as of `right_of_midplane`
    path : of the file that somebody else has made, for messages; None for the workflow's own

    Raises
    ------
    InputError
        If a given file has no voxel of the region, most of it is outside of the body, or left
        and right are exchanged.
    """
    inside, name = found.sides > 0, path or "the engine's result"
    if not inside.any():
        if path is None:
            return
        numbers = " or ".join(map(str, dict.fromkeys(found.fields["LabelNumbers"])))
        raise InputError(
            f"{name}: no voxel has the label {numbers} within the T1w; correct the program or the "
            "labels of the engine, or exclude the file"
        )
    share = mask[inside].mean()
    if share < IN_BODY:
        raise InputError(
            f"{name}: {100 * (1 - share):.0f} % of the region lies outside of the {body} of the "
            "T1w; is it of this scan, and is its header as the program wrote it?"
        )
    if problem := exchanged(found.sides, right):
        raise InputError(
            f"{name}: {problem}; left and right are exchanged, or it is of another scan: correct "
            "the labels of the engine, or the header of the file"
        )


def main(source, out, params):
    """Write a region's label image, its probabilities and its volumes."""
    settings, head = params.settings, nib.load(source.t1w)
    region, kind = settings["region"], settings["kind"]
    mask = np.asanyarray(nib.load(source.mask).dataobj) > 0
    if source.transforms:
        right = right_of_midplane(source.t1w, source.template, source.transforms)
    else:
        right = right_of_middle(mask, head.affine)
    find = of_tested_split if "by_split" in settings else ENGINES[kind]
    found = find(source, settings, right)
    body = "brain" if source.transforms else body_part_of(region)
    given = source.labels if kind in GIVEN else None
    try:
        check_place(found, mask, right, given, body)
    except InputError as error:
        if given or source.transforms:
            raise
        found.flags.append(str(error))  # of a network: the others go on
    save_labels(found.sides, head, out.sides)
    save_probability(np.moveaxis(found.probabilities, 0, -1), head, out.probabilities)
    volumes = volumes_of(found.sides, voxel_volume_ml(head))
    names = {"left": "left_", "right": "right_", "both": ""}
    read = ("labels", "members", "atlas_sides", "channels")
    labels = next(source.get(name) for name in read if source.get(name))
    write_sidecar(
        out.sidecar,
        sources=[source.t1w, *([labels] if isinstance(labels, str) else labels)],
        software=SOFTWARE.get(kind, ["numpy"]),
        measures={
            f"segmentation_{region}_{names[side]}volume_ml": size for side, size in volumes.items()
        },
        Description=f"{region}: {LEFT} left, {RIGHT} right",
        Engine=settings["engine"],
        Kind=kind,
        **found.fields,
        VoxelSizeMm=[round(float(size), 3) for size in head.header.get_zooms()[:3]],
        Flags=[*found.flags, *doubts(volumes, region)],
    )


if "snakemake" in globals():
    with job(snakemake):
        main(snakemake.input, snakemake.output, snakemake.params)
