"""What a run begins with: the checked configuration, the cohort and the studies' populations.

Imported by the Snakefile, so nothing heavy is imported here.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from workflow_scripts.cohort.arteries import check_arteries
from workflow_scripts.cohort.cohort import Cohort, keep_apart, load_cohort, simulated_cohort
from workflow_scripts.cohort.config import NETWORKS, WITH_RATERS, check_config, models_of
from workflow_scripts.cohort.corrections import read_corrections
from workflow_scripts.cohort.disk import moved
from workflow_scripts.cohort.draw_splits import check_design
from workflow_scripts.cohort.engines import Segmentation
from workflow_scripts.cohort.frozen import check_frozen
from workflow_scripts.cohort.index import DERIVED, GIVEN, is_derived
from workflow_scripts.cohort.population import (
    frozen_population,
    number_of_splits,
    session_prefixes,
)
from workflow_scripts.cohort.preprocessed import NONLINEAR, Preprocessed
from workflow_scripts.cohort.rated import check_rated, kept_exclusions, read_rated
from workflow_scripts.cohort.segmentation import (
    complete_pretrained,
    complete_radiomics,
    place_paths,
    weights_of,
)
from workflow_scripts.cohort.written import check_files, expanded
from workflow_scripts.common.bids import (
    CORRECTIONS,
    FMRIPREP,
    LESIONS,
    MANUAL,
    QSIPREP,
    RAW,
    VESSEL_WALL,
    drawn_on,
)
from workflow_scripts.common.inner import MOST_SPLITS
from workflow_scripts.common.job import InputError
from workflow_scripts.common.rows import read_rows

INDEX = "cohort/index.tsv"
SPLIT = "studies/{study}/split-{split}"
NETWORK_FILES = ("model.json", "model.safetensors")
SIMULATED = Path("demo/bids")
# Names of scans that rules of their own measure; all others are further contrasts.
MEASURED = ("T1w", "dwi", "epi", "VWI", *DERIVED)


@dataclass(frozen=True)
class Start:
    """What a run begins with.

    Attributes
    ----------
    config : checked, with absolute paths
    cohort : Cohort
    bids_dir, output_dir : Path; the simulated dataset lies in the output folder
    populations : rows of each study's population, by its name
    corrections : of brain masks, by session prefix, see `read_corrections`
    moved_from : folder in which the dataset lay at the last run, where that was another
    told : sentences about that and about the ratings of pictures, to be printed
    """

    config: dict
    cohort: Cohort
    bids_dir: Path
    output_dir: Path
    populations: dict[str, list[dict]]
    corrections: dict[str, dict]
    moved_from: str | None = None
    told: tuple[str, ...] = ()

    @cached_property
    def scans(self) -> dict[str, dict[str, list[dict]]]:
        """Index rows of usable scans, by name in ``scans`` or `DERIVED` and session prefix."""
        given = [r["suffix"] for r in self.cohort.index if GIVEN.fullmatch(r["suffix"])]
        names = dict.fromkeys([*MEASURED, *self.config["scans"], *given])
        return {name: self.cohort.scans(name) for name in names}

    @property
    def contrasts(self) -> dict[str, dict[str, dict]]:
        """Further contrasts of sessions that have a T1w: index row by name and session prefix."""
        t1w = self.scans["T1w"]
        return {
            name: {prefix: rows[0] for prefix, rows in scans.items() if prefix in t1w}
            for name, scans in self.scans.items()
            if name not in MEASURED and not is_derived(name)
        }

    @cached_property
    def lesions(self) -> dict[str, dict]:
        """Masks of lesions by session prefix.

        Path of the mask (``mask``), of the session's ``t1w``, and of the ``scan`` that the mask
        is drawn on by its name; None where the session has no such scan.
        """
        masks, contrasts = self.cohort.usable("lesions"), self.contrasts
        contrasts["T1w"] = self.cohort.usable("T1w")
        found = {}
        for prefix, row in masks.items():
            of_session = {name: rows.get(prefix) for name, rows in contrasts.items()}
            scan = of_session.get(drawn_on(Path(row["path"]).name))
            found[prefix] = {"mask": row["path"]} | {
                key: one and one["path"]
                for key, one in (("t1w", of_session["T1w"]), ("scan", scan))
            }
        return found

    @property
    def drawn_elsewhere(self) -> set[str]:
        """Prefixes of sessions whose lesions are drawn on another contrast than the T1w."""
        masks = self.lesions.items()
        return {prefix for prefix, mask in masks if mask["scan"] not in (None, mask["t1w"])}

    @property
    def masks(self) -> list[dict]:
        """Masks of lesions and of regions: ``mask``, ``t1w`` and ``scan`` as in `lesions`."""
        t1w = self.cohort.usable("T1w")
        drawn = {path: t1w.get(prefix) for path, prefix in self.segmentation.masks().items()}
        drawn = {path: row and row["path"] for path, row in drawn.items()}
        return [
            *self.lesions.values(),
            *({"mask": path, "t1w": scan, "scan": scan} for path, scan in drawn.items()),
        ]

    @cached_property
    def alps_files(self) -> list[str]:
        """The user's table of the regions of ALPS and the masks that it names; empty without."""
        table = self.config["diffusion"]["alps_rois"]
        rows = read_rows(Path(table)) if table else []
        return [table] * bool(table) + [
            str(Path(table).parent / row["mask"]) for row in rows if row.get("mask")
        ]

    @property
    def nonlinear(self) -> bool:
        """Whether the registration to the template has warps."""
        return self.config["anatomical"]["registration"] in NONLINEAR

    @cached_property
    def preprocessed(self) -> Preprocessed:
        """Results of other programs that stand in for steps."""
        given = self.config["anatomical"]["preprocessed"] or {"derivatives": None, "take": []}
        return Preprocessed(
            anatomical=given["derivatives"],
            taken=tuple(given["take"]),
            diffusion=self.config["diffusion"]["preprocessed"],
            registration=self.config["anatomical"]["registration"],
            t1w=self.cohort.usable("T1w"),
            dwi=self.scans["dwi"],
        )

    @cached_property
    def segmentation(self) -> Segmentation:
        """Engines that segment regions."""
        return Segmentation(self.config, self.cohort)

    @property
    def places(self) -> dict[str, str]:
        """Folders whose files are recorded as BIDS URIs, by the URI's beginning."""
        places = {
            RAW: self.config["bids_dir"] and str(self.bids_dir),
            VESSEL_WALL: self.config["vessel_wall"]["derivatives"],
            LESIONS: self.config["anatomical"]["lesions"],
            CORRECTIONS: self.config["corrections"],
            FMRIPREP: self.preprocessed.anatomical,
            QSIPREP: self.preprocessed.diffusion,
            MANUAL: self.config["bids_dir"] and self.config["segmentation"]["manual"],
        }
        return {uri: folder for uri, folder in places.items() if folder}


