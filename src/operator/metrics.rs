//! What the operator measures. What can be read off the Migrations is read off them when somebody asks, so that nothing
//! deleted lives on in a metric.

use std::time::Duration;

use kube::ResourceExt;
use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::api::{Book, Migration, Phase};

type Labels = Vec<(&'static str, String)>;

/// Counters of this process.
#[derive(Debug)]
pub(super) struct Metrics {
    registry: Registry,
    reconciles: Family<Labels, Counter>,
    durations: Family<Labels, Histogram, fn() -> Histogram>,
    phases: Family<Labels, Counter>,
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("crmferry");
        let reconciles = Family::default();
        registry.register(
            "reconciles",
            "Passes over an object, by kind and result",
            reconciles.clone(),
        );
        let durations = Family::new_with_constructor(seconds as fn() -> Histogram);
        registry.register(
            "reconcile_duration_seconds",
            "Seconds that a pass took",
            durations.clone(),
        );
        let phases = Family::default();
        registry.register("phases_entered", "Phases that Migrations entered", phases.clone());
        Self {
            registry,
            reconciles,
            durations,
            phases,
        }
    }

    /// A pass ended: `Ok` or the category of its error.
    pub(super) fn reconciled(&self, kind: &'static str, result: &'static str, took: Duration) {
        let kind = ("kind", kind.to_owned());
        self.durations
            .get_or_create(&vec![kind.clone()])
            .observe(took.as_secs_f64());
        self.reconciles
            .get_or_create(&vec![kind, ("result", result.to_owned())])
            .inc();
    }

    /// A Migration entered a phase.
    pub(super) fn entered(&self, phase: Phase) {
        self.phases.get_or_create(&vec![("phase", format!("{phase:?}"))]).inc();
    }

    /// Everything, in the text format of `OpenMetrics`.
    pub(super) fn render<'a>(
        &self,
        migrations: impl Iterator<Item = &'a Migration>,
    ) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &snapshot(migrations))?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

fn seconds() -> Histogram {
    Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0])
}

/// The Migrations as they stand.
fn snapshot<'a>(migrations: impl Iterator<Item = &'a Migration>) -> Registry {
    let (phases, records, balanced) = (
        Family::<Labels, Gauge>::default(),
        Family::<Labels, Gauge>::default(),
        Family::<Labels, Gauge>::default(),
    );
    for migration in migrations {
        let Some(status) = &migration.status else {
            continue;
        };
        let of = vec![
            ("namespace", migration.namespace().unwrap_or_default()),
            ("migration", migration.name_any()),
        ];
        let mut labels = of.clone();
        labels.push(("phase", format!("{:?}", status.phase)));
        phases.get_or_create(&labels).set(1);
        for object in &status.objects {
            let mut labels = of.clone();
            labels.push(("object", object.name.clone()));
            balanced.get_or_create(&labels).set(i64::from(object.book.balanced));
            for (kind, count) in counts(&object.book) {
                let mut labels = labels.clone();
                labels.push(("kind", kind.to_owned()));
                records.get_or_create(&labels).set(count);
            }
        }
    }
    let mut registry = Registry::with_prefix("crmferry");
    registry.register("phase", "1 for the phase that a Migration is in", phases);
    registry.register("records", "Records of an object, by what became of them", records);
    registry.register(
        "book_balanced",
        "1 where every equation of an object's book holds",
        balanced,
    );
    registry
}

const fn counts(book: &Book) -> [(&'static str, i64); 17] {
    let Book {
        read,
        filtered,
        rejected,
        deduplicated,
        mapped,
        created,
        adopted,
        updated,
        unchanged,
        deferred,
        held,
        failed,
        unprocessed,
        deleted,
        present_before,
        present,
        removed,
        balanced: _,
    } = *book;
    [
        ("read", read),
        ("filtered", filtered),
        ("rejected", rejected),
        ("deduplicated", deduplicated),
        ("mapped", mapped),
        ("created", created),
        ("adopted", adopted),
        ("updated", updated),
        ("unchanged", unchanged),
        ("deferred", deferred),
        ("held", held),
        ("failed", failed),
        ("unprocessed", unprocessed),
        ("deleted", deleted),
        ("present_before", present_before),
        ("present", present),
        ("removed", removed),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::script::migration, *};

    #[test]
    fn metrics_tell_passes_phases_records_and_books() {
        let metrics = Metrics::new();
        metrics.reconciled("Migration", "Ok", Duration::from_millis(7));
        metrics.entered(Phase::Loading);
        let status = json!({"phase": "Loading", "objects": [
            {"name": "contacts", "model": "res.partner", "book": {"read": 3, "mapped": 3, "created": 3, "balanced": true}}]});
        let text = metrics.render([migration(&status)].iter()).unwrap();
        for line in [
            r#"crmferry_reconciles_total{kind="Migration",result="Ok"} 1"#,
            r#"crmferry_reconcile_duration_seconds_count{kind="Migration"} 1"#,
            r#"crmferry_phases_entered_total{phase="Loading"} 1"#,
            r#"crmferry_phase{namespace="ferry",migration="acme",phase="Loading"} 1"#,
            r#"crmferry_records{namespace="ferry",migration="acme",object="contacts",kind="created"} 3"#,
            r#"crmferry_book_balanced{namespace="ferry",migration="acme",object="contacts"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
        let without = metrics.render(std::iter::empty()).unwrap();
        assert!(!without.contains("acme"), "a Migration that is gone is in no metric");
    }
}
