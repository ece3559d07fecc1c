"""Cases of a study's table models, with their terms and their roles in the splits."""

import logging
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from workflow_scripts.common.job import InputError
from workflow_scripts.common.people import (
    CONFOUNDS,
    as_covariates,
    as_numbers,
    as_terms,
    coding_of,
    columns_of,
)
from workflow_scripts.common.splits import SCAN
from workflow_scripts.common.stability import MASKS, wide

LOG = logging.getLogger(__name__)
SHOWN = 8  # columns of which a warning says how many values they lack


@dataclass(frozen=True)
class Cases:
    """Scans of table models: N scans, S splits.

    Attributes
    ----------
    scans : DataFrame, (N,): participant_id, session_id, label
    x : dict of DataFrames, (N, F): terms by input; a value is missing only where they are imputed
    person : int array, (N,): participant of each scan
    y : bool array, (N,): positive class
    splits : numbers, (S,)
    role : str array, (S, N)
    weight : float array, (S, N): times used in training
    site : float array, (N,): number of each scan's site, NaN where none is known
    sites : names of the sites, by number
    measured : names of the terms that are columns of features.tsv
    coding : by input how its columns became terms, see `coding_of`
    further : dict of DataFrames, (N, masks x F): of inputs of radiomics the features with each of
        the further masks, one mask after the other
    least : of inputs of radiomics the ICC from which a feature is stable
    """

    scans: pd.DataFrame
    x: dict[str, pd.DataFrame]
    person: np.ndarray
    y: np.ndarray
    splits: np.ndarray
    role: np.ndarray
    weight: np.ndarray
    site: np.ndarray
    sites: list[str]
    measured: frozenset[str] = frozenset()
    coding: dict[str, dict] = field(default_factory=dict)
    further: dict[str, pd.DataFrame] = field(default_factory=dict)
    least: dict[str, float] = field(default_factory=dict)

    def terms(self, inputs: list[str]) -> pd.DataFrame:
        """Terms of a model that reads these inputs, (N, F)."""
        return pd.concat([self.x[name] for name in inputs], axis=1)

    def matrix(self, settings: dict) -> np.ndarray:
        """What a model is fitted to: its terms (N, F), further masks, the site if it harmonizes.

        The features of further masks stand mask by mask, each in the order of the terms.
        """
        terms = self.terms(settings["inputs"]).to_numpy(float, copy=True)  # steps write into it
        parts = [terms]
        if own := [self.further[name] for name in settings["inputs"] if name in self.further]:
            by_mask = [np.split(table.to_numpy(float), len(MASKS) - 1, axis=1) for table in own]
            parts += [one for of_mask in zip(*by_mask, strict=True) for one in of_mask]
        return np.column_stack([*parts, self.site] if settings["harmonize"] else parts)

    def radiomics(self, inputs: list[str]) -> tuple[tuple[int, ...], tuple[float, ...]]:
        """Places of the features of regions among the terms of a model, and the ICC asked for."""
        names = [name for name in inputs for _ in self.x[name]]
        chosen = [place for place, name in enumerate(names) if name in self.least]
        return tuple(chosen), tuple(self.least[names[place]] for place in chosen)

    def inside(self) -> "Cases":
        """Cases without the external participants."""
        return self.only(~(self.role == "external").any(axis=0))

    def only(self, kept: np.ndarray) -> "Cases":
        """Some of the scans, (N,) bool."""
        return replace(
            self,
            scans=self.scans[kept].reset_index(drop=True),
            x={name: x[kept] for name, x in self.x.items()},
            further={name: x[kept] for name, x in self.further.items()},
            person=np.unique(self.person[kept], return_inverse=True)[1],
            y=self.y[kept],
            role=self.role[:, kept],
            weight=self.weight[:, kept],
            site=self.site[kept],
        )


