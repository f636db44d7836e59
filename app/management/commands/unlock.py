"""`manage.py unlock [USERNAME...]`: let people try their passwords again."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.models import User
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.db.models import Q

from app.accounts import throttle
from app.audit.recording import record
from app.models import Kind
from app.wording import counted


class Command(BaseCommand):
    help = "Unlock signing in: for some users, for an address, or, with neither, for everybody."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("usernames", nargs="*", metavar="USERNAME")
        parser.add_argument(
            "--address", help="an IPv4 address, or an IPv6 network as the log has it"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        names, address = options["usernames"], options["address"]
        known = set(User.objects.filter(username__in=names).values_list("username", flat=True))
        if unknown := sorted(set(names) - known):
            raise CommandError(f"No user is called {', '.join(unknown)}.")
        chosen = throttle.current()
        if names or address:
            at = Q(address=address) if address else Q()
            chosen = chosen.filter(Q(user__username__in=names) | at if names else at)
        with transaction.atomic():
            for tries in chosen:
                record(Kind.UNLOCKED, on=tries.user, words=f"{tries.key}, from the terminal")
            removed, _ = chosen.delete()
        self.stdout.write(f"Unlocked; {counted(removed, 'count')} of failed sign-ins removed.")
