"""Our digest of Xero's published API files, and what has changed since it was made.

The files are Xero's and not part of this repository: they are looked for beside it, or
where JUSTPAYME_XERO_SPECS points. `published.json` beside this file says of them only what we check
answers against: each object's fields, each with one word for its type.

    python -m tests.conformance.published           # name what differs; 1 if anything, 2 if no file
    python -m tests.conformance.published --write   # make the digest anew

The words: `text`, `text <= 255`, `number`, `integer`, `boolean`, `uuid`; `day` and `instant` are
both `/Date(ms+0000)/`; `time` is ISO; `one of A | B` is a closed list; another object's name
stands for it, `[Name]` for a list of it; `any` is what the file doesn't say.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from tests.generated import ROOT

FOLDER = Path(os.environ.get("JUSTPAYME_XERO_SPECS") or ROOT.parent / "shared/xero/specs")
DIGEST = Path(__file__).with_name("published.json")
COMMIT = "e952d0bda3628facbf7afc5990ad6a0e7e77bd1e"
"""Of github.com/XeroAPI/Xero-OpenAPI when the digest was made; the files don't name it."""
LICENCE = "MIT, Copyright (c) 2017 Xero Developer API"
FILES = ("xero_accounting.yaml", "xero-identity.yaml", "xero-webhooks.yaml")
SERVED = (
    "Accounts", "BrandingThemes", "Contacts", "CreditNotes", "Currencies", "Invoices",
    "Organisation", "Overpayments", "Payments", "Prepayments", "TaxRates", "Connections",
)  # fmt: skip
"""The first words of the paths whose answers we rely on."""
BESIDE = ("Attachments", "pdf", "PaymentServices", "CISSettings")
"""What such a path may end in that we neither ask for nor serve."""
WITHOUT_PATH = ("AccessToken", "WebhookEvent", "CreditNoteWebhookEvent")
"""Objects that no path of the files leads to: the token endpoint's answer, what is sent to us."""
Json = dict[str, Any]


class _Loader(yaml.CSafeLoader):
    """Dates and the country NO stay text, as they are in JSON."""


_TYPED = (":timestamp", ":bool")
_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in pairs if not tag.endswith(_TYPED)]
    for first, pairs in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


class Reader:
    """Reads the files into a digest, object by object."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.objects: Json = {}
        self.files = {name: (folder / name).read_bytes() for name in FILES}
        self.parsed = {name: yaml.load(raw, Loader=_Loader) for name, raw in self.files.items()}  # noqa: S506

    def digest(self) -> Json:
        """Everything, in an order that doesn't depend on the files'."""
        answers = {place: said for file in FILES for place, said in self._answers(file)}
        for name in WITHOUT_PATH:
            for file in FILES:
                self._add(name, file)
        return {
            "from": self._origin(),
            "answers": dict(sorted(answers.items())),
            "objects": dict(sorted(self.objects.items())),
        }

    def _origin(self) -> Json:
        files = {
            name: {
                "version": self.parsed[name]["info"]["version"],
                "sha256": hashlib.sha256(raw).hexdigest(),
            }
            for name, raw in self.files.items()
        }
        where = "https://github.com/XeroAPI/Xero-OpenAPI"
        return {"repository": where, "commit": COMMIT, "licence": LICENCE, "files": files}

    def _answers(self, file: str) -> Iterator[tuple[str, dict[str, str]]]:
        for path, methods in self.parsed[file].get("paths", {}).items():
            words = path.strip("/").split("/")
            if words[0] in SERVED and not set(BESIDE) & set(words):
                for method in sorted({"get", "put", "post", "delete"} & methods.keys()):
                    found = methods[method]["responses"].items()
                    said = {str(code): self._body(answer, file) for code, answer in found}
                    yield f"{method.upper()} {path}", said

    def _body(self, answer: Json, file: str) -> str:
        answer = self._resolved(answer, file)
        schema = answer.get("content", {}).get("application/json", {}).get("schema")
        return self._word(schema, "", file) if schema else "nothing"

    def _resolved(self, schema: Json, file: str) -> Json:
        """What a reference points to, with the parts of an `allOf` put together."""
        if "$ref" in schema:
            found: Any = self.parsed[file]
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            return self._resolved(found, file)
        whole = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema.get("allOf", ()):
            whole = _together(whole, self._resolved(part, file))
        return whole

    def _add(self, name: str, file: str) -> None:
        schemas = self.parsed[file].get("components", {}).get("schemas", {})
        if name in schemas and name not in self.objects:
            self.objects[name] = {}
            self.objects[name] = self._described(self._resolved(schemas[name], file), name, file)

    def _described(self, schema: Json, name: str, file: str) -> Any:
        """An object's fields, or the word for what is no object."""
        if "properties" not in schema:
            return self._plain(schema)
        fields = schema["properties"].items()
        return {key: self._word(field, f"{name}.{key}", file) for key, field in sorted(fields)}

    def _word(self, schema: Json, place: str, file: str) -> str:
        reference = str(schema.get("$ref", ""))
        if reference.startswith("#/components/schemas/") and reference.count("/") == 3:
            name = reference.rpartition("/")[2]
            self._add(name, file)
            return name
        schema = self._resolved(schema, file)
        if schema.get("type") == "array":
            return f"[{self._word(schema.get('items', {}), place, file)}]"
        if "properties" in schema:
            self.objects[place] = self._described(schema, place, file)
            return place
        return self._plain(schema)

    def _plain(self, schema: Json) -> str:
        words = [*schema.get("enum", ()), *(s["const"] for s in schema.get("oneOf", ()))]
        words = [schema["const"]] if "const" in schema else words
        if words:
            return "one of " + " | ".join(sorted(str(word) for word in words))
        if schema.get("x-is-msdate"):
            return "day"
        if schema.get("x-is-msdate-time"):
            return "instant"
        kind = schema.get("type", "any")
        if kind != "string":
            return str(kind)
        longest = f" <= {schema['maxLength']}" if "maxLength" in schema else ""
        special = {"uuid": "uuid", "date-time": "time"}
        return special.get(schema.get("format", ""), f"text{longest}")


