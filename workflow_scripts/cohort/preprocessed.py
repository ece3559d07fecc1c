"""Results of fMRIPrep, sMRIPrep and QSIPrep that stand in for steps of the workflow.

Imported by the Snakefile, so nothing heavy is imported here.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from workflow_scripts.common.bids import beside, entities_of, generated_by
from workflow_scripts.common.job import InputError, listing

ANATOMICAL_PROGRAMS, DIFFUSION_PROGRAMS = ("fMRIPrep", "sMRIPrep"), ("QSIPrep",)
SPACE = "MNI152NLin2009aSym"
T1W, DWI, MASK = "desc-preproc_T1w.nii.gz", "desc-preproc_dwi.nii.gz", "desc-brain_mask.nii.gz"
ENDINGS = {
    "T1w": [T1W, MASK],
    "tissues": [f"label-{tissue}_probseg.nii.gz" for tissue in ("CSF", "GM", "WM")],
    "transforms": [
        f"from-{here}_to-{there}_mode-image_xfm.h5"
        for here, there in (("T1w", SPACE), (SPACE, "T1w"))
    ],
}
NONLINEAR = ("syn", "fsl_fnirt")
KEY_T1W, KEY_DWI = "anatomical.preprocessed", "diffusion.preprocessed"
SHOWN = 10
OWN = {"desc", "space", "suffix", "ext"}


@dataclass(frozen=True)
class Preprocessed:
    """Files that stand in for steps, by session.

    Attributes
    ----------
    anatomical, diffusion : folders of the derivatives, None where our own steps are done
    taken : names in `ENDINGS`
    registration : method of the configuration
    t1w, dwi : index rows of the usable scans, by session prefix
    """

    anatomical: str | None
    taken: tuple[str, ...]
    diffusion: str | None
    registration: str
    t1w: dict[str, dict]
    dwi: dict[str, list[dict]]

    def of_t1w(self, name: str, prefix: str) -> list[str]:
        """Files of a name in `ENDINGS` of a session; none where they are not taken.

        Raises
        ------
        InputError
            If one is not there, or another template's is.
        """
        if not self.anatomical or name not in self.taken:
            return []
        first = self._found(self.anatomical, "anat", T1W, prefix, self.t1w[prefix])
        start = first.name.removesuffix(T1W)
        files = [first.with_name(start + end) for end in ENDINGS[name]]
        for file in files:
            if not file.is_file():
                raise InputError(f"{file} is not there{_other_templates(first, start, name)}")
        return [str(file) for file in files]

    def of_dwi(self, prefix: str) -> list[str]:
        """Series, its .bval and .bvec, and where there is one its brain mask; or nothing."""
        if not self.diffusion:
            return []
        series = self._found(self.diffusion, "dwi", DWI, prefix, *self.dwi[prefix])
        files = [str(series), *(beside(str(series), end) for end in (".bval", ".bvec"))]
        for file in files[1:]:
            if not Path(file).is_file():
                raise InputError(f"{file} is not there")
        mask = series.with_name(series.name.replace(DWI, MASK))
        return files + [str(mask)] * mask.is_file()

    def check(self) -> None:
        """Look for the files of all sessions.

        Raises
        ------
        InputError
            If a folder is not there or of another program, or with the sessions that lack a file.
        """
        if "transforms" in self.taken and self.registration not in NONLINEAR:
            raise InputError(
                f"{KEY_T1W}.take: transforms of fMRIPrep are not linear, and "
                f"anatomical.registration is {self.registration}; write registration: syn, or "
                "leave transforms out"
            )
        for key, folder, programs in (
            (KEY_T1W, self.anatomical, ANATOMICAL_PROGRAMS),
            (KEY_DWI, self.diffusion, DIFFUSION_PROGRAMS),
        ):
            if folder and not Path(folder).is_dir():
                raise InputError(f"{key}: no folder {folder}; correct it")
            if folder:
                program = generated_by(Path(folder))[0]
                if program.lower() not in [name.lower() for name in programs]:
                    raise InputError(
                        f"{key}: {folder} was made by {program or 'no program that it names'} "
                        f"(GeneratedBy of its dataset_description.json), not by "
                        f"{' or '.join(programs)}; correct it"
                    )
        wanted = [
            (KEY_T1W, "T1w", self.t1w, lambda p: [self.of_t1w(name, p) for name in self.taken]),
            (KEY_DWI, "dwi", self.dwi, self.of_dwi),
        ]
        for key, suffix, scans, files in wanted:
            lacking = []
            for prefix in scans:
                try:
                    files(prefix)
                except InputError as error:
                    lacking.append(f"{prefix}: {error}")
            if lacking:
                hidden = len(lacking) - SHOWN
                told = [*lacking[:SHOWN], *([f"and {hidden} more"] if hidden > 0 else [])]
                raise InputError(
                    f"{key}: {len(lacking)} of {len(scans)} sessions lack what stands in for their "
                    f"{suffix}; make it, or list their {suffix} in the exclusions TSV (sessions "
                    f"prepared in two ways are not comparable): {listing(told)}"
                )

    @cached_property
    def _sessions(self) -> dict[str, int]:
        """Sessions with a T1w of each participant."""
        counts = {}
        for row in self.t1w.values():
            counts[row["participant_id"]] = counts.get(row["participant_id"], 0) + 1
        return counts

    def _found(self, folder, kind, ending, prefix, *rows) -> Path:
        """The one preprocessed image that a session's raw scans can have become."""
        root = Path(folder)
        of_session = root / prefix.replace("_", "/") / kind
        participant = rows[0]["participant_id"]
        places = [of_session, root / participant / kind] if kind == "anat" else [of_session]
        known = [entities_of(Path(row["path"]).name) for row in rows]
        for place in dict.fromkeys(places):
            found = [
                file
                for file in sorted(place.glob(f"sub-*_{ending}"))
                if (kind == "dwi" or "space" not in entities_of(file.name))
                and any(_fits(entities_of(file.name), of_scan) for of_scan in known)
            ]
            if len(found) > 1:
                names = " and ".join(file.name for file in found)
                raise InputError(f"{names} of {place} may both be it; keep one")
            if found and place != of_session and self._sessions[participant] > 1:
                raise InputError(
                    f"{found[0]} is an average over {self._sessions[participant]} sessions; "
                    "have each made of its own (--subject-anatomical-reference sessionwise)"
                )
            if found:
                return found[0]
        raise InputError(f"no *_{ending} of {' or of '.join(map(str, dict.fromkeys(places)))}")


def _fits(entities: dict, of_scan: dict) -> bool:
    """Whether a derivative's entities are some of a raw scan's."""
    return {k: v for k, v in entities.items() if k not in OWN}.items() <= of_scan.items()


def _other_templates(first: Path, start: str, name: str) -> str:
    others = sorted(
        entities_of(file.name)["to"]
        for file in first.parent.glob(f"{start}from-T1w_to-*_mode-image_xfm.h5")
    )
    if name != "transforms" or not others:
        return ""
    return (
        f", only to {', '.join(others)}: make {SPACE} (--output-spaces {SPACE}), or leave "
        f"transforms out of {KEY_T1W}.take, and the T1w are registered here"
    )
