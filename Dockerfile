# One image for all services, the console and the demo's simulated outside; compose names the command.

FROM python:3.11-slim AS libraries
WORKDIR /build
COPY requirements.lock pyproject.toml ./
# The lock names every file there is, development tools too, and each is checked against it; from
# here on nothing else is used.
RUN pip download --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
        --dest /wheels --requirement requirements.lock \
    && pip install --quiet --no-index --find-links /wheels --root-user-action ignore uv
ENV UV_NO_INDEX=1 UV_FIND_LINKS=/wheels UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy \
    UV_COMPILE_BYTECODE=1
# Of those, what runs: the dependencies and the extra `demo`.
RUN uv venv --quiet /opt/libraries \
    && uv pip install --quiet --python /opt/libraries --requirement pyproject.toml --extra demo

FROM libraries AS shipfeed
COPY LICENSE README.md ./
COPY schemas schemas
COPY bus bus
COPY services services
COPY console console
COPY testbed testbed
RUN uv pip install --quiet --python /opt/libraries --no-deps --target /opt/shipfeed .

FROM python:3.11-slim
RUN useradd --uid 10001 --create-home shipfeed
COPY --from=libraries /opt/libraries /opt/libraries
COPY --from=shipfeed /opt/shipfeed /opt/shipfeed
ENV PATH=/opt/shipfeed/bin:/opt/libraries/bin:$PATH PYTHONPATH=/opt/shipfeed PYTHONUNBUFFERED=1
USER shipfeed
WORKDIR /home/shipfeed
CMD ["shipfeed", "--help"]
