"""Kinds of finding about the program: what is minimised, what the loop forgets, and what the checks before it find."""

from trainwell.diagnosis.kind import Kind

PROGRAM_KINDS: dict[str, Kind] = {
    "initial-loss-off": Kind(
        "The untrained network's loss is far from that of chance.",
        "The first loss against the entropy of the classes (ln C for C equal ones) or the variance of the target; the "
        "size of the targets against that of the outputs.",
        ("first output weights too large", "unscaled inputs", "the wrong loss", "targets not standardised"),
        ("smaller first output weights", "weights drawn for the activation", "output bias set to the base rate"),
        ("B2 (N1)", "Karpathy 2019, A Recipe for Training Neural Networks", "TheDeepChecker: relative error ≥ 1"),
        """
    loss │█
         │█▙                      first updates only unlearn
         │ ▜▙▄▄______________ ln C (chance)
         │      ▀▀▀▀▀▄▄▄▄▄▄▄▄
         └───────────────────▶ step
    """,
    ),
    "cannot-overfit-batch": Kind(
        "Not even a handful of rows can be learned by heart: something in network, loss or targets is wrong.",
        "The loss on a tiny batch after many steps without regularisation.",
        ("targets shuffled against inputs", "the wrong loss or output", "network too small", "rate"),
        ("look at the batch by eye", "check loss and output", "a larger network"),
        (
            "B3 (N1 N4)",
            "Karpathy 2019, A Recipe for Training Neural Networks",
            "TheDeepChecker: 16 samples, 1000 iterations",
        ),
        """
    loss │╲___________________   stuck: look for the fault here, it is cheapest
         │╲
         │ ╲__
         │    ╲_______________   the same ten rows, learned by heart
         └────────────────────▶ step
    """,
    ),
    "gradient-check-failed": Kind(
        "The program's gradient differs from the numerical one.",
        "Centred differences in float64 against autograd, relative error.",
        ("an operation of one's own with a wrong backward pass", "a detached tensor"),
        ("correct the backward pass", "let autograd do it"),
        ("B4 (N1)", "TheDeepChecker: relative error > 0.01"),
        """
    loss │      ╱ · slope by differences: (f(w+ε) − f(w−ε)) / 2ε
         │    _╱·
         │ __╱ ·   slope that backward() says
         └──────────▶ w
    """,
    ),
    "loss-output-mismatch": Kind(
        "Loss, outputs and targets do not belong together.",
        "The loss, the function at the network's end, and the ranges of outputs and targets: a softmax over one unit, "
        "targets outside [0, 1] in a binary cross-entropy, classes as quantities, targets out of the outputs' reach, "
        "probabilities where KLDivLoss takes their logarithms; a loss that falls below 0 ever faster.",
        ("sigmoid with squared error for classes", "ReLU on the output of a regression", "one output with softmax"),
        (
            "cross-entropy from logits for classes",
            "no activation on a regression's output",
            "as many outputs as classes",
        ),
        ("D9 A11 L7 (N0–N4)", "NeuraLint", "AutoTrainer, DeepDiagnosis: output range against labels"),
        """
    targets of a regression   ├───────────┼───────────┤
                             −2           0          +2
    outputs through ReLU                  ├───────────▶     never below 0
    """,
    ),
    "double-softmax": Kind(
        "Softmax (or sigmoid) is applied twice: probabilities go into a loss that expects logits.",
        "Outputs that are probabilities, going into a cross-entropy from logits.",
        ("a softmax at the network's end, with CrossEntropyLoss", "a sigmoid, with BCEWithLogitsLoss"),
        ("leave the function out in training", "a loss that takes probabilities or their logarithm"),
        ("A10 A11 (N0 N4)", "pytorch/pytorch issue 55902", "UMLAUT"),
        """
    logits   8    0    0
    once   0.999  0    0       loss near 0
    twice  0.58  0.21 0.21     never surer than this: loss stays above 0.55
    """,
    ),
    "target-shape-mismatch": Kind(
        "Outputs and targets have shapes that broadcast: every output is compared with every target.",
        "Shapes such as (B,) against (B, 1).",
        ("a missing squeeze or unsqueeze",),
        ("equal shapes", "y.unsqueeze(1), or outputs.squeeze(1)"),
        ("D9 (N4)", "torch's warning in mse_loss"),
        """
    (3,) − (3, 1)      y₁  y₂  y₃
                  ŷ₁   ■   ·   ·      wanted: the ■
                  ŷ₂   ·   ■   ·      computed: all nine, so that
                  ŷ₃   ·   ·   ■      the best output is the mean
    """,
    ),
    "gradients-accumulate": Kind(
        "Gradients of earlier batches are still in the sum.",
        "The gradient at an update against that of the update before: all of the old one is in it.",
        ("zero_grad is missing", "zero_grad between backward and step of another optimizer"),
        ("optimizer.zero_grad() in every step",),
        ("TrainCheck", "PyTorch FAQ"),
        """
    step 1   g₁
    step 2   g₁ + g₂
    step 3   g₁ + g₂ + g₃      ever longer steps in old directions
    """,
    ),
    "parameters-not-updated": Kind(
        "Some parameters never change.",
        "Parameters that get no gradient, are in no optimizer, or are frozen though they look as first drawn.",
        (
            "frozen by mistake",
            "a module created after the optimizer",
            "layers kept in a plain list",
            "a detached tensor",
        ),
        ("hand all parameters to the optimizer", "requires_grad_(True)", "nn.ModuleList instead of a list"),
        ("SageMaker Debugger: UnchangedTensor", "TheDeepChecker: untrained weights"),
        """
    output    ████ learns        optimizer(model.head.parameters())
    hidden.1  ░░░░ as drawn
    hidden.0  ░░░░ as drawn      random features
    """,
    ),
    "wrong-mode": Kind(
        "Training in evaluation mode, or judging in training mode.",
        "The mode of modules at updates and judgements, where dropout or batch norm make a difference, and how far "
        "batch norm's statistics came. Before a training: functions that drop units in evaluation mode, and passes "
        "that set a mode themselves.",
        (
            "model.train() is missing after an evaluation",
            "model.eval() is missing before it",
            "F.dropout(x) without training=self.training",
            "a momentum of batch norm so small that its statistics stay what they were first",
        ),
        ("set the mode at the head of both loops",),
        ("R2 R3 (N0)", "TrainCheck"),
        """
    epoch 1   train() ███████  eval() ██
    epoch 2           ███████  eval() ██     still eval(): no dropout, no batch statistics
                      ↑ train() is missing here
    """,
    ),
    "batch-leak": Kind(
        "A sample's output depends on other samples of the batch.",
        "How outputs change with other rows of the batch, in evaluation mode. In a loop: the axis that layers for "
        "sequences run along, and that of the loss's softmax.",
        ("a reshape or view that mixes axes", "a norm or softmax over the batch axis", "batch_first left out"),
        ("correct the axes", "permute before reshape"),
        ("Karpathy 2019, A Recipe for Training Neural Networks", "TheDeepChecker: batch mixing"),
        """
    ∂ output i / ∂ input j
          j=1 2 3              j=1 2 3
    i=1    ■ · ·          i=1   ■ ▒ ·
    i=2    · ■ ·  right   i=2   · ■ ▒  leaks
    i=3    · · ■          i=3   ▒ · ■
    """,
    ),
    "all-is-well": Kind(
        "Nothing of weight was found: silence is no approval, so it is said, with what was looked for.",
        "All rules and checks that apply; what could not be looked at is named beside them.",
        ("a training without a known fault",),
        ("nothing to mend; a better network may still be found by `trainwell fit`",),
        ("B8 (N1 N4)", "pytorch/pytorch issue 55902"),
        """
    checked      41 kinds     found  0
    not checked  compiled layers
    """,
    ),
    "loss-sums": Kind(
        "The loss is the sum over the batch, not its mean.",
        "The loss of the batch twice over that of the batch: 2 for a sum, 1 for a mean. In a loop: how the loss's "
        "graph sums up. It is a warning where steps throw the weights about.",
        ("reduction='sum'", "a missing division by the batch size"),
        ("take the mean, so that a learning rate suits every batch size",),
        ("H3 (N0)", "TheDeepChecker: loss of the duplicated batch"),
        """
    loss(batch)          4.6       mean: 0.58
    loss(batch + batch)  9.2       mean: 0.58
    """,
    ),
    "missing-activation": Kind(
        "Layers with weights follow one another without a non-linearity: together they are one linear map.",
        "Layers with weights, and functions between them, in the whole network.",
        ("an activation was forgotten", "it was made in __init__ and not called in forward"),
        ("a ReLU between the layers", "one linear layer, if a linear map is wanted"),
        ("A1 (N0)", "NeuraLint: missing non-linearity", "UMLAUT: linear between layers"),
        """
    W₂(W₁x + b₁) + b₂ = (W₂W₁)x + (W₂b₁ + b₂)      two layers, worth one

         ·  × ×        a line can part these only with a bend in it
        × ×   · ·
    """,
    ),
    "loss-not-the-metric": Kind(
        "The loss falls and the metric does not follow: what is minimised is not what is wanted.",
        "The correlation by rank of loss and metric over the judgements: the metric falls with the loss, or stays "
        "while the loss halves.",
        (
            "classes so uneven that the loss is won on the frequent ones",
            "a loss for another task",
            "a metric on other rows",
        ),
        ("a loss nearer to the metric", "class weights", "choose the weights in use by the metric"),
        ("L7 (N4)", "TheDeepChecker: |corr| < 0.5"),
        """
    loss   ╲____               metric ╲    _
                ╲______                ╲__╱ ╲___
           ───────────▶               ───────────▶
    """,
    ),
}
