"""Run a command as on a kernel without some layers of the lock: their calls answer ENOSYS.

python -m tests.making.older_kernel landlock,seccomp python manage.py check
"""

import os
import sys

from app.sandbox import landlock, seccomp
from app.sandbox.calls import PR_SET_NO_NEW_PRIVS, machine, prctl

THIS = seccomp.ARCHITECTURES[machine()]
CALLS = {
    "landlock": (landlock.CREATE_RULESET, landlock.ADD_RULE, landlock.RESTRICT_SELF),
    "seccomp": (THIS.seccomp,),
}


def forget(layers: list[str]) -> None:
    steps: seccomp.Program = [(seccomp.LOAD, 0, 0, seccomp.NUMBER)]
    for layer in layers:
        for number in CALLS[layer]:
            steps += seccomp.only_for(number, [seccomp.fail(38)])
    assert prctl(PR_SET_NO_NEW_PRIVS, 1)
    assert seccomp.load(THIS, [*steps, seccomp.allow()])


if __name__ == "__main__":
    forget(sys.argv[1].split(","))
    os.execvp(sys.argv[2], sys.argv[2:])
