//! What the derived schemas lack, put in once for every CRD.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use serde_json::{Value, json};

/// Longest text in a map, where nothing else is said.
const MAX_MAP_VALUE: i64 = 4096;

/// The CRD with absence said in one way (no `null`), lists owned whole, everything bounded, and the status an object is
/// born with.
pub(super) fn finished(mut crd: CustomResourceDefinition, status: Option<&Value>) -> CustomResourceDefinition {
    for version in &mut crd.spec.versions {
        let Some(root) = version.schema.as_mut().and_then(|s| s.open_api_v3_schema.as_mut()) else {
            continue;
        };
        tidy(root);
        let Some(schema) = root.properties.as_mut().and_then(|p| p.get_mut("status")) else {
            continue;
        };
        schema.default = status.cloned().map(JSON);
        schema.description = Some("What was observed. Nobody writes it by hand.".into());
        if let Some(conditions) = schema.properties.as_mut().and_then(|p| p.get_mut("conditions")) {
            bound_conditions(conditions);
        }
    }
    crd
}

/// `null` would be a second way to leave something out: without `nullable` the server drops it before it looks. A list
/// that is no map or set has one writer, who owns it whole.
fn tidy(schema: &mut JSONSchemaProps) {
    schema.nullable = None;
    if let Some(options) = &mut schema.enum_ {
        options.retain(|option| !option.0.is_null());
    }
    if schema.type_.as_deref() == Some("array") && schema.x_kubernetes_list_type.is_none() {
        schema.x_kubernetes_list_type = Some("atomic".into());
    }
    for property in schema.properties.iter_mut().flat_map(|p| p.values_mut()) {
        tidy(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        tidy(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        tidy(values);
        if values.type_.as_deref() == Some("string") && values.max_length.is_none() {
            values.max_length = Some(MAX_MAP_VALUE);
        }
    }
}

/// The bounds that `metav1.Condition` states in its documentation, and messages of at most 1 KiB.
fn bound_conditions(conditions: &mut JSONSchemaProps) {
    let Some(JSONSchemaPropsOrArray::Schema(item)) = &mut conditions.items else {
        return;
    };
    for (name, field) in item.properties.iter_mut().flatten() {
        match name.as_str() {
            "type" => field.max_length = Some(316),
            "reason" => {
                field.min_length = Some(1);
                field.max_length = Some(128);
                field.pattern = Some("^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$".into());
            }
            "message" => field.max_length = Some(1024),
            "status" => {
                field.enum_ = Some(["True", "False", "Unknown"].map(|s| JSON(json!(s))).into());
            }
            _ => {}
        }
    }
}
