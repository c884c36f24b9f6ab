# teamlog, the one binary, as docker-compose.yml runs it.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
# librdkafka, zstd and SQLite are compiled from the crates' own sources: the image's C toolchain is all they need.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p teamlog --bin teamlog \
    && cp target/release/teamlog /teamlog

FROM debian:bookworm-slim
# curl is for the health checks.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --home-dir /var/lib/teamlog --create-home teamlog
COPY --from=build /teamlog /usr/local/bin/teamlog
USER teamlog
WORKDIR /var/lib/teamlog
VOLUME /var/lib/teamlog
EXPOSE 8080 8090
ENTRYPOINT ["teamlog"]
CMD ["--data-dir", "/var/lib/teamlog", "serve", "--listen", "0.0.0.0:8080"]
