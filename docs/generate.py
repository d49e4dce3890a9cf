"""Writes the documents that follow from the code; `--check` fails where one of them has drifted.

Generated: `docs/contracts/` (JSON Schemas, AsyncAPI, the topics' table) and the blocks of `README.md` between
`<!-- generated:NAME -->` and `<!-- /generated -->`.
"""

import json
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CONTRACTS = ROOT / "docs" / "contracts"

sys.path.insert(0, str(ROOT))

from schemas.asyncapi import PARTIES, asyncapi, json_schemas, models, record_name  # noqa: E402  (after the path)
from schemas.topics import TOPICS, Topic  # noqa: E402

_BLOCK = re.compile(r"(<!-- generated:(?P<name>[a-z-]+) -->\n).*?(<!-- /generated -->)", re.DOTALL)

_CONTRACTS_INTRO = """\
# Contracts

<!-- Written by docs/generate.py from schemas/; `make docs` writes it anew. -->

What travels between Watchkeeper and others: JSON, one object per record, versioned, keyed as the table says.
[`asyncapi.json`](asyncapi.json) describes every topic for tools (AsyncAPI 3.0); each record form has a JSON Schema
(draft 2020-12) and, in `tests/golden/`, lines of bytes that every reader accepts for ever.

"""

_CONTRACTS_RULES = """
## Rules of change

1. A field may be added if it has a default. Readers ignore fields that they do not know; only a rule with an unknown
   field is refused, since the field could change what it means.
2. No field changes its type, its unit or its meaning, and none disappears: that is a new version (`v`), which readers
   accept beside all earlier ones before anyone writes it.
3. Times are integers, epoch milliseconds, UTC. 64-bit fingerprints are 16 hexadecimal digits, not numbers.
4. Numbers are finite: NaN and infinities are refused.
5. A record that cannot be read goes to `deadletters` with its reason; one bad sample does not condemn its record.
"""


def days(milliseconds: int | None) -> str:
    """Retention in words."""
    return "newest per key" if milliseconds is None else f"{milliseconds // 86_400_000} days"


def topics_table(*, schemas_at: str) -> str:
    """One row for each topic.

    Args:
        schemas_at: Path from the document to the folder of the JSON Schemas.
    """
    head = "| topic | key | value | partitions | kept | written by | read by |\n|---|---|---|---|---|---|---|\n"
    return head + "".join(_topic_row(topic, schemas_at) for topic in TOPICS)


def _topic_row(topic: Topic, schemas_at: str) -> str:
    parties = PARTIES[topic.name]
    names = [record_name(topic, model) for model in models(topic)]
    links = ", ".join(f"[`{name}`]({schemas_at}/{name}.schema.json)" for name in names)
    cells = (
        f"`{topic.name}`",
        topic.key,
        f"{topic.title} {links}",
        str(topic.partitions),
        days(topic.retention_ms),
        parties.written_by,
        parties.read_by,
    )
    return f"| {' | '.join(cells)} |\n"


def version() -> str:
    """Version of the program, as `pyproject.toml` states it."""
    text = (ROOT / "pyproject.toml").read_text()
    found: str = tomllib.loads(text)["project"]["version"]
    return found


def with_blocks(text: str, blocks: dict[str, str]) -> str:
    """The text with its generated blocks replaced.

    Raises:
        KeyError: A block of the text has a name that nothing generates.
    """
    return _BLOCK.sub(lambda match: f"{match[1]}{blocks[match['name']]}{match[3]}", text)


def documents() -> dict[Path, str]:
    """Every generated file with what must stand in it."""
    wanted = {CONTRACTS / f"{name}.schema.json": _json(schema) for name, schema in json_schemas().items()}
    wanted[CONTRACTS / "asyncapi.json"] = _json(asyncapi(version()))
    wanted[CONTRACTS / "README.md"] = _CONTRACTS_INTRO + topics_table(schemas_at=".") + _CONTRACTS_RULES
    readme = ROOT / "README.md"
    wanted[readme] = with_blocks(readme.read_text(), {"topics": topics_table(schemas_at="docs/contracts")})
    return wanted


def drift() -> list[str]:
    """What differs between the files and the code, one sentence each; empty when all is well."""
    wanted = documents()
    found = [
        f"{path.relative_to(ROOT)} {'differs' if path.exists() else 'is missing'}"
        for path, text in wanted.items()
        if not path.exists() or path.read_text() != text
    ]
    return found + [f"{path.relative_to(ROOT)} is left over" for path in _left_over(wanted)]


def write() -> None:
    """Writes what differs, and removes what is left over."""
    wanted = documents()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in _left_over(wanted):
        path.unlink()


def main(arguments: list[str]) -> int:
    """Exit code of the script."""
    if arguments not in ([], ["--check"]):
        print("usage: python docs/generate.py [--check]", file=sys.stderr)
        return 2
    found = drift()
    if not arguments:
        write()
        print("\n".join(found) if found else "nothing to do")
        return 0
    for sentence in found:
        print(f"{sentence}: run make docs and commit the result", file=sys.stderr)
    return 1 if found else 0


def _left_over(wanted: dict[Path, str]) -> list[Path]:
    return sorted(path for path in CONTRACTS.glob("*") if path not in wanted)


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