def build_cases(
    splits,
    features,
    clinical,
    inputs: dict,
    classes: list[str],
    key: str,
    imputed: bool = False,
    radiomics: dict | None = None,
) -> Cases:
    """Bring features, clinical columns and splits together.

    Scans without a value in one of the columns of any input are left out, with a warning, so
    that models of these inputs are compared on the same people; all stay where values are imputed.

    Parameters
    ----------
    splits : DataFrame
        Checked splits.
    features, clinical : DataFrames
        features.tsv and clinical.tsv of the study, this one with session_site if it is known.
    inputs : dict
        Columns of each input that the models read: ``{name: [column, ...]}``; of one of radiomics
        its region and the ICC from which a feature is stable, ``{region, stable}``.
    classes : [negative, positive]
    key : str
        Key of the study in the configuration, for messages.
    imputed : bool
        Whether the models impute missing values.
    radiomics : dict of DataFrames
        Tables of collect_radiomics by region.

    Raises
    ------
    InputError
        If a column cannot be used, or too few cases are left in a training side.
    """
    scans = splits.drop_duplicates(SCAN)[[*SCAN, "label"]].reset_index(drop=True)
    regions = {name: one for name, one in inputs.items() if isinstance(one, dict)}
    values = {
        name: _columns(scans, features, clinical, columns, f"{key}.inputs.{name}.columns")
        for name, columns in inputs.items()
        if name not in regions
    }
    masks = {
        name: _of_masks(scans, radiomics[one["region"]], one["region"], f"{key}.inputs.{name}")
        for name, one in regions.items()
    }
    values |= {name: (pd.DataFrame(index=of[0].index), of[0]) for name, of in masks.items()}
    parts = [part for table in values.values() for part in table]
    missing = pd.concat([pd.DataFrame(index=scans["participant_id"]), *parts], axis=1).isna()
    missing = missing.loc[:, ~missing.columns.duplicated()]
    complete = imputed | ~missing.any(axis=1).to_numpy()
    if not complete.all():
        lacking = [f"{name} {n}" for name, n in missing.sum().items() if n]
        more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
        LOG.warning(
            "left out of models of complete cases, a column is missing: %s (values missing: %s)",
            ", ".join(scans.loc[~complete, "participant_id"]),
            ", ".join(lacking[:SHOWN]) + more,
        )
    scans = scans[complete].reset_index(drop=True)
    numbers = splits["split"].unique()
    role, weight = (
        np.full((len(numbers), len(scans)), "rest", "<U10"),
        np.zeros((len(numbers), len(scans))),
    )
    for row, number in enumerate(numbers):
        of_split = scans[SCAN].merge(splits[splits["split"] == number], on=SCAN, how="left")
        role[row] = of_split["role"].fillna("rest")
        weight[row] = of_split["weight"].fillna(0)
    _, person = np.unique(scans["participant_id"].to_numpy(str), return_inverse=True)
    y = (scans["label"] == classes[1]).to_numpy()
    site, sites = _sites(scans, clinical)
    measured = frozenset(name for _, part in values.values() for name in part)
    cases = Cases(scans, {}, person, y, numbers, role, weight, site, sites, measured)
    check_cases(cases, classes, missing.sum(), key)
    for name, (features_of_region, *others) in masks.items():
        cases.x[name] = features_of_region[complete]
        cases.further[name] = pd.concat([table[complete] for table in others], axis=1)
        cases.least[name] = regions[name]["stable"]
        cases.coding[name] = dict.fromkeys(features_of_region)
    for name, (clinical_part, mri_part) in values.items():
        if name in masks:
            continue
        where = f"{key}.inputs.{name}.columns"
        as_clinical, as_mri = as_terms, as_numbers
        if name == CONFOUNDS:
            as_clinical = as_mri = as_covariates
            where = f"{key}.{CONFOUNDS}"
        coded = [
            as_clinical(clinical_part[complete], where, "clinical.tsv"),
            as_mri(mri_part[complete], where, "features.tsv"),
        ]
        cases.x[name] = pd.concat(coded, axis=1)
        cases.coding[name] = coding_of(clinical_part[complete]) | coding_of(mri_part[complete])
        if cases.x[name].empty:
            raise InputError(f"{where}: no column differs between participants; take out the key")
    return cases


