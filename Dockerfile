# The operator's image: the static binary and nothing else.
#
#   RUSTFLAGS=-Ctarget-feature=+crt-static cargo build --release \
#     --target x86_64-unknown-linux-gnu -p holdfast --no-default-features --features client
#   buildah bud -t holdfast/operator:0.1.0 -f Dockerfile target/x86_64-unknown-linux-gnu/release
#
# The build context is the folder that holds the binary; no network is needed.
FROM scratch
COPY --chmod=0755 holdfast /holdfast
# The number, not a name: Kubernetes checks runAsNonRoot without an /etc/passwd.
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/holdfast"]
CMD ["run"]