def start(config: dict, plan_cohort, main_process: bool, files=()) -> Start:
    """Check the configuration and the cohort.

    Parameters
    ----------
    config : as the user wrote it; relative paths count from the working directory
    plan_cohort : function of section ``demo`` to the plan of the simulated cohort
    main_process : False in the processes of the jobs, which read what the main one has kept
    files : those that the configuration was read from

    Raises
    ------
    InputError
        Saying which key, file or row is wrong.
    """
    if main_process:
        check_files(files)
    config = check_config(config)
    output_dir = Path(expanded(config["output_dir"], "output_dir")).absolute()
    _name_splits(config)
    only = config["participants"]
    if only:
        config["studies"] = {}
    _make_absolute(config["diffusion"], "alps_rois")
    if main_process and config["diffusion"]["alps_rois"]:
        from workflow_scripts.common.rois import read_rois

        read_rois(config["diffusion"]["alps_rois"])
    _make_absolute(config["anatomical"], "network")
    _make_absolute(config["anatomical"]["preprocessed"] or {}, "derivatives")
    _make_absolute(config["diffusion"], "preprocessed")
    place_paths(config["segmentation"], _make_absolute)
    _check_networks(weights_of(config))
    complete_pretrained(config["segmentation"], config["scans"])
    complete_radiomics(config["segmentation"])
    _make_absolute(config, "frozen_models")
    check_frozen(config)
    _make_absolute(config, "ratings")
    _make_absolute(config, "corrections")
    for name, study in config["studies"].items():
        for key, model in study["models"].items():
            _make_absolute(model, "weights")
            if model.get("weights") and not Path(model["weights"]).is_file():
                raise InputError(
                    f"studies.{name}.models.{key}.weights: no file {model['weights']}; correct it"
                )
        _make_absolute(study.get("design", {}), "table")
    # Another run's jobs read its index; Snakemake will refuse this one, or it is a dry run.
    busy = main_process and any((output_dir / ".snakemake/locks").glob("*.lock"))
    kept = None if only or busy else output_dir / INDEX
    ratings, told = [], []
    if kept and not main_process:
        rated = kept_exclusions(config, output_dir)
    else:
        ratings, rated, told = read_rated(config, output_dir, keep=bool(kept))
    if config["bids_dir"]:
        bids_dir = Path(expanded(config["bids_dir"], "bids_dir")).absolute()
        keep_apart(bids_dir.resolve(), output_dir.resolve())
        _make_absolute(config, "exclusions")
        _make_absolute(config["vessel_wall"], "derivatives")
        _make_absolute(config["anatomical"], "lesions")
        moved_from = _former_place(output_dir / INDEX, bids_dir) if main_process else None
        cohort = load_cohort(config, bids_dir, kept, main_process, rated)
    else:
        bids_dir, moved_from = SIMULATED, None
        config["exclusions"] = str(bids_dir / "exclusions.tsv")
        plan = plan_cohort(config["demo"])
        if plan.body_part != config["anatomical"]["body_part"]:
            raise InputError(
                f"anatomical.body_part: is {config['anatomical']['body_part']}, and demo.cohort "
                f"{config['demo']['cohort']} shows a {plan.body_part}; correct one of them"
            )
        cohort = simulated_cohort(config, plan, bids_dir, kept, rated)
        if config["demo"]["cohort"] in WITH_RATERS:
            config["segmentation"]["manual"] = str(bids_dir / "derivatives/manual")
    if not only:
        check_rated(ratings, cohort.index)
    populations = {}
    for name, study in config["studies"].items():
        table = f"{SPLIT}_population.tsv".format(study=name, split=study["split"])
        populations[name] = frozen_population(output_dir / table, study, name, cohort)
        _check_numbers_of_splits(name, study, populations[name])
        if main_process and "design" in study and not (output_dir / table).is_file():
            check_design(populations[name], study, f"studies.{name}")
        if "vesselwall" in study["scans"]:
            scans, inside = cohort.scans("vesselwall"), session_prefixes(populations[name])
            vessels = {prefix: scans[prefix] for prefix in inside if prefix in scans}
            check_arteries(config["vessel_wall"]["arteries"], vessels, name)
    count_splits(config, populations)
    corrections = {}
    if config["corrections"]:
        there = cohort.sessions, cohort.usable("T1w")
        corrections = read_corrections(config["corrections"], *there, check=main_process)
    if moved_from:
        told = [moved(moved_from, bids_dir), *told]
    read = populations, corrections, moved_from, tuple(told)
    started = Start(config, cohort, bids_dir, output_dir, *read)
    if main_process:
        started.preprocessed.check()
    return started