def _sites(scans: pd.DataFrame, clinical: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Number of each scan's site (N,), NaN where it is not known, and the names by number."""
    if "session_site" not in clinical:
        return np.full(len(scans), np.nan), []
    [names] = columns_of(scans, clinical, ["session_site"], "site", "clinical.tsv").T.to_numpy()
    number, sites = pd.factorize(names, sort=True)
    return np.where(number < 0, np.nan, number), list(map(str, sites))


def _columns(scans, features, clinical, names: list[str], key: str):
    """Clinical columns and columns of features.tsv of an input, in the order of its terms."""
    of_clinical = [name for name in names if name in clinical]
    of_features = [name for name in names if name not in clinical]
    return (
        columns_of(scans, clinical, of_clinical, key, "clinical.tsv"),
        columns_of(scans, features, of_features, key, "features.tsv"),
    )


def _of_masks(scans, table: pd.DataFrame, region: str, key: str) -> list[pd.DataFrame]:
    """Features of a region with each of `MASKS`, by names that begin with the region.

    Features that nobody has are left out.
    """
    file = "the table of radiomics"
    by_mask = [wide(table, mask) for mask in MASKS]
    names = [name for name in by_mask[0] if name not in SCAN and by_mask[0][name].notna().any()]
    if not names:
        raise InputError(
            f"{key}.radiomics: no session has a feature of the {region}; see the column reason of "
            f"{file}"
        )
    found = [columns_of(scans, one, names, f"{key}.radiomics", file) for one in by_mask]
    return [one.astype(float).add_prefix(f"{region}_") for one in found]


def check_cases(cases: Cases, classes: list[str], missing: pd.Series, key: str) -> None:
    """Raise InputError if a training side lacks two people of a class, or no test has both.

    The class of a participant is that of the first scan, as in `linear.inner_folds`.
    """
    both = False
    for split, role in zip(cases.splits, cases.role, strict=True):
        trained = np.flatnonzero(role == "train")
        _, first = np.unique(cases.person[trained], return_index=True)
        for name, member in zip(classes, (~cases.y, cases.y), strict=True):
            n = member[trained[first]].sum()
            if n < 2:
                most = missing.sort_values(ascending=False).iloc[:1]
                columns = "".join(f" ({column}: {int(many)})" for column, many in most.items())
                raise InputError(
                    f"{key}: split {split} trains on {n} participants of class {name} with a value "
                    f"in every column of the models' inputs, 2 are needed; take out columns with "
                    f"many n/a{columns}, change the design, or add participants"
                )
        tested = cases.y[role == "test"]
        both |= bool(tested.any()) and not tested.all()
    if not both:
        raise InputError(
            f"{key}.design: no split tests complete cases of both classes; change the design or "
            "add participants"
        )


def exchanged(person: np.ndarray, rng) -> np.ndarray:
    """Rows of participants who exchange places with others that have as many scans: (N,)."""
    scans_of = [np.flatnonzero(person == p) for p in range(person.max() + 1)]
    source = np.arange(len(person))
    sizes = np.array([len(scans) for scans in scans_of])
    for size in np.unique(sizes):
        members = np.flatnonzero(sizes == size)
        for one, other in zip(members, members[rng.permutation(len(members))], strict=True):
            source[scans_of[one]] = scans_of[other]
    return source


def exchange(cases: Cases, number: int, seed: int) -> Cases:
    """Cases of a permutation: participants exchange labels, roles and weights.

    A participant takes over those of another one with as many scans, in all splits, so that
    class sizes on every side stay those of the design. Valid under exchangeability of
    participants, since the splits were drawn without looking at the columns. External
    participants take no part.
    """
    cases = cases.inside()
    source = exchanged(cases.person, np.random.default_rng([seed, number]))
    return replace(
        cases,
        y=cases.y[source],
        role=cases.role[:, source],
        weight=cases.weight[:, source],
    )
