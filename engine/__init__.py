"""What is decided: windows, fold, watermarks, rules, the alert machine. Functions of their arguments alone."""
