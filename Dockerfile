# Two stages: packages are installed in one and copied into the other, which holds neither pip's cache nor a compiler.
FROM python:3.12-slim AS build
WORKDIR /tidemark
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/tidemark
COPY requirements.lock ./
RUN /opt/tidemark/bin/pip install --no-deps --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY db db
COPY scheduler scheduler
COPY transformer transformer
COPY worker worker
RUN /opt/tidemark/bin/pip install --no-deps --no-build-isolation .

FROM python:3.12-slim
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/tidemark tidemark
COPY --from=build /opt/tidemark /opt/tidemark
ENV PATH=/opt/tidemark/bin:$PATH \
    TIDEMARK_HOME=/var/lib/tidemark \
    TIDEMARK_API_HOST=0.0.0.0 \
    PYTHONUNBUFFERED=1
USER tidemark
RUN ["python", "-m", "transformer.precompile"]
WORKDIR /var/lib/tidemark
VOLUME /var/lib/tidemark
EXPOSE 8400
# The API says of itself whether it lives; of schedulers and workers `tidemark doctor` says whether they reach the servers.
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s CMD ["tidemark", "doctor", "--json"]
ENTRYPOINT ["tidemark"]
CMD ["api"]
