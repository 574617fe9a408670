FROM rust:1.95-slim-trixie AS build
# hadolint ignore=DL3008 # Debian's stable version is the one that is patched
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked \
    && cp target/release/kompetens /usr/local/bin/kompetens

FROM debian:trixie-slim
# hadolint ignore=DL3008 # Debian's stable version is the one that is patched
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/kompetens /usr/local/bin/kompetens
# nobody in particular: it writes no file, so the root filesystem may be read-only
USER 65532:65532
ENV KOMPETENS_ADDRESS=0.0.0.0:8080 \
    KOMPETENS_OPERATIONS_ADDRESS=0.0.0.0:8081
EXPOSE 8080 8081
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["kompetens", "health"]
ENTRYPOINT ["kompetens"]
CMD ["serve"]
