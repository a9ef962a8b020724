"""The one-machine stack: real Kafka, PostgreSQL and Prometheus, and the services, from packages alone."""
