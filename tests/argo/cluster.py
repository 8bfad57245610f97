"""What Argo makes of a manifest: its templates filled in, its conditions read.

Written by hand after Argo's documentation; the manifests are ours alone, and simple.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Pod:
    """A container that Argo would start."""

    task: str
    slug: str | None
    image: str
    command: list[str]
    args: list[str]
    env: dict[str, str]


def filled(text: str, scope: dict[str, str]) -> str:
    """A text with its templates replaced; one that nobody knows is an error, as in Argo."""
    return re.sub(r"\{\{([^}]*)\}\}", lambda match: scope[match[1].strip()], text)


def parameters(owner: dict[str, Any]) -> dict[str, str]:
    return {each["name"]: each["value"] for each in owner["arguments"]["parameters"]}


def template(manifest: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [each for each in manifest["spec"]["templates"] if each["name"] == name]
    return found


def tasks(manifest: dict[str, Any]) -> dict[str, dict[str, Any]]:
    entry = template(manifest, manifest["spec"]["entrypoint"])
    return {task["name"]: task for task in entry["dag"]["tasks"]}


def pods(manifest: dict[str, Any], task: str) -> Iterator[Pod]:
    """The containers of a task: one for each item of its list, or one."""
    declared = tasks(manifest)[task]
    workflow = {
        f"workflow.parameters.{name}": value for name, value in parameters(manifest["spec"]).items()
    }
    items = json.loads(filled(declared["withParam"], workflow)) if "withParam" in declared else [{}]
    for item in items:
        scope = {**workflow, **{f"item.{name}": value for name, value in item.items()}}
        given = {name: filled(value, scope) for name, value in parameters(declared).items()}
        run = template(manifest, declared["template"])
        assert {each["name"] for each in run["inputs"]["parameters"]} == set(given)
        inputs = {f"inputs.parameters.{name}": value for name, value in given.items()}
        container = run["container"]
        yield Pod(
            task,
            given.get("slug"),
            filled(container["image"], inputs),
            container["command"],
            [filled(each, inputs) for each in container["args"]],
            {each["name"]: each["value"] for each in container["env"]},
        )


def runs_after(manifest: dict[str, Any], task: str, states: dict[str, str]) -> bool:
    """Whether a task is started, when the others ended so."""
    depends = tasks(manifest)[task].get("depends", "")
    met = [
        states[name] == state
        for name, state in re.findall(r"([\w-]+)\.(\w+)", depends.replace("||", " "))
    ]
    assert re.fullmatch(r"[\w.-]+( \|\| [\w.-]+)*", depends)
    return any(met)


def tried_again(manifest: dict[str, Any], name: str, status: str, exit_code: str) -> bool:
    """Whether Argo tries again; its language and Python's differ in `||` only, here."""
    expression = template(manifest, name)["retryStrategy"]["expression"]
    words = {"lastRetry.status": "status", "lastRetry.exitCode": "exit_code", "||": "or"}
    for theirs, ours in words.items():
        expression = expression.replace(theirs, ours)
    scope = {"asInt": int, "status": status, "exit_code": exit_code, "__builtins__": {}}
    return bool(eval(expression, scope))
