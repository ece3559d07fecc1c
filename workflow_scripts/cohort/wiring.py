"""Functions of wildcards that the rules of several wings share.

Imported by the Snakefile, so nothing heavy is imported here.
"""

import os
from functools import cached_property

from workflow_scripts.cohort.config import NETWORKS, models_of
from workflow_scripts.cohort.frozen import prepared
from workflow_scripts.cohort.population import session_prefixes
from workflow_scripts.cohort.startup import SPLIT, Start
from workflow_scripts.common.bids import gradient_tables, of_contrast, sessions
from workflow_scripts.common.inner import is_inner, outer_split

INPUT = "studies/{study}/input-{input}"
GRADCAM = "studies/{study}/gradcam/model-{model}"
# The map of each tested session, and which volume is whose.
OF_SESSIONS = f"{GRADCAM}_desc-sessions_gradcam.safetensors", f"{GRADCAM}_sessions.tsv"


def paths(scans, prefix):
    """Files of a session; none where it has no such scan."""
    return [row["path"] for row in scans.get(prefix, [])]


class Wiring:
    """Input, params and resource functions of one run.

    Parameters
    ----------
    started : what the run began with
    measured : number of sessions with a scan that is measured
    """

    def __init__(self, started: Start, measured: int):
        self.scans, self.measured, self.given = started.scans, measured, started.preprocessed
        self.studies, self.populations = started.config["studies"], started.populations
        self.segmentation = started.segmentation
        self.prepared = prepared(started.config["anatomical"])
        self.contrasts, self.names = started.contrasts, started.config["scans"]
        self.simulated = not started.config["bids_dir"]

    def those_there(self, files):
        """Files of the dataset that can be read; of the simulated one all, which rules make."""
        return [path for path in files if self.simulated or os.access(path, os.R_OK)]

    def gradients_of(self, wildcards):
        """Gradient tables of a session's series, and those of its images of reverse phase."""
        dwi, epi = (paths(self.scans[name], wildcards.prefix) for name in ("dwi", "epi"))
        images = [] if self.simulated else epi
        return gradient_tables(dwi) + self.those_there(gradient_tables(images))

    def all_gradients(self, wildcards):
        """Gradient tables that are there; where one lacks, preflight says so."""
        of_all = ("dwi",) if self.simulated else ("dwi", "epi")
        images = [
            p
            for name in of_all
            for prefix in self.scans[name]
            for p in paths(self.scans[name], prefix)
        ]
        return self.those_there(gradient_tables(images))

    def raw_bytes(self, path):
        """Size of a raw scan, so that one replaced by an older file is seen too."""
        return None if self.simulated else os.path.getsize(path)

    def preprocessed(self, name):
        """Input function: what another program made of a T1w in place of a step; mostly nothing."""
        return lambda wildcards: self.given.of_t1w(name, wildcards.prefix)

    def need(self, least, sessions=0, doublings=9, **per_mb):
        """Resource function: an amount that grows with the data and doubles with each retry.

        ``sessions`` is added for each session of the cohort, and so much per MB of a session's raw
        scans as stands under their suffix. After ``doublings`` retries it stays.
        """

        def amount(wildcards, attempt):
            size = least + sessions * self.measured
            for suffix, each in per_mb.items():
                for path in paths(self.scans[suffix], wildcards.prefix):
                    if os.path.exists(path):
                        size += each * os.path.getsize(path) / 1e6
            return round(size * 2 ** min(attempt - 1, doublings))

        return amount

    def study(self, *keys):
        """Params function: a key of a study's configuration; several as a dictionary."""

        def read(wildcards):
            settings = self.studies[wildcards.study]
            return settings[keys[0]] if len(keys) == 1 else {key: settings[key] for key in keys}

        return read

    def model(self, *keys):
        """Params function: settings of a model, or one of them."""

        def read(wildcards):
            settings = self.studies[wildcards.study]["models"][wildcards.model]
            return settings[keys[0]] if keys else settings

        return read

    def splits_of_training(self, wildcards):
        """Input function: the table of splits that a training's is in."""
        inner = is_inner(int(wildcards.split))
        return self.of_split("inner_splits" if inner else "splits")(wildcards)

    def contrast_scan(self, wildcards):
        """Input function: the raw scan that an aligned image is made of."""
        asked = f"{wildcards.suffix} {wildcards.desc}"
        [rows] = [
            rows
            for name, rows in self.contrasts.items()
            if of_contrast("{suffix} {desc}", name, self.names) == asked
        ]
        return rows[wildcards.prefix]["path"]

    def input_entry(self, wildcards):
        """Settings of an input, whose name has the split where it is another in each."""
        return self.studies[wildcards.study]["inputs"][wildcards.input.split("_split-")[0]]

    def input_of_training(self, wildcards):
        """Params function: settings of the image that a model reads, and how it is prepared."""
        name = self.model("inputs")(wildcards)[0]
        return self.studies[wildcards.study]["inputs"][name] | {"prepared": self.prepared}

    def input_of_model(self, ending):
        """Input function: a file of the image that a model reads, in its split."""

        def path(wildcards):
            name = self.model("inputs")(wildcards)[0]
            around = self.studies[wildcards.study]["inputs"][name].get("segmented")
            if around and self.segmentation.parted(around["region"], around["engine"]):
                name += f"_split-{outer_split(int(wildcards.split))}"
            return f"{INPUT}_{ending}".format(study=wildcards.study, input=name)

        return path

    def evaluation(self, name):
        """Params function: settings of an evaluation."""
        return lambda wildcards: self.studies[wildcards.study]["evaluation"][name]

    def design_classes(self, wildcards):
        """Params function: the two classes of a study's design."""
        return self.studies[wildcards.study]["design"]["classes"]

    def explained(self, transforms):
        """Input function: maps of networks of each study that may have tested a session.

        That are those of all its people but external ones and those of other classes: who is
        tested is not known before the split is drawn. ``transforms`` are the patterns of the
        files that bring the maps to the session's T1w.
        """

        def maps(wildcards):
            made = [
                [path.format(study=name, model=key) for path in OF_SESSIONS]
                for name, tested in self._tested.items()
                if wildcards.prefix in tested
                for key in models_of(self.studies[name], *NETWORKS)
            ]
            return {
                "maps": [path for path, _ in made],
                "maps_index": [path for _, path in made],
                "transforms": sessions(transforms, [wildcards.prefix]) if made else [],
            }

        return maps

    @cached_property
    def _tested(self) -> dict[str, set[str]]:
        return {
            name: {
                prefix
                for prefix, row in zip(session_prefixes(people), people, strict=True)
                if row["external"] == "no"
                and row["label"] in self.studies[name]["design"]["classes"]
            }
            for name, people in self.populations.items()
            if "gradcam" in self.studies[name]["evaluation"]
        }

    def of_split(self, table):
        """Input function: a table of a study's present split."""
        return lambda wildcards: f"{SPLIT}_{table}.tsv".format(
            study=wildcards.study, split=self.studies[wildcards.study]["split"]
        )
