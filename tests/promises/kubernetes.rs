//! The Kubernetes manifests: the fields that matter, and that the parts fit each other.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::{deploy, files, known};

const FOLDER: &str = "deploy/kubernetes";

fn manifest(name: &str) -> Result<Value> {
    files::yaml(&format!("{FOLDER}/{name}"))
}

fn array(value: &Value) -> Result<&[Value]> {
    Ok(value.as_array().context("a list is missing")?)
}

fn words(value: &Value) -> Result<BTreeSet<String>> {
    let all = array(value)?.iter();
    Ok(all.filter_map(Value::as_str).map(str::to_owned).collect())
}

/// The pod's specification and its one container.
fn pod() -> Result<(Value, Value)> {
    let spec = manifest("daemonset.yaml")?["spec"]["template"]["spec"].clone();
    let containers = array(&spec["containers"])?;
    assert_eq!(containers.len(), 1);
    let container = containers[0].clone();
    Ok((spec, container))
}

/// `kubectl apply --kustomize` takes what this list names and nothing else.
#[test]
fn the_kustomization_names_every_manifest() -> Result<()> {
    let kustomization = manifest("kustomization.yaml")?;
    let text = files::text(&format!("{FOLDER}/kustomization.yaml"))?;
    let listed = words(&kustomization["resources"])?;
    for file in files::below(FOLDER)? {
        let name = file.rsplit('/').next().unwrap_or_default();
        if name == "kustomization.yaml" {
            continue;
        }
        let found = manifest(name)?;
        for field in ["apiVersion", "kind"] {
            assert!(found[field].is_string(), "{name} has no {field}");
        }
        let kind = &found["kind"];
        assert!(found["metadata"]["name"].is_string(), "{name} has no name");
        assert!(
            kind == "Namespace" || found["metadata"]["namespace"] == kustomization["namespace"],
            "{name} lies in another namespace"
        );
        // What needs the Prometheus operator is offered, not applied.
        let optional = text.contains(&format!("# - {name}\n"));
        assert!(
            listed.contains(name) != optional,
            "{name} is neither listed nor offered"
        );
    }
    assert!(listed.contains("daemonset.yaml"));
    Ok(())
}

/// Capabilities instead of privileged, and the same ones as on a host.
#[test]
fn the_pod_has_the_units_capabilities_and_no_more() -> Result<()> {
    let (spec, container) = pod()?;
    let security = &container["securityContext"];
    assert_eq!(spec["hostPID"], true, "workers are other pods' processes");
    assert_eq!(security["privileged"], false);
    assert_eq!(security["allowPrivilegeEscalation"], false);
    assert_eq!(security["readOnlyRootFilesystem"], true);
    assert_eq!(security["capabilities"]["drop"], json!(["ALL"]));
    // systemd raises the limit on locked memory itself; here the agent must.
    let mut expected = deploy::capabilities()?;
    expected.insert("CAP_SYS_RESOURCE".to_owned());
    let added = words(&security["capabilities"]["add"])?;
    let added: BTreeSet<_> = added.iter().map(|name| format!("CAP_{name}")).collect();
    assert_eq!(added, expected);
    assert_eq!(security["seccompProfile"]["type"], "RuntimeDefault");
    // The default profiles of the runtimes forbid reading the processes of other containers.
    assert_eq!(security["appArmorProfile"]["type"], "Unconfined");
    for who in [&spec, &manifest("serviceaccount.yaml")?] {
        assert_eq!(who["automountServiceAccountToken"], false);
    }
    for bound in ["requests", "limits"] {
        assert!(container["resources"][bound]["memory"].is_string());
    }
    Ok(())
}

