#!/bin/sh
# Build the release of what is committed, the same bytes wherever it is built:
#   deploy/release.sh [FOLDER]       default: dist
# Makes the source archive, the wheel, the list of components (CycloneDX) of both lock files, and SHA256SUMS.
# Times come from the last commit; only committed files go in. Needs git, and uv from the project's environment.
set -eu
umask 022
export TZ=UTC LC_ALL=C PYTHONHASHSEED=0
root="$(cd "$(dirname "$0")/.." && pwd)"
out="${1:-$root/dist}"
uv="${UV:-$root/.venv/bin/uv}"
SOURCE_DATE_EPOCH="$(git -C "$root" log -1 --format=%ct)"
export SOURCE_DATE_EPOCH
version="$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml")"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

mkdir -p "$out"
out="$(cd "$out" && pwd)"
rm -f "$out"/liqheat-* "$out/SHA256SUMS"
git -C "$root" archive --format=tar --prefix="liqheat-$version/" HEAD | gzip -n -9 >"$out/liqheat-$version.tar.gz"
tar -C "$work" -xzf "$out/liqheat-$version.tar.gz"
"$uv" build --no-config --quiet --wheel --require-hashes --build-constraints "$work/liqheat-$version/deploy/build-requirements.lock" \
  --out-dir "$out" "$work/liqheat-$version"
rm -f "$out/.gitignore"
for lock in requirements.lock deploy/docker/requirements.lock; do
  name="$(echo "$lock" | tr / -)"
  "$uv" tool run --quiet --from 'cyclonedx-bom==7.5.0' cyclonedx-py requirements "$work/liqheat-$version/$lock" \
    --output-reproducible --of JSON --output-file "$out/liqheat-$version-$name.cdx.json"
done
cd "$out"
sha256sum liqheat-* >SHA256SUMS
echo "$out:"
cat SHA256SUMS
