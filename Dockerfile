# The operator's image. The binary is built outside and linked statically, see README.md.
FROM scratch
COPY target/op/x86_64-unknown-linux-gnu/release/holdfast /holdfast
USER 65532:65532
ENTRYPOINT ["/holdfast"]
CMD ["run"]