def _name_splits(config: dict) -> None:
    """Give networks the number of the split whose tested people they keep apart.

    Also in a run for some participants, which knows no study.
    """
    for region in config["segmentation"]["regions"].values():
        for engine in region["engines"].values():
            if engine.get("study"):
                engine["split"] = config["studies"][engine["study"]]["split"]


def count_splits(config: dict, populations: dict) -> None:
    """Give networks the number of splits, if several, whose tested people they keep apart.

    Raises
    ------
    InputError
        If a study reads radiomics, which are one table, in the masks of such a network.
    """
    for region in config["segmentation"]["regions"].values():
        for engine in region["engines"].values():
            design = config["studies"].get(engine.get("study"), {}).get("design")
            drawn = number_of_splits(populations[engine["study"]], design) if design else 1
            engine |= {"splits": drawn} if drawn > 1 else {}
    for name, study in config["studies"].items():
        for entry in study["inputs"].values():
            if "radiomics" not in entry:
                continue
            region = entry["radiomics"]["region"]
            section = config["segmentation"]["regions"][region]
            engines, asked = section["engines"], section["radiomics"]["engine"]
            for one in [asked, *engines.get(asked, {}).get("of", [])]:
                if "splits" in engines.get(one, {}):
                    raise InputError(
                        f"studies.{name}: reads radiomics of the {region} by {asked}, and the "
                        f"network {one} is another in each of its {engines[one]['splits']} splits; "
                        "take holdout, or an engine whose network others have trained "
                        "(pretrained_unet, import)"
                    )


def _former_place(index: Path, bids_dir: Path) -> str | None:
    """Where the dataset of the last run lay, if not in ``bids_dir``."""
    rows = read_rows(index) if index.is_file() else []
    for row in rows:
        if row["path"] and not is_derived(row["suffix"]):
            before = row["path"].split(f"/{row['participant_id']}/")[0]
            return before if before != str(bids_dir) else None
    return None


def _check_numbers_of_splits(name: str, study: dict, population: list[dict]) -> None:
    if models_of(study, "stack") and number_of_splits(population, study["design"]) >= MOST_SPLITS:
        raise InputError(
            f"studies.{name}.design: draws {number_of_splits(population, study['design'])} splits, "
            f"a stack stands on fewer than {MOST_SPLITS}; lower their number"
        )
    for key, model in models_of(study, *NETWORKS).items():
        drawn = number_of_splits(population, study["design"])
        if model["splits"] and model["splits"] > drawn:
            raise InputError(
                f"studies.{name}.models.{key}.splits: {model['splits']}, but the design draws "
                f"{drawn}; lower it, or leave it out"
            )


def _check_networks(folders: dict[str, str]) -> None:
    for key, folder in folders.items():
        missing = [name for name in NETWORK_FILES if not (Path(folder) / name).is_file()]
        if missing:
            raise InputError(
                f"{key}: {folder} has no {' and no '.join(missing)}; "
                "name the folder of the network's weights, or leave it out"
            )


def _make_absolute(section: dict, key: str) -> None:
    """Make a path of the configuration hold in the output folder too."""
    if section.get(key):
        section[key] = str(Path(expanded(section[key], key)).absolute())
