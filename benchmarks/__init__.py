"""Where every figure of the README and the documents comes from: `python -m benchmarks.NAME [--json] [--quick]`.

Contract: a benchmark measures rows, holds bars to them, and hands both to `harness.publish`.
"""
