"""The rows: what trainwell must be able to do, one line each. Tests name the rows that they show.

A row's id is its family's letter and its place in the family: O6 is the sixth of the optimizers.
"""

from dataclasses import dataclass

FAMILIES: dict[str, str] = {
    "H": "hyperparameters, batches, epochs",
    "A": "activations",
    "I": "weight initialisation",
    "L": "losses",
    "O": "optimizers",
    "S": "learning-rate schedules",
    "R": "regularisation and normalisation",
    "P": "data preparation",
    "B": "babysitting: the recipe, stage by stage",
    "D": "diagnosis",
    "V": "to look at",
}

TEXTS: dict[str, tuple[str, ...]] = {
    "H": (
        "one configuration, set before training and kept with the result",
        "batch, stochastic and mini-batch descent; reshuffled every epoch; 1 ≤ B ≤ n enforced",
        "a last short batch is trained on or dropped; the gradient is the mean over the samples in the batch",
        "bookkeeping: n=200, B=5 → 40 iterations an epoch, 40,000 updates in 1,000; n=1000, B=1 → 1,000",
        "standard batch size from the data (√n, power of two, memory bound)",
        "stopping other than by epochs: patience, target, time budget, loss change below a threshold",
        "learning curves, drawn and judged: underfit, overfit, fit",
    ),
    "A": (
        "sigmoid, σ′ = σ(1−σ)",
        "tanh, 1−tanh²",
        "ReLU, with the option of a small positive bias",
        "Leaky ReLU, PReLU",
        "ELU",
        "SELU",
        "SiLU/Swish, φ′ = φ + σ(1−φ)",
        "GELU, Mish, softplus, hard variants",
        "Maxout",
        "softmax and log-softmax, stable; the output chosen by task",
        "hidden activation → initialiser, output → loss; a mismatch is a finding",
    ),
    "I": (
        "zeros, constant",
        "random normal(σ), random uniform(a)",
        "Glorot, normal and uniform; fan_in uniform ±1/√n",
        "Glorot with gain: sigmoid 4, tanh 1, ReLU/SiLU √2",
        "He, normal and uniform",
        "LeCun",
        "orthogonal",
        "LSUV",
        "data-dependent (Krähenbühl)",
        "dropout-adjusted variance",
        "centred weight normalisation",
        "the standard scheme follows the activation",
        "shown: activations and gradients of each layer at initialisation",
    ),
    "L": (
        "MSE",
        "MAE",
        "RMSE",
        "Huber(δ)",
        "binary cross-entropy from logits, ∂J/∂z = a − y; multi-label",
        "categorical cross-entropy: integers or one-hot, label smoothing, class weights",
        "why cross-entropy: one saturated sigmoid neuron, squared error against cross-entropy",
    ),
    "O": (
        "SGD",
        "momentum, change_t = γ·change_{t−1} + η∇",
        "Nesterov",
        "Adagrad",
        "Adadelta",
        "RMSProp, also centred and with momentum",
        "Adam with bias correction",
        "NAdam",
        "AdamW, RAdam, Lion, Muon, Schedule-Free",
        "ε inside or outside the root is an explicit choice",
        "exponentially weighted average, its window 1/(1−β), its bias correction",
        "shown: paths of optimizers on the contour plot of a ravine",
    ),
    "S": (
        "constant",
        "step decay",
        "inverse time η0/(1+k·t); the recursive form as compounding",
        "exponential η0·e^{−kt}",
        "cyclical: triangular, triangular2, exp_range; Welch and Hann windows",
        "cosine, warm restarts, one-cycle, warm-up, plateau, warm-up–stable–decay, coslog4",
        "learning-rate range test, all rates at once",
    ),
    "R": (
        "L1, L2, decoupled weight decay, max-norm",
        "dropout, inverted, expectation preserved",
        "batch normalisation with γ, β, running statistics; γ=√Var, β=E restores the input",
        "layer, RMS and group norm",
        "early stopping",
        "data augmentation: images, mixup, noise",
        "residual connections",
        "label smoothing, EMA, SWA",
        "gradient clipping: global norm, layer norm, value, adaptive",
    ),
    "P": (
        "zero mean, unit variance a feature, fitted on the training split alone",
        "images: subtract the mean image or the channel mean",
        "one-hot, embeddings, missing values, dates, high cardinality, class imbalance",
        "profile: columns, target, leakage, duplicates, imbalance, outliers, drift",
        "transfer learning: freeze, replace the head, unfreeze by stage",
    ),
    "B": (
        "dumb baselines before any network",
        "initial loss is what chance predicts, and rises with regularisation",
        "a tiny subset is learnt by heart",
        "numerical gradient check",
        "rate too low or too high found automatically; range bracketed",
        "cross-validated search in stages: coarse, then fine",
        "update-to-weight ratio ‖Δw‖/‖w‖ of each layer",
        "shapes of loss curves, named",
        "Karpathy's order: data, baselines, overfit, regularise, tune, squeeze",
        "ensembles, averaged predictions, gain reported",
    ),
    "D": (
        "vanishing gradient",
        "exploding gradient",
        "saturated sigmoid and tanh units",
        "dead ReLU units",
        "activations that shrink or grow with depth, or are not zero-centred",
        "rate too small, too large, unstable, oscillating",
        "symmetric units",
        "over- and underfitting",
        "loss ill-matched to output or task",
        "unscaled inputs",
        "layers that learn at very different speeds",
        "plateau, saddle",
        "batch too small or too large",
        "weights that collapse to 0 or grow without bound",
        "remedies, each applicable by the program and verified side by side",
    ),
    "V": (
        "loss landscape around a solution, filter-normalised, with the path",
        "contour plots",
        "activation functions with derivatives",
        "schedules drawn before training",
        "histograms of each layer over time",
        "confusion matrix, residuals, reliability, ROC and PR",
        "the worked examples, each reproduced by a command",
    ),
}


@dataclass(frozen=True)
class Row:
    """One thing that trainwell must be able to do."""

    text: str
    family: str


ROWS: dict[str, Row] = {
    f"{letter}{place}": Row(text, FAMILIES[letter])
    for letter, texts in TEXTS.items()
    for place, text in enumerate(texts, start=1)
}
