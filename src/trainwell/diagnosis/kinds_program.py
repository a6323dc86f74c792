"""Kinds of finding about data and program: what is fed in, what is minimised, and what the loop forgets."""

from trainwell.diagnosis.kind import Kind

PROGRAM_KINDS: dict[str, Kind] = {
    "unscaled-inputs": Kind(
        "Inputs are far from mean 0 and deviation 1, so that neither first weights nor rate suit them.",
        "The largest absolute mean and the largest deviation of what the network is really fed.",
        ("no standardising", "pixels from 0 to 255", "divided twice"),
        ("standardise by the training part", "batch norm on the inputs"),
        ("D10 P1 (N0 N1)", "LeCun et al. 1998, Efficient BackProp", "UMLAUT: |x| > 1"),
        """
    fed:     age 38 ± 14    income 52000 ± 31000
    wanted:  age  0 ±  1    income     0 ±     1
    """,
    ),
    "constant-input": Kind(
        "An input has the same value in all rows, and tells nothing.",
        "The deviation of each input.",
        ("a column without information", "a fault in the preparation"),
        ("leave the column out",),
        ("P4 (N4)", "TheDeepChecker: feature std 0"),
    ),
    "initial-loss-off": Kind(
        "The untrained network's loss is far from that of chance.",
        "The first loss against the entropy of the classes (ln C for C equal ones) or the variance of the target.",
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
        ("B3 (N1 N4)", "TheDeepChecker: 16 samples, 1000 iterations"),
    ),
    "gradient-check-failed": Kind(
        "The program's gradient differs from the numerical one.",
        "Centred differences in float64 against autograd, relative error.",
        ("an operation of one's own with a wrong backward pass", "a detached tensor"),
        ("correct the backward pass",),
        ("B4 (N1)", "TheDeepChecker: relative error > 0.01"),
    ),
    "loss-output-mismatch": Kind(
        "Loss and output activation do not belong together.",
        "Output activation, loss and task.",
        ("sigmoid with squared error for classes", "ReLU on the output of a regression", "one output with softmax"),
        ("cross-entropy from logits for classes", "no activation on a regression's output"),
        ("D9 A11 L7 (N0–N4)", "NeuraLint"),
    ),
    "double-softmax": Kind(
        "Softmax is applied twice: probabilities go into a loss that expects logits.",
        "Outputs that sum to 1 going into a cross-entropy from logits.",
        ("a softmax at the network's end, with CrossEntropyLoss",),
        ("leave the softmax out in training",),
        ("A10 A11 (N0 N4)", "pytorch/pytorch issue 55902", "UMLAUT"),
    ),
    "target-shape-mismatch": Kind(
        "Outputs and targets have shapes that broadcast: every output is compared with every target.",
        "Shapes such as (B,) against (B, 1).",
        ("a missing squeeze or unsqueeze",),
        ("equal shapes",),
        ("D9 (N4)", "torch's warning in mse_loss"),
    ),
    "gradients-accumulate": Kind(
        "Gradients of earlier batches are still in the sum.",
        "The gradient at a step against that of its batch alone.",
        ("zero_grad is missing",),
        ("optimizer.zero_grad() in every step",),
        ("TrainCheck",),
    ),
    "parameters-not-updated": Kind(
        "Some parameters never change.",
        "Parameters that get no gradient or are in no optimizer.",
        ("frozen by mistake", "a module created after the optimizer", "a detached tensor"),
        ("hand all parameters to the optimizer", "requires_grad_(True)"),
        ("SageMaker Debugger: UnchangedTensor", "TheDeepChecker: untrained weights"),
    ),
    "wrong-mode": Kind(
        "Training in evaluation mode, or judging in training mode.",
        "The mode of modules at update and at validation.",
        ("model.train() is missing after an evaluation", "model.eval() is missing before it"),
        ("set the mode at the head of both loops",),
        ("R2 R3 (N0)", "TrainCheck"),
    ),
    "batch-leak": Kind(
        "A sample's output depends on other samples of the batch.",
        "The gradient of output i by input j ≠ i, in evaluation mode.",
        ("a reshape or view that mixes axes", "a norm over the batch axis"),
        ("correct the axes",),
        ("Karpathy 2019", "TheDeepChecker: batch mixing"),
    ),
    "class-imbalance": Kind(
        "Some classes are so rare that ignoring them costs next to nothing.",
        "Counts by class, and how often each is predicted.",
        ("the data",),
        ("class weights", "resampling", "a metric that counts classes alike"),
        ("P3 P4 (N4)", "SageMaker Debugger: ratio > 10"),
    ),
    "label-noise": Kind(
        "Some targets are probably wrong.",
        "Rows that confident members of an ensemble contradict, out of fold.",
        ("mistakes in labelling", "rows shifted against targets"),
        ("look at these rows", "label smoothing", "a robust loss"),
        ("P4 (N4)", "Northcutt et al. 2021"),
    ),
    "train-test-leak": Kind(
        "Validation or test rows are known from training, or an input gives the target away.",
        "Equal rows across the parts, and single inputs that predict the target almost perfectly.",
        ("duplicates split apart", "an input made from the target", "preparation fitted on all rows"),
        ("split by group", "leave the input out"),
        ("P4 (N4)", "Kaufman et al. 2012", "UMLAUT: validation above 0.95"),
    ),
    "duplicate-rows": Kind(
        "Rows appear several times.",
        "Equal rows, target included.",
        ("the data",),
        ("keep one of each, or split them together",),
        ("P4 (N4)",),
    ),
    "data-drift": Kind(
        "Training and validation or test rows differ systematically.",
        "How well a model can tell the parts apart, and each column's distribution in them.",
        ("parts from different times or places",),
        ("split as it will be used", "inputs that do not drift"),
        ("P4 (N4)", "Rabanser et al. 2019"),
    ),
}
