# Apache Kafka as the tests know it, from the jars that `make kafka` fetched (the build's context), in a container.
ARG BASE
FROM ${BASE}
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends openjdk-17-jre-headless >/dev/null \
 && rm -rf /var/lib/apt/lists/*
COPY . /opt/kafka/lib/
