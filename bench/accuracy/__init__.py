"""How close the stream is to the truth, in numbers: `python -m bench.accuracy` (docs/accuracy.md explains them).

__main__ ─► evaluate: take after take ─► live: pictures through every row
                │
            main_table, rotations, dynamics, rates: tracks → numbers of one take → tables
videos: real clips;  targets: what must hold;  report, plots: how it is shown
"""
