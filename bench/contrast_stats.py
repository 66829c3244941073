# SPDX-License-Identifier: MIT
"""What both parts of bench/contrast read from `ringside pc --stats`."""


def total(stats, *names):
    """The sum of these counters, wherever they stand."""
    if isinstance(stats, dict):
        return sum(value if key in names and isinstance(value, int) else total(value, *names) for key, value in stats.items())
    if isinstance(stats, list):
        return sum(total(value, *names) for value in stats)
    return 0
