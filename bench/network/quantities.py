"""Rates, times, sizes and shares as people write them: `2M`, `30ms`, `64kB`, `5%`.

All functions take the key's name for the message and the value as TOML or a command line gives it, and raise UserError.
"""

import math
import re

from latentcast.errors import UserError

_NUMBER = re.compile(r"(\d+(?:\.\d+)?|\.\d+) *([A-Za-z%/]*)")
_RATES = {"": 1.0, "bit/s": 1.0, "k": 1e3, "kbit/s": 1e3, "M": 1e6, "Mbit/s": 1e6, "G": 1e9, "Gbit/s": 1e9}
_TIMES = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
_SIZES = {"B": 1, "kB": 1000, "KiB": 1024, "MB": 1_000_000, "MiB": 1 << 20}
# Slower than a packet every ten seconds, or faster than any wire: a typing error.
MIN_RATE_BPS, MAX_RATE_BPS = 1e3, 1e12
MAX_TIME_S = 24 * 3600.0
MAX_COUNT = 1_000_000


def refuse(key: str, value: object, allowed: str) -> UserError:
    """The error for a value that is not one: names the key, what was seen and what is allowed."""
    return UserError(f"{key} is {value!r}; expected {allowed}.")


def parse_rate(key: str, value: object) -> float:
    """`2M`, `500k`, `2.5Mbit/s` or a number of bit/s -> bit/s, 1e3..1e12."""
    rate_bps = _parse(value, _RATES, plain=1.0)
    if rate_bps is None or not MIN_RATE_BPS <= rate_bps <= MAX_RATE_BPS:
        raise refuse(key, value, "a rate from 1k to 1000G in bit/s, such as 2M or 500k")
    return rate_bps


def parse_time(key: str, value: object) -> float:
    """`30ms`, `1.5s`, `2min` or 0 -> seconds, 0..86400."""
    seconds = _parse(value, _TIMES, plain=None)
    if seconds is None or not 0 <= seconds <= MAX_TIME_S:
        raise refuse(key, value, "a time of at most a day with its unit, such as 30ms or 1.5s")
    return seconds


def parse_size(key: str, value: object) -> int:
    """`64kB`, `1500B` -> bytes, at least 1."""
    size = _parse(value, _SIZES, plain=None)
    if size is None or not 1 <= size <= 1 << 40:
        raise refuse(key, value, "a size with its unit, such as 64kB")
    return round(size)


def parse_share(key: str, value: object) -> float:
    """`5%` or 0.05 -> 0..1."""
    share = _parse(value, {"%": 0.01}, plain=1.0)
    if share is None or not 0 <= share <= 1:
        raise refuse(key, value, "a share from 0% to 100%, such as 5% or 0.05")
    return share


def parse_count(key: str, value: object, *, least: int = 0) -> int:
    """A whole number of packets, `least`..1000000."""
    count = _parse(value, {}, plain=1.0)
    if count is None or count != int(count) or not least <= count <= MAX_COUNT:
        raise refuse(key, value, f"a whole number from {least} to {MAX_COUNT}")
    return int(count)


def parse_flag(key: str, value: object) -> bool:
    """true or false, yes or no, on or off."""
    if isinstance(value, bool):
        return value
    words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
    if not isinstance(value, str) or value.lower() not in words:
        raise refuse(key, value, "true or false")
    return words[value.lower()]


def _parse(value: object, units: dict[str, float] | dict[str, int], *, plain: float | None) -> float | None:
    """The value in base units; plain: what a bare number stands for (None: nothing, but for 0). None: not one."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        if not math.isfinite(value) or (plain is None and value != 0):
            return None
        return float(value) * (plain or 0.0)
    found = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    number, unit = float(found[1]), found[2]
    if unit in units:
        return number * units[unit]
    if unit:
        return None
    return number * plain if plain is not None else (0.0 if number == 0 else None)
