//! What the operator may do: the table of `src/controller/mod.rs` says what it uses, the chart gives exactly that, and
//! `docs/kubernetes.md` tells it.

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};

use super::helm::render;
use super::rendered::{VALUE_SETS, of_kind};
use super::root;

const WATCHED: &str = "watched namespaces";
const CLUSTER: &str = "cluster";
const OWN: &str = "own namespace";
const ELECTED: &str = "own namespace, with PostgreSQL";

/// API group, resource, the one object it is for (or none), verb.
type Right = (String, String, Option<String>, String);

/// The words in backquotes of a cell; `` is the group without a name.
fn quoted(cell: &str) -> Vec<String> {
    if cell.starts_with("``") {
        return vec![String::new()];
    }
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The rights of all rows of a table that hold at a place. Columns: API group, resource, verbs, where.
fn told(file: &str, place: &str) -> BTreeSet<Right> {
    let text = fs::read_to_string(root().join(file)).unwrap();
    let lines = text.lines().map(|line| line.trim_start_matches("//!").trim());
    let rows: Vec<&str> = lines
        .skip_while(|line| !line.starts_with("| API group | resource | verbs | where |"))
        .skip(2)
        .take_while(|line| line.starts_with('|'))
        .collect();
    assert!(rows.len() >= 8, "{file} has no table of rights any more");
    let mut rights = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert!([WATCHED, CLUSTER, OWN, ELECTED].contains(&cells[4]), "{file}: {row}");
        if cells[4] != place {
            continue;
        }
        let (resources, name) = match cells[2].split_once(", named ") {
            Some((resource, name)) => (resource, quoted(name).pop()),
            None => (cells[2], None),
        };
        for resource in quoted(resources) {
            for verb in cells[3].split(", ") {
                rights.insert((quoted(cells[1])[0].clone(), resource.clone(), name.clone(), verb.to_owned()));
            }
        }
    }
    rights
}

/// Roles that nobody is bound to: they are there to be given to people.
fn is_for_people(role: &str) -> bool {
    ["-view", "-edit", "-results"].iter().any(|ending| role.ends_with(ending))
}

/// The rights that the roles of a kind and namespace give the operator.
fn given(documents: &[Value], kind: &str, namespace: Option<&str>) -> BTreeSet<Right> {
    let words = |list: &Value| -> Vec<String> {
        list.as_array().into_iter().flatten().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    let roles = of_kind(documents, kind).into_iter().filter(|role| {
        let name = role["metadata"]["name"].as_str().unwrap();
        role["metadata"]["namespace"].as_str() == namespace && !is_for_people(name)
    });
    let mut rights = BTreeSet::new();
    for rule in roles.flat_map(|role| role["rules"].as_array().unwrap()) {
        let names = words(&rule["resourceNames"]);
        let names = if names.is_empty() { vec![None] } else { names.into_iter().map(Some).collect() };
        for (group, resource) in words(&rule["apiGroups"])
            .iter()
            .flat_map(|group| words(&rule["resources"]).into_iter().map(move |resource| (group, resource)))
        {
            for name in &names {
                let verbs = words(&rule["verbs"]).into_iter();
                rights.extend(verbs.map(|verb| (group.clone(), resource.clone(), name.clone(), verb)));
            }
        }
    }
    rights
}

#[test]
fn the_documentation_tells_the_rights_the_operator_uses() {
    for place in [WATCHED, CLUSTER, OWN, ELECTED] {
        assert_eq!(told("docs/kubernetes.md", place), told("src/controller/mod.rs", place), "{place}");
    }
}

#[test]
fn the_operator_is_given_exactly_the_rights_it_uses() {
    let used = |place| told("src/controller/mod.rs", place);
    let Some(everywhere) = render(&[]) else { return };
    assert_eq!(given(&everywhere, "ClusterRole", None), &used(CLUSTER) | &used(WATCHED));
    assert_eq!(given(&everywhere, "Role", Some("herald-system")), used(OWN));

    let elected = render(&["ledger.postgres.secretName=database"]).unwrap();
    assert_eq!(given(&elected, "Role", Some("herald-system")), &used(OWN) | &used(ELECTED));

    let named = render(&["watch.namespaces={marketing,sales}"]).unwrap();
    assert_eq!(given(&named, "ClusterRole", None), used(CLUSTER));
    assert_eq!(given(&named, "Role", Some("herald-system")), used(OWN));
    for namespace in ["marketing", "sales"] {
        assert_eq!(given(&named, "Role", Some(namespace)), used(WATCHED), "{namespace}");
    }
}

#[test]
fn every_role_is_bound_to_the_operator_where_it_holds() {
    for values in VALUE_SETS {
        let Some(documents) = render(values) else { return };
        let deployment = of_kind(&documents, "Deployment")
            .into_iter()
            .find(|it| it["metadata"]["labels"]["app.kubernetes.io/component"] == "operator")
            .unwrap();
        let account = &deployment["spec"]["template"]["spec"]["serviceAccountName"];
        assert!(of_kind(&documents, "ServiceAccount").iter().any(|it| it["metadata"]["name"] == *account));
        let bindings: Vec<&Value> =
            [of_kind(&documents, "RoleBinding"), of_kind(&documents, "ClusterRoleBinding")].concat();
        for binding in &bindings {
            let subject = json!([{"kind": "ServiceAccount", "name": account, "namespace": "herald-system"}]);
            assert_eq!(binding["subjects"], subject);
        }
        let bound: BTreeSet<String> = bindings
            .iter()
            .map(|it| format!("{} {} {}", it["roleRef"]["kind"], it["roleRef"]["name"], it["metadata"]["namespace"]))
            .collect();
        let roles = [of_kind(&documents, "Role"), of_kind(&documents, "ClusterRole")].concat();
        let own = roles.iter().filter(|role| !is_for_people(role["metadata"]["name"].as_str().unwrap()));
        let own = own.map(|it| format!("{} {} {}", it["kind"], it["metadata"]["name"], it["metadata"]["namespace"]));
        assert_eq!(bound, own.collect());
    }
}

#[test]
fn whoever_reads_results_is_given_the_way_to_the_ledger_and_nothing_else() {
    let Some(documents) = render(&[]) else { return };
    let roles = of_kind(&documents, "Role");
    let role = roles.iter().find(|role| role["metadata"]["name"] == "herald-results").unwrap();
    assert_eq!(role["metadata"]["namespace"], "herald-system");
    let rules = json!([
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["herald-ledger"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
        {"apiGroups": [""], "resources": ["pods/portforward"], "verbs": ["get", "create"]},
    ]);
    assert_eq!(role["rules"], rules);
    let pods = of_kind(&documents, "Deployment");
    let labels = &pods.iter().find(|it| it["metadata"]["name"] == "herald").unwrap()["spec"]["template"]["metadata"];
    for selector in herald::api::ledger_access::OPERATOR_PODS.split(',') {
        let (label, value) = selector.split_once('=').unwrap();
        assert_eq!(labels["labels"][label], value, "the plugin finds the operator's pods by it");
    }
}
