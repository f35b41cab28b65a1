"""What is known of one run: states, logs, events, the cluster; built from a bundle."""
