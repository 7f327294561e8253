"""Grafana: dashboards as code, provisioning."""
