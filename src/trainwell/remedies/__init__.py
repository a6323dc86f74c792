"""From findings to changes that are tried: surgery on a user's training, and the side-by-side trial that proves it.

Contract: a change is a path of the vocabulary with a value, made by a function in the table `surgery.CHANGES`; a fact
is a function in `facts.FACTS` that finds what is wrong before training; `proof.proven` compares treated trainings with
their untouched twins. Nothing is accepted that isn't proven on seeds that chose nothing.
"""

from trainwell.remedies.cure import Cure as Cure, cure as cure
from trainwell.remedies.proof import Proof as Proof, promising as promising, proven as proven
from trainwell.remedies.settings import Settings as Settings
from trainwell.remedies.surgery import CHANGES as CHANGES
