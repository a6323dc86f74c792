"""Trainings of others, watched: `watch` for a loop of one's own, and callbacks for the loops of other libraries.

Contract: a callback translates its library's events into `Watch.step` and `Watch.validate`, and holds no rule.
"""

from trainwell.adapters.watch import Watch as Watch, watch as watch
