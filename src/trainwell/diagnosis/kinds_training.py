"""Kinds of finding about how the loss goes: rate, batches, and the fit."""

from trainwell.diagnosis.kind import Kind

TRAINING_KINDS: dict[str, Kind] = {
    "learning-rate-too-small": Kind(
        "Nothing moves: over the whole training the weights stay where they began.",
        "Σ ‖Δw‖/‖w‖ of each layer over the training (1e-3 a step is usual), with a gradient, and a loss that stays.",
        ("learning rate too small", "a schedule or warm-up that never lets it rise"),
        ("ten or a hundred times the learning rate", "a rate-range test (`trainwell check`)", "Adam instead of SGD"),
        ("D6 B5 B7 B8 (N0 N1)", "TheDeepChecker: log10 ‖Δw‖/‖w‖ < −4"),
        """
    loss │────────────────────   the rate too small
         │╲
         │ ╲____                 a good one
         │      ╲_____________
         └────────────────────▶ step
    """,
    ),
    "learning-rate-too-large": Kind(
        "Steps jump over the valley: the loss leaps above its start, stays high or grows.",
        "The loss against its first value, with ‖Δw‖/‖w‖ above 0.1.",
        ("learning rate too large", "no warm-up", "squared errors of unscaled targets"),
        (
            "a third or a tenth of the learning rate",
            "clip the gradient's norm",
            "warm-up",
            "a rate-range test (`trainwell check`)",
        ),
        ("D6 B5 B8 (N0 N1)", "Smith 2017", "TheDeepChecker: ‖Δw‖/‖w‖ > 0.1, loss ≥ 2 × its minimum"),
        """
    loss │  ╱╲    ╱╲╱    the rate too large
         │ ╱  ╲╱╲╱
         │╱
         │╲____________  a good one
         └────────────▶ step
    """,
    ),
    "oscillating-loss": Kind(
        "The loss swings up and down without getting lower.",
        "Changes of sign and size of swings in the loss.",
        ("learning rate somewhat too large", "momentum too large", "batches too small"),
        ("smaller or falling learning rate", "larger batches", "less momentum"),
        ("D6 B8 (N0–N4)", "AutoTrainer: swings ≥ 0.03 in a fifth of the epochs"),
    ),
    "not-learning": Kind(
        "The loss never gets below that of chance, and no other finding says why.",
        "The best training loss against that of the best constant prediction.",
        ("targets that the inputs do not tell", "labels shuffled against inputs", "a fault in the program"),
        (
            "overfit ten rows first (`trainwell check`)",
            "look at rows with their targets",
            "a simpler model as a baseline",
        ),
        ("B3 B8 (N1 N4)",),
    ),
    "plateau": Kind(
        "The loss stays for long and then falls, or stays for good: a flat region or saddle.",
        "Stretches without improvement, with small gradients.",
        ("unlucky first weights", "saturated units", "rate too small for a flat region"),
        ("other first weights", "momentum or Adam", "a rate that rises again (cyclical)"),
        ("D12 B8 (N0–N4)", "Dauphin et al. 2014"),
    ),
    "slow-start": Kind(
        "The loss stays for long at first, then falls suddenly: bad first weights.",
        "When the first clear fall comes.",
        ("weights drawn too small", "saturated units at the start", "long warm-up"),
        ("weights drawn for the activation", "shorter warm-up"),
        ("B8 (N1)",),
    ),
    "overfitting": Kind(
        "The network learns the training rows by heart: validation gets worse while training gets better.",
        "The validation loss of the weights in use over its best, and over the training loss.",
        ("too many epochs", "too large a network for the rows", "too little regularisation", "wrong targets"),
        (
            "stop early and keep the best weights",
            "dropout",
            "weight decay",
            "a smaller network",
            "more or augmented data",
        ),
        ("D8 H7 R5 (N0 N1 N4)", "Prechelt 1998", "SageMaker Debugger: (validation − training)/training > 0.1"),
        """
    loss │╲             validation
         │ ╲    __________╱
         │  ╲__╱  ↑ stop here
         │     ╲_________       training
         └──────────────────▶ epoch
    """,
    ),
    "underfitting": Kind(
        "Training and validation are both poor and close to one another.",
        "The training loss against chance and baselines, and the gap to validation.",
        ("network too small", "too few epochs", "too much regularisation", "inputs that do not tell the target"),
        ("more units or layers", "longer training", "less regularisation", "better inputs"),
        ("D8 B8 (N0–N4)", "TheDeepChecker: cannot overfit 16 samples"),
    ),
    "batch-too-small": Kind(
        "Batches are so small that noise drowns the gradient.",
        "The gradient noise scale, from gradients of parts of the batch.",
        ("batch size", "rare classes"),
        ("larger batches", "smaller or falling learning rate", "averaged weights (EMA)"),
        ("D13 H2 (N0)", "McCandlish et al. 2018"),
    ),
    "batch-too-large": Kind(
        "Batches are so large that passes over the data are wasted: too few updates.",
        "The gradient noise scale, and updates per epoch.",
        ("batch size",),
        ("smaller batches", "a larger learning rate"),
        ("D13 H5 (N0)", "McCandlish et al. 2018", "Keskar et al. 2017"),
    ),
    "missing-regularisation": Kind(
        "Nothing keeps the network from learning by heart, and it begins to.",
        "The gap between training and validation, where the plan has no regularisation.",
        ("no dropout, decay, early stopping or augmentation",),
        ("dropout", "weight decay", "early stopping", "augmentation"),
        ("R1–R8 B9 (N4)", "TheDeepChecker: zero loss"),
    ),
    "too-much-regularisation": Kind(
        "Regularisation is so strong that not even the training rows are learned.",
        "The training loss with and without it, and the share of the penalty in the gradient.",
        ("dropout or decay too strong", "label smoothing too large"),
        ("less dropout", "less weight decay"),
        ("B2 B3 B9 (N1 N4)",),
    ),
}
