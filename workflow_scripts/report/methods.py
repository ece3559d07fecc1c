"""Methods text and software versions, from what the sidecars say was done."""

import platform
from collections import Counter, defaultdict
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed

import jinja2
import yaml

from workflow_scripts import __version__
from workflow_scripts.common.engines import labels_of
from workflow_scripts.common.job import InputError
from workflow_scripts.common.resources import resource
from workflow_scripts.report.design import word
from workflow_scripts.report.text import label

ANALYSIS = ["numpy", "scipy", "pandas", "scikit-learn", "statsmodels", "pingouin", "tableone"]
ANALYSIS += ["nibabel", "nilearn", "atlasreader", "matplotlib", "jinja2", "snakemake"]
LEFT_OUT = dict.fromkeys(["program", "run", "version", "study", "splits"])  # of engines


class Methods:
    """What was done to the sessions, and with which versions.

    Parameters
    ----------
    sidecars : content of the sidecars by session and kind, as from `read_sidecars`
    config : checked configuration

    Attributes
    ----------
    named : versions of the programs that the texts made so far name
    """

    def __init__(self, sidecars: dict[str, dict[str, dict]], config: dict):
        self.texts = yaml.safe_load(resource("report/methods.yaml").read_text())
        self.config = config
        self.sessions: dict[str, list[dict]] = defaultdict(list)
        self.versions: dict[str, Counter] = defaultdict(Counter)
        self.named: dict[str, str] = {}
        for kinds in sidecars.values():
            for kind, content in kinds.items():
                self.sessions[kind].append(content)
                for name, number in content.get("Software", {}).items():
                    self.versions[name][number] += 1
        self.jinja = jinja2.Environment(undefined=jinja2.StrictUndefined)  # escaped by the page
        self.jinja.filters |= {"label": label, "shared": shared}

    def version(self, name: str) -> str:
        """Versions that the sidecars name, or else the installed one."""
        if name in self.versions:
            return " and ".join(sorted(self.versions[name]))
        try:
            return installed(name)
        except PackageNotFoundError:
            return "n/a"

    def images(self) -> dict[str, list[tuple[str, str]]]:
        """Title and text of each step, by modality; modalities without a session are left out.

        Raises
        ------
        InputError
            If the sidecars do not say how a step was done, or name a way without text.
        """
        parts, of_brain = {}, self.config["anatomical"]["body_part"] == "brain"
        for modality, steps in self.texts["images" if of_brain else "bodies"].items():
            kinds = {kind for step in steps for kind in step.get("sidecars", [])}
            if kinds & self.sessions.keys():
                parts[modality] = [entry for step in steps for entry in self._entries(step)]
        if regions := self._regions():
            parts["Regions by several engines"] = regions
        return parts | {"Checks": self._plain(self.texts["checks"])}

    def _regions(self) -> list[tuple[str, str]]:
        """Title and text of each engine, and how they were compared with masks drawn by hand."""
        section, texts = self.config["segmentation"], self.texts["segmentation"]
        entries = [
            (
                f"{label(region)}, {name}",
                self._fill(texts["engines"][engine["kind"]], engine=_whole(engine, region)),
            )
            for region, settings in section["regions"].items()
            for name, engine in settings["engines"].items()
        ]
        entries += [
            (f"{label(region)}, radiomics", self._fill(texts["radiomics"], asked=asked))
            for region, settings in section["regions"].items()
            if (asked := settings.get("radiomics"))
        ]
        if entries and section["manual"]:
            entries.append(("Comparison", self._fill(texts["drawn"])))
        return [(title[0].upper() + title[1:], text) for title, text in entries]

    def study(self, study: dict) -> list[tuple[str, str]]:
        """Title and text of each step of a study: its design, its models, its evaluation."""
        texts, design = self.texts["studies"], study.get("design", {})
        kinds: dict[str, dict] = defaultdict(dict)
        for name, settings in study["models"].items():
            kinds[settings["kind"]][name] = settings
        steps = [(step, {}) for step in texts["population"]]
        steps += [(texts["design"][design["kind"]], {})] if design else []
        steps += [(texts["inputs"], {})] if study["inputs"] else []
        steps += [(texts["models"][kind], {"models": found}) for kind, found in kinds.items()]
        tables = {name: own for name, own in study["models"].items() if "missing" in own}
        steps += [(texts["columns"], {"models": tables})] if tables else []
        steps += [
            (texts["evaluation"][key], {"asked": asked})
            for key, asked in study["evaluation"].items()
        ]
        known = {"study": study, "design": design, "word": word(study)}
        known["classes"] = design.get("classes", study["classes"])
        return [entry for step, own in steps for entry in self._plain([step], **known, **own)]

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

    def _plain(self, steps: list[dict], **known) -> list[tuple[str, str]]:
        return [(step["title"], self._fill(step["text"], **known)) for step in steps]

    def _entries(self, step: dict) -> list[tuple[str, str]]:
        """A step's entries, one for each way in which it was done."""
        if "sidecars" not in step:
            return self._plain([step])
        done = [content for kind in step["sidecars"] for content in self.sessions.get(kind, [])]
        if not done:
            return []
        if "field" not in step:
            return [(f"{step['title']} ({_sessions(len(done))})", self._fill(step["text"]))]
        counts: Counter = Counter()
        for content in done:
            value = content.get(step["field"], {})
            values = value.values() if isinstance(value, dict) else [value]
            counts.update({self._variant(step, str(value)) for value in values})
        if not counts:
            raise InputError(
                f"the sidecars: none has the field {step['field']}; remake the derivatives"
            )
        return [
            (f"{step['title']} ({_sessions(number)})", self._fill(step["texts"][start]))
            for start, number in sorted(counts.items())
        ]

    def _variant(self, step: dict, value: str) -> str:
        for start in step["texts"]:
            if value.startswith(start):
                return start
        raise InputError(
            f"{step['field']} {value!r} in a sidecar: resources/report/methods.yaml has no text "
            "for it; add one"
        )

    def _told(self, name: str) -> str:
        """As `version`, noted down among what the texts name."""
        self.named[name] = self.version(name)
        return self.named[name]

    def _fill(self, text: str, **known) -> str:
        return self.jinja.from_string(text).render(version=self._told, config=self.config, **known)


def shared(models: dict[str, dict], key: str, words: dict[str, str] | None = None) -> str:
    """A setting of models as text: once where all have the same, else with the models' names.

    Parameters
    ----------
    models : settings by name
    key : of the settings; a dot leads inwards
    words : what is printed instead of a value
    """
    found: dict[str, list[str]] = {}
    for name, value in models.items():
        for part in key.split("."):
            value = value[part]
        values = value if isinstance(value, list) else [value]
        text = ", ".join(map(str, values))
        found.setdefault((words or {}).get(text, text), []).append(name)
    return "; ".join(
        text if len(found) == 1 or names == [text] else f"{text} ({', '.join(map(label, names))})"
        for text, names in found.items()
    )


def _whole(engine: dict, region: str) -> dict:
    """Settings of an engine with those that it leaves out, or to the table of labels."""
    known = LEFT_OUT | engine
    if known["program"] and "labels" not in engine:
        known["labels"] = labels_of(known["program"], region)
    return known


def _sessions(number: int) -> str:
    return f"{number} session{'s' if number > 1 else ''}"
