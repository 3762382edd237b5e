"""DRAEM: what is rebuilt and marked, the anomalies it is shown, its losses."""
