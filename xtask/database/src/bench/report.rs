use std::fmt;
use std::time::Duration;

use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::Contender;
use super::measure::{Sample, median};

/// What is wanted on two processors with two jobs: group, contender, peer, ratio of the medians. Only printed: a
/// machine that does something else meanwhile proves nothing.
const WANTED: [(&str, &str, &str, f64); 16] = [
    ("backup", "ours-zstd", "newer-zstd:1", 1.0),
    ("backup", "ours-zstd-believed", "newer-zstd:1", 1.0),
    ("backup", "ours-zstd", "plain", 0.12),
    ("backup", "ours-zstd", "floor", 1.8),
    ("backup", "ours-zstd-believed", "floor", 1.8),
    ("backup", "ours-gzip", "plain", 0.25),
    ("backup", "ours-gzip-sealed", "ours-gzip", 1.1),
    ("backup", "ours-zstd-sealed", "ours-zstd", 1.1),
    ("restore", "ours-gzip", "psql", 0.45),
    ("restore", "ours-zstd", "psql", 0.45),
    ("restore", "ours-gzip", "newer-pg_restore", 0.85),
    ("restore", "ours-zstd", "newer-pg_restore", 0.85),
    ("verify", "ours-standard-gzip", "gunzip-gzip", 0.6),
    ("into a bucket", "ours-far", "local", 1.2),
    // What the distance alone costs: the server of the bucket works on the same processors.
    ("into a bucket", "ours-far", "ours-near", 1.2),
    ("out of a bucket", "ours-far", "local", 1.2),
];

/// What a backup or restore may have in memory.
const PEAK_BYTES_WANTED: u64 = 256 << 20;

/// What was measured on what.
pub(super) struct Facts {
    pub(super) scale: f64,
    pub(super) jobs: usize,
    pub(super) runs: usize,
    pub(super) server: String,
    pub(super) newer_clients: Option<String>,
    pub(super) settings: String,
    pub(super) heap_bytes: u64,
    pub(super) largest_heap_bytes: u64,
    pub(super) database_bytes: u64,
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = 100.0 * self.largest_heap_bytes as f64 / self.heap_bytes.max(1) as f64;
        let newer = match &self.newer_clients {
            Some(version) => format!("newer clients: {version}"),
            None => "no newer clients (--with-pg17 or --clients), so their compressions are not compared".to_owned(),
        };
        write!(
            f,
            "PostgreSQL {} ({}); {newer}\n{} of heap, {part:.0} % of it in one table; {} with indexes; {} jobs, medians of {}",
            self.server,
            self.settings,
            HumanBytes(self.heap_bytes),
            HumanBytes(self.database_bytes),
            self.jobs,
            self.runs
        )
    }
}

/// The samples of contenders that do the same.
pub(super) struct Group {
    name: &'static str,
    peers: &'static [(&'static str, &'static str)],
    rows: Vec<Row>,
}

struct Row {
    key: String,
    title: String,
    samples: Vec<Sample>,
}

impl Group {
    pub(super) fn new(
        name: &'static str,
        peers: &'static [(&'static str, &'static str)],
        contenders: &[Contender<'_>],
    ) -> Self {
        let rows = contenders.iter().map(|contender| Row {
            key: contender.key.clone(),
            title: contender.title.clone(),
            samples: Vec::new(),
        });
        Self {
            name,
            peers,
            rows: rows.collect(),
        }
    }

    pub(super) fn add(&mut self, index: usize, sample: Sample) {
        self.rows[index].samples.push(sample);
    }

    fn median(&self, key: &str) -> Option<Sample> {
        median(&self.rows.iter().find(|row| row.key == key)?.samples)
    }

    /// Median of one by median of another.
    pub(super) fn ratio(&self, key: &str, peer: &str) -> Option<f64> {
        Some(ratio(self.median(key)?.wall, self.median(peer)?.wall))
    }
}

fn ratio(a: Duration, b: Duration) -> f64 {
    a.as_secs_f64() / b.as_secs_f64().max(1e-9)
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.rows.iter().map(|row| row.title.len()).max().unwrap_or(0);
        write!(f, "{:width$}  {:>9}", self.name, "median")?;
        for (heading, _) in self.peers {
            write!(f, "  {:>10}", format!("× {heading}"))?;
        }
        writeln!(
            f,
            "  {:>10}  {:>10}  {:>10}  {:>10}",
            "client CPU", "server CPU", "peak", "written"
        )?;
        for row in &self.rows {
            let Some(sample) = median(&row.samples) else {
                continue;
            };
            write!(f, "{:width$}  {:>7.2} s", row.title, sample.wall.as_secs_f64())?;
            for (_, peer) in self.peers {
                let ratio = self.ratio(&row.key, peer).map(|ratio| format!("{ratio:.2}"));
                write!(f, "  {:>10}", ratio.unwrap_or_default())?;
            }
            let cpu = |cpu: Option<Duration>| cpu.map(|cpu| format!("{:.2} s", cpu.as_secs_f64())).unwrap_or_default();
            let bytes = |bytes: Option<u64>| bytes.map(|bytes| HumanBytes(bytes).to_string()).unwrap_or_default();
            writeln!(
                f,
                "  {:>10}  {:>10}  {:>10}  {:>10}",
                cpu(sample.cpu),
                cpu(sample.server_cpu),
                bytes(sample.peak_bytes),
                bytes(sample.written_bytes)
            )?;
        }
        Ok(())
    }
}

