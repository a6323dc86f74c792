"""Figures and names as a reader wants them: four significant digits, units, metric names, counted nouns.

Sentences of the report mark names in backticks (`income`); `code` makes that safe for names of strangers.
"""

import math
from collections.abc import Sequence
from typing import TypeGuard

NARROW = "\u202f"  # narrow no-break space, between a figure and its unit
MINUS = "\u2212"
SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
NUMERALS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

METRICS = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "f1": "F1",
    "f1_micro": "F1 (micro)",
    "roc_auc": "ROC AUC",
    "log_loss": "log loss",
    "r2": "R²",
    "rmse": "RMSE",
    "mae": "MAE",
}
MODELS = {"constant": "guessing", "linear": "a linear model", "gradient-boosting": "gradient boosting"}
BOUNDED = ("accuracy", "balanced_accuracy", "f1", "f1_micro", "roc_auc", "r2")  # by 1; four decimals tell all
STAGES = {
    "data": "Data profile",
    "baselines": "Baselines",
    "initial-loss": "Loss before training",
    "gradient-check": "Gradient check",
    "overfit-batch": "A few rows by heart",
    "rate-range": "Learning-rate range",
    "search": "Search",
    "final": "Final training",
    "healing": "Healing",
    "test": "Test",
}


def metric_name(name: str) -> str:
    """A metric as people write it.

    >>> metric_name("roc_auc"), metric_name("top_5")
    ('ROC AUC', 'top 5')
    """
    return METRICS.get(name, name.replace("_", " "))


def model_name(name: str) -> str:
    """A baseline as a sentence calls it."""
    return MODELS.get(name, name.replace("-", " "))


def model_title(name: str) -> str:
    """A baseline as a table or a drawing calls it.

    >>> model_title("linear")
    'linear model'
    """
    return model_name(name).removeprefix("a ")


def score(metric: str, value: object) -> str:
    """A value of a metric: four decimals where 1 is the best it can be, else four digits.

    >>> score("r2", -0.00002), score("rmse", 0.000021)
    ('0.0000', '2.1\u202f×\u202f10⁻⁵')
    """
    if metric not in BOUNDED or not is_number(value) or abs(value) >= 10:
        return number(value, keep_zeros=True)
    text = f"{value:.4f}".replace("-", MINUS)
    return text.removeprefix(MINUS) if not text.strip(f"{MINUS}0.") else text


def stage_name(name: str) -> str:
    """A stage as people call it."""
    return STAGES.get(name, name.replace("-", " ").capitalize())


def is_number(value: object) -> TypeGuard[float]:
    """Whether this is a finite number; strict JSON turns others into null or text."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: object, digits: int = 4, *, keep_zeros: bool = False) -> str:
    """A figure to so many significant digits, whole numbers in full; unknown ones are a dash.

    >>> number(0.00123456), number(16281), number(98765.4321), number(1.5e-7), number(None)
    ('0.001235', '16,281', '98,765', '1.5\u202f×\u202f10⁻⁷', '–')
    >>> number(0.85, keep_zeros=True)
    '0.8500'
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, bool | str) or not isinstance(value, int | float):
        return str(value)
    if math.isinf(value):
        return "∞" if value > 0 else f"{MINUS}∞"
    text = _fixed(abs(value), digits, keep_zeros)
    return f"{MINUS}{text}" if value < 0 and text.strip("0.") else text


def _fixed(size: float, digits: int, keep_zeros: bool) -> str:
    if size == 0:
        return "0"
    if isinstance(size, int) and size < 10**12:
        return f"{size:,}"
    exponent = math.floor(math.log10(size))
    exponent += round(size / 10.0**exponent, digits - 1) >= 10
    if not -4 <= exponent < 7:
        mantissa = f"{size / 10.0**exponent:.{digits - 1}f}".rstrip("0").rstrip(".")
        return f"{mantissa}{NARROW}×{NARROW}10{str(exponent).translate(SUPERSCRIPT)}"
    text = f"{size:,.{max(0, digits - 1 - exponent)}f}"
    return text if keep_zeros or "." not in text else text.rstrip("0").rstrip(".")


def percent(share: object) -> str:
    """A share of 1 as a percentage; more digits near 0 and near 1, where they matter.

    >>> percent(0.8561), percent(0.9987), percent(1)
    ('85.6\u202f%', '99.87\u202f%', '100\u202f%')
    """
    if not isinstance(share, int | float) or not math.isfinite(share):
        return "–"
    digits = 0 if share in (0, 1) else 2 if min(share, 1 - share) < 0.01 else 1
    return f"{100 * share:.{digits}f}{NARROW}%"


def seconds(value: object) -> str:
    """A duration.

    >>> seconds(0.034), seconds(12.3), seconds(95), seconds(7322), seconds(60)
    ('0.034\u202fs', '12\u202fs', '1\u202fmin 35\u202fs', '2\u202fh 2\u202fmin', '1\u202fmin')
    """
    if not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    if value < 10:
        return f"{number(float(value), 2)}{NARROW}s"
    minutes, rest = divmod(round(value), 60)
    if not minutes:
        return f"{rest}{NARROW}s"
    hours, minutes = divmod(minutes, 60)
    parts = [(hours, "h"), (minutes, "min"), (0 if hours else rest, "s")]
    return " ".join(f"{count}{NARROW}{unit}" for count, unit in parts if count)


def counted(count: int, noun: str, plural: str = "", *, numerals: bool = False) -> str:
    """A number with its noun.

    >>> counted(1, "row"), counted(1200, "row"), counted(3, "network", numerals=True)
    ('1 row', '1,200 rows', 'three networks')
    """
    text = NUMERALS[count] if numerals and 0 <= count < len(NUMERALS) else number(count)
    return f"{text} {noun if count == 1 else plural or noun + 's'}"


def listed(items: Sequence[str], *, last: str = "and") -> str:
    """Items as a phrase.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else ""


def code(name: object) -> str:
    """A name in backticks; backticks of its own are replaced, line ends become spaces.

    >>> code("a`b")
    '`aʹb`'
    """
    return f"`{' '.join(str(name).replace('`', 'ʹ').split())}`"


def shortened(text: object, length: int) -> str:
    """At most so many characters, with an ellipsis where it was cut.

    >>> shortened("a long column name", 8)
    'a long …'
    """
    whole = str(text)
    return whole if len(whole) <= length else whole[: length - 1] + "…"


def capital(sentence: str) -> str:
    """The same with a capital at its start."""
    return sentence[:1].upper() + sentence[1:]
