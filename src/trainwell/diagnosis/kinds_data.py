"""Kinds of finding about the data: inputs, targets, and the parts that rows are split into."""

from trainwell.diagnosis.kind import Kind

DATA_KINDS: dict[str, Kind] = {
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
        "An input has the same value in all training rows, and tells nothing.",
        "Inputs whose values are all equal; information, unless all of them are, or whole rows hold one number.",
        ("a column without information", "corner pixels of images", "whole numbers divided by // 255"),
        ("leave the column out", "look why it never changes"),
        ("P4 (N4)", "TheDeepChecker: feature std 0"),
        """
    age     38  27  51  44        tells
    year  2024 2024 2024 2024     tells nothing, and divides by a deviation of 0
    """,
    ),
    "class-imbalance": Kind(
        "Some classes are so rare that ignoring them costs next to nothing.",
        "The most frequent class against the rarest, and how many rare rows a cheap model misses out of sample. Above "
        "10 times it is an information; with 95 % in one class and 70 % of the rest missed, or with 99 %, a warning.",
        ("what is looked for is rare", "rows of one class were collected for longer"),
        ("class weights", "resampling", "a metric that counts classes alike"),
        ("P3 P4 (N4)", "SageMaker Debugger: ratio > 10, misprediction 0.7", "He & Garcia 2009"),
        """
    healthy ████████████████████████████████████████ 97 %   "always healthy" is right for 97 %
    ill     █                                         3 %   and finds nobody
    """,
    ),
    "label-noise": Kind(
        "Some targets are probably wrong.",
        "A forest judged on rows that its trees have not seen. Where classes overlap, errors fade among the rows of "
        "which it is surest; wrong labels are as frequent there. Of numbers: targets five robust deviations off. In a "
        "loop the network's own outputs are judged, those before the best validation: of numbers, whether some lie "
        "anywhere and the others about a line that is too steep for noise.",
        ("mistakes in labelling", "rows shifted against targets", "labels from a rule that is often wrong"),
        ("look at these rows", "label smoothing", "a robust loss", "stop early: wrong labels are learned last"),
        ("P4 (N4)", "Northcutt et al. 2021, Confident learning", "TheDeepChecker: random relabelling changes nothing"),
        """
    errors │█                      █ classes that overlap: none where it is sure
           │█▓▓▓▓▓▓▓▓▓▓▓▓▓         ▓ wrong labels: as many everywhere
           │███▓▓▓▓▓▓▓▓▓▓▓
           └───────────────▶ how sure the forest is
    """,
    ),
    "train-test-leak": Kind(
        "Validation or test rows are known from training, or an input gives the target away.",
        "Rows of a part that equal a training row, target included, where nearly equal rows are rare (so it is no "
        "coincidence); inputs that tell 99.9 % of the target alone (of classes 99 %) while all others together do not; "
        "of sequences whose targets are the next inputs, outputs that change with later inputs; windows judged by that "
        "hold a piece of a window trained on; in a loop, the one input that rises wherever the number to predict does, "
        "or is of one number in each class.",
        ("duplicates split apart", "an input made from the target", "preparation fitted on all rows"),
        ("split by group", "leave the input out", "drop rows that are in both parts"),
        ("P4 (N4)", "Kaufman et al. 2012", "deepchecks: 5 % of test rows in training", "UMLAUT: validation above 0.95"),
        """
    training │ a b c d e f g │            input "paid back" │ 1 0 0 1
    test     │ c h e i │                  target "good"     │ 1 0 0 1
               ↑   ↑ known by heart       known only after the fact
    """,
    ),
    "duplicate-rows": Kind(
        "Training rows appear several times, target included.",
        "Rows equal to an earlier one; a warning above 5 %, unless rows are such that many meet by chance.",
        ("rows joined or collected twice", "oversampling before the split", "inputs with few values"),
        ("keep one of each", "split twins together"),
        ("P4 (N4)", "Barz & Denzler 2020: 3.3 % of CIFAR-10's test images have a twin in training"),
        """
    a b c d b e f c    split at random:   training a b d e c    test b f c
      ·     ·                                        ·   ·           ·   ·
    """,
    ),
    "data-drift": Kind(
        "Training rows and those of another part differ systematically.",
        "How well a forest tells the parts apart, out of sample (AUC 0.5: not at all), and by input the largest "
        "distance of the two distribution functions. Parts drawn at random from the same rows are not compared. In a "
        "loop: means and deviations of the inputs, and losses of the rows judged by beside those of chance.",
        ("parts from different times or places", "each part standardised by its own mean", "a sorted file cut in two"),
        ("split as it will be used", "prepare all parts by the training part", "inputs that do not drift"),
        ("P4 (N4)", "Rabanser et al. 2019, Failing Loudly", "Lopez-Paz & Oquab 2017, Classifier two-sample tests"),
        """
    training   ▁▃▆█▆▃▁
    test            ▁▃▆█▆▃▁
               ──────────────▶ input
    """,
    ),
}
