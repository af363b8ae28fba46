"""What the generator writes: the same bytes everywhere, guarded against drift, and harmless."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from codegen import catalogue, contract, routes
from codegen.__main__ import generate, main
from tests.unit.codegen.contracts import MESSAGE, small, write

ROOT = Path(__file__).parents[3]


@pytest.fixture
def root(tmp_path):
    return write(tmp_path, small(), MESSAGE)


def _run_elsewhere(root, cwd, seed):
    """Run the generator as its own process, in surroundings that differ as much as they can."""
    script = (
        "import sys, json, pathlib; from codegen.__main__ import generate;"
        "print(json.dumps(generate(pathlib.Path(sys.argv[1]))))"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", script, str(root)], cwd=cwd, env=environment | {"LC_ALL": "C"},
        capture_output=True, encoding="utf-8", check=True, timeout=60,
    )  # fmt: skip
    return done.stdout


def test_two_runs_write_the_same_bytes_whatever_the_surroundings(root, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "pyproject.toml").write_text("[tool.ruff]\nline-length = 40\n")

    here = _run_elsewhere(root, ROOT, "1")
    there = _run_elsewhere(root, elsewhere, "2")

    assert here == there
    assert len(here) > 5000


def test_every_file_is_stamped_with_its_source_and_digest(root):
    files = generate(root)

    code = {name: text for name, text in files.items() if name.endswith(".py") and text}
    assert set(code) == {
        "api/models.py", "api/routes.py", "api/problems.py", "webhook_schemas/notice/v1.py",
    }  # fmt: skip
    for name, text in code.items():
        source = "webhook-schemas/notice/v1.json" if "notice" in name else "openapi.yaml"
        assert f"# from {source},\n# sha256 " in text
        assert "Do not edit" in text


def test_check_is_silent_after_generating_and_names_each_drifted_file_after(root, capsys):
    assert main(["--root", str(root)]) == 0
    capsys.readouterr()
    assert main(["--root", str(root), "--check"]) == 0
    assert capsys.readouterr().out == ""

    output = root / "generated"
    (output / "api" / "routes.py").write_text("# edited\n")
    (output / "api" / "models.py").unlink()
    (output / "api" / "extra.py").write_text("")

    assert main(["--root", str(root), "--check"]) == 1
    told = capsys.readouterr().out
    assert [line.split()[1] for line in told.splitlines()] == [
        "generated/api/extra.py", "generated/api/models.py", "generated/api/routes.py",
    ]  # fmt: skip

    assert main(["--root", str(root)]) == 0
    assert main(["--root", str(root), "--check"]) == 0
    assert not (output / "api" / "extra.py").exists()


def test_a_change_of_the_contract_is_drift(root, capsys):
    main(["--root", str(root)])
    document = small()
    document["components"]["schemas"]["Thing"]["properties"]["amount"]["maximum"] = 11
    write(root, document)

    assert main(["--root", str(root), "--check"]) == 1
    assert "generated/api/models.py" in capsys.readouterr().out


def test_a_refusal_changes_nothing(root, capsys):
    main(["--root", str(root)])
    before = {path: path.read_bytes() for path in (root / "generated").rglob("*.py")}
    write(root, small() | {"x-speed": 1})

    assert main(["--root", str(root)]) == 1
    assert "#/x-speed: is not supported" in capsys.readouterr().err
    assert {path: path.read_bytes() for path in (root / "generated").rglob("*.py")} == before


def test_patterns_of_structs_end_where_the_text_ends(root):
    files = generate(root)

    assert r'"^[a-z]{3}\\Z"' in files["webhook_schemas/notice/v1.py"]
    assert r'"^[a-z]{1,8}\\Z"' in files["api/models.py"]


def test_a_header_of_the_delivery_is_not_for_a_handler_to_set(tmp_path):
    document = small()
    responses = document["paths"]["/things/{thing_id}"]["post"]["responses"]
    schema = {"type": "string", "maxLength": 9}
    responses["200"]["headers"]["X-Left"] = {"schema": schema, "x-of-delivery": True}
    api = contract.load(tmp_path, write(tmp_path, document) / "openapi.yaml")

    written = routes.generate(api, header="")

    assert "{'location': 'location'}" in written
    assert "x_left" not in written


@pytest.mark.parametrize("text", ['"""', 'ends with "', "back\\slash \\N{DASH}", '\'\n""" + x'])
def test_texts_of_the_contract_stay_texts(tmp_path, text):
    document = small()
    document["tags"][0]["description"] = text
    operation = document["paths"]["/things/{thing_id}"]["post"]
    operation["summary"] = operation["responses"]["200"]["description"] = text
    document["x-error-codes"]["NOT_FOUND"] |= {"title": text, "description": text}
    api = contract.load(tmp_path, write(tmp_path, document) / "openapi.yaml")

    tree = ast.parse(routes.generate(api, header=""))
    problems = ast.parse(catalogue.generate(api, header=""))

    names = [node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef)]
    assert names == ["ChangeThing200", "ThingsApi", "SecurityApi", "build_routes"]
    things = next(n for n in tree.body if isinstance(n, ast.ClassDef) and n.name == "ThingsApi")
    shown = " ".join(text.split()).replace('"""', "'''")
    assert ast.get_docstring(things).strip() == shown
    assert [n.name for n in problems.body if isinstance(n, ast.ClassDef)] == ["ErrorCode"]


@pytest.mark.parametrize("place", ["v1.json", "a/b/v1.json", "a/1 v.json"])
def test_a_message_in_an_odd_place_is_refused(tmp_path, place, capsys):
    root = write(tmp_path, small())
    target = root / "webhook-schemas" / place
    target.parent.mkdir(parents=True)
    target.write_text("{}")

    assert main(["--root", str(root), "--check"]) == 1
    assert f"webhook-schemas/{place}: lies in" in capsys.readouterr().err


def test_two_messages_that_python_would_call_alike_are_refused(root, capsys):
    folder = root / "webhook-schemas" / "notice"
    text = (folder / "v1.json").read_text()
    (folder / "v-1.json").write_text(text)
    (folder / "v.1.json").write_text(text)

    assert main(["--root", str(root), "--check"]) == 1
    assert "another file has the same name in Python" in capsys.readouterr().err
