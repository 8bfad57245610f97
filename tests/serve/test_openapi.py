"""The description of the API is well-formed, and what is served is as it says."""

from __future__ import annotations

import json
import re
from importlib.resources import files

import jsonschema
import pytest

DOCUMENT = json.loads(files("sonde.serve").joinpath("openapi.json").read_text())
PATHS = list(DOCUMENT["paths"])


def parts(node):
    """Every object of the document."""
    if isinstance(node, dict):
        yield node
        for child in node.values():
            yield from parts(child)
    if isinstance(node, list):
        for child in node:
            yield from parts(child)


def resolved(reference):
    node = DOCUMENT
    for name in reference.removeprefix("#/").split("/"):
        node = node[name]
    return node


def schema_of(path, status="200"):
    """The schema of an answer, with the document's other schemas at hand."""
    answer = DOCUMENT["paths"][path]["get"]["responses"][status]
    answer = resolved(answer["$ref"]) if "$ref" in answer else answer
    schema = answer["content"]["application/json"]["schema"]
    return {**schema, "components": DOCUMENT["components"]}


def conforms(answer, path, status="200"):
    schema = schema_of(path, status)
    jsonschema.Draft202012Validator(schema).validate(answer)


class TestDocument:
    def test_version(self):
        assert DOCUMENT["openapi"].startswith("3.1.")
        assert {"title", "version"} <= DOCUMENT["info"].keys()

    def test_schemas_are_schemas(self):
        for schema in DOCUMENT["components"]["schemas"].values():
            jsonschema.Draft202012Validator.check_schema(schema)

    def test_references_lead_somewhere(self):
        found = [part["$ref"] for part in parts(DOCUMENT) if "$ref" in part]
        assert len(found) > 20
        for reference in found:
            assert resolved(reference)

    def test_every_schema_is_used(self):
        text = json.dumps(DOCUMENT)
        for name in DOCUMENT["components"]["schemas"]:
            assert f'"#/components/schemas/{name}"' in text

    @pytest.mark.parametrize("path", PATHS)
    def test_operations(self, path):
        assert list(DOCUMENT["paths"][path]) == ["get"]
        operation = DOCUMENT["paths"][path]["get"]
        assert operation["operationId"]
        assert {"200", "304"} <= operation["responses"].keys()
        wanted = re.findall(r"\{(\w+)\}", path)
        assert [each["name"] for each in operation["parameters"]] == wanted
        assert all(each["required"] for each in operation["parameters"])

    def test_identifiers_differ(self):
        found = [path["get"]["operationId"] for path in DOCUMENT["paths"].values()]
        assert len(set(found)) == len(found)

    def test_every_code_of_an_error_is_listed(self):
        listed = resolved("#/components/schemas/Error")["properties"]["error"]["properties"]
        folder = files("sonde.serve")
        text = "".join(each.read_text() for each in folder.iterdir() if each.name.endswith(".py"))
        used = set(re.findall(r'Problem\(\s*\d+,\s*"(\w+)"', text))
        assert used - {"not_published"} == set(listed["code"]["enum"])  # that one is a page's


class TestServed:
    def test_the_document_itself(self, reader):
        assert reader.get("/api/openapi.json").json() == DOCUMENT

    @pytest.mark.parametrize("path", PATHS)
    def test_answers(self, reader, path):
        answer = reader.get(path.format(slug="open", name="open", period="weekly"))
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        conforms(answer.json(), path)

    def test_errors(self, reader):
        path = "/api/experiments/{slug}"
        conforms(reader.get("/api/experiments/none").json(), path, "404")

    def test_an_answer_of_another_shape_is_noticed(self):
        with pytest.raises(jsonschema.ValidationError):
            conforms({"experiments": [{"slug": 1}]}, "/api/experiments")
