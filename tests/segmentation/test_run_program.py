"""Programs that are installed beside the workflow, here small ones that the tests write."""

import sys

import pytest

from workflow_scripts.common.engines import commands, images_of, labels_of
from workflow_scripts.common.job import InputError
from workflow_scripts.segmentation.run_program import run_program, without_places

PROGRAM = """#!{python}
import os, pathlib, sys
out = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
out.mkdir()
names = ["seg.mgz", "seg2.mgz"][: int(sys.argv[-1])]
for name in names:
    (out / name).write_text(" ".join([*sys.argv[1:], os.environ["OMP_NUM_THREADS"]]))
sys.exit(int(sys.argv[-1]) > 2)
"""


@pytest.fixture
def run(tmp_path):
    program = tmp_path / "my program"
    program.write_text(PROGRAM.format(python=sys.executable))
    program.chmod(0o755)
    (tmp_path / "free").mkdir()

    def call(files=1, result="out/seg*.mgz", name=program):
        words = f"'{name}' -i {{T1w}} {{FLAIR}} -o {{folder}}/out -t {{threads}} {files}"
        settings = {"run": words, "result": result, "threads": 3}
        images = {"T1w": str(tmp_path / "a b; rm.nii.gz"), "FLAIR": str(tmp_path / "f.nii.gz")}
        return run_program(settings, images, tmp_path / "free", "engine e")

    return call


def test_words_reach_the_program_as_they_are(run, tmp_path):
    found = run()
    assert found == tmp_path / "free/out/seg.mgz"
    told = f"-i {tmp_path}/a b; rm.nii.gz {tmp_path}/f.nii.gz -o {tmp_path}/free/out -t 3 1 3"
    assert found.read_text() == told


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "no_such_program"}, "engine e: no_such_program is not on the PATH; install"),
        ({"files": 3}, "ended with exit code 1"),
        ({"files": 0}, "has left no files out/seg"),
        ({"files": 2}, "has left 2 files out/seg"),
    ],
)
def test_what_goes_wrong_is_named(run, changes, message):
    with pytest.raises(InputError, match=message):
        run(**changes)


def test_commands_of_known_programs_are_whole():
    for program, command in commands().items():
        assert labels_of(program, "thalamus").left > 0
        assert images_of(command["run"]) == ["T1w"]
        assert "{folder}" in command["run"] and command["result"]
    assert without_places("/opt/s/bin/run_samseg --input {T1w}") == "run_samseg --input {T1w}"
