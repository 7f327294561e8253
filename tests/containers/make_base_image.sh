#!/bin/sh
# Make the image that deploy/docker/Dockerfile starts from, where none can be pulled: Debian 12 with its Python 3.11.
#   make_base_image.sh NAME     needs podman, debootstrap and root; takes about a minute
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$folder" >"$folder.log" 2>&1 \
  || { tail -n 5 "$folder.log" >&2; exit 1; }
rm -rf "$folder"/var/cache/apt/archives/*.deb "$folder"/var/lib/apt/lists/* "$folder.log"
tar -C "$folder" -c . | podman import - "$1"
