"""Grafana dashboards as code: each module builds one dashboard, `build` writes them all as JSON.

SQL lives in `deploy/grafana/queries/<dashboard>/`; the JSON in `deploy/grafana/dashboards` is generated and
never edited (`make dashboards`; `make check` compares).
"""
