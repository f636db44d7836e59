"""What is begun with the trash is brought to its end: what a page leaves to a worker, and what
those were at who died."""

from app.errors import StorageFailed
from app.models import Deletion

from . import removal, restoring, trash

State = Deletion.State


def go_on() -> int:
    """Go on with every deletion that nobody is at; how many came to an end.

    One that fails is left alone for a while as one that somebody is at: others get their turn.
    """
    return sum(_go_on(deletion) for deletion in trash.left() if trash.take_turn(deletion))


def _go_on(deletion: Deletion) -> bool:
    try:
        if deletion.state == State.DELETING:
            removal.go_on(deletion)
        elif deletion.state == State.RESTORING:  # by whom stands where it was asked for
            restoring.go_on(deletion)
        else:
            for _ in trash.erase_all_of(deletion):
                pass
        trash.tidy(deletion)
    except StorageFailed as failure:
        trash.in_trouble(deletion, failure)
        return False
    return True
