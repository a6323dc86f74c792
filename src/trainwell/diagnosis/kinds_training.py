"""Kinds of finding about how the loss goes: rate, batches, and the fit."""

from trainwell.diagnosis.kind import Kind

TRAINING_KINDS: dict[str, Kind] = {
    "learning-rate-too-small": Kind(
        "Nothing moves: over the whole training the weights stay where they began.",
        "Σ ‖Δw‖/‖w‖ of each layer over the training (1e-3 a step is usual), with a gradient, and a loss that stays; "
        "or a rate that fell to a hundredth while the loss was still falling.",
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
        "Swings of the mean loss in the second half: their size against chance, how many, and that it gets no lower. "
        "With a momentum of 0.98 and more, waves of half the loss are enough.",
        ("learning rate somewhat too large", "momentum too large", "batches too small"),
        ("smaller or falling learning rate", "larger batches", "less momentum"),
        ("D6 B8 (N0–N4)", "AutoTrainer: swings ≥ 0.03 in a fifth of the epochs"),
        """
    loss │ ╱╲    ╱╲    ╱╲    ╱
         │╱  ╲  ╱  ╲  ╱  ╲  ╱     from side to side of the valley
         │    ╲╱    ╲╱    ╲╱
         └──────────────────────▶ step
    """,
    ),
    "not-learning": Kind(
        "The loss never gets below that of chance, and no other finding says why.",
        "The best mean of the training loss against that of the best constant prediction, after enough updates; "
        "and whether any judgement was ever below it.",
        ("targets that the inputs do not tell", "labels shuffled against inputs", "a fault in the program"),
        (
            "overfit ten rows first (`trainwell check`)",
            "look at rows with their targets",
            "a simpler model as a baseline",
        ),
        ("B3 B8 (N1 N4)",),
        """
    loss │~~~~~~~~~~~~~~~~~~~~  ln C: as good as guessing
         │
         │
         └────────────────────▶ step
    """,
    ),
    "plateau": Kind(
        "The loss stays for long and then falls, or stays for good: a flat region or saddle.",
        "The longest stretch without improvement between two falls; a loss that stays from the start "
        "without a gradient.",
        ("unlucky first weights", "saturated units", "rate too small for a flat region"),
        ("other first weights", "momentum or Adam", "a rate that rises again (cyclical)"),
        ("D12 B8 (N0–N4)", "Dauphin et al. 2014"),
        """
    loss │╲
         │ ╲________________     flat: a saddle, or units at their bounds
         │                  ╲
         │                   ╲___
         └───────────────────────▶ step
    """,
    ),
    "slow-start": Kind(
        "The loss stays for long at first, then falls suddenly: bad first weights.",
        "The share of the training that passes before the first clear fall.",
        ("weights drawn too small", "saturated units at the start", "long warm-up"),
        ("weights drawn for the activation", "shorter warm-up"),
        ("B8 (N1)",),
        """
    loss │───────────────╮       bad first weights: long nothing,
         │               │       then it goes well
         │               ╲
         │                ╲_____
         └──────────────────────▶ step
    """,
    ),
    "overfitting": Kind(
        "The network learns the training rows by heart: validation gets worse while training gets better.",
        "The validation loss of the weights in use over its best, and over the training loss; or it never is below "
        "that of chance, while the training loss becomes nothing.",
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
        "How high the training loss is against chance at the end, and how fast it still falls.",
        ("network too small", "too few epochs", "too much regularisation", "inputs that do not tell the target"),
        ("more units or layers", "longer training", "less regularisation", "better inputs"),
        ("D8 B8 (N0–N4)", "TheDeepChecker: cannot overfit 16 samples"),
        """
    loss │╲
         │ ╲╲
         │  ╲ ╲___ validation    close together, still high, still falling:
         │   ╲____ training      it ended too early, or cannot do better
         │
         └──────────────────────▶ epoch
    """,
    ),
    "loss-spike": Kind(
        "Single losses leap many times above those around them, and the training goes on.",
        "Each loss over the median of those around it; 5 times is told.",
        ("a batch of odd rows", "a learning rate at its limit", "small values under Adam's root", "half precision"),
        ("clip the gradient's norm", "smaller learning rate or warm-up", "look at the rows of that batch"),
        ("B8 (N1)", "Composer: fast mean ≥ 5 × slow mean", "Chowdhery et al. 2022, PaLM, section 5.1"),
        """
    loss │╲        ▖
         │ ╲       ▌
         │  ╲_     ▌▙
         │    ╲____▌ ▜▄______
         └──────────────────▶ step
    """,
    ),
    "batch-too-small": Kind(
        "Batches are so small that noise drowns the gradient.",
        "The deviation of single losses over their mean, in batches of one or two samples.",
        ("batch size", "rare classes", "long sequences that leave no room for more samples"),
        ("larger batches", "smaller or falling learning rate", "averaged weights (EMA)"),
        ("D13 H2 (N0)", "McCandlish et al. 2018"),
        """
    gradients of single samples    ↗ ↘ → ↑ ↗ ↓ ↘ →
    mean of 1    ↘        mean of 32    →      the noise falls with √batch
    """,
    ),
    "batch-too-large": Kind(
        "Batches are so large that passes over the data are wasted: too few updates.",
        "The gradient noise scale, and updates per epoch.",
        ("batch size", "a batch chosen for speed alone"),
        ("smaller batches", "a larger learning rate"),
        ("D13 H5 (N0)", "McCandlish et al. 2018", "Keskar et al. 2017"),
        """
    one pass over 50 000 rows
    batch    50   ████████████████████  1000 updates
    batch  5000   ▏                       10 updates, each hardly more exact
    """,
    ),
    "missing-regularisation": Kind(
        "Nothing keeps the network from learning by heart, and it begins to.",
        "The gap between training and validation, where there is no dropout and no decay.",
        ("no dropout, decay, early stopping or augmentation",),
        ("dropout", "weight decay", "early stopping", "augmentation"),
        ("R1–R8 B9 (N4)", "TheDeepChecker: zero loss"),
        """
    loss │╲         _____ validation
         │ ╲    ___╱
         │  ╲__╱        nothing holds the two together
         │     ╲_____     training
         └────────────▶ epoch
    """,
    ),
    "too-much-regularisation": Kind(
        "Regularisation is so strong that not even the training rows are learned.",
        "A training loss that stays near that of chance, with dropout from 0.7 on, decay that takes the weights away, "
        "or a penalty that is most of the loss; or an inner layer that comes to hand on the same for all samples, "
        "where something is added to the loss.",
        ("dropout or decay too strong", "label smoothing too large", "a divergence summed up beside a mean of errors"),
        ("less dropout", "less weight decay"),
        ("B2 B3 B9 (N1 N4)",),
        """
    loss │~~~~~~~~~~~~~~~~~~~~ with dropout of 0.9: not even training learns
         │╲
         │ ╲__________________ with 0.2
         └───────────────────▶ epoch
    """,
    ),
}
