"""Which engines segment which region in which session, from what, and why one does not.

Imported by the Snakefile, so nothing heavy is imported here.
"""

from pathlib import Path

from workflow_scripts.cohort.index import GIVEN, natural_order
from workflow_scripts.cohort.participants import exclusion_reason
from workflow_scripts.cohort.segmentation import PROGRAM_OF_KIND
from workflow_scripts.common.bids import of_contrast, session_prefix, sessions
from workflow_scripts.common.engines import (
    commands,
    images_of,
    labels_of,
    region_label,
    region_of,
)
from workflow_scripts.common.job import InputError

FEWEST_ATLASES, FEWEST_TRAINED = 3, 4
MANUAL = {"kind": "manual", "labels": [1, 1]}


def of_engine(pattern: str, region: str, engine: str) -> str:
    """A path with {region} and {engine} for an engine; {folder} and {prefix} stay."""
    return pattern.replace("{region}", region_label(region)).replace("{engine}", engine)


def engine_of_split(engine: str, split: int | str) -> str:
    """Name, also in files, of an engine as a split of a study has it."""
    return f"{engine}split{split}"


def with_command(engine: dict) -> dict:
    """An engine of kind `command` with its command and the images that this reads."""
    if engine["kind"] != "command":
        return engine
    engine = commands().get(engine.get("program"), {}) | engine
    return engine | {"channels": images_of(engine["run"])}


