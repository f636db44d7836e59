"""How gunicorn serves ICON. `gunicorn icon.wsgi`, started in this folder, reads it unasked."""

from icon.server import ServerLogger, begin, give_up_the_idle, spare_the_collector

worker_class = "gthread"
workers = 2
preload_app = True  # read once, by the process that starts them: it ends where ICON cannot work
# A slow client holds a thread for as long as it likes, and each costs 0.1 MB. On PostgreSQL the
# threads of a process share a few connections: see icon/wsgi.py.
threads = 64
timeout = 120  # seconds without a sign of life, after which a worker is replaced
graceful_timeout = 5  # seconds that a stopping worker gives to requests under way
control_socket_disable = True
logger_class = ServerLogger
on_starting = begin
when_ready = give_up_the_idle
post_fork = spare_the_collector
