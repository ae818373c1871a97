use super::{PrintedFile, Setting, Unit, quoted};

/// A `CronJob` for each, in one file. The configuration is a config map and the secrets are a secret, both called `backstay`.
#[must_use]
pub fn kubernetes(units: &[Unit], setting: &Setting) -> PrintedFile {
    let jobs: Vec<String> = units.iter().map(|unit| cron_job(unit, setting)).collect();
    PrintedFile {
        name: "backstay.yaml".to_owned(),
        text: format!(
            "# kubectl create configmap backstay --from-file=backstay.toml\n\
             # kubectl create secret generic backstay --from-literal=NAME=…\n{}",
            jobs.concat()
        ),
    }
}

fn cron_job(unit: &Unit, setting: &Setting) -> String {
    let arguments: Vec<String> = unit.arguments.iter().map(|word| quoted(word)).collect();
    let mut variables = String::new();
    for name in &unit.variables {
        variables.push_str(&format!(
            "                - name: {name}\n                  valueFrom:\n                    secretKeyRef:\n                      \
             name: backstay\n                      key: {name}\n"
        ));
    }
    // A time that was missed for half an hour is still made up for; what fails is tried once more.
    format!(
        "---\n\
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: backstay
spec:
  schedule: {schedule}
  timeZone: {zone}
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 1800
  successfulJobsHistoryLimit: 3
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 1
      template:
        spec:
          restartPolicy: Never
          terminationGracePeriodSeconds: 60
          containers:
            - name: backstay
              image: {image}
              args: [{arguments}]
              env:
                - name: BACKSTAY_CONFIG
                  value: /etc/backstay/backstay.toml
{variables}              volumeMounts:
                - name: configuration
                  mountPath: /etc/backstay
                  readOnly: true
          volumes:
            - name: configuration
              configMap:
                name: backstay
",
        name = format_args!("backstay-{}", unit.name),
        schedule = quoted(&unit.cron.with_sunday_as_0()),
        zone = quoted(match unit.zone_name() {
            "UTC" => "Etc/UTC",
            zone => zone,
        }),
        image = quoted(&setting.image),
        arguments = arguments.join(", "),
    )
}
