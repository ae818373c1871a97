//! What makes a backup credible: rules, findings and the report.
