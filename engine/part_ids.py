"""Names of rules as parts of other rules: `<rule>~<part>`, which no rule of a person is called."""


def part_id(whole: str, part: str) -> str:
    """Names a rule as a part of another."""
    return f"{whole}~{part}"


def is_part(rule: str) -> bool:
    """Whether it is the name of a part: people hear nothing of its alerts."""
    return "~" in rule


def whole_id(rule: str) -> str:
    """The rule that a part is a part of; a rule that is no part is its own."""
    return rule.partition("~")[0]
