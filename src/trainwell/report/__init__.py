"""Pages, cards and the live view: what a run directory holds, told to a person. Reads records only; no torch.

Contract: figures (`figures.py`) are pure functions from numbers to SVG; sections (`sections/`) are pure functions from
`Records` to plain blocks; the template alone knows how a block looks.
"""

from trainwell.report.card import model_card as model_card
from trainwell.report.live import LiveView as LiveView
from trainwell.report.page import write_report as write_report
