"""A local web page that shows the heatmap of an embedded or remote ClickHouse."""
