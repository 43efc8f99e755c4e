# A small image that runs as nobody in particular. It has the binary, glibc and the public certificate authorities.
#
#   docker build -t fieldgate .                                     builds from source
#   docker build -t fieldgate --target prebuilt -f Dockerfile DIR   takes DIR/fieldgate, built elsewhere for the same glibc
#
# Configuration is mounted at /etc/fieldgate, the audit trail is kept in /var/lib/fieldgate: docs/deployment.md.
# No VOLUME on purpose: an anonymous volume that nobody has named is where an audit trail is lost.

ARG BUILD_IMAGE=rust:1.95-slim-bookworm
# Of the same Debian release as BUILD_IMAGE, since glibc is linked dynamically. Nothing is run in it, so that an image
# without a shell, such as distroless "cc", does as well.
ARG RUNTIME_IMAGE=debian:bookworm-slim


# What the runtime image may lack: authorities for upstreams and issuers with public certificates, and a state folder
# that fieldgate may write to. Copied, so that the runtime stage needs neither a network nor a package manager.
FROM ${BUILD_IMAGE} AS layout
RUN install -d -m 0700 -o 65532 -g 65532 /layout/fieldgate


FROM ${RUNTIME_IMAGE} AS runtime
ARG VERSION=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.title="fieldgate" \
      org.opencontainers.image.description="A reverse proxy for FHIR and JSON APIs that lets each caller see only the fields its task needs" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=layout /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=layout --chown=65532:65532 /layout/ /var/lib/
# A number, so that Kubernetes can tell that it is not root.
USER 65532:65532
# The working directory stays /: nothing can be written there, so neither can a core dump.
EXPOSE 8443
# The admin listener stays inside: 127.0.0.1:9090, unless the gateway file says otherwise.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s --retries=3 CMD ["fieldgate", "ready"]
# SIGTERM drains for up to 30 s by default: stop with more patience than that (docker stop --time 45).
STOPSIGNAL SIGTERM
ENTRYPOINT ["fieldgate"]
CMD ["serve", "--config", "/etc/fieldgate/gateway.yaml"]


FROM runtime AS prebuilt
COPY --chmod=0755 fieldgate /usr/local/bin/fieldgate


FROM ${BUILD_IMAGE} AS build
WORKDIR /build
ENV CARGO_PROFILE_RELEASE_STRIP=symbols
# Dependencies alone: this layer is built anew only when Cargo.toml or Cargo.lock change.
# Cargo.toml names the benches, so that Cargo wants to see them.
COPY Cargo.toml Cargo.lock ./
COPY benches ./benches
RUN mkdir src && touch src/lib.rs && echo 'fn main() {}' > src/main.rs && \
    cargo build --release --locked --bin fieldgate && \
    rm -r src
COPY data ./data
COPY config ./config
COPY src ./src
# Cargo goes by file times, and a checkout may be older than the stand-ins that were built above.
RUN touch src/lib.rs src/main.rs && \
    cargo build --release --locked --bin fieldgate


FROM runtime
COPY --from=build /build/target/release/fieldgate /usr/local/bin/fieldgate