class Segmentation:
    """Engines and raters of a run.

    Parameters
    ----------
    config : checked configuration
    cohort : Cohort

    Attributes
    ----------
    engines : settings by region and engine, raters among them; those with ``of_split`` segment for
        one split of a study alone, see `in_split`
    networks : folder of weights by the name of its label images
    """

    def __init__(self, config: dict, cohort):
        section, own = config["segmentation"], config["anatomical"]["network"]
        self.networks = {"network": own} if own else {}
        self._of_brain = config["anatomical"]["body_part"] == "brain"
        self.features = {region: s.get("features") for region, s in section["regions"].items()}
        self._radiomics = {
            region: s["radiomics"] for region, s in section["regions"].items() if "radiomics" in s
        }
        self._files: dict[tuple, str] = {}
        self._reasons: dict[tuple, str] = {}
        for row in cohort.index:
            if GIVEN.fullmatch(row["suffix"]):
                self._sort_in(row, cohort.exclusions)
        self._drawn: dict[str, dict[str, str]] = {}
        self._heads, self._scans = cohort.usable("T1w"), config["scans"]
        self._contrasts = {name: cohort.usable(name) for name in config["scans"]}
        for suffix, prefix in self._files:
            if prefix in self._heads:
                self._drawn.setdefault(suffix, {}).setdefault(prefix.split("_")[0], prefix)
        self.engines: dict[str, dict[str, dict]] = {}
        for region, settings in section["regions"].items():
            engines = {
                name: with_command(engine) | {"labels": self._labels(engine, region)}
                for name, engine in settings["engines"].items()
            }
            given = {tuple(suffix.rsplit("_", 1)) for suffix, _ in (self._files | self._reasons)}
            raters = sorted({name for drawn, name in given if drawn == region} - {*engines})
            self.engines[region] = engines | dict.fromkeys(raters, MANUAL)
            for name, engine in engines.items():
                rater = engine.get("rater")
                if rater and rater not in raters and not config["participants"]:
                    raise InputError(
                        f"segmentation.regions.{region}.engines.{name}.rater: {rater} has no mask "
                        f"in segmentation.manual ({', '.join(raters) or 'nobody has'}); correct it"
                    )
        for region, asked in self._radiomics.items():
            if asked["engine"] not in self.engines[region] and not config["participants"]:
                raise InputError(
                    f"segmentation.regions.{region}.radiomics.engine: {asked['engine']} is no "
                    f"engine and no rater ({', '.join(self.engines[region])}); correct it"
                )
        for region in self.engines:
            self._part_by_split(region)
        for engines in self.engines.values():
            for name, engine in engines.items():
                if engine["kind"] == "network" and engine["weights"] not in self.networks.values():
                    self.networks[f"network{name}"] = engine["weights"]

    def _part_by_split(self, region: str) -> None:
        """Give networks of studies that draw several splits an engine for each of these.

        So do `vote` and `mean` of such networks. The network's own name then stands for the mask
        of the split that tests a participant.
        """
        engines = dict(self.engines[region])
        for name, engine in engines.items():
            members = {other: engines[other].get("splits", 0) for other in engine.get("of", [])}
            for split in range(1, max(engine.get("splits", 0), *members.values(), 0) + 1):
                twin = engine_of_split(name, split)
                if twin in engines:
                    raise InputError(
                        f"segmentation.regions.{region}.engines.{twin}: is the name of {name} in "
                        f"split {split} of its study; rename it"
                    )
                of = [engine_of_split(n, split) if drawn else n for n, drawn in members.items()]
                self.engines[region][twin] = engine | {"of_split": split, "of": of}
            if engine.get("splits"):
                twins = [engine_of_split(name, n + 1) for n in range(engine["splits"])]
                self.engines[region][name] = engine | {"by_split": twins}

    def in_split(self, region: str, name: str, split: int | str) -> str:
        """Name of an engine as a split of a study has it: trained on nobody whom that tests.

        Its own, where it is the same in all of them, or ``split`` is no number.
        """
        twin = engine_of_split(name, split)
        return twin if twin in self.engines[region] else name

    def parted(self, region: str, name: str) -> bool:
        """Whether an engine finds a region anew for each split of a study."""
        return self.in_split(region, name, 1) != name

    @staticmethod
    def _labels(engine: dict, region: str) -> list[int]:
        program = engine.get("program", PROGRAM_OF_KIND.get(engine["kind"]))
        return engine.get("labels") or (list(labels_of(program, region)) if program else [])

    @property
    def labels(self) -> list[str]:
        """Regions as file names have them."""
        return [region_label(region) for region in self.engines]

    def network_of(self, weights: str) -> str:
        """Name of the label images of a folder of weights."""
        return next(name for name, folder in self.networks.items() if folder == weights)

    def settings(self, label: str, engine: str) -> dict:
        """Settings of an engine, its name and its region in it."""
        region = region_of(label)
        return self.engines[region][engine] | {"region": region, "engine": engine}

    def asked(self, key: str, otherwise):
        """Resource function: what a command asks for by a key, others by the next function.

        Memory and minutes double with each retry.
        """

        def amount(wildcards, attempt):
            settings = self.settings(wildcards.region, wildcards.engine)
            if settings["kind"] != "command":
                return otherwise(wildcards, attempt)
            return settings[key] * (1 if key == "threads" else 2 ** (attempt - 1))

        return amount

    def _sort_in(self, row: dict, exclusions: list[dict]) -> None:
        session = row["participant_id"], row["session_id"]
        key = row["suffix"], session_prefix(*session)
        excluded = row["path"] and exclusion_reason(exclusions, *session, key[0], row["path"])
        if row["path"] and not excluded:
            self._files[key] = row["path"]
        else:
            self._reasons[key] = f"excluded: {excluded}" if excluded else row.get("note")

    def inputs(self, wildcards, rules) -> dict:
        """What an engine reads beside the T1w, as its kind has it.

        Parameters
        ----------
        wildcards : region (as file names have it), engine and prefix
        rules : those of the Snakefile, whose outputs these are
        """
        settings = self.settings(wildcards.region, wildcards.engine)
        region, name = settings["region"], settings["engine"]
        made = rules.segment_region.output
        match settings["kind"]:
            case "atlas":
                return {"labels": rules.segment_brain.output.regions}
            case "network":
                network = self.network_of(settings["weights"])
                return {"labels": rules.label_brain.output.labels.replace("{network}", network)}
            case "vote" | "mean" as kind:
                members = [of_engine(made.sides, region, other) for other in settings["of"]]
                soft = [of_engine(made.probabilities, region, other) for other in settings["of"]]
                return {"members": members} | ({"probabilities": soft} if kind == "mean" else {})
            case "command":
                return {"channels": self._channels(settings, rules)}
            case "pretrained_unet":
                return {
                    "model": settings["weights"],
                    "description": str(Path(settings["weights"]).with_suffix(".json")),
                    "regions": rules.make_templates.output.regions if self._of_brain else [],
                    "channels": self._channels(settings, rules),
                }
            case "unet" if "by_split" in settings:
                return {
                    key: [of_engine(path, region, twin) for twin in settings["by_split"]]
                    for key, path in (
                        ("members", made.sides),
                        ("probabilities", made.probabilities),
                        ("sidecars", made.sidecar),
                    )
                } | {"splits": rules.draw_splits.output.splits.format(**settings)}
            case "unet":
                fold = self.fold_of(region, name, wildcards.prefix)
                trained = {
                    key: of_engine(path, region, name).replace("{fold}", str(fold))
                    for key, path in (
                        ("model", rules.train_unet.output.model),
                        ("description", rules.train_unet.output.description),
                    )
                }
                template = rules.make_templates.output.regions if self._of_brain else []
                return trained | {
                    "regions": template,
                    "channels": self._channels(settings, rules),
                }
            case "multi_atlas":
                others = self.others(region, settings["rater"], wildcards.prefix)
                patterns = {
                    "t1w": rules.prepare_t1w.output.t1w,
                    "sides": of_engine(made.sides, region, settings["rater"]),
                    "normalized": rules.register_to_mni.output.brain,
                    "transforms": list(rules.register_to_mni.output.transforms),
                }
                found = {f"atlas_{key}": sessions(path, others) for key, path in patterns.items()}
                return found | {"normalized": patterns["normalized"]}
        return {"labels": self._files[f"{region}_{name}", wildcards.prefix]}

    def training(self, wildcards, rules) -> dict:
        """What a network of one fold is trained on: of each session its channels, and the mask."""
        settings = self.settings(wildcards.region, wildcards.engine)
        region, name = settings["region"], settings["engine"]
        drawn = [
            prefix
            for prefix in self._trained_on(settings, region).values()
            if self.fold_of(region, name, prefix) != int(wildcards.fold)
        ]
        made = of_engine(rules.segment_region.output.sides, region, settings["rater"])
        return {
            "channels": sessions(self._channels(settings, rules), drawn),
            "sides": sessions(made, drawn),
            "t1w": sessions(rules.prepare_t1w.output.t1w, drawn),
            "affines": sessions(rules.register_to_mni.output.transforms[0], drawn)
            if self._of_brain
            else [],
        }

    def _channels(self, settings: dict, rules) -> list[str]:
        """Patterns of the images that a network reads, on the grid of the T1w."""
        aligned = rules.align_contrast.output.aligned
        return [
            rules.prepare_t1w.output.t1w if n == "T1w" else of_contrast(aligned, n, self._scans)
            for n in settings["channels"]
        ]

    def _trained_on(self, engine: dict, region: str) -> dict[str, str]:
        """Session by participant of those whom a rater has drawn and who have all channels."""
        drawn = self._drawn.get(f"{region}_{engine['rater']}", {})
        have = [self._contrasts[channel] for channel in engine["channels"]]
        return {
            participant: prefix
            for participant, prefix in drawn.items()
            if all(prefix in scans for scans in have)
        }

    def _too_few(self, engine: dict, region: str) -> str | None:
        number, least = len(self._trained_on(engine, region)), max(engine["folds"], FEWEST_TRAINED)
        if number >= least:
            return None
        return (
            f"{number} participants have a mask of {engine['rater']} and all channels, {least} are "
            "needed"
        )

    def for_new_patients(self, pattern: str) -> list[str]:
        """Files of the networks that find a study's regions in others, trained on all who may.

        ``pattern`` has {region}, {engine} and {fold}. Of several splits the first one's.
        """
        return [
            of_engine(pattern, region, self.in_split(region, name, 1)).replace("{fold}", "0")
            for region, engines in self.engines.items()
            for name, engine in engines.items()
            if engine.get("study") and "of_split" not in engine
            if not self._too_few(engine, region)
        ]

    def fold_of(self, region: str, name: str, prefix: str) -> int:
        """Fold of a participant, from 1; 0 for who was not drawn, and for the network of all."""
        engine = self.engines[region][name]
        people = sorted(self._trained_on(engine, region), key=lambda one: natural_order([one]))
        own = prefix.split("_")[0]
        return 1 + people.index(own) % engine["folds"] if own in people else 0

    def others(self, region: str, rater: str, prefix: str) -> list[str]:
        """First session with a mask of a rater of each other participant."""
        drawn, own = self._drawn.get(f"{region}_{rater}", {}), prefix.split("_")[0]
        return [session for participant, session in drawn.items() if participant != own]

    def why_not(self, region: str, name: str, prefix: str) -> str | None:
        """Why an engine is not run in a session with a T1w; None where it is."""
        engine, key = self.engines[region][name], (f"{region}_{name}", prefix)
        if engine["kind"] in ("import", "manual") and key not in self._files:
            return self._reasons.get(key) or "no mask of this rater"
        for channel in engine.get("channels", []):
            if prefix not in self._contrasts[channel]:
                return f"no {channel}"
        if engine["kind"] == "unet" and (reason := self._too_few(engine, region)):
            return reason
        if engine["kind"] == "multi_atlas":
            number = len(self.others(region, engine["rater"], prefix))
            if number < FEWEST_ATLASES:
                return (
                    f"{number} other participants have a mask of {engine['rater']}, "
                    f"{FEWEST_ATLASES} are needed"
                )
        for other in engine.get("of", []):
            if reason := self.why_not(region, other, prefix):
                return f"{other}: {reason}"
        return None

    def masks(self) -> dict[str, str]:
        """Session of each mask drawn by hand."""
        return {path: key[1] for key, path in self._files.items() if self._is(key[0], "manual")}

    def label_images(self) -> list[str]:
        """Files of other programs."""
        return [path for (suffix, _), path in self._files.items() if self._is(suffix, "import")]

    def _is(self, suffix: str, kind: str) -> bool:
        region, name = suffix.rsplit("_", 1)
        return self.engines.get(region, {}).get(name, {}).get("kind") == kind

    def all_of(self, prefix: str) -> list[tuple[str, str, str | None]]:
        """Region, engine and why it is not run, of all engines and raters in a session."""
        return [
            (region, name, self.why_not(region, name, prefix))
            for region, engines in self.engines.items()
            for name, engine in engines.items()
            if "of_split" not in engine
        ]

    def runs(self, prefix: str) -> list[tuple[str, str]]:
        """Region and engine of all that is segmented in a session with a T1w."""
        return [made for *made, why in self.all_of(prefix) if not why]

    def files(self, pattern: str, prefixes, *regions: str) -> list[str]:
        """Files of all that is segmented in sessions, or of some regions, as files name them.

        ``pattern`` as in `of_engine`.
        """
        return [
            sessions(of_engine(pattern, *made), [prefix])[0]
            for prefix in prefixes
            for made in self.runs(prefix)
            if not regions or region_label(made[0]) in regions
        ]

    def file(self, pattern: str, prefix: str, region: str, engine: str) -> str | None:
        """A file of an engine in a session, ``pattern`` as in `of_engine`; None if it isn't run."""
        if self.why_not(region, engine, prefix):
            return None
        return sessions(of_engine(pattern, region, engine), [prefix])[0]

    def pictures(self, pattern: str, prefixes) -> list[str]:
        """A picture per session and region of which any engine is run."""
        return list(dict.fromkeys(self.files(pattern, prefixes)))

    def raters(self, label: str) -> list[str]:
        """Those who drew a region by hand."""
        engines = self.engines[region_of(label)]
        return [name for name, engine in engines.items() if engine["kind"] == "manual"]

    def manifest(self, heads: dict[str, dict], made) -> list[dict]:
        """A row per session with a T1w, region and engine, for the tables of all of them.

        Parameters
        ----------
        heads : index row of the T1w by session
        made : patterns ``sidecar`` and ``sides``, see `of_engine`
        """
        return [
            {key: row[key] for key in ("participant_id", "session_id")}
            | {"region": region, "engine": name, "kind": self.engines[region][name]["kind"]}
            | {
                key: None if why else sessions(of_engine(path, region, name), [prefix])[0]
                for key, path in (("sidecar", made.sidecar), ("sides", made.sides))
            }
            | {"reason": why}
            for prefix, row in heads.items()
            for region, name, why in self.all_of(prefix)
        ]

    def drawn(self) -> list[str]:
        """Sessions with a T1w and a mask drawn by hand."""
        return [prefix for prefix in dict.fromkeys(self.masks().values()) if prefix in self._heads]

    def chosen(self, prefix: str) -> list[tuple[str, str]]:
        """Those of `runs` whose volumes are features."""
        return [made for made in self.runs(prefix) if self.features[made[0]] == made[1]]

    def shown(self, pattern: str, prefix: str) -> list[str]:
        """Files, ``pattern`` as in `of_engine`, of the regions whose volumes are features."""
        return [self.file(pattern, prefix, *made) for made in self.chosen(prefix)]

    @property
    def measured(self) -> list[str]:
        """Regions, as file names have them, whose radiomics are asked for."""
        return [region_label(region) for region in self._radiomics]

    def radiomics(self, label: str) -> dict:
        """Settings of what is measured of a region, its name in them."""
        return self._radiomics[region_of(label)] | {"region": region_of(label)}

    def radiomics_inputs(self, wildcards, rules) -> dict:
        """What measure_radiomics reads beside the T1w and its mask: the region, and contrasts."""
        settings = self.radiomics(wildcards.region)
        made = rules.segment_region.output.sides
        return {
            "sides": of_engine(made, settings["region"], settings["engine"]),
            "channels": self._channels(settings, rules),
        }

    def radiomics_of(self, rows, pattern: str, *labels: str) -> list[dict]:
        """A row per session and region whose radiomics are asked for, or of some regions.

        Parameters
        ----------
        rows : participant_id and session_id of each session
        pattern : of the sidecars, with {region}, {folder} and {prefix}

        Returns
        -------
        list of dict
            participant_id, session_id, region, sidecar, and where that is None the reason
        """
        found = []
        for row in rows:
            scan = {key: row[key] for key in ("participant_id", "session_id")}
            prefix = session_prefix(*scan.values())
            for region, settings in self._radiomics.items():
                label = region_label(region)
                if labels and label not in labels:
                    continue
                why = self._why_not_measured(region, settings, prefix)
                path = sessions(pattern.replace("{region}", label), [prefix])[0]
                found.append(
                    scan | {"region": region, "sidecar": None if why else path, "reason": why}
                )
        return found

    def radiomics_files(self, heads: dict[str, dict], pattern: str) -> list[str]:
        """Sidecars of all sessions and regions that are measured, see `radiomics_of`."""
        found = self.radiomics_of(heads.values(), pattern)
        return [row["sidecar"] for row in found if row["sidecar"]]

    def _why_not_measured(self, region: str, settings: dict, prefix: str) -> str | None:
        if prefix not in self._heads:
            return "no T1w"
        for channel in settings["channels"]:
            if prefix not in self._contrasts[channel]:
                return f"no {channel}"
        engine = settings["engine"]
        if engine not in self.engines[region]:
            return "no mask of this rater"
        return self.why_not(region, engine, prefix)
