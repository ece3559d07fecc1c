"""References of the methods text: each citation has its work, and the BibTeX holds those used."""

import re
from html import unescape

import pytest
import yaml

from tests.report.test_methods_text import TEXTS, found_texts
from workflow_scripts import __version__
from workflow_scripts.common.resources import resource
from workflow_scripts.report.references import References

WORKS = yaml.safe_load(resource("report/references.yaml").read_text(encoding="utf-8"))
ALL = [" ".join(text.split()) for text in found_texts(TEXTS)]
# Any identifier of a publication, and any author with a year, known to the references or not.
IDENTIFIER = re.compile(r"\b10\.\d{4,}/[^\s,]+|arXiv:[\d.]*\d|PMC\d+")
NAMED = re.compile(r"[A-ZÇ][\w-]+(?: et al\.)? (?:19|20)\d\d\b")
SICI = "10.1002/(SICI)1097-0258(19960229)15:4<361::AID-SIM168>3.0.CO;2-4"
ENTRY = re.compile(r"@(\w+)\{([\w-]+),\n((?:  \w+ = \{.*\},\n)+)\}\n")
REQUIRED = {
    "article": {"author", "title", "journal", "year"},
    "inproceedings": {"author", "title", "booktitle", "year"},
    "book": {"author", "title", "publisher", "year"},
    "techreport": {"author", "title", "institution", "year"},
    "misc": {"title"},
}


def parse(text: str) -> dict[str, dict[str, str]]:
    """Entries of a BibTeX file by key; fails on anything but entries with balanced braces."""
    found = {}
    assert not ENTRY.sub("", text).strip()
    for kind, key, body in ENTRY.findall(text):
        fields = dict(re.findall(r"  (\w+) = \{(.*)\},", body))
        assert len(fields) == body.count("\n") and key not in found
        for value in fields.values():
            depths = [
                value[: end + 1].count("{") - value[: end + 1].count("}")
                for end in range(len(value))
            ]
            assert min(depths) >= 0 and depths[-1] == 0
        assert fields.keys() >= REQUIRED[kind], key
        found[key] = fields | {"kind": kind}
    return found


def closed(identifier: str) -> str:
    """An identifier without the bracket and the punctuation that follow it in a sentence."""
    identifier = identifier.rstrip(".;:")
    while identifier.count(")") > identifier.count("("):
        identifier = identifier[: identifier.rindex(")")].rstrip(".;:")
    return identifier


def test_every_citation_of_the_text_is_of_a_work():
    known = References(ALL)
    cited = {closed(found) for text in ALL for found in IDENTIFIER.findall(text)}
    assert len(cited) > 50
    assert sorted(cited - known.keys.keys()) == []
    named = [
        text[max(0, at.start() - 20) : at.end() + 90] for text in ALL for at in NAMED.finditer(text)
    ]
    assert len(named) > 50
    assert [part for part in named if not known.pattern.search(part)] == []


def test_every_work_is_cited_somewhere():
    assert set(References(ALL).works) == set(WORKS)


@pytest.mark.parametrize("key", WORKS)
def test_authors_and_year_are_those_of_the_text(key):
    """Where the text names them before the identifier; the key is made of both."""
    work = WORKS[key]
    if not {"author", "year"} <= work.keys():
        pytest.skip("the text gives the identifier alone")
    author = work["author"].split(",")[0]
    plain = author.lower().replace(" ", "").replace("ç", "c").replace("ö", "o")
    assert key == f"{plain}{work['year']}"
    known = References(ALL)
    mark = next(mark for mark, name in known.keys.items() if name == key)
    before = [text[: at.end()] for text in ALL for at in re.finditer(re.escape(mark), text)]
    assert any(author in part[-120 - len(mark) :] and str(work["year"]) in part for part in before)
    if " and others" not in work["author"] and " and " in work["author"]:
        second = work["author"].split(" and ")[1].split(",")[0]
        assert any(second in part[-120 - len(mark) :] for part in before)


def test_bibtex_holds_what_is_cited_and_the_programs():
    text = "N4 (10.1109/TMI.2010.2046908), LARS (arXiv:1708.03888); FNIRT (FMRIB TR07JA2)"
    known = References([text, "10.1002/sim.309 and 10.1109/42.9064241 are of nobody"])
    assert list(known.works) == ["andersson2007", "tustison2010", "you2017"]
    found = parse(known.bibtex({"antspyx": "0.5 and 0.6.1", "FSL tool": "6.0"}))
    assert list(found) == [*known.works, "neuroimmune-mri", "FSL-tool", "antspyx"]
    assert found["tustison2010"]["doi"] == "10.1109/TMI.2010.2046908"
    assert found["you2017"]["archiveprefix"] == "arXiv"
    assert found["andersson2007"]["kind"] == "techreport"
    assert found["antspyx"]["note"] == "Version 0.5 and 0.6.1"
    assert found["antspyx"]["url"] == "https://pypi.org/project/antspyx/"
    assert found["neuroimmune-mri"]["note"] == f"Version {__version__}"
    assert "url" not in found["FSL-tool"]


def test_all_works_are_bibtex():
    assert set(parse(References(ALL).bibtex({}))) == {*WORKS, "neuroimmune-mri"}


def test_citations_lead_to_the_list_and_nothing_is_taken_for_html():
    text = f"<b> (Harrell et al. 1996, {SICI})"
    known = References([text])
    [(title, linked)] = known.cited({"a": [("Optimism", text)]})["a"]
    assert title == "Optimism" and linked.startswith("&lt;b&gt; (Harrell et al. 1996, <a ")
    assert linked.count("<") == 2 and 'href="#ref-harrell1996"' in linked
    assert unescape(re.sub(r"<[^<>]*>", "", str(linked))) == text
    [(key, printed)] = known.listed()
    assert key == "harrell1996"
    assert printed.startswith("Harrell, Frank E. et al. Multivariable prognostic models: issues")
    assert printed.endswith(f"Statistics in Medicine, 1996, doi:{SICI}")
