"""Kinds of finding about signals in the layers: gradients, activations, units, weights."""

from trainwell.diagnosis.kind import Kind

SIGNAL_KINDS: dict[str, Kind] = {
    "vanishing-gradient": Kind(
        "The gradient fades on its way back, so that the first layers hardly learn.",
        "‖g first layer‖/‖g last layer‖ at the start and over the training; the largest ‖g‖ against the chance loss; "
        "of plain recurrent layers ρ^T, of the spectral radius ρ of their weights over T steps.",
        (
            "many layers with small slopes (sigmoid: 0.25 at the most; 0.1·0.2·0.3 = 0.006)",
            "first weights too small",
            "saturated or dead units",
        ),
        (
            "weights drawn for the activation",
            "ReLU instead of sigmoid or tanh",
            "batch or layer norm",
            "residual links",
            "fewer layers",
        ),
        ("D1 (N0 N2 N4)", "Hochreiter 1991", "Glorot & Bengio 2010", "AutoTrainer: ratio < 1e-3"),
        """
    ‖g‖   output ████████████████
          hidden.2 ██████
          hidden.1 ██
          hidden.0 ▏            ← hardly moves
    """,
    ),
    "exploding-gradient": Kind(
        "The gradient grows from layer to layer, or from step to step, out of all proportion to the loss.",
        "The largest ‖g‖ of a layer against the chance loss, the growth of signals over layers, ‖g‖ over its start, "
        "of a loss that is a difference with the growth of its size.",
        (
            "first weights too large for the depth (10·20·30 = 6000)",
            "learning rate too large",
            "unscaled inputs",
            "long sequences",
        ),
        (
            "clip the gradient's norm at 1",
            "weights drawn for the activation",
            "batch or layer norm",
            "smaller learning rate",
            "fewer layers",
        ),
        ("D2 (N0 N2 N4), R9 (N0)", "Pascanu, Mikolov & Bengio 2013", "AutoTrainer: ratio > 70"),
        """
    signal  hidden.0 ▌
            hidden.1 ██
            hidden.2 ███████
            hidden.3 ████████████████████████████▶
    """,
    ),
    "non-finite": Kind(
        "The loss, a signal or a weight became NaN or infinite.",
        "The earliest step at which anything measured is not finite, and within it what the rest follows from.",
        (
            "learning rate too large",
            "log or division of 0 in a loss of one's own",
            "infinite or huge inputs",
            "half precision",
        ),
        (
            "a tenth of the learning rate",
            "clip the gradient's norm",
            "look at the inputs' and targets' ranges",
            "numerically stable loss",
        ),
        ("D2 B5 (N0 N1)", "DeepLocalize", "torch.autograd.detect_anomaly"),
        """
    loss │            ╱ NaN
         │          ╱
         │╲__    _╱
         └────────────▶ step
    """,
    ),
    "dead-units": Kind(
        "ReLU units that never fire: they hand on 0 for every sample, and no gradient reaches them again.",
        "The share of a layer's units that are never > 0 over the samples of several looks.",
        ("a step so large that the bias became very negative", "negative first biases", "inputs far from 0"),
        (
            "smaller learning rate",
            "leaky ReLU",
            "weights drawn for the activation",
            "batch norm",
            "a small positive first bias",
        ),
        ("D4 A3 (N0–N3)", "Lu et al. 2019, Dying ReLU", "TheDeepChecker, SageMaker Debugger: half of the layer"),
        """
    output │           ╱
           │          ╱
           │ ▒▒▒▒▒▒  ╱        ▒ = all samples: always left of the bend
           │─▒▒▒▒▒▒─╱────▶ input of the unit
    """,
    ),
    "saturated-units": Kind(
        "Sigmoid or tanh units at a bound, where the slope is almost 0: they stop learning.",
        "The share of units that are within 1.3 % of a bound (slope under 5 % of its peak) for most samples.",
        ("first weights too large", "learning rate too large", "unscaled inputs"),
        ("weights drawn for the activation", "batch norm", "smaller learning rate", "ReLU instead"),
        ("D3 (N0–N3)", "Glorot & Bengio 2010", "DeepDiagnosis: |z| ≥ 5 for half of the units"),
        """
     1 │         ▒▒▒▒▒▒▒      ▒ = the samples: at the bounds
       │        ╱
       │       ╱
    −1 │▒▒▒▒▒▒▒               no slope, no learning
       └───────────────▶ z
    """,
    ),
    "symmetric-units": Kind(
        "Units of a layer are equal and stay equal: the layer is worth one unit.",
        "Rows of a layer's weight matrix that are equal, and get equal gradients.",
        ("all first weights zero or constant",),
        ("draw first weights at random (Glorot, He, LeCun)",),
        ("D7 I1 (N0 N1 N4)", "Goodfellow, Bengio & Courville 2016, 8.4", "NeuraLint: constant initialisation"),
        """
    x ──┬─ 0.5 ─▶ unit 1 ─┐
        ├─ 0.5 ─▶ unit 2 ─┼─▶ output     equal weights, equal gradients,
        └─ 0.5 ─▶ unit 3 ─┘              equal for ever: one unit, three times
    """,
    ),
    "shrinking-activations": Kind(
        "The signal's deviation shrinks from layer to layer, until nothing of the input is left.",
        "The deviation of each layer's output, from first to last; of the last one at the end against its start.",
        ("first weights too small for the activation", "many layers without normalisation"),
        ("weights drawn for the activation", "batch or layer norm", "residual links"),
        ("D5 I13 (N0–N3)", "Glorot & Bengio 2010, Fig. 6"),
        """
    deviation  input    ████████████████
               hidden.0 ██████
               hidden.1 ██
               hidden.2 ▏                ← all samples look alike
    """,
    ),
    "growing-activations": Kind(
        "The signal grows from layer to layer, or from step to step.",
        "The deviation and the size of each layer's output, from first to last; of one that runs more than thrice "
        "in a pass, its size in the last run over that in the second.",
        ("first weights too large for the activation", "residual links without scaling", "a recurrence that amplifies"),
        ("weights drawn for the activation", "batch or layer norm", "orthogonal recurrent weights, or gates"),
        ("D5 I13 (N0–N3)", "Glorot & Bengio 2010, Fig. 6", "TheDeepChecker: std outside [0.5, 2]"),
        """
    deviation  input    █
               hidden.0 ███
               hidden.1 █████████
               hidden.2 ███████████████████████████▶
    """,
    ),
    "layers-out-of-step": Kind(
        "Layers learn at very different speeds.",
        "‖Δw‖/‖w‖ of each layer against that of the others.",
        ("gradients that fade or grow with depth", "one rate for layers of very different size"),
        ("Adam instead of SGD", "weights drawn for the activation", "batch or layer norm"),
        ("D11 B7 (N0–N4)",),
        """
    ‖Δw‖/‖w‖  output   ████████████████  0.03
              hidden.1 ███               0.005
              hidden.0 ▏                 0.0001     wanted: all near 0.001
    """,
    ),
    "weights-collapse": Kind(
        "Weights shrink towards 0.",
        "The norm of each layer's weights over the steps.",
        ("too much weight decay", "a rate so large that decay overwhelms the gradient"),
        ("less weight decay", "smaller learning rate"),
        ("D14 (N0–N4)", "TheDeepChecker: > 95 % of |w| < 1e-5"),
        """
    ‖w‖ │▙
        │ ▜▙            decay takes more
        │   ▀▙▄         than the gradient gives
        │      ▀▀▄▄▄▄
        └──────────────▶ step
    """,
    ),
    "weights-grow": Kind(
        "Weights grow without bound.",
        "The norm of each layer's weights over the steps.",
        ("learning rate too large", "no decay on separable data"),
        ("smaller learning rate", "weight decay or max-norm", "label smoothing"),
        ("D2 D14 (N0–N4)", "TheDeepChecker: growth ≥ 2"),
        """
    ‖w‖ │           ▟
        │         ▄▛    nothing holds the weights
        │      ▄▟▀
        │▄▄▄▟▀▀
        └──────────────▶ step
    """,
    ),
    "bias-before-norm": Kind(
        "A bias directly before a batch norm does nothing: the norm subtracts it again.",
        "The order of modules.",
        ("a layer's default bias left on",),
        ("bias=False in the layer before the norm",),
        ("Ioffe & Szegedy 2015", "NeuraLint: useless bias"),
        """
    Linear        w·x + b
    BatchNorm     (w·x + b) − mean(w·x + b) = w·x − mean(w·x)     b is gone
                  then its own shift is added
    """,
    ),
}
