"""What Argo accepts, as its own models say: no unknown field, no wrong type, no unknown word."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
from hera.workflows import models

# The models take any text where Kubernetes has a closed set. From Argo's field reference.
WORDS = {
    "apiVersion": {"argoproj.io/v1alpha1"},
    "kind": {"Workflow"},
    "retryPolicy": {"Always", "OnFailure", "OnError", "OnTransientError"},
    "strategy": {"OnPodCompletion", "OnPodSuccess", "OnWorkflowCompletion", "OnWorkflowSuccess"},
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
}


def complaints(manifest: dict[str, Any]) -> list[str]:
    """Everything that is wrong with a workflow."""
    found = [error.message for error in _validator().iter_errors(manifest)]
    try:
        read = models.Workflow.model_validate(manifest)
    except ValueError as error:
        return [*found, str(error)]
    kept = read.model_dump(by_alias=True, exclude_none=True, mode="json")
    lost = set(_paths(manifest)) - set(_paths(kept))
    found += [f"{path} means nothing" for path in sorted(lost)]
    return found + list(_wrong_words(manifest))


@cache
def _validator() -> jsonschema.Draft202012Validator:
    schema = models.Workflow.model_json_schema()
    _close(schema)
    return jsonschema.Draft202012Validator(schema)


def _close(schema: Any) -> None:
    if isinstance(schema, dict):
        if schema.get("type") == "object" and "properties" in schema:
            schema.setdefault("additionalProperties", False)
        for each in schema.values():
            _close(each)
    elif isinstance(schema, list):
        for each in schema:
            _close(each)


def _paths(value: Any, path: str = "") -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            yield f"{path}/{key}"
            yield from _paths(each, f"{path}/{key}")
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from _paths(each, f"{path}/{index}")


def _wrong_words(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, each in value.items():
            if key in WORDS and each not in WORDS[key]:
                yield f"{key}: {each}"
            yield from _wrong_words(each)
    elif isinstance(value, list):
        for each in value:
            yield from _wrong_words(each)
