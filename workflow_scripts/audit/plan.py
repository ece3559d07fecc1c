"""Why jobs would run, rule by rule and in words: what `snakemake -n` ends with.

From Snakemake's own reasons and what the last run has left in ``audit/``. Imported by the
Snakefile, so nothing heavy is imported here.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from workflow_scripts.audit.record_run import script_of
from workflow_scripts.audit.records import last_run, with_uris
from workflow_scripts.common.fingerprint import contents

SHOWN, MOST_KEYS, LONGEST = 3, 20, 60
NEEDED = "a file of it that is not kept is needed again"
# Params that are no setting, in words.
TOLD = {
    "raw_bytes": "a scan has another size",
    "correction": "the correction of a brain mask is another",
    "places": "the dataset lies elsewhere",
}


def changed_keys(before: dict, now: dict) -> dict[str, tuple]:
    """Keys of two configurations that differ, with both values, None where there is none.

    Nested ones with dots, as far down as both have them. Without ``output_dir``, on which no job
    depends.
    """

    def differences(old, new, above):
        for key in {**old, **new}:
            was, value, name = old.get(key), new.get(key), f"{above}{key}"
            if isinstance(was, dict) and isinstance(value, dict):
                yield from differences(was, value, f"{name}.")
            elif was != value and name != "output_dir":
                yield name, (was, value)

    return dict(differences(before, json.loads(json.dumps(now)), ""))


def names_in(value) -> set[str]:
    """All keys of nested dictionaries."""
    if not isinstance(value, dict):
        return set()
    return set(value).union(*map(names_in, value.values()))


def in_short(value) -> str:
    """A value of a configuration as text."""
    text = "{...}" if isinstance(value, dict) else "none" if value is None else str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def changed_files(rule: str, recorded: dict[str, str]) -> list[str]:
    """Files of code or resources of a rule that are not as the last run has used them."""
    script = script_of(rule)
    found = contents(script) if script else {}
    return [name for name, digest in found.items() if recorded.get(name, digest) != digest]


def some(names: Iterable[str]) -> str:
    """The first names, and how many there are more."""
    names = list(names)
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + rest


def settings_told(names: list[str], params: dict, changed: dict[str, tuple]) -> Iterator[str]:
    """What has changed about params of a job, as keys of the configuration where they are some.

    Parameters
    ----------
    names : of the params whose values are others
    params : of the job by name
    changed : as from `changed_keys`
    """
    for name in names:
        value = params[name]
        leaves = {name} | names_in(value)
        keys = [key for key in changed if key.rsplit(".", 1)[-1] in leaves]
        if name in TOLD:
            yield TOLD[name]
        elif keys:
            yield f"configuration key {some(keys)} changed"
        else:
            yield f"its {name.replace('_', ' ')} changed"


def reasons_of(job, reason, changed_params, root: Path, last: dict, changed: dict) -> list[tuple]:
    """Why a job would run: sentences, each with what it is about (a session, a file, a rule).

    Parameters
    ----------
    job, reason : of Snakemake
    changed_params : function of a job and its reason to the names of its changed params
    root : output folder
    last : record of the last run
    changed : as from `changed_keys`
    """
    prefix = job.wildcards_dict.get("prefix")
    found = []
    if reason.forced:
        found.append(("asked for by name", None))
    if reason._incomplete_output:
        found.append(("cut off in an earlier run", prefix))
    if reason.params_changed:
        names = changed_params(job, reason)
        if "code" in names:
            files = changed_files(job.rule.name, last.get("code", {}))
            found.append((f"its code changed{f' ({some(files)})' if files else ''}", None))
        others = [name for name in names if name != "code"]
        found += [
            (told, prefix) for told in settings_told(others, dict(job.params.items()), changed)
        ]
        if not names:
            found.append(("it has other settings", prefix))
    if reason.code_changed:
        found.append(("its rule changed", None))
    if reason.software_stack_changed:
        found.append(("its environment changed (envs/environment.yaml)", None))
    if [path for path in reason.missing_output if not path.flags.get("temp")] and not found:
        if prefix and not (root / prefix.replace("_", "/")).is_dir():
            found.append(("sessions are new", prefix))
        elif any((root / log).is_file() for log in job.log):
            found.append(("failed before, or its files were deleted", prefix))
        else:
            found.append(("not made yet", prefix))
    if reason.input_changed and not found:
        found.append(("reads other files than before", None))
    from_outside = reason.updated_input - reason.updated_input_run
    found += [("files that it reads are newer, and others", str(path)) for path in from_outside]
    return found


def explain(jobs: Iterable[tuple], changed: dict[str, tuple]) -> str:
    """Lines of why jobs would run.

    Parameters
    ----------
    jobs : name of the rule, `reasons_of` one of its jobs, and the rules whose jobs run before it
    changed : as from `changed_keys`
    """
    rules: dict[str, dict] = {}
    for rule, reasons, before in jobs:
        known = rules.setdefault(rule, {"n": 0, "why": {}, "after": {}})
        known["n"] += 1
        for sentence, about in reasons:
            known["why"].setdefault(sentence, {})[about] = None
        if not reasons:
            known["after"] |= dict.fromkeys(before)
    lines = [f"  {key}: {in_short(old)} -> {in_short(new)}" for key, (old, new) in changed.items()]
    if len(lines) > MOST_KEYS:
        lines[MOST_KEYS:] = [f"  and {len(lines) - MOST_KEYS} more keys"]
    lines = ["Configuration that is not as in the last run:", *lines] if changed else []
    lines.append("Why these jobs would run:")
    for rule, known in rules.items():
        told = []
        for sentence, about in known["why"].items():
            named = [one for one in about if one]
            told.append(f"{sentence}: {some(named)}" if named else sentence)
        if known["after"]:
            told.append(f"after {some(known['after'])}")
        lines.append(f"  {rule} ({known['n']}): {'; '.join(told) or NEEDED}")
    return "\n".join(lines)


def tell_plan(workflow, config: dict, places: dict, root: Path) -> None:
    """Print why the jobs of a dry run would run; nothing after any other run.

    Called as Python ends: Snakemake has no hook for a dry run.
    """
    if not workflow.dryrun or workflow._dag is None:
        return
    dag, last = workflow.dag, last_run(root)
    changed = changed_keys(last["config"], with_uris(config, places)) if last else {}

    def changed_params(job, reason):
        text = dag.workflow.persistence._serialize_param
        return [
            n for n, value in job.params.items() if text(value) in reason.params_changed.only_new
        ]

    running = set(dag.needrun_jobs(exclude_finished=False))
    order = {rule.name: place for place, rule in enumerate(workflow.rules)}
    jobs = sorted(running, key=lambda job: (order[job.rule.name], list(map(str, job.output))))
    told = [
        (
            job.rule.name,
            reasons_of(job, dag.reason(job), changed_params, root, last, changed),
            [other.rule.name for other in dag.dependencies[job] if other in running],
        )
        for job in jobs
        if job.output
    ]
    if told:
        print(explain(told, changed), file=sys.stderr)
