"""Passwords that are tried too often: who is locked, for how long, and what is kept of it."""

import re
import threading
from datetime import timedelta

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.db import connection
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from app import tasks
from app.accounts import throttle
from app.models import SignInTries
from app.reasons import sentence
from tests.journeys.test_settings import settings_of_a_new_process
from tests.settings import QuickHasher

pytestmark = pytest.mark.database

LOGIN = reverse("admin:login")
LOCKED = sentence("signing_in_locked", wait="15 minutes")
WRONG = "enter the correct username and password. In both"
TABLE = reverse("admin:app_signintries_changelist")
HERE, THERE = "192.0.2.1", "192.0.2.2"


class CountingHasher(QuickHasher):
    """Counts the passwords that are looked at."""

    looked_at: list[str] = []

    def encode(self, password, salt, iterations=None):
        self.looked_at.append(password)
        return super().encode(password, salt, iterations)


@pytest.fixture
def looked_at(settings) -> list[str]:
    settings.PASSWORD_HASHERS = [f"{__name__}.CountingHasher"]
    CountingHasher.looked_at.clear()
    return CountingHasher.looked_at


def sign_in(password: str, name: str = "staff", address: str = HERE, **headers: str) -> str:
    """What the page says to somebody new at that address; "" for who got in."""
    data = {"username": name, "password": password}
    response = Client(REMOTE_ADDR=address, headers=headers).post(LOGIN, data)
    return "" if response.status_code == 302 else response.content.decode()


def fail(times: int, **how: str) -> None:
    for _ in range(times):
        page = sign_in("wrong", **how)
    assert "Signing in was tried" in page or WRONG in page


def test_after_five_wrong_passwords_the_right_one_is_refused_too(staff_user, looked_at):
    fail(4)
    assert LOCKED in sign_in("wrong")
    seen = len(looked_at)
    assert seen == 5
    for password in ("wrong", "staff-password"):
        page = sign_in(password)
        assert LOCKED in page
        assert WRONG not in page
    assert len(looked_at) == seen


def test_a_name_that_nobody_has_is_told_the_same(staff_user, looked_at):
    def notes(name: str) -> list[str]:
        pages = (sign_in("wrong", name=name) for _ in range(7))
        return [re.search(r'class="errornote">(.+?)</p>', page, re.DOTALL)[1] for page in pages]

    assert notes("nobody") == notes("staff")
    assert len(looked_at) == 10


def test_a_lock_ends_and_is_not_prolonged_by_trying(staff_user):
    fail(5)
    (lock,) = SignInTries.objects.filter(locked_until__isnull=False)
    fail(5)
    assert SignInTries.objects.get(pk=lock.pk).locked_until == lock.locked_until
    moment = timezone.now() - timedelta(seconds=1)
    SignInTries.objects.filter(pk=lock.pk).update(locked_until=moment)
    fail(4)
    assert sign_in("staff-password") == ""


def test_what_was_tried_long_ago_does_not_count(staff_user):
    fail(4)
    SignInTries.objects.update(since=timezone.now() - timedelta(minutes=16))
    fail(4)
    assert sign_in("staff-password") == ""


def test_the_right_password_begins_anew(staff_user):
    for _ in range(3):
        fail(4)
        assert sign_in("staff-password") == ""
    assert {row.tries for row in SignInTries.objects.all()} == {12}  # all from here, and of staff


def test_a_stranger_elsewhere_locks_nobody_out(staff_user):
    fail(5, address=THERE)
    assert sign_in("staff-password", address=THERE) != ""
    assert sign_in("staff-password", address=HERE) == ""


def test_one_password_tried_on_many_users_locks_the_address(staff_user, settings):
    settings.ICON_SIGN_IN_TRIES = 1
    for number in range(10):
        sign_in("wrong", name=f"user {number}", address=THERE)
    assert LOCKED in sign_in("staff-password", address=THERE)
    assert sign_in("staff-password", address=HERE) == ""


def test_a_user_tried_from_many_addresses_is_locked_everywhere(staff_user, settings):
    settings.ICON_SIGN_IN_TRIES = 1
    for number in range(20):
        sign_in("wrong", address=f"192.0.2.{number + 10}")
    assert LOCKED in sign_in("staff-password", address=HERE)


def test_who_has_an_account_does_not_win_tries_by_signing_in(staff_user, settings):
    User.objects.create_user("other", password="other-password", is_staff=True)
    settings.ICON_SIGN_IN_TRIES = 1
    for number in range(10):
        assert sign_in("other-password", name="other") == ""
        sign_in("wrong", name=f"user {number}")
    assert LOCKED in sign_in("other-password", name="other")


def test_of_sixteen_at_once_no_more_get_through_than_of_sixteen_in_a_row(
    transactional_db, looked_at, rf
):
    User.objects.create_user("staff", password="staff-password", is_staff=True)
    looked_at.clear()
    ready = threading.Barrier(16)

    def guess(number: int) -> None:
        request = rf.post(LOGIN, REMOTE_ADDR=HERE)
        ready.wait()
        try:
            assert authenticate(request, username="staff", password=f"wrong {number}") is None
        finally:
            connection.close()

    guessing = [threading.Thread(target=guess, args=(number,)) for number in range(16)]
    for one in guessing:
        one.start()
    for one in guessing:
        one.join()
    assert len(looked_at) == 5
    assert {row.tries for row in SignInTries.objects.all()} == {5}


