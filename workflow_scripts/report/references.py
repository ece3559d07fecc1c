"""References of the methods text: those that it cites, on the page and as BibTeX."""

import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution

import yaml
from markupsafe import Markup, escape

from workflow_scripts import __version__
from workflow_scripts.common.resources import resource

MARKS = ("doi", "eprint", "pmcid", "cited")
# Kind of entry by the field that tells it, of BibTeX.
KINDS = {"journal": "article", "booktitle": "inproceedings", "publisher": "book"}
KINDS |= {"institution": "techreport", "howpublished": "misc"}
PLACES = [*KINDS, "number", "volume", "pages", "year"]
IDENTIFIERS = {"doi": "doi:{}", "eprint": "arXiv:{}", "pmcid": "{}"}


class References:
    """Works that the methods text of this run cites.

    Parameters
    ----------
    texts : of all steps
    """

    def __init__(self, texts: list[str]):
        works = yaml.safe_load(resource("report/references.yaml").read_text(encoding="utf-8"))
        self.keys = {mark_of(work): key for key, work in works.items()}
        # The longest first, as one may begin like another.
        marks = sorted(self.keys, key=len, reverse=True)
        self.pattern = re.compile("|".join(rf"{re.escape(mark)}(?!\d)" for mark in marks))
        found = {self.keys[mark] for text in texts for mark in self.pattern.findall(text)}
        self.works = {key: works[key] for key in sorted(found)}

    def cited(self, parts: dict[str, list]) -> dict[str, list[tuple[str, Markup]]]:
        """Titles and escaped texts in which each citation leads to its entry ``#ref-<key>``."""
        return {
            name: [(title, self._linked(text)) for title, text in steps]
            for name, steps in parts.items()
        }

    def _linked(self, text: str) -> Markup:
        parts, end = [], 0
        for found in self.pattern.finditer(text):
            link = Markup('<a href="#ref-{}">{}</a>').format(self.keys[found[0]], found[0])
            parts += [escape(text[end : found.start()]), link]
            end = found.end()
        return Markup("").join([*parts, escape(text[end:])])

    def listed(self) -> list[tuple[str, str]]:
        """Key and text of each work, as the page prints it."""
        lines = []
        for key, work in self.works.items():
            parts = [work["author"].replace(" and others", " et al.")] if "author" in work else []
            parts += [work["title"]]
            where = [str(work[name]) for name in PLACES if name in work]
            where += [form.format(work[name]) for name, form in IDENTIFIERS.items() if name in work]
            text = ". ".join([*(part.rstrip(".") for part in parts), ", ".join(where)])
            lines.append((key, re.sub("[{}]", "", text.replace("--", "-"))))
        return lines

    def bibtex(self, versions: dict[str, str]) -> str:
        """The works, then the software, as BibTeX.

        Parameters
        ----------
        versions : version by name of the programs that the text names
        """
        entries = [entry(key, work) for key, work in self.works.items()]
        programs = {"neuroimmune-mri": __version__} | dict(sorted(versions.items()))
        return "\n".join(entries + [program(*one) for one in programs.items()])


def mark_of(work: dict) -> str:
    """By what the text cites a work."""
    name = next(name for name in MARKS if name in work)
    return f"arXiv:{work[name]}" if name == "eprint" else work[name]


def entry(key: str, work: dict) -> str:
    """A work as BibTeX."""
    kind = next((kind for name, kind in KINDS.items() if name in work), "misc")
    fields = {name: value for name, value in work.items() if name not in ("cited", "pmcid")}
    fields |= {"archiveprefix": "arXiv"} if "eprint" in work else {}
    fields |= {"note": work["pmcid"]} if "pmcid" in work else {}
    return as_bibtex(kind, key, fields)


def program(name: str, version: str) -> str:
    """A program with its version as BibTeX; with a link where it is a package of Python."""
    fields = {"title": f"{{{name}}}", "note": f"Version {version}"}
    with suppress(PackageNotFoundError):
        fields["url"] = f"https://pypi.org/project/{distribution(name).metadata['Name']}/"
    return as_bibtex("misc", re.sub(r"[^A-Za-z0-9-]", "-", name), fields)


def as_bibtex(kind: str, key: str, fields: dict) -> str:
    lines = [f"  {name} = {{{value}}}," for name, value in fields.items()]
    return "\n".join([f"@{kind}{{{key},", *lines, "}", ""])