def _together(one: Json, other: Json) -> Json:
    """Two halves of a schema; objects and lists within are put together too."""
    whole = dict(one)
    for key, value in other.items():
        both = isinstance(value, dict) and isinstance(whole.get(key), dict)
        whole[key] = _together(whole[key], value) if both else value
    return whole


def there(folder: Path = FOLDER) -> bool:
    """Whether the files are on this machine."""
    return all((folder / name).is_file() for name in FILES)


def known() -> Json:
    """The digest as it was committed."""
    digest: Json = json.loads(DIGEST.read_text(encoding="utf-8"))
    return digest


def differences(was: Json, now: Json) -> list[str]:
    """What changed between two digests, one line each, by object and field."""
    lines = []
    for part in ("answers", "objects"):
        before, after = _flat(was[part]), _flat(now[part])
        for place in sorted(before.keys() | after.keys()):
            lines += _difference(place, before.get(place), after.get(place))
    for name, file in now["from"]["files"].items():
        if file != was["from"]["files"].get(name):
            lines.append(f"{name}: is version {file['version']}, sha256 {file['sha256']}")
    return lines


def _flat(part: Json) -> dict[str, str]:
    """Place to word: `Invoice.Status`, `GET /Invoices 200`; an object without fields too."""
    flat = {}
    for name, fields in part.items():
        joint = " " if "/" in name else "."
        if isinstance(fields, str):
            flat[name] = fields
        elif not fields:
            flat[name] = "an object without fields"
        else:
            flat |= {f"{name}{joint}{field}": word for field, word in fields.items()}
    return flat


def _difference(place: str, was: str | None, now: str | None) -> list[str]:
    if was == now:
        return []
    if was is None:
        return [f"{place}: new: {now}"]
    if now is None:
        return [f"{place}: gone, was {was}"]
    if was.startswith("one of ") and now.startswith("one of "):
        before, after = _words(was), _words(now)
        return [
            *(f"{place}: new word {word}" for word in sorted(after - before)),
            *(f"{place}: word gone: {word}" for word in sorted(before - after)),
        ]
    return [f"{place}: was {was}, now {now}"]


def _words(word: str) -> set[str]:
    return set(word.removeprefix("one of ").split(" | "))


def drift(folder: Path = FOLDER) -> list[str]:
    """What the files say and the digest doesn't."""
    return differences(known(), Reader(folder).digest())


def heading(folder: Path = FOLDER) -> str:
    """One line for the head of a test run: what answers are checked against."""
    version = known()["from"]["files"][FILES[0]]["version"]
    if there(folder):
        return f"xero's api files: version {version}, compared with those in {folder}"
    return (
        f"XERO'S API FILES ARE NOT HERE: answers are checked against our digest of version"
        f" {version}, and nobody looks whether it is current (set JUSTPAYME_XERO_SPECS)"
    )


def main(argv: list[str] | None = None) -> int:
    """The command line: 0 is current, 1 differs, 2 has nothing to compare with."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="make the digest anew")
    parser.add_argument("--files", type=Path, default=FOLDER, help="folder of Xero's API files")
    options = parser.parse_args(argv)
    if not there(options.files):
        sys.stderr.write(f"no {', '.join(FILES)} in {options.files}\n")
        return 2
    if options.write:
        text = json.dumps(Reader(options.files).digest(), indent=1, ensure_ascii=False)
        DIGEST.write_text(f"{text}\n", encoding="utf-8")
    lines = drift(options.files)
    sys.stdout.write("\n".join(lines or [heading(options.files)]) + "\n")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
