# The FLARE24 system as an image: sh predict.sh segments inputs/ into outputs/. See README.md, "As a container".
#
#   docker build -t flare24 .
#
# The trained weights must lie in nnUNet_results/ before the build. Nothing is downloaded at run time.
FROM nvidia/cuda:12.8.1-runtime-ubuntu24.04

# Debian's archive keeps only the newest build of a package, so a pinned version would soon be gone.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /workspace
ENV PATH=/opt/venv/bin:$PATH
RUN python3 -m venv /opt/venv

# The largest part first, in a layer of its own: a change of the code or the weights does not download it again.
# For an older driver: --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu126, if it has this version.
ARG TORCH_INDEX=https://pypi.org/simple
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt --index-url "$TORCH_INDEX" torch

COPY pyproject.toml setup.py README.md LICENSE ./
COPY nnunetv2 nnunetv2/
RUN pip install --no-cache-dir --constraint constraints.txt --editable .

COPY predict.sh ./
COPY nnUNet_results nnUNet_results/

# The folders are also there without mounts. User 1000 comes with the base image and is most often the owner of the
# mounted folders, too; docker run --user takes any other: caches go to /tmp, and the name needs no list of users.
RUN mkdir --parents inputs outputs nnUNet_raw nnUNet_preprocessed \
    && chown 1000:1000 outputs nnUNet_raw nnUNet_preprocessed
ENV nnUNet_raw=/workspace/nnUNet_raw \
    nnUNet_preprocessed=/workspace/nnUNet_preprocessed \
    nnUNet_results=/workspace/nnUNet_results \
    HOME=/tmp \
    LOGNAME=nnunet \
    PYTHONUNBUFFERED=1
USER 1000:1000

CMD ["sh", "predict.sh"]
