# For people with Docker; `make image` makes the same image without it.
# Build: docker build -t localhost/herald:dev .

FROM docker.io/library/rust:1-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin herald \
    && strip -o /herald target/release/herald

# glibc, the certificates of the public authorities and a user that is not root; built on the same Debian as above.
FROM gcr.io/distroless/cc-debian12:nonroot
ARG VERSION=dev
LABEL org.opencontainers.image.title="herald" \
      org.opencontainers.image.description="Sends one message to very many people from Kubernetes, paced at the provider's limit, nobody twice" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /herald /usr/local/bin/herald
# As a number, so that Kubernetes can tell that it is not root.
USER 65532:65532
ENTRYPOINT ["/usr/local/bin/herald"]