/// Says of each ratio that is wanted whether it was reached.
pub(super) fn wanted(groups: &[Group]) -> String {
    let mut text = "wanted (2 processors, 2 jobs)\n".to_owned();
    for (name, key, peer, limit) in WANTED {
        let group = groups.iter().find(|group| group.name == name);
        if let Some(ratio) = group.and_then(|group| group.ratio(key, peer)) {
            let verdict = if ratio <= limit { "reached" } else { "MISSED" };
            text.push_str(&format!(
                "  {verdict:8} {name} {key}: {ratio:.2} × {peer}, at most {limit}\n"
            ));
        }
    }
    let peak = groups
        .iter()
        .filter(|group| group.name != "verify")
        .flat_map(|group| &group.rows)
        .filter(|row| row.key.starts_with("ours-"))
        .flat_map(|row| &row.samples)
        .filter_map(|sample| sample.peak_bytes)
        .max();
    if let Some(peak) = peak {
        let verdict = if peak <= PEAK_BYTES_WANTED { "reached" } else { "MISSED" };
        text.push_str(&format!(
            "  {verdict:8} peak memory of ours: {}, at most {}\n",
            HumanBytes(peak),
            HumanBytes(PEAK_BYTES_WANTED)
        ));
    }
    text
}

pub(super) fn json(facts: &Facts, groups: &[Group]) -> Value {
    let seconds = |duration: Duration| duration.as_secs_f64();
    let sample = |sample: &Sample| {
        json!({
            "wall_secs": seconds(sample.wall),
            "client_cpu_secs": sample.cpu.map(seconds),
            "server_cpu_secs": sample.server_cpu.map(seconds),
            "peak_bytes": sample.peak_bytes,
            "written_bytes": sample.written_bytes,
        })
    };
    let row = |group: &Group, row: &Row| {
        let ratios: serde_json::Map<String, Value> = group
            .peers
            .iter()
            .filter_map(|(_, peer)| Some(((*peer).to_owned(), json!(group.ratio(&row.key, peer)?))))
            .collect();
        json!({
            "key": row.key,
            "title": row.title,
            "median": median(&row.samples).as_ref().map(sample),
            "ratios": ratios,
            "samples": row.samples.iter().map(sample).collect::<Vec<_>>(),
        })
    };
    let groups: serde_json::Map<String, Value> = groups
        .iter()
        .map(|group| {
            let rows: Vec<Value> = group.rows.iter().map(|r| row(group, r)).collect();
            (group.name.to_owned(), json!(rows))
        })
        .collect();
    json!({
        "scale": facts.scale,
        "jobs": facts.jobs,
        "runs": facts.runs,
        "server": facts.server,
        "newer_clients": facts.newer_clients,
        "settings": facts.settings,
        "heap_bytes": facts.heap_bytes,
        "largest_heap_bytes": facts.largest_heap_bytes,
        "database_bytes": facts.database_bytes,
        "groups": groups,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(seconds: &[(&str, u64)]) -> Group {
        let rows = seconds.iter().map(|&(key, seconds)| Row {
            key: key.to_owned(),
            title: format!("the {key}"),
            samples: vec![Sample {
                wall: Duration::from_secs(seconds),
                cpu: Some(Duration::from_millis(500)),
                server_cpu: Some(Duration::from_secs(1)),
                peak_bytes: Some(300 << 20),
                written_bytes: None,
            }],
        });
        Group {
            name: "backup",
            peers: &[("|gzip", "plain"), ("absent", "newer-zstd:1")],
            rows: rows.collect(),
        }
    }

    #[test]
    fn a_table_has_ratios_where_the_peer_is_there() {
        let group = group(&[("plain", 40), ("ours-gzip", 10)]);
        assert_eq!(
            group.to_string(),
            "backup            median     × |gzip    × absent  client CPU  server CPU        peak     written\n\
             the plain        40.00 s        1.00                  0.50 s      1.00 s  300.00 MiB            \n\
             the ours-gzip    10.00 s        0.25                  0.50 s      1.00 s  300.00 MiB            \n"
        );
        let facts = Facts {
            scale: 1.0,
            jobs: 2,
            runs: 1,
            server: "17.0".to_owned(),
            newer_clients: None,
            settings: String::new(),
            heap_bytes: 10,
            largest_heap_bytes: 7,
            database_bytes: 20,
        };
        let json = json(&facts, &[group]);
        assert_eq!(json["groups"]["backup"][1]["ratios"]["plain"], 0.25);
    }

    #[test]
    fn what_is_wanted_is_judged() {
        let text = wanted(&[group(&[("plain", 40), ("ours-gzip", 10), ("ours-zstd", 5)])]);
        assert_eq!(
            text,
            "wanted (2 processors, 2 jobs)\n  \
             MISSED   backup ours-zstd: 0.12 × plain, at most 0.12\n  \
             reached  backup ours-gzip: 0.25 × plain, at most 0.25\n  \
             MISSED   peak memory of ours: 300.00 MiB, at most 256.00 MiB\n"
        );
    }
}
