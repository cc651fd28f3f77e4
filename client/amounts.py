"""Amounts as people read them: sizes of files, lengths of recordings."""


def size_text(size_bytes: int) -> str:
    """A file's size in the unit that leaves two or three digits, in powers of ten as file managers have it."""
    size = float(size_bytes)
    for unit in ("B", "kB", "MB"):
        if size < 999.5:
            return f"{size:.0f} {unit}" if unit != "MB" or size >= 99.5 else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.2f} GB"


def time_text(seconds: float) -> str:
    """`m:ss`, with hours from the first one on."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