/// The kernel's side comes in by mounts, all of them for reading.
#[test]
fn the_pod_mounts_what_the_agent_reads() -> Result<()> {
    let (spec, container) = pod()?;
    let volumes = array(&spec["volumes"])?;
    let mut paths = BTreeSet::new();
    for mount in array(&container["volumeMounts"])? {
        let path = mount["mountPath"].as_str().context("no mountPath")?;
        assert_eq!(mount["readOnly"], true, "{path}");
        let volume = volumes
            .iter()
            .find(|volume| volume["name"] == mount["name"])
            .with_context(|| format!("{path} has no volume"))?;
        if volume["hostPath"].is_object() {
            assert_eq!(volume["hostPath"]["path"], path, "the same as on the host");
        } else {
            let map = manifest("configmap.yaml")?;
            assert_eq!(volume["configMap"]["name"], map["metadata"]["name"]);
        }
        paths.insert(path.to_owned());
    }
    assert_eq!(volumes.len(), paths.len(), "a volume that nobody mounts");
    let expected = ["/etc/sigblame", "/sys/kernel/btf", "/sys/kernel/tracing"];
    assert_eq!(paths, expected.map(str::to_owned).into());
    Ok(())
}

/// Kubelet and Prometheus ask from outside the pod: address, port and paths must fit each other.
#[test]
fn the_agent_listens_where_the_probes_and_prometheus_ask() -> Result<()> {
    let (_, container) = pod()?;
    let port = &array(&container["ports"])?[0];
    let map = manifest("configmap.yaml")?;
    let text = map["data"]["sigblame.yaml"].as_str().context("no file")?;
    known::check_configuration(text)?;
    let configuration: Value = serde_saphyr::from_str(text)?;
    assert_eq!(
        configuration["web"]["listen_address"],
        format!("0.0.0.0:{}", port["containerPort"])
    );
    assert_eq!(
        container["args"],
        json!(["run", "--config", "/etc/sigblame/sigblame.yaml"])
    );
    for (probe, path) in [
        ("startupProbe", "/-/healthy"),
        ("livenessProbe", "/-/healthy"),
        ("readinessProbe", "/-/ready"),
    ] {
        let asked = json!({ "path": path, "port": port["name"] });
        assert_eq!(container[probe]["httpGet"], asked, "{probe}");
    }
    let monitor = manifest("podmonitor.yaml")?;
    let endpoint = &array(&monitor["spec"]["podMetricsEndpoints"])?[0];
    assert_eq!(endpoint["port"], port["name"]);
    assert_eq!(endpoint["path"], "/metrics");
    // The alerts select the job by this value.
    let daemonset = manifest("daemonset.yaml")?;
    let labels = json!({ "app.kubernetes.io/name": "sigblame" });
    assert_eq!(monitor["spec"]["jobLabel"], "app.kubernetes.io/name");
    assert_eq!(monitor["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(daemonset["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(
        daemonset["spec"]["template"]["metadata"]["labels"], labels,
        "the pods are not the DaemonSet's"
    );
    Ok(())
}

/// The image's name is what the kustomization replaces.
#[test]
fn the_kustomization_replaces_the_image() -> Result<()> {
    let (_, container) = pod()?;
    let kustomization = manifest("kustomization.yaml")?;
    let image = &array(&kustomization["images"])?[0];
    assert_eq!(container["image"], image["name"]);
    assert!(image["newTag"].is_string(), "the image is pinned by a tag");
    Ok(())
}

/// The published schemas, where somebody has them: `pip install kubernetes-validate`.
#[test]
fn kubernetes_schemas_accept_the_manifests() -> Result<()> {
    let test = "kubernetes_schemas_accept_the_manifests";
    for name in words(&manifest("kustomization.yaml")?["resources"])? {
        let file = files::path(&format!("{FOLDER}/{name}"));
        let arguments = ["--strict", &file.to_string_lossy()];
        let Some(printed) = files::tool(test, "kubernetes-validate", &arguments)? else {
            break;
        };
        // Its exit status can be 0 on errors; the line about success cannot.
        assert!(
            printed.contains(" passed for resource ") && !printed.contains("ERROR"),
            "{printed}"
        );
    }
    Ok(())
}
