"""Measures of rows that need no model: one input alone, twins of rows, how far two parts lie apart."""

import numpy as np

COMPARED = 256
"""Inputs by which rows are compared for near twins; of more, so many are drawn."""

NEAR = 1 / 3
"""Distance from which on no other row is near (measured: the nearest is at 0.03 … 0.3 where inputs have few values, and
at 0.4 … 1 in images and measurements)."""

TWINS_LOOKED_AT, ROWS_LOOKED_AT = 200, 4_000


def skill_of_input(column: np.ndarray, y: np.ndarray) -> float:
    """How well one input alone tells the target: share of a constant guess's errors avoided, or R².

    Each row is guessed from its neighbours: from the other rows of the same value, or where there are none, from those
    of the next values below and above. So any function of the input is found, not only a straight line.

    Args:
        column: (N,), NaN counts as a value. y: (N,) class numbers int64, or (N,) numbers.
    """
    _, group, count = np.unique(column, return_inverse=True, return_counts=True)
    if len(count) < 2:
        return 0.0
    return _classes_told(group, count, y) if y.dtype.kind == "i" else _numbers_told(group, count, y)


def _classes_told(group: np.ndarray, count: np.ndarray, y: np.ndarray) -> float:
    classes = int(y.max()) + 1
    table = np.bincount(group * classes + y, minlength=len(count) * classes).reshape(len(count), classes)
    votes = np.where(count[:, None] > 1, table, _beside(table))[group]
    own = votes[np.arange(len(y)), y] - (count[group] > 1)
    votes[np.arange(len(y)), y] = -1
    errors = int((own < votes.max(axis=1)).sum())
    guessed = len(y) - int(table.sum(axis=0).max())
    return 1 - errors / guessed if guessed else 0.0


def _numbers_told(group: np.ndarray, count: np.ndarray, y: np.ndarray) -> float:
    total = np.bincount(group, weights=y, minlength=len(count))
    single = count[group] == 1
    others = np.where(single, _beside(total[:, None])[group, 0], total[group] - y)
    p = others / np.where(single, _beside(count[:, None])[group, 0], count[group] - 1)
    spread = float(((y - y.mean()) ** 2).sum())
    return 1 - float(((y - p) ** 2).sum()) / spread if spread > 0 else 0.0


def _beside(sums: np.ndarray) -> np.ndarray:
    """Each row's neighbours above and below (G, K), added."""
    total = np.zeros_like(sums)
    total[1:] += sums[:-1]
    total[:-1] += sums[1:]
    return total


def skills_of_inputs(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(D,) of `skill_of_input`, or for numbers the square of the correlation, if that is more; of the best target."""
    columns = y[:, None] if y.ndim == 1 else y
    return np.array([max(_skill(x[:, i], columns[:, j]) for j in range(columns.shape[1])) for i in range(x.shape[1])])


def _skill(column: np.ndarray, y: np.ndarray) -> float:
    skill = skill_of_input(column, y)
    return skill if y.dtype.kind == "i" else max(skill, _correlation(column, y) ** 2)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Pearson's, over the rows that have both; a line's ends are told by it better than by neighbours."""
    known = np.isfinite(a)
    a, b = a[known].astype(np.float64), b[known]
    if len(a) < 20 or len(a) < len(known) / 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def by_chance(x: np.ndarray, twins: np.ndarray, seed: int) -> float:
    """Share of these rows whose like is common: where some other row differs from them in little.

    Where inputs have few values equal rows meet by chance, and then nearly equal ones are frequent too. A copy of a row
    of measured numbers has none near it. The distance of two rows is the share of inputs in which they differ, each
    weighted by how often two rows do.

    Args:
        x: (N, D) rows. twins: numbers of the rows that have a twin.
    """
    if _values(x) <= len(x):  # there are fewer different rows than rows
        return 1.0
    random = np.random.default_rng(seed)
    asked = random.permutation(twins)[:TWINS_LOOKED_AT]
    inputs = np.sort(random.permutation(x.shape[1])[:COMPARED])
    rows = np.nan_to_num(x[np.sort(random.permutation(len(x))[:ROWS_LOOKED_AT])][:, inputs], nan=np.pi)
    asked_x = np.nan_to_num(x[asked][:, inputs], nan=np.pi)
    weight = np.array([_differing(rows[:, i]) for i in range(rows.shape[1])])
    near = 0
    for row in asked_x:
        distance = (rows != row) @ weight
        near += bool(distance[distance > 0].min(initial=np.inf) <= NEAR * weight.sum())
    return near / max(1, len(asked))


def _values(x: np.ndarray) -> float:
    """How many different rows the values of the inputs allow."""
    total = 1.0
    for column in x.T:
        total *= len(np.unique(column))
        if total > len(x):
            break
    return total


def _differing(column: np.ndarray) -> float:
    """How probably two rows differ in it."""
    shares = np.unique(column, return_counts=True)[1] / len(column)
    return 1 - float(shares @ shares)


def auc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Area under the ROC curve: how probably a positive row has the higher score; an equal one counts half."""
    p, n = np.sort(scores[positive]), np.sort(scores[~positive])
    if not len(p) or not len(n):
        return float("nan")
    below = np.searchsorted(n, p, "left") + np.searchsorted(n, p, "right")
    return float(below.sum()) / (2 * len(p) * len(n))


def auc_error(first: int, second: int) -> float:
    """Standard deviation of the AUC where nothing tells the two apart (Mann & Whitney 1947)."""
    return float(np.sqrt((first + second + 1) / (12 * first * second)))


def apart(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(D,) by input, from 0 (alike) to 1: the largest distance of the two distribution functions (Kolmogorov, Smirnov).

    Missing numbers count as a value below all others.
    """
    distances = np.zeros(a.shape[1])
    for i in range(a.shape[1]):
        u, v = (np.sort(np.nan_to_num(part[:, i], nan=-np.inf)) for part in (a, b))
        at = np.unique(np.concatenate([u, v]))
        shares = np.searchsorted(u, at, "right") / len(u) - np.searchsorted(v, at, "right") / len(v)
        distances[i] = np.abs(shares).max()
    return distances
