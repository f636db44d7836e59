# One image; web, worker and beat differ only in their command.
FROM python:3.13-slim

ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 ICON_VAR=/data
WORKDIR /icon

COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt

# The programs that read what is uploaded cannot write down what they compile, and the image
# comes without it.
RUN python -m compileall -q -x site-packages "$(python -c 'import os; print(os.path.dirname(os.__file__))')"

COPY . .
RUN python -m compileall -q app icon
RUN useradd --uid 1000 --no-create-home icon && install -d -m 750 -o icon -g icon /data
USER icon
VOLUME /data

CMD ["gunicorn", "--bind", "0.0.0.0:8000", "icon.wsgi"]
