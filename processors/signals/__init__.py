"""From map to decision: clusters, alerts, conviction."""
