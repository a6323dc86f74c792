"""Measures over what the training loop shows. They look, and change nothing.

Contract: a measure is a pure function of one `LayerView`. It returns one number a member, (K,), on the view's device,
or None where it does not apply to that layer; what it returns for one member depends on that member alone. It is
entered in the table at the foot of `measures.py` under the name that records, rules and reports use.
"""

from trainwell.vitals.measures import MEASURES as MEASURES, Measure as Measure
from trainwell.vitals.observe import observe as observe, sampling as sampling, spacing as spacing
from trainwell.vitals.scatter import noise_scale as noise_scale
