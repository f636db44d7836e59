"""UIDs by the names that the standard gives them."""

from functools import lru_cache


@lru_cache(maxsize=256)
def uid_name(uid: str) -> str:
    """What the standard calls a UID: "CT Image Storage"; any other UID as it is."""
    from pydicom._uid_dict import UID_dictionary  # slow to import, and seldom asked

    return UID_dictionary[uid][0] if uid in UID_dictionary else uid
