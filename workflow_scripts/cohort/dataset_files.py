"""Files of a BIDS dataset as they lie in its folders, and what keeps them from being read or used.

Imported by the Snakefile, so nothing heavy is imported at the top.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from workflow_scripts.common.bids import entities_of, read_object, session_prefix
from workflow_scripts.common.files import FETCH, is_there, read_text, why_unreadable
from workflow_scripts.common.job import InputError, listing

PARTICIPANT = re.compile("sub-[A-Za-z0-9]+")
LIKE_PARTICIPANT = re.compile("sub-|sub_[A-Za-z0-9]+$|sub[0-9]+$", re.I)
SESSION = re.compile("ses-[A-Za-z0-9]+")
NAME_OF_SESSION = "a session's folder is ses- and then letters and digits alone; rename it"
DATATYPES = ("anat", "dwi", "fmap")


def files_of_dataset(root: Path, key: str, only: list[str] | None) -> Iterator[dict]:
    """Files of the participants' and sessions' folders, and of the folders in these.

    Yields
    ------
    Their entities and ``datatype``, ``participant_id`` and ``session_id`` by their folder,
    ``path`` from the root, whether they are ``named`` sub- with a suffix, and whether they are
    ``in_place``: in a folder such as anat, with a name that begins with participant and session.

    Raises
    ------
    InputError
        After the last of them, if there is no dataset or a folder cannot be read.
    """
    description = root / "dataset_description.json"
    if not is_there(description):
        raise InputError(
            f"{key} {root}: no dataset_description.json there; "
            f"{key} must be the root of a BIDS dataset"
        )
    read_object(description)
    problems = list(_submodules_not_fetched(str(root)))
    for participant in _participants(root, only):
        for path in _files(root, participant, problems):
            *folders, name = path.split("/")
            session = folders.pop(0) if folders and folders[0].startswith("ses-") else None
            prefix = session_prefix(participant, session)
            row = entities_of(name)
            yield row | {
                "participant_id": participant,
                "session_id": session,
                "datatype": folders[-1] if folders else None,
                "path": f"{participant}/{path}",
                "named": name.startswith("sub-") and "-" not in row["suffix"],
                "in_place": bool(folders)
                and name.startswith(f"{prefix}_")
                and ("ses" not in row or session is not None),
            }
    if problems:
        raise InputError(listing(problems))


def _files(root: Path, participant: str, problems: list[str]) -> Iterator[str]:
    """Files of a participant, as paths from its folder.

    What keeps a folder from being listed is added to ``problems``. Names that begin with a dot
    are ignored.
    """
    folders, elsewhere = [""], {}
    for folder in folders:
        place = os.path.join(root, participant, folder)
        try:
            with os.scandir(place) as entries:
                names = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            problems.append(why_unreadable(place.rstrip("/"), error))
            continue
        if not names and not folder:
            problems.append(f"{root}/{participant}: is empty; {FETCH}, or remove the folder")
        inside = folder.count("/") - folder.startswith("ses-")
        for entry in names:
            if entry.name == ".gitmodules":
                problems += _submodules_not_fetched(place)
            elif entry.name.startswith("."):
                continue
            elif inside > 0 or entry.name.startswith("sub-"):
                if entry.name in DATATYPES and folder.count("/") == 1:
                    elsewhere.setdefault(folder.rstrip("/"))
                yield folder + entry.name
            else:
                try:
                    if not _is_folder(entry):
                        yield folder + entry.name
                        continue
                except OSError as error:
                    problems.append(why_unreadable(entry.path, error))
                    continue
                folders.append(f"{folder}{entry.name}/")
    known = any(name.startswith(("ses-", *DATATYPES)) for name in folders)
    for folder in elsewhere:
        if not known or folder.lower().startswith("ses"):
            problems.append(f"{root}/{participant}/{folder}: {NAME_OF_SESSION}")


def _is_folder(entry: os.DirEntry) -> bool:
    """Whether it is a folder, or a link to one; a link to nowhere that has no extension may be."""
    if not entry.is_symlink() or ("." in entry.name and not os.path.exists(entry.path)):
        return entry.is_dir()
    return stat.S_ISDIR(os.stat(entry.path).st_mode)


def _submodules_not_fetched(folder: str) -> Iterator[str]:
    """Submodules of git with participants' data that are empty.

    Of whole participants an empty folder tells, recorded or not.
    """
    record = os.path.join(folder, ".gitmodules")
    for line in read_text(record).splitlines() if is_there(record) else ():
        key, _, path = (part.strip() for part in line.partition("="))
        place = os.path.join(folder, path)
        if key != "path" or PARTICIPANT.fullmatch(path) or "/sub-" not in place:
            continue
        if os.path.isdir(place) and not os.listdir(place):
            yield f"{place}: is a submodule that was not fetched; {FETCH}"


def _participants(root: Path, only: list[str] | None) -> list[str]:
    """Folders of participants; what looks like one and is none is not passed over in silence."""
    try:
        names = sorted(name for name in os.listdir(root) if LIKE_PARTICIPANT.match(name))
    except OSError as error:
        raise InputError(why_unreadable(root, error)) from error
    if wrong := [name for name in names if not PARTICIPANT.fullmatch(name)]:
        raise InputError(
            f"{root}: {', '.join(map(repr, wrong))}: a participant's folder is sub- and then "
            "letters and digits alone; rename it, and its files and rows with it"
        )
    return [name for name in names if not only or name in only]


def require_place(row: dict, root: Path) -> None:
    """Raise InputError for a file that is to be used and has no place or name that can be."""
    path = f"{root}/{row['path']}"
    if "{" in path or "}" in path:
        raise InputError(f"{path}: braces in a path are wildcards to Snakemake; rename it")
    if row["session_id"] and not SESSION.fullmatch(row["session_id"]):
        raise InputError(f"{root}/{row['participant_id']}/{row['session_id']}: {NAME_OF_SESSION}")
    if not row["path"].isprintable():
        raise InputError(f"{path!a}: has characters that cannot be printed in its name; rename it")
    if not row["in_place"]:
        prefix = session_prefix(row["participant_id"], row["session_id"])
        raise InputError(
            f"{path}: scans lie in {prefix.replace('_', '/')}/anat, dwi or fmap there, with names "
            f"that begin with {prefix}_{'' if row['session_id'] else ' and no ses-'}; move or "
            "rename it"
        )
