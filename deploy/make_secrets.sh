#!/bin/sh
# Make the password files that docker-compose.yml names, where they are missing; those that are there stay.
#   deploy/make_secrets.sh [FOLDER]      default: $LIQHEAT_SECRETS, else ./secrets
set -eu
folder="${1:-${LIQHEAT_SECRETS:-./secrets}}"
umask 077
mkdir -p "$folder"
for name in kafka_password clickhouse_admin_password clickhouse_writer_password clickhouse_reader_password \
    clickhouse_grafana_password grafana_admin_password; do
  if [ ! -s "$folder/$name" ]; then
    od -An -N24 -tx1 /dev/urandom | tr -d ' \n' >"$folder/$name"
    echo "made $folder/$name"
  fi
  # The services run as users of their own and read the file itself; the folder keeps everybody else out.
  chmod 0444 "$folder/$name"
done
