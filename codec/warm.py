"""Compile the entropy coder into its on-disk cache, so that no first frame waits for it: `python -m codec.warm`.

Importing the modules compiles their explicit signatures; a later start loads them from the cache.
"""

import codec.nano.scales
import codec.rans
import codec.slices  # noqa: F401

if __name__ == "__main__":
    print("entropy coder compiled")
