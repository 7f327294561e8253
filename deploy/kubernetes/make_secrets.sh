#!/bin/sh
# Make the secrets that the manifests name, from the files that deploy/make_secrets.sh makes; those that are there stay.
#   deploy/kubernetes/make_secrets.sh [FOLDER]      default: ./secrets
# Prints them for `kubectl apply -f -`. The nodes of ClickHouse trust each other by a secret of their own.
set -eu
folder="${1:-./secrets}"
"$(dirname "$0")/../make_secrets.sh" "$folder" >&2
umask 077
cluster="$folder/clickhouse_cluster.xml"
if [ ! -s "$cluster" ]; then
  secret="$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')"
  printf '<clickhouse><remote_servers><liqheat><secret>%s</secret></liqheat></remote_servers></clickhouse>\n' \
    "$secret" >"$cluster"
  echo "made $cluster" >&2
fi
set --
for name in kafka_password clickhouse_admin_password clickhouse_writer_password clickhouse_reader_password \
    clickhouse_grafana_password grafana_admin_password; do
  set -- "$@" "--from-file=$folder/$name"
done
kubectl create secret generic passwords --namespace liqheat "$@" --dry-run=client --output=yaml
echo ---
kubectl create secret generic clickhouse-cluster --namespace liqheat \
  "--from-file=secret.xml=$cluster" --dry-run=client --output=yaml
