import json
import shutil

import pytest

from workflow_scripts.common import fingerprint as module


@pytest.fixture
def package(tmp_path, monkeypatch):
    """script.py imports helper.py, which uses a resource; other.py stands alone."""
    package = tmp_path / "workflow_scripts"
    (package / "wing").mkdir(parents=True)
    resources = tmp_path / "resources"
    resources.mkdir()
    (resources / "facts.tsv").write_text("a\n")
    (package / "__init__.py").write_text("")
    (package / "wing" / "__init__.py").write_text("")
    (package / "wing" / "script.py").write_text(
        '"""Doc."""\nfrom workflow_scripts.wing.helper import f\nf()\n'
    )
    (package / "wing" / "helper.py").write_text(
        'def f():\n    """Doc."""\n    return resource("facts.tsv")\n'
    )
    (package / "wing" / "other.py").write_text("x = 1\n")
    monkeypatch.setattr(module, "PACKAGE", package)
    monkeypatch.setattr(module, "RESOURCES", resources)
    clear()
    yield package
    clear()


def clear():
    for function in (module.fingerprint, module._read, module._take_kept):
        function.cache_clear()


def after(change, script="wing/script.py"):
    before = module.fingerprint(script)
    change()
    clear()
    return before != module.fingerprint(script)


def append(path, text):
    return lambda: path.write_text(path.read_text() + text)


@pytest.mark.parametrize("file", ["wing/script.py", "wing/helper.py", "../resources/facts.tsv"])
def test_changes_with_what_the_script_uses(package, file):
    assert after(append(package / file, "y = 2\n"))


def test_does_not_change_with_what_it_does_not_use(package):
    assert not after(append(package / "wing" / "other.py", "y = 2\n"))


def test_comments_docstrings_and_layout_do_not_count(package):
    helper = package / "wing" / "helper.py"
    text = '# comment\ndef f():\n\n    """Other."""\n    return resource( "facts.tsv" )\n'
    assert not after(lambda: helper.write_text(text))


def test_same_in_another_clone(package, monkeypatch, tmp_path):
    before = module.fingerprint("wing/script.py")
    clone = tmp_path / "clone"
    shutil.copytree(package, clone / "workflow_scripts")
    shutil.copytree(tmp_path / "resources", clone / "resources")
    monkeypatch.setattr(module, "PACKAGE", clone / "workflow_scripts")
    monkeypatch.setattr(module, "RESOURCES", clone / "resources")
    clear()
    assert module.fingerprint("wing/script.py") == before


def test_resource_must_be_a_literal_that_exists(package):
    helper = package / "wing" / "helper.py"
    helper.write_text("def f(name):\n    return resource(name)\n")
    with pytest.raises(ValueError, match="one string literal"):
        module.fingerprint("wing/script.py")
    clear()
    helper.write_text('def f():\n    return resource("none.tsv")\n')
    with pytest.raises(FileNotFoundError, match="none.tsv"):
        module.fingerprint("wing/script.py")


def test_what_is_kept_is_what_would_be_found(package, monkeypatch):
    """Also by another process, for which nothing is read before; and of a file that changed."""
    before = module.shared_fingerprint("wing/script.py", fresh=True)
    module.keep_parsed()
    [kept] = (package / "__pycache__").glob("fingerprints-*.json")
    assert len(json.loads(kept.read_text())) >= 4
    clear()
    monkeypatch.setattr(module, "_parsed", {})
    monkeypatch.setattr(module, "_parse", None)  # a parse would fail
    assert module.shared_fingerprint("wing/script.py", fresh=True) == before
    monkeypatch.undo()
    monkeypatch.setattr(module, "PACKAGE", package)
    monkeypatch.setattr(module, "RESOURCES", package.parent / "resources")
    helper = package / "wing" / "helper.py"
    helper.write_text(helper.read_text() + "y = 2\n")
    clear()
    assert module.shared_fingerprint("wing/script.py", fresh=True) != before


def test_an_audit_does_not_believe_what_is_kept(package, monkeypatch):
    """Somebody has edited a module, and what is kept says that nothing changed."""
    before = module.fingerprint("wing/script.py")
    helper = package / "wing" / "helper.py"
    content, modules, resources = module._parse(helper.read_bytes(), helper)
    helper.write_text(helper.read_text() + "y = 2\n")
    forged = {module.hashlib.sha256(helper.read_bytes()).hexdigest(): [content, modules, resources]}
    kept = package / module.KEPT
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps(forged))
    clear()
    monkeypatch.setattr(module, "_parsed", {})
    assert module.fingerprint("wing/script.py") != before


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_a_kept_file_that_cannot_be_read_is_made_anew(package, text, monkeypatch):
    before = module.fingerprint("wing/script.py")
    kept = package / module.KEPT
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(text)
    clear()
    monkeypatch.setattr(module, "_parsed", {})
    assert module.shared_fingerprint("wing/script.py", fresh=True) == before
    module.keep_parsed()
    assert json.loads(kept.read_text())
