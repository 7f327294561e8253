"""What runs liqheat elsewhere: image, broker, database users, Grafana."""