def test_nothing_of_what_was_typed_is_kept_but_a_user_that_there_is(staff_user, caplog):
    fail(6, name="MyPassword1!")
    fail(6)
    kept = [*SignInTries.objects.values_list("key", "address", "user__username")]
    assert "MyPassword1!" not in f"{kept}{caplog.text}"
    assert {name for _, _, name in kept} == {None, "staff"}
    assert "Signing in is locked: name " in caplog.text
    assert f"Signing in is locked: user {staff_user.pk} from {HERE}" in caplog.text
    numbers = {key.split()[1] for key, _, _ in kept if key.startswith("name ")}
    assert all(len(number) == 4 for number in numbers)


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("", "unknown"),  # a socket
    ],
)
def test_an_address_is_counted_as_one_user_may_have_it(address, counted_as, rf):
    assert throttle.address_of(rf.get("/", REMOTE_ADDR=address)) == counted_as


@pytest.mark.parametrize(
    ("proxies", "forwarded", "counted_as"),
    [
        (0, "198.51.100.7", HERE),
        (1, "198.51.100.7", "198.51.100.7"),
        (1, "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        (2, "203.0.113.9, 198.51.100.7", "203.0.113.9"),
        (2, "198.51.100.7", HERE),  # it came past a proxy
        (1, "nonsense", HERE),
        (1, "", HERE),
    ],
)
def test_x_forwarded_for_is_believed_as_far_as_our_proxies_wrote_it(
    proxies, forwarded, counted_as, settings, rf
):
    settings.ICON_PROXIES = proxies
    request = rf.get("/", REMOTE_ADDR=HERE, headers={"X-Forwarded-For": forwarded})
    assert throttle.address_of(request) == counted_as


def test_one_proxy_is_taken_for_granted_with_https_and_none_without(tmp_path):
    for https, proxies in (("0", "0"), ("1", "1")):
        made = settings_of_a_new_process(ICON_VAR=str(tmp_path), ICON_HTTPS=https)
        assert made["ICON_PROXIES"] == proxies


def test_a_header_of_the_guesser_s_own_wins_no_tries(staff_user):
    for number in range(5):
        sign_in("wrong", **{"X-Forwarded-For": f"198.51.100.{number}"})
    assert LOCKED in sign_in("staff-password", **{"X-Forwarded-For": "198.51.100.77"})


# Unlocking


@pytest.fixture
def locked(staff_user):
    """Two users that are locked, one of them at two addresses."""
    User.objects.create_user("other", password="other-password", is_staff=True)
    for name, address in (("staff", HERE), ("staff", THERE), ("other", HERE)):
        fail(5, name=name, address=address)


def who_get_in() -> list[tuple[str, str]]:
    every = [("staff", HERE), ("staff", THERE), ("other", HERE)]
    return [(n, at) for n, at in every if sign_in(f"{n}-password", name=n, address=at) == ""]


@pytest.mark.parametrize(
    ("arguments", "get_in"),
    [
        ([], [("staff", HERE), ("staff", THERE), ("other", HERE)]),
        (["staff"], [("staff", HERE), ("staff", THERE)]),
        (["--address", THERE], [("staff", THERE)]),
        (["other", "--address", THERE], [("staff", THERE), ("other", HERE)]),
    ],
)
def test_the_terminal_unlocks(arguments, get_in, locked):
    call_command("unlock", *arguments)
    assert who_get_in() == get_in


def test_the_terminal_knows_no_user_of_that_name(locked):
    with pytest.raises(CommandError, match="No user is called nobody"):
        call_command("unlock", "staff", "nobody")
    assert who_get_in() == []


def test_a_superuser_sees_and_unlocks(locked, staff_client):
    fail(5, name="a password?", address=THERE)
    page = staff_client.get(TABLE).content.decode()
    assert "<h1>Failed sign-ins</h1>" in page
    assert "a name that nobody has" in page
    assert "a password?" not in page
    assert page.count(THERE) >= 2
    chosen = SignInTries.objects.filter(user__username="staff", address=HERE)
    data = {"action": "unlock", "_selected_action": [row.pk for row in chosen]}
    response = staff_client.post(TABLE, data, follow=True)
    assert "1 count of failed sign-ins removed." in response.content.decode()
    assert who_get_in() == [("staff", HERE)]


def test_who_is_no_superuser_unlocks_nobody_whatever_he_may(locked, client):
    keeper = User.objects.create_user("keeper", is_staff=True)
    codenames = ("view_signintries", "change_signintries", "delete_signintries")
    keeper.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client.force_login(keeper)
    data = {"action": "unlock", "_selected_action": [row.pk for row in SignInTries.objects.all()]}
    assert client.get(TABLE).status_code == 403
    assert client.post(TABLE, data).status_code == 403
    assert who_get_in() == []


def test_what_is_over_goes_in_the_night(locked, client):
    client.force_login(User.objects.get(username="staff"))
    tasks.forget_expired()
    assert SignInTries.objects.filter(locked_until__isnull=False).count() == 3
    long_ago = timezone.now() - timedelta(days=1)
    SignInTries.objects.update(since=long_ago, locked_until=long_ago)
    client.session.model.objects.update(expire_date=long_ago)
    tasks.forget_expired()
    assert not SignInTries.objects.exists()
    assert not client.session.model.objects.exists()
