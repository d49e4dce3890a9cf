"""Names of rules as parts of other rules: `<rule>~<part>`, which no rule of a person is called."""


def part_id(whole: str, part: str) -> str:
    """Names a rule as a part of another."""
    return f"{whole}~{part}"


def whole_id(rule: str) -> str:
    """The rule that a part is a part of; a rule that is no part is its own."""
    return rule.partition("~")[0]
