#!/bin/sh
# Turn the tags of docker-compose.yml and of the Dockerfile into digests: prints an override file for compose.
#   deploy/pin_images.sh > docker-compose.pinned.yml
#   docker compose -f docker-compose.yml -f docker-compose.pinned.yml up --detach
# Needs Docker with buildx and a network. A digest names the very bytes; run it again when a tag changes, and read the
# difference before you commit it.
set -eu
cd "$(dirname "$0")/.."

digest() {
  docker buildx imagetools inspect "$1" --format '{{.Manifest.Digest}}'
}

python_image="$(sed -n 's/^ARG PYTHON_IMAGE=//p' deploy/docker/Dockerfile)"
printf '# Made by deploy/pin_images.sh from the tags of docker-compose.yml and deploy/docker/Dockerfile.\nservices:\n'
for service in kafka clickhouse grafana; do
  image="$(sed -n "/^  $service:/,/^  [a-z]/s/^    image: //p" docker-compose.yml | head -n 1)"
  found="$(digest "$image")"
  printf '  %s:\n    image: %s@%s\n' "$service" "$image" "$found"
done
found="$(digest "$python_image")"
printf '# and in .env, for the build:\n# PYTHON_IMAGE=%s@%s\n' "$python_image" "$found"
